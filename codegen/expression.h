// The one small language for constraints, geometry, sizes and costs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/values.h"

namespace hone {

// Where a piece of text came from, for messages: "templates/gemm/panel.cpp:7".
struct Location {
  std::string file;
  int line = 0;
  std::string text() const { return file + ":" + std::to_string(line); }
};

// An integer that stands for a word in a BoundExpression.
std::int64_t word_code(std::string_view word);
std::int64_t slot_value(const Value& value);  // the integer, or the word's code

// A value for a name, or nullopt when the name is unknown.
using Lookup = std::function<std::optional<Value>(std::string_view)>;
Lookup lookup_in(const Values& values);  // borrows `values`

// A flat program over integer slots: an Expression whose words and constants are folded away. For
// the launch path: no allocation, no throw, no string.
class BoundExpression {
 public:
  // nullopt on division by zero, overflow or a negative log2.
  std::optional<std::int64_t> operator()(const std::int64_t* slots) const noexcept;
  bool constant() const;  // depends on no slot

 private:
  friend class Expression;
  struct Step {
    int op;              // an Operator of expression_tree.h
    std::int64_t value;  // constant, slot index or jump target
  };
  std::vector<Step> steps_;
};

// Grammar (C precedence): `?:`, `||`, `&&`, `== != < <= > >=`, `+ -`, `* / %`, unary `! -`,
// parentheses, decimal integers, names, and the calls min(a,b,..) max(a,b,..) ceil_div(a,b)
// round_up(a,b) log2(a) (floor) size(type, count) (bytes of `count` elements of an element type,
// e.g. size(q4_0, n * k); count is rounded up to whole blocks). Values are 64-bit integers and
// words; words know only == and != (against words). A name that the lookup doesn't know is a word
// literal if it is an element type or stands in the set of words given to parse(); otherwise it is
// an error. `&&`, `||` and `?:` evaluate only what they need. Division by zero, overflow, unknown
// names and mixed types throw Error(kTemplate) that names file, line and the expression.
class Expression {
 public:
  Expression() = default;  // empty; evaluating it is an error

  static Expression parse(std::string_view text, const Location& where,
                          const std::set<std::string>& words = {});

  Value evaluate(const Lookup& lookup) const;
  std::int64_t integer(const Lookup& lookup) const;
  bool truth(const Lookup& lookup) const { return integer(lookup) != 0; }

  // The same expression with the named definitions (lets, in order: later ones may use earlier
  // ones) put in place of their names.
  Expression with(std::span<const std::pair<std::string, Expression>> definitions) const;

  // Folds what `constants` knows; the names in `slots` become indices 0, 1, ... of the array given
  // at evaluation. Throws as evaluate() does for a name in neither.
  BoundExpression bind(const Lookup& constants, std::span<const std::string> slots) const;

  const std::set<std::string>& names() const {
    return names_;
  }  // names it may look up (word literals excluded)
  const std::string& text() const { return text_; }
  const Location& where() const { return where_; }
  bool empty() const { return root_ == nullptr; }

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
  std::set<std::string> names_;
  std::string text_;
  Location where_;
};

}  // namespace hone
