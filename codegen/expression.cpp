#include "codegen/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/hash.h"

namespace hone {
namespace {

enum class Op {
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
std::optional<std::int64_t> apply(Op op, std::int64_t a, std::int64_t b) noexcept {
  std::int64_t result = 0;
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  switch (op) {
    case Op::kNot:
      return a == 0;
    case Op::kNegate:
      if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) return std::nullopt;
      return result;
    case Op::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kDivide:
    case Op::kModulo:
      if (b == 0 || (a == kLowest && b == -1)) return std::nullopt;
      return op == Op::kDivide ? a / b : a % b;
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
      return result;
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return a <= b;
    case Op::kGreater:
      return a > b;
    case Op::kGreaterEqual:
      return a >= b;
    case Op::kEqual:
      return a == b;
    case Op::kNotEqual:
      return a != b;
    case Op::kMin:
      return std::min(a, b);
    case Op::kMax:
      return std::max(a, b);
    case Op::kCeilDiv:
    case Op::kRoundUp: {
      if (b <= 0 || a < 0) return std::nullopt;
      std::int64_t quotient = a / b + (a % b != 0);
      if (op == Op::kCeilDiv) return quotient;
      if (__builtin_mul_overflow(quotient, b, &result)) return std::nullopt;
      return result;
    }
    case Op::kLog2:
      if (a < 1) return std::nullopt;
      return std::bit_width(static_cast<std::uint64_t>(a)) - 1;
    case Op::kTruth:
      return a != 0;
    default:
      return std::nullopt;
  }
}

bool unary(Op op) {
  return op == Op::kNot || op == Op::kNegate || op == Op::kLog2 || op == Op::kTruth;
}

}  // namespace

struct Expression::Node {
  Op op = Op::kConstant;
  Value value;       // kConstant
  std::string name;  // kName; kSize: empty
  std::vector<std::shared_ptr<const Node>> children;
};

namespace {

using Node = Expression::Node;
using NodePtr = std::shared_ptr<const Node>;

NodePtr make(Op op, std::vector<NodePtr> children) {
  auto node = std::make_shared<Node>();
  node->op = op;
  node->children = std::move(children);
  return node;
}

class Parser {
 public:
  Parser(std::string_view text, const Location& where, const std::set<std::string>& words,
         std::set<std::string>* names)
      : text_(text), where_(where), words_(words), names_(names) {}

  NodePtr parse() {
    NodePtr node = choose();
    skip_space();
    if (position_ != text_.size()) fail(fmt::format("unexpected '{}'", text_.substr(position_)));
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kTemplate,
                fmt::format("{}: {} in expression '{}'", where_.text(), what, text_));
  }

  void skip_space() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t'))
      ++position_;
  }

