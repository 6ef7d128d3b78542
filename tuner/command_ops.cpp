// hone ops: the operators and variants at hand.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "codegen/error.h"
#include "codegen/space.h"
#include "tuner/command.h"
#include "tuner/report.h"

namespace hone {
namespace {

namespace po = boost::program_options;

// One problem to show the size of a variant's space with: the first of the operator's own that it
// serves.
struct Shown {
  std::string problem;
  std::uint64_t configs = 0;
  std::string start;
};

std::vector<std::string> problem_texts_of(const Op& op) {
  std::vector<std::string> texts;
  for (const auto& [name, set] : op.problems) texts.insert(texts.end(), set.begin(), set.end());
  return texts;
}

std::optional<Shown> shown(const Catalog& catalog, const Op& op, const Template& variant,
                           const Target& target) {
  for (const std::string& text : problem_texts_of(op)) {
    const Problem problem = catalog.problem(text, true);
    Values scope = op.scope(problem);
    scope.merge(target.limits);
    if (!variant.serves_problem(scope, target.backend)) continue;
    const Space space(variant, scope);
    if (space.count() == 0) continue;
    return Shown{problem.text(), space.count(), space.start().text()};
  }
  return std::nullopt;
}

Json json_of(const Catalog& catalog, const Op& op, const Target& target) {
  Json variants = Json::array();
  for (const Template& variant : catalog.variants(op.name)) {
    Json one = {
        {"variant", variant.variant}, {"serves", variant.serves}, {"when", variant.when.text()}};
    if (const auto example = shown(catalog, op, variant, target)) {
      one["problem"] = example->problem;
      one["configs"] = example->configs;
      one["start"] = example->start;
    }
    variants.push_back(one);
  }
  return {{"op", op.name}, {"summary", op.summary}, {"variants", variants}};
}

void print_details(const Catalog& catalog, const Op& op, const Target& target) {
  fmt::print("{}: {}\n{}\n\n", op.name, op.summary, op.file);
  for (const Dim& dim : op.dims)
    fmt::print("  dim   {:<10} {}..{}{}{}\n", dim.name, dim.min, dim.max,
               dim.dynamic ? ", dynamic" : "",
               dim.default_value.empty() ? "" : ", default " + dim.default_value.text());
  for (const Word& word : op.words)
    fmt::print("  word  {:<10} {}{}\n", word.name, fmt::join(word.values, " "),
               word.default_value.empty() ? "" : ", default " + word.default_value);
  for (const Argument& argument : op.arguments) {
    std::vector<std::string> shape;
    for (const Expression& extent : argument.shape) shape.push_back(extent.text());
    const char* kind = argument.kind == Argument::Kind::kIn    ? "in"
                       : argument.kind == Argument::Kind::kOut ? "out"
                                                               : "scalar";
    fmt::print("  {:<5} {:<10} {} [{}]{}{}\n", kind, argument.name, argument.type,
               fmt::join(shape, ", "), argument.when.empty() ? "" : " if " + argument.when.text(),
               argument.cold ? ", cold" : "");
  }
  for (const auto& [name, texts] : op.problems)
    for (const std::string& text : texts) fmt::print("  @{:<9} {}\n", name, text);
  for (const Template& variant : catalog.variants(op.name)) {
    fmt::print("\nvariant {} for {}{}\n{}\n", variant.variant, fmt::join(variant.serves, " "),
               variant.when.empty() ? "" : ", when " + variant.when.text(), variant.file);
    for (const Parameter& parameter : variant.parameters) {
      std::vector<std::string> values;
      for (const Expression& value : parameter.values) values.push_back(value.text());
      fmt::print("  {:<6} {:<10} {}\n", parameter.at_launch ? "launch" : "param", parameter.name,
                 fmt::join(values, " "));
    }
    for (const Expression& rule : variant.requires_) fmt::print("  require {}\n", rule.text());
    for (const Preset& preset : variant.presets) {
      std::vector<std::string> values;
      for (const auto& [parameter, value] : preset.values)
        values.push_back(parameter + "=" + value.text());
      fmt::print("  preset {} {}\n", preset.name, fmt::join(values, ","));
    }
    if (const auto example = shown(catalog, op, variant, target))
      fmt::print("  {} configs for {}\n  start {}\n", example->configs, example->problem,
                 example->start);
  }
}

int run_ops(const Words& words) {
  CommandLine line("hone ops [OPERATOR...] [options]",
                   "Lists the operators, their variants and how many configs each has for one of "
                   "the operator's own problems;\n"
                   "with names, everything about these operators.");
  line.add_device();
  line.add_templates();
  line.add_json();
  if (!line.parse(words)) return 0;
  const Catalog catalog = line.catalog();
  const std::unique_ptr<Device> device = open_device(line.get<std::string>("device"));
  const Target& target = device->target();
  if (!line.positional().empty()) {
    for (const std::string& name : line.positional()) {
      if (line.json())
        print_json(json_of(catalog, catalog.op(name), target));
      else
        print_details(catalog, catalog.op(name), target);
    }
    return 0;
  }
  Table table({"operator", "variant", "for", "configs", "of problem"},
              {false, false, false, true, false});
  for (const auto& [name, op] : catalog.ops()) {
    if (line.json()) {
      print_json(json_of(catalog, op, target));
      continue;
    }
    if (catalog.variants(name).empty()) table.add({name, "-", "", "", ""});
    for (const Template& variant : catalog.variants(name)) {
      const auto example = shown(catalog, op, variant, target);
      table.add({name, variant.variant, fmt::format("{}", fmt::join(variant.serves, " ")),
                 example ? std::to_string(example->configs) : "-",
                 example ? example->problem : "none on this device"});
    }
  }
  if (!line.json()) table.print(stdout);
  return 0;
}

const RegisterCommand kOps({"ops", "lists operators and their variants", run_ops});

}  // namespace
}  // namespace hone
