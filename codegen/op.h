// An operator: what it computes on which shapes and types, independent of any kernel. Read from
// templates/<op>/op.json.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/expression.h"
#include "codegen/target.h"
#include "codegen/values.h"

namespace hone {

struct Dim {
  std::string name;
  bool dynamic =
      false;  // may change from launch to launch; static dims are part of a handle's identity
  std::int64_t min = 1;
  std::int64_t max = std::int64_t{1} << 40;
  Expression default_value;  // empty: a static dim must be given; a dynamic one may be left out of
                             // a handle
  std::vector<std::int64_t> buckets;  // dynamic dims: the points that a full tuning covers
};

struct Word {
  std::string name;
  std::vector<std::string> values;
  std::string default_value;  // empty: must be given
};

struct Argument {
  enum class Kind { kIn, kOut, kScalar };
  std::string name;
  Kind kind = Kind::kIn;
  std::string type;               // an element type, or the name of a word whose value is one
  std::vector<Expression> shape;  // row-major; empty for scalars
  Expression when;                // empty: always present
  std::string draw = "normal";    // how inputs are drawn: see templates/README.md
  bool cold = false;  // streams from memory in real use: timed with rotating copies beyond the
                      // last-level cache
  std::optional<double> default_value;  // scalars: what a null pointer means
};

struct Tolerance {
  Expression when;   // empty: always
  double value = 0;  // bound on the error norm of Checker: max |got - want| / (|want| + rms(want))
};

struct Op {
  std::string name;
  std::string summary;
  std::string file;  // the op.json, for messages
  std::vector<Dim> dims;
  std::vector<Word> words;
  std::vector<std::pair<Expression, std::string>>
      requires_;  // must hold of a problem; the text says what is wrong
  std::vector<std::pair<std::string, Expression>> lets;  // named values derived from dims and words
  std::vector<Argument> arguments;
  Expression flops;    // operations of one call
  Expression bytes;    // bytes that one call must move at least; empty: every argument once
  Expression compute;  // the element type whose peak bounds it (a word)
  Expression rows;     // how many independent rows the reference computes
  std::vector<Tolerance> tolerances;                         // the first whose `when` holds
  std::map<std::string, std::vector<std::string>> problems;  // named sets of problem texts
  std::string reference;                                     // text of reference.cpp

  // Orders the values as declared, checks them, evaluates defaults of given-or-defaulted dims, and
  // drops values that equal their default: the one canonical form. Dynamic dims without a value
  // stay absent unless `complete`; then their absence is an error. Throws Error(kUsage) that names
  // the value, what is allowed and an example.
  Problem canonical(const Problem& problem, bool complete) const;

  // The canonical problem without its dynamic dims: the identity of a handle.
  Problem handle(const Problem& problem) const;

  // Every dim, word and let of a canonical problem (defaults filled in). Lets and defaults that
  // need an absent dynamic dim are left out.
  Values scope(const Problem& canonical) const;

  std::vector<std::string> dynamic_dims() const;  // names, in declared order
  std::vector<const Argument*> present(
      const Values& scope) const;  // the arguments that a call takes, in order
  std::string element_of(const Argument& argument, const Values& scope) const;  // its element type
  std::int64_t count_of(const Argument& argument, const Values& scope) const;   // its elements
  std::int64_t bytes_of(const Argument& argument, const Values& scope) const;   // its bytes
  std::int64_t cost_bytes(const Values& scope) const;
  double tolerance(const Values& scope) const;
};

// Throws Error(kTemplate) with file and, where JSON tells, line.
Op parse_op(std::string_view json_text, std::string_view reference_text, const std::string& file);

}  // namespace hone
