#include <algorithm>
#include <bit>
#include <limits>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/expression_tree.h"

namespace hone {

std::optional<std::int64_t> apply(Operator op, std::int64_t a, std::int64_t b) noexcept {
  std::int64_t result = 0;
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  switch (op) {
    case Operator::kNot:
      return a == 0;
    case Operator::kNegate:
      if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) return std::nullopt;
      return result;
    case Operator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Operator::kDivide:
    case Operator::kModulo:
      if (b == 0 || (a == kLowest && b == -1)) return std::nullopt;
      return op == Operator::kDivide ? a / b : a % b;
    case Operator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Operator::kLess:
      return a < b;
    case Operator::kLessEqual:
      return a <= b;
    case Operator::kGreater:
      return a > b;
    case Operator::kGreaterEqual:
      return a >= b;
    case Operator::kEqual:
      return a == b;
    case Operator::kNotEqual:
      return a != b;
    case Operator::kMin:
      return std::min(a, b);
    case Operator::kMax:
      return std::max(a, b);
    case Operator::kCeilDiv:
    case Operator::kRoundUp: {
      if (b <= 0 || a < 0) return std::nullopt;
      std::int64_t quotient = a / b + (a % b != 0);
      if (op == Operator::kCeilDiv) return quotient;
      if (__builtin_mul_overflow(quotient, b, &result)) return std::nullopt;
      return result;
    }
    case Operator::kLog2:
      if (a < 1) return std::nullopt;
      return std::bit_width(static_cast<std::uint64_t>(a)) - 1;
    case Operator::kTruth:
      return a != 0;
    default:
      return std::nullopt;
  }
}

bool unary(Operator op) {
  return op == Operator::kNot || op == Operator::kNegate || op == Operator::kLog2 ||
         op == Operator::kTruth;
}

BoundExpression Expression::bind(const Lookup& constants,
                                 std::span<const std::string> slots) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was bound");
  auto slot_of = [&](const std::string& name) -> std::int64_t {
    auto found = std::find(slots.begin(), slots.end(), name);
    return found == slots.end() ? -1 : found - slots.begin();
  };
  auto needs_slot = [&](auto&& self, const Expression::Node& node) -> bool {
    if (node.op == Operator::kName) return slot_of(node.name) >= 0;
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const ExpressionNode& child) { return self(self, *child); });
  };
  Evaluator evaluator(*this, constants);
  BoundExpression bound;
  auto& steps = bound.steps_;
  auto push = [&](Operator op, std::int64_t value) {
    steps.push_back({static_cast<int>(op), value});
  };
  // Jumps skip what `&&`, `||` and `?:` needn't evaluate; their distance is known after emitting.
  auto emit = [&](auto&& self, const Expression::Node& node) -> void {
    if (!needs_slot(needs_slot, node)) {
      push(Operator::kConstant, slot_value(evaluator.value(node)));
      return;
    }
    auto jump = [&](Operator op) {
      push(op, 0);
      return steps.size();
    };
    auto land = [&](std::size_t from) {
      steps[from - 1].value = static_cast<std::int64_t>(steps.size() - from);
    };
    const auto& children = node.children;
    switch (node.op) {
      case Operator::kName:
        push(Operator::kSlot, slot_of(node.name));
        return;
      case Operator::kAnd:
      case Operator::kOr:
      case Operator::kChoose: {
        if (!needs_slot(needs_slot, *children[0])) {
          bool first = evaluator.integer(*children[0]) != 0;
          if (node.op == Operator::kChoose) return self(self, *children[first ? 1 : 2]);
          if (first == (node.op == Operator::kOr)) return push(Operator::kConstant, first);
          self(self, *children[1]);
          return push(Operator::kTruth, 0);
        }
        self(self, *children[0]);
        std::size_t otherwise = jump(Operator::kJumpIfFalse);
        if (node.op == Operator::kOr) {
          push(Operator::kConstant, 1);
        } else {
          self(self, *children[1]);
          if (node.op == Operator::kAnd) push(Operator::kTruth, 0);
        }
        std::size_t done = jump(Operator::kJump);
        land(otherwise);
        if (node.op == Operator::kAnd) {
          push(Operator::kConstant, 0);
        } else {
          self(self, *children[node.op == Operator::kOr ? 1 : 2]);
          if (node.op == Operator::kOr) push(Operator::kTruth, 0);
        }
        land(done);
        return;
      }
      case Operator::kSize: {
        const Element* element = find_element(to_text(evaluator.value(*children[0])));
        if (element == nullptr) evaluator.fail("size() of something that is not an element type");
        self(self, *children[1]);
        push(Operator::kConstant, element->block);
        push(Operator::kCeilDiv, 0);
        push(Operator::kConstant, element->bytes);
        push(Operator::kMultiply, 0);
        return;
      }
      default:
        for (const ExpressionNode& child : children) self(self, *child);
        push(node.op, 0);
    }
  };
  emit(emit, *root_);
  // The deepest stack is bounded by the number of values pushed; refuse what the fixed stack can't
  // hold.
  int depth = 0, deepest = 0;
  for (const auto& step : steps) {
    Operator op = static_cast<Operator>(step.op);
    if (op == Operator::kConstant || op == Operator::kSlot)
      deepest = std::max(deepest, ++depth);
    else if (op == Operator::kJumpIfFalse || (op != Operator::kJump && !unary(op)))
      --depth;
    if (op == Operator::kJump) --depth;  // the branch's value is counted once, by the other branch
  }
  if (deepest > kMaxDepth) evaluator.fail("too many pending operands");
  return bound;
}

bool BoundExpression::constant() const {
  return steps_.size() == 1 && static_cast<Operator>(steps_[0].op) == Operator::kConstant;
}

std::optional<std::int64_t> BoundExpression::operator()(const std::int64_t* slots) const noexcept {
  if (steps_.size() == 1 && static_cast<Operator>(steps_[0].op) == Operator::kConstant)
    return steps_[0].value;
  std::int64_t stack[kMaxDepth];
  int top = 0;  // number of values
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    Operator op = static_cast<Operator>(step.op);
    switch (op) {
      case Operator::kConstant:
        stack[top++] = step.value;
        continue;
      case Operator::kSlot:
        stack[top++] = slots[step.value];
        continue;
      case Operator::kJump:
        i += static_cast<std::size_t>(step.value);
        continue;
      case Operator::kJumpIfFalse:
        if (stack[--top] == 0) i += static_cast<std::size_t>(step.value);
        continue;
      default:
        break;
    }
    std::int64_t b = unary(op) ? 0 : stack[--top];
    std::optional<std::int64_t> result = apply(op, stack[top - 1], b);
    if (!result) return std::nullopt;
    stack[top - 1] = *result;
  }
  return top == 1 ? std::optional<std::int64_t>(stack[0]) : std::nullopt;
}

}  // namespace hone
