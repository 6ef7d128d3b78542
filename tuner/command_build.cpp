// hone build: compiles for a target that needn't be here; machines with the device time later, or
// run without a compiler.
#include <fmt/format.h>

#include <csignal>
#include <set>
#include <thread>

#include "codegen/error.h"
#include "tuner/build.h"
#include "tuner/command.h"
#include "tuner/figures.h"
#include "tuner/strategy.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

namespace po = boost::program_options;

Target parse_target(const std::string& text) {
  const std::size_t slash = text.find('/');
  Backend* backend = find_backend(text.substr(0, slash));
  const std::optional<Target> target = backend && slash != std::string::npos
                                           ? backend->target(text.substr(slash + 1))
                                           : std::nullopt;
  if (target) return *target;
  std::string known;
  for (Backend* one : backends()) known += (known.empty() ? "" : ", ") + one->name();
  throw Error(
      Code::kUsage,
      fmt::format(
          "--target '{}': expected BACKEND/ARCHITECTURE, as in cpu/x86-64-v4; backends here: {}",
          text, known));
}

// Results of a target whose device isn't here stand under a device of that architecture and nothing
// else.
DeviceIdentity identity_of(const Target& target) {
  for (const DeviceIdentity& device : find_backend(target.backend)->devices(nullptr))
    if (device.arch == target.arch) return device;
  DeviceIdentity identity;
  identity.backend = target.backend;
  identity.vendor = "any";
  identity.arch = target.arch;
  identity.model = "any";
  identity.name = "built without a device";
  return identity;
}

// The same for a product that isn't here either.
DeviceIdentity identity_of(const Target& target, const sim::Gpu& gpu) {
  DeviceIdentity identity;
  identity.backend = target.backend;
  identity.vendor = "any";
  identity.arch = target.arch;
  identity.model = gpu.name;
  identity.units = gpu.units;
  identity.memory_bytes = static_cast<std::int64_t>(gpu.memory_bytes);
  identity.name = fmt::format("{} (modelled)", gpu.label);
  return identity;
}

// The target with that product's limits.
void take_gpu(const std::string& name, const sim::Gpu* gpu, Target* target) {
  if (gpu != nullptr && target->limits.integer("sm") == gpu->sm) {
    target->limits.set("units", std::int64_t{gpu->units});
    target->limits.set("l2_bytes", static_cast<std::int64_t>(gpu->l2_bytes));
    return;
  }
  std::string known;
  for (const sim::Gpu& one : sim::gpus()) known += fmt::format(" {}", one.name);
  throw Error(Code::kUsage, fmt::format("--as '{}': expected a GPU that runs {}; GPUs:{}", name,
                                        target->text(), known));
}

// What the database says is best for this problem, on any device, comes first; then each variant's
// start, then samples.
std::vector<std::pair<const Template*, Config>> candidates_of(
    const Catalog& catalog, const Database& database, const Problem& problem, const Target& target,
    std::uint64_t samples, std::uint64_t seed, bool all) {
  std::vector<std::pair<const Template*, Config>> candidates;
  std::set<std::string> known;
  const auto add = [&](const Template& variant, Config config) {
    if (known.insert(variant.variant + " " + config.text()).second)
      candidates.emplace_back(&variant, std::move(config));
  };
  const Op& op = catalog.op(problem.op);
  Values scope = op.scope(problem);
  scope.merge(target.limits);
  Random random(seed);
  const auto valid = [&](const Trial& trial) {
    const Template* variant = catalog.variant(problem.op, trial.variant);
    return variant != nullptr && variant->hash == trial.template_hash;
  };
  const std::vector<Best> best = database.best_of_op(problem.op, valid);
  for (const Template& variant : catalog.variants(op.name)) {
    if (!variant.serves_problem(scope, target.backend)) continue;
    const Space space(variant, scope);
    if (space.count() == 0) continue;
    for (const Best& row : best)
      if (row.problem == problem.text() && row.variant == variant.variant)
        if (Config config = Values::parse(row.config); space.contains(config))
          add(variant, std::move(config));
    add(variant, space.start());
    for (std::uint64_t i = 0; i < samples; ++i) add(variant, space.sample(random));
    if (all)
      for (std::uint64_t i = 0; i < space.count(); ++i) add(variant, space.at(i));
  }
  return candidates;
}

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
  line.add()("target", po::value<std::string>()->value_name("TARGET"),
             "as in cpu/x86-64-v4+bf16+vnni, cuda/sm_80 or hip/gfx90a; default: the device's");
  line.add()("samples", po::value<std::uint64_t>()->value_name("N")->default_value(0),
             "random configs per variant");
  line.add()("trials", po::value<std::string>()->value_name("all"),
             "every config of every variant's space");
  line.add()("as", po::value<std::string>()->value_name("GPU"),
             "whose times are modelled, as in rtx3090; default: the target's first");
  line.add()("jobs,j", po::value<std::uint64_t>()->value_name("N")->default_value(0),
             "compilations at once; 0: one per core");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of the samples");
  line.add_json();
  if (!line.parse(words)) return 0;
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  Target target = line.has("target") ? parse_target(line.get<std::string>("target"))
                                     : open_device(line.get<std::string>("device"))->target();
  Backend& backend = *find_backend(target.backend);
  Database database(line.database(), Database::Mode::kWrite);
  DeviceIdentity device = identity_of(target);
  const sim::Gpu* gpu = nullptr;
  if (target.backend == "cuda")
    gpu = sim::find_gpu(line.has("as") ? line.get<std::string>("as") : target.arch);
  if (line.has("as")) {
    take_gpu(line.get<std::string>("as"), gpu, &target);
    device = identity_of(target, *gpu);
  }
  const bool all = line.has("trials");
  if (all && line.get<std::string>("trials") != "all")
    throw Error(Code::kUsage, "--trials: expected 'all'; --samples N takes N per variant");
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, [](int) { Evaluator::interrupt(); });

  std::int64_t built = 0, failed = 0;
  std::vector<BuildJob> jobs;
  std::set<std::string> known;
  for (const Task& task : tasks) {
    const std::string text = task.problem.text();
    if (!known.insert(text).second) continue;
    const auto candidates =
        candidates_of(catalog, database, task.problem, target, line.get<std::uint64_t>("samples"),
                      line.get<std::uint64_t>("seed"), all);
    if (candidates.empty()) {
      fmt::print(stderr, "hone build: no variant serves {} on {}\n", text, target.text());
      ++failed;
    }
    for (const auto& [variant, config] : candidates)
      jobs.push_back({task.problem, variant, config});
  }
  const auto threads = line.get<std::uint64_t>("jobs");
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  build(
      catalog, database, backend, target, device, gpu, jobs, threads > 0 ? threads : cores,
      [] { return Evaluator::interrupted(); },
      [&](const BuildResult& result) {
        const bool ok = succeeded(result.trial);
        ++(ok ? built : failed);
        if (line.json())
          print_json(json_of(result, target));
        else
          print_line(result);
      });
  if (!line.json())
    fmt::print("{} built for {}, {} failed; binaries in {}\n", built, target.text(), failed,
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