  bool take(std::string_view token) {
    skip_space();
    if (text_.substr(position_, token.size()) != token) return false;
    position_ += token.size();
    return true;
  }

  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("expected '{}' at '{}'", token, text_.substr(position_)));
  }

  NodePtr choose() {
    if (++depth_ > kMaxDepth) fail("too deeply nested");
    NodePtr condition = binary(0);
    if (take("?")) {
      NodePtr yes = choose();
      expect(":");
      NodePtr no = choose();
      condition = make(Op::kChoose, {condition, yes, no});
    }
    --depth_;
    return condition;
  }

  // Binary operators by precedence, loosest first; in a level the longer tokens stand first.
  NodePtr binary(int level) {
    struct Token {
      std::string_view text;
      Op op;
    };
    static const std::vector<std::vector<Token>> kLevels = {
        {{"||", Op::kOr}},
        {{"&&", Op::kAnd}},
        {{"==", Op::kEqual}, {"!=", Op::kNotEqual}},
        {{"<=", Op::kLessEqual}, {">=", Op::kGreaterEqual}, {"<", Op::kLess}, {">", Op::kGreater}},
        {{"+", Op::kAdd}, {"-", Op::kSubtract}},
        {{"*", Op::kMultiply}, {"/", Op::kDivide}, {"%", Op::kModulo}}};
    if (level == static_cast<int>(kLevels.size())) return prefix();
    NodePtr left = binary(level + 1);
    while (true) {
      const auto& tokens = kLevels[static_cast<std::size_t>(level)];
      auto token = std::find_if(tokens.begin(), tokens.end(),
                                [&](const Token& candidate) { return take(candidate.text); });
      if (token == tokens.end()) return left;
      left = make(token->op, {left, binary(level + 1)});
    }
  }

  NodePtr prefix() {
    skip_space();
    if (++depth_ > kMaxDepth) fail("too deeply nested");
    NodePtr node;
    if (text_.substr(position_, 2) != "!=" && take("!")) {
      node = make(Op::kNot, {prefix()});
    } else if (take("-")) {
      node = make(Op::kNegate, {prefix()});
    } else {
      node = primary();
    }
    --depth_;
    return node;
  }

  NodePtr primary() {
    if (take("(")) {
      NodePtr node = choose();
      expect(")");
      return node;
    }
    skip_space();
    std::size_t begin = position_;
    while (position_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[position_])) || text_[position_] == '_'))
      ++position_;
    std::string_view token = text_.substr(begin, position_ - begin);
    if (token.empty())
      fail(begin == text_.size() ? "unexpected end"
                                 : fmt::format("unexpected '{}'", text_.substr(begin)));
    auto node = std::make_shared<Node>();
    if (std::isdigit(static_cast<unsigned char>(token[0]))) {
      try {
        node->value = parse_value(token);
      } catch (const Error&) {
        fail(fmt::format("'{}' is not a 64-bit integer", token));
      }
      return node;
    }
    if (take("(")) return call(token);
    node->op = Op::kName;
    node->name = std::string(token);
    if (words_.count(node->name) == 0 && find_element(token) == nullptr) names_->insert(node->name);
    return node;
  }

  NodePtr call(std::string_view function) {
    std::vector<NodePtr> arguments;
    do {
      arguments.push_back(choose());
    } while (take(","));
    expect(")");
    auto need = [&](std::size_t count) {
      if (arguments.size() != count)
        fail(fmt::format("{}() takes {} argument(s), not {}", function, count, arguments.size()));
    };
    if (function == "min" || function == "max") {
      if (arguments.size() < 2) need(2);
      NodePtr node = arguments[0];
      for (std::size_t i = 1; i < arguments.size(); ++i)
        node = make(function == "min" ? Op::kMin : Op::kMax, {node, arguments[i]});
      return node;
    }
    static const std::vector<std::tuple<std::string_view, Op, std::size_t>> kFunctions = {
        {"ceil_div", Op::kCeilDiv, 2},
        {"round_up", Op::kRoundUp, 2},
        {"log2", Op::kLog2, 1},
        {"size", Op::kSize, 2}};
    for (const auto& [name, op, count] : kFunctions) {
      if (name != function) continue;
      need(count);
      return make(op, std::move(arguments));
    }
    fail(fmt::format("unknown function '{}' (there are min max ceil_div round_up log2 size)",
                     function));
  }

  std::string_view text_;
  const Location& where_;
  const std::set<std::string>& words_;
  std::set<std::string>* names_;
  std::size_t position_ = 0;
  int depth_ = 0;
};

