// PTX as text says it: variables, functions, statements; nothing is checked against the instruction
// set yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/error.h"

namespace hone::sim {

enum class Space : std::uint8_t { kNone, kReg, kGlobal, kConst, kShared, kLocal, kParam, kGeneric };
std::string_view space_name(Space space);

// A fundamental type: 's' signed, 'u' unsigned, 'b' bits, 'f' IEEE float, 'h' bfloat16, 't' tf32,
// 'q' a float of 8 or fewer bits, 'p' predicate.
struct Type {
  char kind = 'b';
  std::uint8_t bits = 0;   // of one element
  std::uint8_t lanes = 1;  // 2 for f16x2, bf16x2 ...
  int bytes() const { return bits * lanes / 8; }
  bool operator==(const Type&) const = default;
};
// "f32" -> type; bits 0: no type name.
Type parse_type(std::string_view name);

struct Operand {
  enum class Kind : std::uint8_t {
    kNone,
    kRegister,  // index; negated: !%p
    kSpecial,   // name: %tid.x
    kInteger,   // value
    kFloat,     // value holds the bits of a double
    kFloat32,   // value holds the bits of a float
    kSymbol,    // name, value: a byte offset
    kSink,      // _
    kVector,    // parts: {a, b}
    kAddress,   // [parts[0] + value], parts[0] register, symbol or integer; further parts:
                // coordinates
    kPair,      // parts: %r1|%p1
    kList,      // parts: (a, b) of a call
  };
  Kind kind = Kind::kNone;
  bool negated = false;
  int index = -1;
  std::uint64_t value = 0;
  std::string_view name;
  std::vector<Operand> parts;
};

struct Statement {
  int line = 0;
  int location = -1;  // into Text::locations
  int guard = -1;     // register of @%p
  bool guard_negated = false;
  std::string_view opcode;  // "ld.global.v4.f32"
  std::vector<Operand> operands;
  std::string_view text;
};

struct Variable {
  std::string_view name;
  Space space = Space::kNone;
  Type type;
  std::size_t align = 1;
  std::size_t bytes = 0;
  bool external = false;
  int line = 0;
  std::vector<std::uint8_t> data;  // may be shorter than the variable
  struct Reference {
    std::size_t offset = 0;
    std::string_view name;
    std::uint64_t addend = 0;
    bool generic = false;
  };
  std::vector<Reference> references;
};

struct Label {
  std::string_view name;
  int scope = 0;
  int position = 0;  // index of the statement that follows
};

struct Scope {
  int parent = -1;
};

struct BranchTargets {  // name: .branchtargets a, b;
  std::string_view name;
  std::vector<std::string_view> labels;
};

struct ParsedFunction {
  std::string_view name;
  bool entry = false;
  bool defined = false;
  int line = 0;
  std::vector<Variable> results, parameters;
  std::vector<Variable> variables;  // .local, .shared and .param of the body
  struct Register {
    Type type;
    int line = 0;
  };
  std::vector<Register> registers;
  std::vector<std::string_view> register_names;  // of a range: its prefix
  std::vector<Statement> statements;
  std::vector<int> scopes;  // of each statement
  std::vector<Scope> scope_tree;
  std::vector<Label> labels;
  std::vector<BranchTargets> tables;
  int max_threads[3] = {0, 0, 0};
  int required_threads[3] = {0, 0, 0};
  int required_cluster[3] = {0, 0, 0};
  int min_blocks = 0;
};

// A source position of .loc; `parent`: where it was inlined.
struct Location {
  int file = 0, line = 0, column = 0;
  int parent = -1;
};

struct Text {
  int version = 0;  // 90
  int target = 0;   // 80
  std::string_view target_name;
  std::vector<Variable> variables;
  std::vector<ParsedFunction> functions;
  std::vector<Location> locations;
  std::vector<std::pair<int, std::string>> files;
  const ParsedFunction* find(std::string_view name) const;
};

[[noreturn]] void fail_at(int line, const std::string& message);  // "ptx line 12: ..."

// Views point into `ptx`, which must outlive the result. Throws Error(kCompile).
Text parse_ptx(std::string_view ptx);

}  // namespace hone::sim
