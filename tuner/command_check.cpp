// hone check: are the kernels right?
#include <fmt/format.h>

#include <csignal>
#include <set>

#include "codegen/error.h"
#include "tuner/check_kernel.h"
#include "tuner/command.h"
#include "tuner/evaluator.h"
#include "tuner/figures.h"
#include "tuner/report.h"
#include "tuner/strategy.h"

namespace hone {
namespace {

namespace po = boost::program_options;

// The start, the first and last config of the enumeration, and seeded ones between.
std::vector<Config> configs_to_check(const Space& space, std::uint64_t samples,
                                     std::uint64_t seed) {
  std::vector<Config> configs;
  std::set<std::string> known;
  const auto add = [&](Config config) {
    if (known.insert(config.text()).second) configs.push_back(std::move(config));
  };
  add(space.start());
  add(space.at(0));
  add(space.at(space.count() - 1));
  Random random(seed);
  for (std::uint64_t i = 0; i < samples; ++i) add(space.sample(random));
  return configs;
}

// The device that checks for a target: the processor's own, or one that stands in for a GPU.
std::string device_for(const std::string& target) {
  const std::size_t slash = target.find('/');
  if (slash == std::string::npos) return target;
  Backend* backend = find_backend(target.substr(0, slash));
  const std::string arch = target.substr(slash + 1);
  if (backend == nullptr || !backend->target(arch))
    throw Error(Code::kUsage, fmt::format("--target '{}': expected BACKEND/ARCHITECTURE, as in "
                                          "cuda/sm_80, or a device, as in cpu:0",
                                          target));
  return backend->name() == "cpu" ? "cpu:0" : backend->simulate(arch);
}

int run_check(const Words& words) {
  CommandLine line("hone check PROBLEM... | --model MODEL | --ptx FILE --launch SPEC [options]",
                   "Compiles, runs and checks variants against their operator's reference: the "
                   "start config, the first and last\n"
                   "of the space, and seeded samples, or the one config given. Times nothing and "
                   "stores nothing.");
  line.add_problems();
  line.add_device();
  line.add()("target", po::value<std::string>()->value_name("T"),
             "instead of --device: cuda/sm_80 and the like run on the simulator");
  line.add()("variant", po::value<std::string>()->value_name("NAME"), "only this one");
  line.add()("config", po::value<std::string>()->value_name("TEXT"),
             "only this one, as in NR=16,threads=1");
  line.add()("samples", po::value<std::uint64_t>()->value_name("N")->default_value(5),
             "random configs per variant");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of inputs and samples");
  line.add()("ptx", po::value<std::string>()->value_name("FILE"),
             "a kernel of your own instead: run once as --launch says, and watched");
  line.add()("source", po::value<std::string>()->value_name("FILE"),
             "the same for CUDA C++ or HIP, which is compiled for the target first");
  line.add()("launch", po::value<std::string>()->value_name("SPEC"),
             "as in \"saxpy<<<4, 256>>>(out f32[1024], f32[1024]=index, 2.5f, 1024)\": buffers "
             "hold drawn numbers, the index, or a number; `out` ones nothing");
  line.add_templates();
  line.add_preset();
  line.add_json();
  if (!line.parse(words)) return 0;
  if (line.has("ptx") || line.has("source")) {
    if (!line.has("launch"))
      throw Error(Code::kUsage, "a kernel of your own needs --launch; see --help");
    const bool ptx = line.has("ptx");
    const std::string device = line.get<std::string>("device");
    return check_kernel(
        {line.get<std::string>(ptx ? "ptx" : "source"), ptx, line.get<std::string>("launch"),
         line.has("target") ? line.get<std::string>("target") : "",
         device.starts_with("cpu") ? "" : device, line.get<std::uint64_t>("seed"), line.json()});
  }
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  const auto seed = line.get<std::uint64_t>("seed");
  const std::string device = line.has("target") ? device_for(line.get<std::string>("target"))
                                                : line.get<std::string>("device");
  Evaluator evaluator(catalog, {device, line.templates(), seed, "/proc/self/exe"});
  const std::string wanted = line.has("target") ? line.get<std::string>("target") : "";
  if (wanted.find('/') != std::string::npos && evaluator.device().target().text() != wanted)
    throw Error(Code::kUnsupported, fmt::format("{} is {}, not {}", device,
                                                evaluator.device().target().text(), wanted));
  const bool simulated = evaluator.device().identity().simulated();
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, [](int) { Evaluator::interrupt(); });

