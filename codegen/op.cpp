#include "codegen/op.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/json.h"

namespace hone {
namespace {

// Reads one op.json; every complaint names the file and the part.
class OpReader {
 public:
  explicit OpReader(const std::string& file) : file_(file) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kTemplate,
                fmt::format("{}: {}; the form is described in templates/README.md", file_, what));
  }

  Op read(std::string_view text) {
    Json json;
    try {
      json = Json::parse(text, nullptr, true, true);
    } catch (const Json::parse_error& error) {
      auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), error.byte));
      throw Error(Code::kTemplate,
                  fmt::format("{}:{}: not JSON: {}", file_, 1 + std::count(text.begin(), end, '\n'),
                              error.what()));
    }
    try {
      return convert(json);
    } catch (const Json::exception& error) {
      fail(error.what());
    }
  }

 private:
  Expression expression(const Json& json) const {
    if (json.is_number_integer()) return parse(std::to_string(json.get<std::int64_t>()));
    if (json.is_string()) return parse(json.get<std::string>());
    fail(fmt::format("{} should be an expression: a string or an integer", json.dump()));
  }
  Expression parse(const std::string& text) const {
    return Expression::parse(text, Location{file_, 1}, words_);
  }

  void check_keys(const Json& json, const std::set<std::string>& allowed,
                  std::string_view what) const {
    if (!json.is_object()) fail(fmt::format("{} must be an object, not {}", what, json.dump()));
    for (const auto& [key, value] : json.items())
      if (allowed.count(key) == 0)
        fail(fmt::format("unknown key '{}' in {}; known are {}", key, what,
                         fmt::join(allowed, " ")));
  }

  void claim(const std::string& name, std::string_view what) {
    if (name.empty() || parse_value(name).index() != 1)
      fail(fmt::format("'{}' can't be the name of a {}", name, what));
    if (!names_.insert(name).second) fail(fmt::format("the name '{}' is declared twice", name));
    words_.erase(name);  // where a word's value is also a name, the name is meant
  }

  Op convert(const Json& json) {
    check_keys(json,
               {"op", "summary", "dims", "words", "require", "let", "args", "flops", "bytes",
                "compute", "rows", "tolerance", "problems"},
               "an op.json");
    Op op;
    op.file = file_;
    op.name = json.at("op").get<std::string>();
    op.summary = json.at("summary").get<std::string>();
    const Json none = Json::array();
    auto list = [&](const char* key) -> const Json& {
      const Json& found = json.contains(key) ? json.at(key) : none;
      if (!found.is_array()) fail(fmt::format("'{}' must be an array", key));
      return found;
    };
    for (const Json& word : list("words"))
      for (const auto& value : word.at("values")) words_.insert(value.get<std::string>());
    for (const Json& dim : list("dims")) op.dims.push_back(read_dim(dim));
    for (const Json& word : list("words")) op.words.push_back(read_word(word));
    for (const Json& let : list("let")) {
      claim(let.at(0).get<std::string>(), "let");
      op.lets.emplace_back(let.at(0).get<std::string>(), expression(let.at(1)));
    }
    for (const Json& rule : list("require"))
      op.requires_.emplace_back(expression(rule.at(0)), rule.at(1).get<std::string>());
    for (const Json& argument : list("args")) op.arguments.push_back(read_argument(argument, op));
    if (op.arguments.empty()) fail("'args' is missing or empty");
    op.flops = expression(json.at("flops"));
    if (json.contains("bytes")) op.bytes = expression(json.at("bytes"));
    op.compute = expression(json.at("compute"));
    op.rows = expression(json.at("rows"));
    for (const Json& tolerance : list("tolerance"))
      op.tolerances.push_back({expression(tolerance.at(0)), tolerance.at(1).get<double>()});
    if (op.tolerances.empty()) fail("'tolerance' is missing or empty");
    if (json.contains("problems"))
      for (const auto& [name, problems] : json.at("problems").items())
        op.problems[name] = problems.get<std::vector<std::string>>();
    return op;
  }

  Dim read_dim(const Json& json) {
    check_keys(json, {"name", "dynamic", "min", "max", "default", "buckets", "about"}, "a dim");
    Dim dim;
    dim.name = json.at("name").get<std::string>();
    claim(dim.name, "dim");
    dim.dynamic = json.value("dynamic", false);
    dim.min = json.value("min", dim.min);
    dim.max = json.value("max", dim.max);
    if (json.contains("default")) dim.default_value = expression(json.at("default"));
    dim.buckets = json.value("buckets", dim.buckets);
    return dim;
  }

  Word read_word(const Json& json) {
    check_keys(json, {"name", "values", "default", "about"}, "a word");
    Word word;
    word.name = json.at("name").get<std::string>();
    claim(word.name, "word");
    word.values = json.at("values").get<std::vector<std::string>>();
    word.default_value = json.value("default", "");
    if (word.values.empty()) fail(fmt::format("the word '{}' has no values", word.name));
    for (const std::string& value : word.values)
      if (parse_value(value).index() != 1) fail(fmt::format("'{}' is no word", value));
    if (!word.default_value.empty() &&
        std::find(word.values.begin(), word.values.end(), word.default_value) == word.values.end())
      fail(fmt::format("the default '{}' of '{}' is not one of its values", word.default_value,
                       word.name));
    return word;
  }

  Argument read_argument(const Json& json, const Op& op) {
    check_keys(json, {"name", "kind", "type", "shape", "if", "draw", "cold", "default", "about"},
               "an argument");
    Argument argument;
    argument.name = json.at("name").get<std::string>();
    std::string kind = json.at("kind").get<std::string>();
    if (kind == "in")
      argument.kind = Argument::Kind::kIn;
    else if (kind == "out")
      argument.kind = Argument::Kind::kOut;
    else if (kind == "scalar")
      argument.kind = Argument::Kind::kScalar;
    else
      fail(fmt::format("the kind of '{}' is '{}'; it must be in, out or scalar", argument.name,
                       kind));
    argument.type = json.at("type").get<std::string>();
    bool word = std::any_of(op.words.begin(), op.words.end(),
                            [&](const Word& w) { return w.name == argument.type; });
    if (!word && find_element(argument.type) == nullptr)
      fail(fmt::format("the type '{}' of '{}' is neither an element type nor a word", argument.type,
                       argument.name));
    if (json.contains("shape"))
      for (const Json& extent : json.at("shape")) argument.shape.push_back(expression(extent));
    if (argument.shape.empty() != (argument.kind == Argument::Kind::kScalar))
      fail(fmt::format("'{}': scalars have no shape, everything else has one", argument.name));
    if (json.contains("if")) argument.when = expression(json.at("if"));
    argument.draw = json.value("draw", argument.draw);
    argument.cold = json.value("cold", false);
    if (json.contains("default")) argument.default_value = json.at("default").get<double>();
    for (const Argument& other : op.arguments)
      if (other.name == argument.name)
        fail(fmt::format("two arguments are called '{}'", argument.name));
    return argument;
  }

  std::string file_;
  std::set<std::string> words_;  // values of words: literals in expressions
  std::set<std::string> names_;  // dims, words, lets
};

