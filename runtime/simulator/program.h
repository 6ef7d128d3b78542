// PTX decoded for the interpreter. A register is a row of 32 lanes; a function's rows lie together
// in each warp.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/ptx.h"
#include "runtime/simulator/simulator.h"

namespace hone::sim {

inline constexpr int kLanes = 32;
inline constexpr std::uint32_t kAllLanes = 0xffffffffu;

// Windows of the generic address space; what is in none is global.
inline constexpr std::uint64_t kSharedWindow = 0x5300'0000'0000'0000;
inline constexpr std::uint64_t kLocalWindow = 0x4c00'0000'0000'0000;
inline constexpr std::uint64_t kParamWindow = 0x5000'0000'0000'0000;
inline constexpr std::uint64_t kCodeWindow = 0x4300'0000'0000'0000;  // "addresses" of functions
// In Instruction::aux of accesses: volatile, relaxed, acquire or release.
inline constexpr std::uint32_t kOrderedAccess = 1u << 9;
inline constexpr std::uint32_t kVolatileAccess = 1u << 10;  // of those, volatile
inline constexpr std::uint32_t kReleaseStore = 1u << 11;    // of those, st.release
inline constexpr std::uint64_t kWindowMask = 0xffff'ffff'0000'0000;

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&, std::uint32_t mask);

// What the scheduler does with an instruction.
enum class Flow : std::uint8_t {
  kNext,
  kBranch,       // target
  kTable,        // brx.idx
  kCall,         // aux: function
  kCallAddress,  // through a register
  kReturn,
  kExit,
  kBarrier,  // bar, barrier
  kMembers,  // waits for the lanes of the mask in its last source
  kAligned,  // waits for all lanes of the warp
  kYield,    // nanosleep and failed waits: let others run
  kTrap,
};

// How uninitialised values pass through.
enum class Taint : std::uint8_t {
  kMerge,    // a destination is undefined where any source is
  kHandler,  // the handler says
  kNever,
};

// What it is counted as.
enum class Kind : std::uint8_t {
  kInteger,
  kFloat,
  kHalf,
  kDouble,
  kSpecial,
  kConvert,
  kMove,
  kMatrix,
  kLoad,
  kStore,
  kAtomic,
  kAsync,
  kMatrixLoad,
  kControl,
  kBarrier,
  kWarpSync,
  kShuffle,
  kFence,
  kOther,
};

struct Instruction {
  Handler run = nullptr;
  const std::uint32_t* o =
      nullptr;  // operands, destinations first: rows, or for predicates index * 2 + negated
  const std::uint32_t* t = nullptr;  // the same operands' places in the table of undefined lanes
  std::uint64_t imm = 0;
  std::uint32_t aux = 0, aux2 = 0;
  std::uint32_t guard = 0;  // predicate * 2 + negated; predicate 0 is always true
  std::uint32_t target = 0;
  std::uint8_t destinations = 0, sources = 0;
  std::uint16_t flops = 0;  // per lane; matrix: of the whole warp / 256
  Flow flow = Flow::kNext;
  Taint taint = Taint::kMerge;
  Kind kind = Kind::kOther;
  Space space = Space::kNone;
  std::uint8_t bytes = 0;       // memory: of one element
  bool meets_anywhere = false;  // kMembers: lanes may wait at several places
  bool compares = false;        // atomics: compare and swap
  bool narrow = false;          // memory: the address is a row of 32 bits
  std::uint16_t opcode = 0;
  int line = 0, location = -1;
};

struct Function {
  std::string name;
  int index = 0;
  std::uint32_t first_id = 1;  // of its instructions in the module
  bool entry = false;
  std::vector<Instruction> code;
  std::vector<std::uint32_t> pool, taint_pool;
  std::vector<std::string_view> texts;  // of each instruction
  std::vector<std::string_view>
      row_names;  // register names by place in the table of undefined lanes

