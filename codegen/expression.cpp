#include "codegen/expression.h"

#include <fmt/format.h>

#include <limits>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/expression_tree.h"
#include "codegen/hash.h"

namespace hone {
namespace {

using Node = Expression::Node;

const Node& child(const Node& node, std::size_t index) { return *node.children[index]; }

}  // namespace

void Evaluator::fail(const std::string& what) const {
  throw Error(Code::kTemplate, fmt::format("{}: {} in expression '{}'", expression_.where().text(),
                                           what, expression_.text()));
}

Value Evaluator::value(const Node& node) const {
  switch (node.op) {
    case Operator::kConstant:
      return node.value;
    case Operator::kName:
      return name(node);
    case Operator::kAnd:
      return std::int64_t{integer(child(node, 0)) != 0 && integer(child(node, 1)) != 0};
    case Operator::kOr:
      return std::int64_t{integer(child(node, 0)) != 0 || integer(child(node, 1)) != 0};
    case Operator::kChoose:
      return value(child(node, integer(child(node, 0)) != 0 ? 1 : 2));
    case Operator::kEqual:
    case Operator::kNotEqual: {
      Value left = value(child(node, 0));
      Value right = value(child(node, 1));
      if (left.index() != right.index())
        fail(fmt::format("'{}' and '{}' can't be compared: one is a word, one an integer",
                         to_text(left), to_text(right)));
      return std::int64_t{(left == right) == (node.op == Operator::kEqual)};
    }
    case Operator::kSize:
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

std::int64_t Evaluator::integer(const Node& node) const {
  Value result = value(node);
  if (const auto* integer = std::get_if<std::int64_t>(&result)) return *integer;
  fail(fmt::format("the word '{}' stands where an integer is needed", to_text(result)));
}

Value Evaluator::name(const Node& node) const {
  if (std::optional<Value> found = lookup_(node.name)) return *found;
  if (expression_.names().count(node.name) != 0) fail(fmt::format("unknown name '{}'", node.name));
  return node.name;
}

Value Evaluator::size(const Node& node) const {
  Value type = value(child(node, 0));
  const Element* element = find_element(to_text(type));
  if (element == nullptr) fail(fmt::format("'{}' is not an element type", to_text(type)));
  std::int64_t count = integer(child(node, 1));
  std::optional<std::int64_t> blocks = apply(Operator::kCeilDiv, count, element->block);
  std::optional<std::int64_t> bytes =
      blocks ? apply(Operator::kMultiply, *blocks, element->bytes) : std::nullopt;
  if (!bytes) fail(fmt::format("size of {} elements overflows", count));
  return *bytes;
}

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
    auto replace = [&, &key = name, &value = definition](
                       auto&& self, const ExpressionNode& node) -> ExpressionNode {
      if (node->op == Operator::kName) return node->name == key ? value.root_ : node;
      if (node->children.empty()) return node;
      auto copy = std::make_shared<Node>(*node);
      for (ExpressionNode& child : copy->children) child = self(self, child);
      return copy;
    };
    result.root_ = replace(replace, result.root_);
    result.names_.erase(name);
    result.names_.insert(definition.names_.begin(), definition.names_.end());
  }
  return result;
}

Value Expression::evaluate(const Lookup& lookup) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was evaluated");
  return Evaluator(*this, lookup).value(*root_);
}

std::int64_t Expression::integer(const Lookup& lookup) const {
  if (empty()) throw Error(Code::kInternal, "an empty expression was evaluated");
  return Evaluator(*this, lookup).integer(*root_);
}

}  // namespace hone