  std::int64_t checked = 0, failed = 0;
  std::set<std::string> known;
  for (const Task& task : tasks) {
    if (!known.insert(task.problem.text()).second) continue;
    const Op& op = catalog.op(task.problem.op);
    const Target& target = evaluator.device().target();
    Values scope = op.scope(task.problem);
    const double tolerance = op.tolerance(scope);
    scope.merge(target.limits);
    std::vector<Attempt> attempts;
    for (const Template& variant : catalog.variants(op.name)) {
      if (line.has("variant") && variant.variant != line.get<std::string>("variant")) continue;
      if (!variant.serves_problem(scope, target.backend)) continue;
      const Space space(variant, scope);
      if (space.count() == 0) continue;
      if (line.has("config")) {
        const Config config = Values::parse(line.get<std::string>("config"));
        if (space.contains(config)) attempts.push_back({&variant, config, false, false});
        continue;
      }
      for (Config& config : configs_to_check(space, line.get<std::uint64_t>("samples"), seed))
        attempts.push_back({&variant, std::move(config), false, false});
    }
    if (attempts.empty())
      throw Error(Code::kUnsupported,
                  fmt::format("nothing to check for {} on {}: no variant serves it{}",
                              task.problem.text(), target.text(),
                              line.has("config") || line.has("variant")
                                  ? ", or none of that name and config"
                                  : ""));
    evaluator.begin(task.problem, {});
    evaluator.run(
        attempts, 0, [] { return Evaluator::interrupted(); },
        [&](const Trial& trial) {
          const bool pass = trial.status == Status::kBuilt;
          ++checked;
          failed += !pass;
          if (line.json()) {
            Json object = {{"problem", trial.problem},
                           {"variant", trial.variant},
                           {"config", trial.config},
                           {"ran_on", simulated ? "simulator" : "device"},
                           {"status", pass ? "ok" : to_text(trial.status)},
                           {"error", trial.error},
                           {"tolerance", tolerance},
                           {"checked", trial.checked},
                           {"reason", trial.reason},
                           {"pass", pass}};
            if (!trial.figures.empty()) object.update(Figures::parse(trial.figures));
            print_json(object);
            return;
          }
          fmt::print("{} {} {} {}: error {:.3g} of {:.3g} allowed, {}\n", pass ? "ok  " : "FAIL",
                     trial.problem, trial.variant, trial.config, trial.error, tolerance,
                     trial.checked.empty() ? "not run" : trial.checked);
          if (!pass) {
            std::string again =
                fmt::format("hone check '{}' --{} {} --variant {} --config '{}' --seed {}",
                            trial.problem, wanted.empty() ? "device" : "target",
                            wanted.empty() ? device : wanted, trial.variant, trial.config, seed);
            for (const auto& directory : line.templates())
              again += fmt::format(" --templates '{}'", directory.string());
            fmt::print("     {}: {}\n     {}\n", to_text(trial.status), trial.reason, again);
          }
        });
    if (Evaluator::interrupted()) return 1;
  }
  if (!line.json()) fmt::print("{} of {} configs pass\n", checked - failed, checked);
  return failed > 0 ? 1 : 0;
}

const RegisterCommand kCheck({"check", "checks kernels against their references", run_check});

}  // namespace
}  // namespace hone