// Evaluates a tree; `expression` is for messages.
class Evaluator {
 public:
  Evaluator(const Expression& expression, const Lookup& lookup)
      : expression_(expression), lookup_(lookup) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kTemplate, fmt::format("{}: {} in expression '{}'",
                                             expression_.where().text(), what, expression_.text()));
  }

  Value value(const Node& node) const {
    switch (node.op) {
      case Op::kConstant:
        return node.value;
      case Op::kName:
        return name(node);
      case Op::kAnd:
        return std::int64_t{integer(child(node, 0)) != 0 && integer(child(node, 1)) != 0};
      case Op::kOr:
        return std::int64_t{integer(child(node, 0)) != 0 || integer(child(node, 1)) != 0};
      case Op::kChoose:
        return value(child(node, integer(child(node, 0)) != 0 ? 1 : 2));
      case Op::kEqual:
      case Op::kNotEqual: {
        Value left = value(child(node, 0));
        Value right = value(child(node, 1));
        if (left.index() != right.index())
          fail(fmt::format("'{}' and '{}' can't be compared: one is a word, one an integer",
                           to_text(left), to_text(right)));
        return std::int64_t{(left == right) == (node.op == Op::kEqual)};
      }
      case Op::kSize:
        return size(node);
      default:
        break;
    }
    std::int64_t a = integer(child(node, 0));
    std::int64_t b = unary(node.op) ? 0 : integer(child(node, 1));
    std::optional<std::int64_t> result = apply(node.op, a, b);
    if (!result)
      fail(fmt::format("division by zero, overflow or a value out of range ({}, {})", a, b));
    return *result;
  }

  std::int64_t integer(const Node& node) const {
    Value result = value(node);
    if (const auto* integer = std::get_if<std::int64_t>(&result)) return *integer;
    fail(fmt::format("the word '{}' stands where an integer is needed", to_text(result)));
  }

 private:
  static const Node& child(const Node& node, std::size_t index) { return *node.children[index]; }

  Value name(const Node& node) const {
    if (std::optional<Value> found = lookup_(node.name)) return *found;
    if (expression_.names().count(node.name) != 0)
      fail(fmt::format("unknown name '{}'", node.name));
    return node.name;
  }

  Value size(const Node& node) const {
    Value type = value(child(node, 0));
    const Element* element = find_element(to_text(type));
    if (element == nullptr) fail(fmt::format("'{}' is not an element type", to_text(type)));
    std::int64_t count = integer(child(node, 1));
    std::optional<std::int64_t> blocks = apply(Op::kCeilDiv, count, element->block);
    std::optional<std::int64_t> bytes =
        blocks ? apply(Op::kMultiply, *blocks, element->bytes) : std::nullopt;
    if (!bytes) fail(fmt::format("size of {} elements overflows", count));
    return *bytes;
  }

  const Expression& expression_;
  const Lookup& lookup_;
};

}  // namespace

Lookup lookup_in(const Values& values) {
  return [&values](std::string_view name) -> std::optional<Value> {
    const Value* value = values.find(name);
    return value != nullptr ? std::optional<Value>(*value) : std::nullopt;
  };
}

std::int64_t word_code(std::string_view word) {
  // Far from any number that a template computes with.
  return std::numeric_limits<std::int64_t>::min() / 2 +
         static_cast<std::int64_t>(hash_of(word).low >> 2);
}

std::int64_t slot_value(const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  return word_code(std::get<std::string>(value));
}

Expression Expression::with(std::span<const std::pair<std::string, Expression>> definitions) const {
  if (empty()) return *this;
  Expression result = *this;
  // Last definition first: what it brings in is replaced by the earlier ones.
  for (std::size_t i = definitions.size(); i-- > 0;) {
    const auto& [name, definition] = definitions[i];
    if (result.names_.count(name) == 0) continue;
    auto replace = [&, &key = name, &value = definition](auto&& self,
                                                         const NodePtr& node) -> NodePtr {
      if (node->op == Op::kName) return node->name == key ? value.root_ : node;
      if (node->children.empty()) return node;
      auto copy = std::make_shared<Node>(*node);
      for (NodePtr& child : copy->children) child = self(self, child);
      return copy;
    };
    result.root_ = replace(replace, result.root_);
    result.names_.erase(name);
    result.names_.insert(definition.names_.begin(), definition.names_.end());
  }
  return result;
}

Expression Expression::parse(std::string_view text, const Location& where,
                             const std::set<std::string>& words) {
  Expression expression;
  expression.text_ = std::string(text);
  expression.where_ = where;
  expression.root_ = Parser(text, where, words, &expression.names_).parse();
  return expression;
}

Value Expression::evaluate(const Lookup& lookup) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was evaluated");
  return Evaluator(*this, lookup).value(*root_);
}

std::int64_t Expression::integer(const Lookup& lookup) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was evaluated");
  return Evaluator(*this, lookup).integer(*root_);
}

