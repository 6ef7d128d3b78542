// The tree of an Expression, shared by its parser, its evaluation and its binding.
#pragma once

#include "codegen/expression.h"

namespace hone {

enum class Operator {
  kConstant,  // value
  kName,      // text
  kSlot,      // bound programs only: value is the slot's index
  kNot,
  kNegate,
  kMultiply,
  kDivide,
  kModulo,
  kAdd,
  kSubtract,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kAnd,
  kOr,
  kChoose,
  kMin,
  kMax,
  kCeilDiv,
  kRoundUp,
  kLog2,
  kSize,
  kJump,         // bound programs only: skip `value` steps
  kJumpIfFalse,  // bound programs only: pops; skip `value` steps if it was 0
  kTruth,        // bound programs only: pops x, pushes x != 0
};

constexpr int kMaxDepth = 64;  // of nesting and of the evaluation stack

// nullopt: division by zero, overflow, log2 of less than 1.
std::optional<std::int64_t> apply(Operator op, std::int64_t a, std::int64_t b) noexcept;
bool unary(Operator op);

struct Expression::Node {
  Operator op = Operator::kConstant;
  Value value;       // kConstant
  std::string name;  // kName; kSize: empty
  std::vector<std::shared_ptr<const Node>> children;
};

using ExpressionNode = std::shared_ptr<const Expression::Node>;

// Evaluates a tree; `expression` is for messages.
class Evaluator {
 public:
  Evaluator(const Expression& expression, const Lookup& lookup)
      : expression_(expression), lookup_(lookup) {}

  Value value(const Expression::Node& node) const;
  std::int64_t integer(const Expression::Node& node) const;
  [[noreturn]] void fail(const std::string& what) const;

 private:
  Value name(const Expression::Node& node) const;
  Value size(const Expression::Node& node) const;

  const Expression& expression_;
  const Lookup& lookup_;
};

}  // namespace hone
