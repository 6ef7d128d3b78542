// hone build: compiles for a target that needn't be here; machines with the device time later, or
// run without a compiler.
#include <fmt/format.h>

#include "tuner/build_plan.h"
#include "tuner/figures.h"

namespace hone {
namespace {

Json json_of(const BuildResult& result, const Target& target) {
  const Trial& trial = result.trial;
  const Figures figures = trial.figures.empty() ? Figures::object() : Figures::parse(trial.figures);
  const auto figure = [&](const char* name) {
    const auto found = figures.find(name);
    return found == figures.end() ? Json() : *found;
  };
  return {{"problem", trial.problem},
          {"variant", trial.variant},
          {"config", trial.config},
          {"target", target.text()},
          {"status", to_text(trial.status)},
          {"source", trial.source.text()},
          {"bytes", result.bytes},
          {"registers", figure("registers")},
          {"spills", figure("spills")},
          {"shared", figure("shared")},
          {"occupancy", figure("occupancy")},
          {"loop", figure("loop")},
          {"modelled_ns", figure("modelled_ns")},
          {"modelled", figure("modelled")},
          {"compile_ms", trial.compile_ms},
          {"model_ms", result.model_ms},
          {"known", result.known},
          {"reason", trial.reason}};
}

bool succeeded(const Trial& trial) {
  return trial.status != Status::kCompileFailed && trial.status != Status::kLaunchFailed;
}

void print_line(const BuildResult& result) {
  const Trial& trial = result.trial;
  const bool ok = succeeded(trial);
  std::string text = fmt::format("{} {} {} {}: {} bytes", ok ? "built " : "FAILED", trial.problem,
                                 trial.variant, trial.config, result.bytes);
  if (!trial.figures.empty()) {
    const Figures figures = Figures::parse(trial.figures);
    if (figures.contains("registers"))
      text += fmt::format(", {} registers, {} spilled bytes, {} bytes shared",
                          figures.at("registers").get<std::int64_t>(),
                          figures.at("spills").get<std::int64_t>(),
                          figures.at("shared").get<std::int64_t>());
    if (figures.contains("occupancy") && figures.at("occupancy").is_number())
      text += fmt::format(", occupancy {:.0f} %", 100 * figures.at("occupancy").get<double>());
    if (figures.contains("modelled_ns"))
      text +=
          fmt::format(", {:.1f} us modelled",
                      static_cast<double>(figures.at("modelled_ns").get<std::int64_t>()) * 1e-3);
  }
  text += result.known ? ", known" : fmt::format(", {} ms", trial.compile_ms);
  fmt::print("{}{}\n", text, ok ? "" : "\n" + trial.reason);
}

int run_build(const Words& words) {
  CommandLine line("hone build PROBLEM... | --model MODEL --target TARGET [options]",
                   "Compiles, without running anything, what the database says is best for each "
                   "problem, every variant's start\n"
                   "config, and --samples more, and stores the binaries with what the compiler "
                   "tells of them. The same command\n"
                   "again goes on where it was interrupted.");
  line.add_problems();
  line.add_device();
  line.add_database();
  line.add_templates();
  line.add_preset();
  add_build_options(line);
  line.add_json();
  if (!line.parse(words)) return 0;
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  Database database(line.database(), Database::Mode::kWrite);
  const BuildPlan plan = plan_build(line, catalog, database, tasks);
  for (const std::string& problem : plan.unserved)
    fmt::print(stderr, "hone build: no variant serves {} on {}\n", problem, plan.target.text());
  std::size_t built = 0, failed = plan.unserved.size();
  build(plan, catalog, database, [&](const BuildResult& result) {
    ++(succeeded(result.trial) ? built : failed);
    if (line.json())
      print_json(json_of(result, plan.target));
    else
      print_line(result);
  });
  if (!line.json())
    fmt::print("{} built for {}, {} failed; binaries in {}\n", built, plan.target.text(), failed,
               database.file().string());
  if (Evaluator::interrupted()) {
    fmt::print(stderr, "hone build: interrupted; the same command goes on from here\n");
    return 1;
  }
  return failed > 0 ? 1 : 0;
}

const RegisterCommand kBuild({"build", "compiles kernels for a target, runs nothing", run_build});

}  // namespace
}  // namespace hone