bool knows_all(const Expression& expression, const Values& values) {
  return std::all_of(expression.names().begin(), expression.names().end(),
                     [&](const std::string& name) { return values.has(name); });
}

std::string names_of(const Op& op) {
  std::vector<std::string> names;
  for (const Dim& dim : op.dims) names.push_back(dim.name);
  for (const Word& word : op.words) names.push_back(word.name);
  return fmt::format("{}", fmt::join(names, " "));
}

}  // namespace

Op parse_op(std::string_view json_text, std::string_view reference_text, const std::string& file) {
  Op op = OpReader(file).read(json_text);
  op.reference = std::string(reference_text);
  return op;
}

Problem Op::canonical(const Problem& problem, bool complete) const {
  auto fail = [&](const std::string& what) {
    throw Error(Code::kUsage, fmt::format("problem '{}': {}", problem.text(), what));
  };
  for (const auto& [key, value] : problem.values) {
    bool known =
        std::any_of(dims.begin(), dims.end(), [&](const Dim& dim) { return dim.name == key; }) ||
        std::any_of(words.begin(), words.end(), [&](const Word& word) { return word.name == key; });
    if (!known) fail(fmt::format("{} has no '{}'; it has {}", name, key, names_of(*this)));
  }
  Values given;  // dims and words with their defaults
  for (const Word& word : words) {
    const Value* value = problem.values.find(word.name);
    std::string text = value != nullptr ? to_text(*value) : word.default_value;
    if (text.empty())
      fail(fmt::format("'{}' is missing; it is one of {}", word.name, fmt::join(word.values, " ")));
    if (std::find(word.values.begin(), word.values.end(), text) == word.values.end())
      fail(fmt::format("{}={} is not possible; it is one of {}", word.name, text,
                       fmt::join(word.values, " ")));
    given.set(word.name, text);
  }
  Problem result{name, {}};
  Values defaults = given;  // what stands where nothing is given
  for (const Dim& dim : dims) {
    const Value* value = problem.values.find(dim.name);
    std::optional<std::int64_t> standard;
    if (!dim.default_value.empty() && knows_all(dim.default_value, given))
      standard = dim.default_value.integer(lookup_in(given));
    if (value == nullptr) {
      if (standard)
        given.set(dim.name, *standard);
      else if (!dim.dynamic || complete)
        fail(fmt::format("the dim '{}' is missing; give for example {}={}", dim.name, dim.name,
                         dim.min));
      continue;
    }
    const auto* integer = std::get_if<std::int64_t>(value);
    if (integer == nullptr || *integer < dim.min || *integer > dim.max)
      fail(fmt::format("{}={} is not possible; it is an integer from {} to {}", dim.name,
                       to_text(*value), dim.min, dim.max));
    given.set(dim.name, *integer);
    if (standard != *integer) result.values.set(dim.name, *integer);
  }
  for (const Word& word : words)
    if (given.word(word.name) != word.default_value)
      result.values.set(word.name, given.word(word.name));
  Values everything = scope(result);
  for (const auto& [rule, message] : requires_)
    if (knows_all(rule, everything) && !rule.truth(lookup_in(everything))) fail(message);
  return result;
}

