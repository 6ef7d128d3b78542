#include <fmt/format.h>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/expression_tree.h"

namespace hone {
namespace {

using Node = Expression::Node;
using NodePtr = ExpressionNode;

NodePtr make(Operator op, std::vector<NodePtr> children) {
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
      condition = make(Operator::kChoose, {condition, yes, no});
    }
    --depth_;
    return condition;
  }

  // Binary operators by precedence, loosest first; in a level the longer tokens stand first.
  NodePtr binary(int level) {
    struct Token {
      std::string_view text;
      Operator op;
    };
    static const std::vector<std::vector<Token>> kLevels = {
        {{"||", Operator::kOr}},
        {{"&&", Operator::kAnd}},
        {{"==", Operator::kEqual}, {"!=", Operator::kNotEqual}},
        {{"<=", Operator::kLessEqual},
         {">=", Operator::kGreaterEqual},
         {"<", Operator::kLess},
         {">", Operator::kGreater}},
        {{"+", Operator::kAdd}, {"-", Operator::kSubtract}},
        {{"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"%", Operator::kModulo}}};
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
      node = make(Operator::kNot, {prefix()});
    } else if (take("-")) {
      node = make(Operator::kNegate, {prefix()});
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
    node->op = Operator::kName;
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
        node = make(function == "min" ? Operator::kMin : Operator::kMax, {node, arguments[i]});
      return node;
    }
    static const std::vector<std::tuple<std::string_view, Operator, std::size_t>> kFunctions = {
        {"ceil_div", Operator::kCeilDiv, 2},
        {"round_up", Operator::kRoundUp, 2},
        {"log2", Operator::kLog2, 1},
        {"size", Operator::kSize, 2}};
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

}  // namespace

Expression Expression::parse(std::string_view text, const Location& where,
                             const std::set<std::string>& words) {
  Expression expression;
  expression.text_ = std::string(text);
  expression.where_ = where;
  expression.root_ = Parser(text, where, words, &expression.names_).parse();
  return expression;
}

}  // namespace hone
