#include "codegen/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "codegen/element.h"
#include "codegen/error.h"

namespace hone {
namespace {

// Calls visit(number, line) for every line, without its end.
template <typename Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  for (int number = 1; !text.empty(); ++number) {
    std::size_t end = std::min(text.find('\n'), text.size());
    visit(number, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// The name in `#include "name"`; empty for any other line.
std::string_view included_by(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  constexpr std::string_view kInclude = "#include \"";
  if (!line.starts_with(kInclude)) return {};
  line.remove_prefix(kInclude.size());
  return line.substr(0, line.find('"'));
}

// Puts included files in place, depth first, each once.
class Inliner {
 public:
  explicit Inliner(const Catalog& catalog) : catalog_(catalog) {}

  std::string inlined(std::string_view text, const std::string& file) {
    std::string out;
    out.reserve(text.size());
    for_each_line(text, [&](int number, std::string_view line) {
      if (line.starts_with("#pragma once")) return;
      std::string_view name = included_by(line);
      if (name.empty()) {
        out.append(line) += '\n';
        return;
      }
      if (!seen_.emplace(name).second) return;
      const std::string* included = catalog_.include(name);
      if (included == nullptr)
        throw Error(Code::kTemplate,
                    fmt::format("{}:{}: there is no templates/include/{}", file, number, name));
      out += inlined(*included, "templates/include/" + std::string(name));
    });
    return out;
  }

 private:
  const Catalog& catalog_;
  std::set<std::string, std::less<>> seen_;
};

// A source without its prelude: types.h, and the text with everything else it includes.
struct Body {
  std::string types;
  std::string text;
};

Body body_of(const Catalog& catalog, std::string_view text, const std::string& file) {
  Inliner inliner(catalog);
  std::string types = inliner.inlined("#include \"types.h\"\n", file);
  return {std::move(types), inliner.inlined(text, file)};
}

// What stands between types.h and the template: constants, argument types, struct Args.
class Prelude {
 public:
  Prelude(const Op& op, const Values& scope) : op_(op), scope_(scope) {}

  void words(const std::set<std::string>& words) {
    text_ += "enum class word : int {";
    for (const std::string& word : words) text_ += " " + word + ",";
    text_ += " };\n";
  }

  void constant(const std::string& name, const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value))
      text_ += fmt::format("constexpr i64 {} = {};\n", name, *integer);
    else
      text_ += fmt::format("constexpr word {} = word::{};\n", name, std::get<std::string>(value));
  }

  // A limit that the text never names is no constant of the kernel: the same code then serves
  // machines that differ in it. `units` is never one.
  void limits(const Target& target, const std::string& text) {
    for (const auto& [name, value] : target.limits)
      if (name != "units" && text.find(name) != std::string::npos) constant(name, value);
  }

  void argument_types() {
    for (const Argument& argument : op_.arguments)
      text_ += fmt::format("using {}_t = {};\n", argument.name, type_of(argument));
  }

  void arguments(const std::vector<Slot>& slots, const std::set<std::string>& packed,
                 bool doubles_out) {
    text_ += "struct Args {\n";
    for (const Slot& slot : slots) text_ += "  " + member(slot, packed, doubles_out) + ";\n";
    // An absent argument takes no place, but has a name: `if constexpr` checks what it discards.
    for (const Argument& argument : op_.arguments) {
      if (std::any_of(slots.begin(), slots.end(),
                      [&](const Slot& slot) { return slot.name == argument.name; }))
        continue;
      if (argument.kind == Argument::Kind::kScalar)
        text_ += fmt::format("  static constexpr {}_t {} = 0;\n", argument.name, argument.name);
      else
        text_ += fmt::format("  static constexpr {} = nullptr;\n",
                             member({Slot::Kind::kPointer, argument.name}, {}, doubles_out));
    }
    text_ += fmt::format("}};\nstatic_assert(sizeof(Args) == {});\n",
                         8 * std::max<std::size_t>(slots.size(), 1));
  }

  void declare_reference() {
    text_ += "HONE_EXPORT void hone_reference(const Args &a, i64 begin, i64 end);\n";
  }

  const std::string& text() const { return text_; }

 private:
  std::string type_of(const Argument& argument) const {
    return std::string(find_element(op_.element_of(argument, scope_))->c_type);
  }

  std::string member(const Slot& slot, const std::set<std::string>& packed,
                     bool doubles_out) const {
    switch (slot.kind) {
      case Slot::Kind::kWorkspace:
        return "u8 *" + slot.name;
      case Slot::Kind::kDim:
      case Slot::Kind::kLaunchParameter:
        return "i64 " + slot.name;
      case Slot::Kind::kScalar:
        return fmt::format("alignas(8) {}_t {}", slot.name, slot.name);
      case Slot::Kind::kPointer:
        break;
    }
    const Argument& argument =
        *std::find_if(op_.arguments.begin(), op_.arguments.end(),
                      [&](const Argument& a) { return a.name == slot.name; });
    bool out = argument.kind == Argument::Kind::kOut;
    if (packed.count(slot.name) != 0) return "const u8 *" + slot.name;
    if (out && doubles_out) return "f64 *" + slot.name;
    return fmt::format("{}{}_t *{}", out ? "" : "const ", slot.name, slot.name);
  }

  const Op& op_;
  const Values& scope_;
  std::string text_;
};

std::set<std::string> words_of(const Op& op) {
  std::set<std::string> words;
  for (const Word& word : op.words) words.insert(word.values.begin(), word.values.end());
  return words;
}

void push_arguments(const Op& op, const Values& scope, std::vector<Slot>* slots) {
  for (const Argument* argument : op.present(scope))
    slots->push_back(
        {argument->kind == Argument::Kind::kScalar ? Slot::Kind::kScalar : Slot::Kind::kPointer,
         argument->name});
}

Source finished(const Prelude& prelude, const Body& body) {
  Source source;
  source.text = body.types + prelude.text() + body.text;
  source.hash = hash_of(normalised(source.text));
  return source;
}

}  // namespace

std::vector<std::pair<int, std::string>> includes_of(std::string_view text) {
  std::vector<std::pair<int, std::string>> names;
  for_each_line(text, [&](int number, std::string_view line) {
    if (std::string_view name = included_by(line); !name.empty()) names.emplace_back(number, name);
  });
  return names;
}

std::vector<Slot> slots_of(const Op& op, const Template& variant, const Values& scope) {
  std::vector<Slot> slots;
  push_arguments(op, scope, &slots);
  for (const Dim& dim : op.dims)
    if (std::find(variant.fixed.begin(), variant.fixed.end(), dim.name) == variant.fixed.end())
      slots.push_back({Slot::Kind::kDim, dim.name});
  for (const Parameter& parameter : variant.parameters)
    if (parameter.at_launch) slots.push_back({Slot::Kind::kLaunchParameter, parameter.name});
  slots.push_back({Slot::Kind::kWorkspace, "workspace"});
  return slots;
}

std::vector<Slot> reference_slots(const Op& op, const Values& scope) {
  std::vector<Slot> slots;
  push_arguments(op, scope, &slots);
  for (const Dim& dim : op.dims) slots.push_back({Slot::Kind::kDim, dim.name});
  return slots;
}

Source render(const Catalog& catalog, const Template& variant, const Problem& problem,
              const Config& config, const Target& target) {
  const Op& op = catalog.op(variant.op);
  Values scope = op.scope(op.handle(problem));
  scope.merge(target.limits);
  Body body = body_of(catalog, variant.text, variant.file);
  Prelude prelude(op, scope);

  std::set<std::string> words = words_of(op);
  for (const Parameter& parameter : variant.parameters)
    if (const Value* value = config.find(parameter.name); value != nullptr && value->index() == 1)
      words.insert(std::get<std::string>(*value));
  for (const Parameter& parameter : variant.parameters)
    for (const Expression& value : parameter.values)
      if (value.names().empty())
        if (Value word = value.evaluate(lookup_in(scope)); word.index() == 1)
          words.insert(std::get<std::string>(word));
  prelude.words(words);
  for (const Word& word : op.words) prelude.constant(word.name, scope.word(word.name));
  prelude.argument_types();
  Values constants;  // what lets may use at compile time
  for (const Word& word : op.words) constants.set(word.name, scope.word(word.name));
  for (const std::string& dim : variant.fixed) constants.set(dim, scope.integer(dim));
  constants.merge(target.limits);
  for (const std::string& dim : variant.fixed) prelude.constant(dim, scope.integer(dim));
  prelude.limits(target, body.text);
  constants.erase("units");
  for (const Parameter& parameter : variant.parameters) {
    if (parameter.at_launch) continue;
    const Value* value = config.find(parameter.name);
    if (value == nullptr)
      throw Error(Code::kUsage, fmt::format("the config '{}' has no '{}', which {} needs",
                                            config.text(), parameter.name, variant.file));
    prelude.constant(parameter.name, *value);
    constants.set(parameter.name, *value);
  }
  auto known = [&](const Expression& expression) {
    return std::all_of(expression.names().begin(), expression.names().end(),
                       [&](const std::string& name) { return constants.has(name); });
  };
  auto define = [&](const std::vector<std::pair<std::string, Expression>>& lets) {
    for (const auto& [name, expression] : lets) {
      if (!known(expression)) continue;
      constants.set(name, expression.evaluate(lookup_in(constants)));
      prelude.constant(name, *constants.find(name));
    }
  };
  define(op.lets);
  define(variant.lets);
  std::set<std::string> packed;
  for (const Pack& pack : variant.packs) packed.insert(pack.argument);
  prelude.arguments(slots_of(op, variant, scope), packed, false);

  Source source = finished(prelude, body);
  for (const Launch& launch : variant.launches)
    if (std::find(source.entries.begin(), source.entries.end(), launch.entry) ==
        source.entries.end())
      source.entries.push_back(launch.entry);
  for (const Pack& pack : variant.packs) source.entries.push_back("pack_" + pack.argument);
  return source;
}

Source render_reference(const Catalog& catalog, const Problem& problem, const Target& target) {
  const Op& op = catalog.op(problem.op);
  Values scope = op.scope(problem);
  Body body = body_of(catalog, op.reference, op.file + " (reference.cpp)");
  Prelude prelude(op, scope);
  prelude.words(words_of(op));
  for (const Word& word : op.words) prelude.constant(word.name, scope.word(word.name));
  prelude.limits(target, body.text);
  prelude.argument_types();
  prelude.arguments(reference_slots(op, scope), {}, true);
  prelude.declare_reference();
  Source source = finished(prelude, body);
  source.entries = {"reference"};
  return source;
}

}  // namespace hone