  struct Constant {
    std::uint32_t row = 0;
    std::uint64_t value = 0;
    bool wide = false;
  };
  std::vector<Constant> constants;
  struct SpecialRow {
    std::uint32_t row = 0;
    int which = 0;  // specials.h
    bool wide = false;
  };
  std::vector<SpecialRow> specials;
  std::uint32_t first_register_row = 0;  // constants, specials and sinks lie below
  std::uint32_t rows = 0;
  std::vector<bool> wide_rows;   // where a register of 64 bits begins
  std::uint32_t predicates = 0;  // the first is always true
  int pressure = 0;              // most 32-bit registers live at once

  // Bytes of a thread's memory: parameters, results, .param of the body, .local.
  std::uint32_t frame_offset = 0;  // of this function in the thread's local memory
  std::uint32_t frame_bytes = 0;
  struct Slot {
    std::uint32_t offset =
        0;  // in the thread's local memory; for an entry's parameters in the parameter block
    std::uint32_t bytes = 0;
  };
  std::vector<Slot> parameters, results;
  struct CallSite {
    std::vector<Slot> arguments, results;
    int function = -1;
  };
  std::vector<CallSite> calls;
  std::vector<std::vector<std::uint32_t>> tables;  // of brx.idx

  std::size_t static_shared = 0;
  std::uint32_t parameter_bytes = 0;
  std::string unsupported;
  std::vector<int> callees;
  bool calls_address = false;
  int shared_granule = 16, global_granule = 16;  // the smallest access, in bytes

  // Basic blocks, to tell "comes later" from "can't come any more".
  std::vector<std::uint32_t> block_of;                 // instruction -> block
  std::vector<std::vector<std::uint32_t>> successors;  // block -> blocks
  // Whether control can get from instruction to instruction (along at least one edge).
  bool reaches(std::uint32_t from, std::uint32_t to) const;
  mutable std::map<std::uint32_t, std::vector<bool>> reach_cache;
};

struct Module::Body {
  std::string source;
  Text text;
  const Gpu* gpu = nullptr;
  Memory* memory = nullptr;
  std::vector<std::unique_ptr<Function>> functions;
  std::map<std::string_view, int> function_index;
  std::vector<std::unique_ptr<Module::Kernel>> kernels;
  std::vector<std::unique_ptr<Module::Variable>> variables;
  std::map<std::string, const Module::Variable*, std::less<>> variable_index;
  std::vector<Address> allocations;
  std::vector<std::string> opcodes;
  std::uint32_t local_bytes = 0;   // per thread, all functions
  std::size_t dynamic_align = 16;  // of dynamic shared memory

  struct Shared {
    std::uint32_t offset = 0;
    bool dynamic = false;
  };
};

// Where a name leads: an address in its space.
struct SymbolValue {
  Space space = Space::kNone;  // kNone: nowhere; kGeneric: a function
  std::uint64_t address = 0;
  std::uint32_t bytes = 0;
  bool dynamic = false;  // dynamic shared memory: depends on the kernel
  bool frame = false;    // a .param of a function or of a call, not of a kernel
};

struct DecodeContext {
  const Text& text;
  Module::Body& body;
  std::unordered_map<std::string_view, std::uint16_t> opcode_ids;
  std::unordered_map<std::string_view, SymbolValue> symbols;  // of the module
  // Of the function at hand: parameters by name, variables of the body by the place of their
  // declaration.
  std::unordered_map<std::string_view, SymbolValue> parameters;
  std::unordered_map<const char*, SymbolValue> locals;
};
SymbolValue find_symbol(const DecodeContext& context, std::string_view name);

// Fills `function` from `parsed`; symbols are laid out. What is PTX and lacks in the simulator is
// kept in Function::unsupported; everything else that is wrong is thrown.
void decode_function(DecodeContext& context, const ParsedFunction& parsed, Function& function);

// Registers of `places` get their rows and predicates; fills the pools, the table of undefined
// lanes and the pressure.
struct Place;
void allocate_registers(const ParsedFunction& parsed, Function& function,
                        const std::vector<std::vector<Place>>& places,
                        const std::vector<Place>& guards);

}  // namespace hone::sim