Problem Op::handle(const Problem& problem) const {
  Problem result = problem;
  for (const Dim& dim : dims)
    if (dim.dynamic) result.values.erase(dim.name);
  return result;
}

Values Op::scope(const Problem& canonical) const {
  Values values;
  for (const Word& word : words) {
    const Value* value = canonical.values.find(word.name);
    values.set(word.name, value != nullptr ? *value : Value(word.default_value));
  }
  for (const Dim& dim : dims) {
    const Value* value = canonical.values.find(dim.name);
    if (value != nullptr)
      values.set(dim.name, *value);
    else if (!dim.default_value.empty() && knows_all(dim.default_value, values))
      values.set(dim.name, dim.default_value.integer(lookup_in(values)));
  }
  for (const auto& [let, expression] : lets)
    if (knows_all(expression, values)) values.set(let, expression.evaluate(lookup_in(values)));
  return values;
}

std::vector<std::string> Op::dynamic_dims() const {
  std::vector<std::string> names;
  for (const Dim& dim : dims)
    if (dim.dynamic) names.push_back(dim.name);
  return names;
}

std::vector<const Argument*> Op::present(const Values& scope) const {
  std::vector<const Argument*> result;
  for (const Argument& argument : arguments)
    if (argument.when.empty() || argument.when.truth(lookup_in(scope))) result.push_back(&argument);
  return result;
}

std::string Op::element_of(const Argument& argument, const Values& scope) const {
  const Value* word = scope.find(argument.type);
  return word != nullptr ? to_text(*word) : argument.type;
}

std::int64_t Op::count_of(const Argument& argument, const Values& scope) const {
  std::int64_t count = 1;
  for (const Expression& extent : argument.shape) {
    std::int64_t value = extent.integer(lookup_in(scope));
    if (value < 0 || __builtin_mul_overflow(count, value, &count))
      throw Error(Code::kUsage, fmt::format("the argument '{}' of {} would have {} x {} elements",
                                            argument.name, name, count, value));
  }
  return count;
}

std::int64_t Op::bytes_of(const Argument& argument, const Values& scope) const {
  return element_bytes(element_of(argument, scope), count_of(argument, scope));
}

std::int64_t Op::cost_bytes(const Values& scope) const {
  if (!bytes.empty()) return bytes.integer(lookup_in(scope));
  std::int64_t sum = 0;
  for (const Argument* argument : present(scope)) sum += bytes_of(*argument, scope);
  return sum;
}

double Op::tolerance(const Values& scope) const {
  for (const Tolerance& tolerance : tolerances)
    if (tolerance.when.truth(lookup_in(scope))) return tolerance.value;
  throw Error(Code::kTemplate, fmt::format("{}: no tolerance applies to {}", file, scope.text()));
}

}  // namespace hone