BoundExpression Expression::bind(const Lookup& constants,
                                 std::span<const std::string> slots) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was bound");
  auto slot_of = [&](const std::string& name) -> std::int64_t {
    auto found = std::find(slots.begin(), slots.end(), name);
    return found == slots.end() ? -1 : found - slots.begin();
  };
  auto needs_slot = [&](auto&& self, const Node& node) -> bool {
    if (node.op == Op::kName) return slot_of(node.name) >= 0;
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const NodePtr& child) { return self(self, *child); });
  };
  Evaluator evaluator(*this, constants);
  BoundExpression bound;
  auto& steps = bound.steps_;
  auto push = [&](Op op, std::int64_t value) { steps.push_back({static_cast<int>(op), value}); };
  // Jumps skip what `&&`, `||` and `?:` needn't evaluate; their distance is known after emitting.
  auto emit = [&](auto&& self, const Node& node) -> void {
    if (!needs_slot(needs_slot, node)) {
      push(Op::kConstant, slot_value(evaluator.value(node)));
      return;
    }
    auto jump = [&](Op op) {
      push(op, 0);
      return steps.size();
    };
    auto land = [&](std::size_t from) {
      steps[from - 1].value = static_cast<std::int64_t>(steps.size() - from);
    };
    const auto& children = node.children;
    switch (node.op) {
      case Op::kName:
        push(Op::kSlot, slot_of(node.name));
        return;
      case Op::kAnd:
      case Op::kOr:
      case Op::kChoose: {
        if (!needs_slot(needs_slot, *children[0])) {
          bool first = evaluator.integer(*children[0]) != 0;
          if (node.op == Op::kChoose) return self(self, *children[first ? 1 : 2]);
          if (first == (node.op == Op::kOr)) return push(Op::kConstant, first);
          self(self, *children[1]);
          return push(Op::kTruth, 0);
        }
        self(self, *children[0]);
        std::size_t otherwise = jump(Op::kJumpIfFalse);
        if (node.op == Op::kOr) {
          push(Op::kConstant, 1);
        } else {
          self(self, *children[1]);
          if (node.op == Op::kAnd) push(Op::kTruth, 0);
        }
        std::size_t done = jump(Op::kJump);
        land(otherwise);
        if (node.op == Op::kAnd) {
          push(Op::kConstant, 0);
        } else {
          self(self, *children[node.op == Op::kOr ? 1 : 2]);
          if (node.op == Op::kOr) push(Op::kTruth, 0);
        }
        land(done);
        return;
      }
      case Op::kSize: {
        const Element* element = find_element(to_text(evaluator.value(*children[0])));
        if (element == nullptr) evaluator.fail("size() of something that is not an element type");
        self(self, *children[1]);
        push(Op::kConstant, element->block);
        push(Op::kCeilDiv, 0);
        push(Op::kConstant, element->bytes);
        push(Op::kMultiply, 0);
        return;
      }
      default:
        for (const NodePtr& child : children) self(self, *child);
        push(node.op, 0);
    }
  };
  emit(emit, *root_);
  // The deepest stack is bounded by the number of values pushed; refuse what the fixed stack can't
  // hold.
  int depth = 0, deepest = 0;
  for (const auto& step : steps) {
    Op op = static_cast<Op>(step.op);
    if (op == Op::kConstant || op == Op::kSlot)
      deepest = std::max(deepest, ++depth);
    else if (op == Op::kJumpIfFalse || (op != Op::kJump && !unary(op)))
      --depth;
    if (op == Op::kJump) --depth;  // the branch's value is counted once, by the other branch
  }
  if (deepest > kMaxDepth) evaluator.fail("too many pending operands");
  return bound;
}

bool BoundExpression::constant() const {
  return steps_.size() == 1 && static_cast<Op>(steps_[0].op) == Op::kConstant;
}

std::optional<std::int64_t> BoundExpression::operator()(const std::int64_t* slots) const noexcept {
  if (steps_.size() == 1 && static_cast<Op>(steps_[0].op) == Op::kConstant) return steps_[0].value;
  std::int64_t stack[kMaxDepth];
  int top = 0;  // number of values
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    Op op = static_cast<Op>(step.op);
    switch (op) {
      case Op::kConstant:
        stack[top++] = step.value;
        continue;
      case Op::kSlot:
        stack[top++] = slots[step.value];
        continue;
      case Op::kJump:
        i += static_cast<std::size_t>(step.value);
        continue;
      case Op::kJumpIfFalse:
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
