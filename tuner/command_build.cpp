// hone build: compiles for a target that needn't be here; machines with the device time later, or
// run without a compiler.
#include <fmt/format.h>

#include <chrono>
#include <set>

#include "codegen/error.h"
#include "runtime/kernel.h"
#include "tuner/command.h"
#include "tuner/report.h"
#include "tuner/strategy.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

namespace po = boost::program_options;

constexpr std::chrono::seconds kCompileLimit{60};

struct Built {
  std::int64_t done = 0, failed = 0;
};

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

// What the database says is best for this problem, on any device, comes first; then each variant's
// start, then samples.
std::vector<std::pair<const Template*, Config>> candidates_of(
    const Catalog& catalog, const Database& database, const Problem& problem, const Target& target,
    std::uint64_t samples, std::uint64_t seed) {
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
  }
  return candidates;
}

int run(const Words& words) {
  CommandLine line("hone build PROBLEM... | --model MODEL --target TARGET [options]",
                   "Compiles, without running anything, what the database says is best for each "
                   "problem, every variant's start\n"
                   "config, and --samples more, and stores the binaries.");
  line.add_problems();
  line.add_device();
  line.add_database();
  line.add_templates();
  line.add()("target", po::value<std::string>()->value_name("TARGET"),
             "as in cpu/x86-64-v4+bf16+vnni; default: the device's");
  line.add()("samples", po::value<std::uint64_t>()->value_name("N")->default_value(0),
             "random configs per variant");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of the samples");
  line.add_json();
  if (!line.parse(words)) return 0;
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  const Target target = line.has("target") ? parse_target(line.get<std::string>("target"))
                                           : open_device(line.get<std::string>("device"))->target();
  Backend& backend = *find_backend(target.backend);
  const std::string toolchain = backend.toolchain();
  Database database(line.database(), Database::Mode::kWrite);
  const DeviceIdentity device = identity_of(target);
  database.put_device(device);

  Built built;
  std::set<std::string> known;
  for (const Task& task : tasks) {
    const std::string text = task.problem.text();
    if (!known.insert(text).second) continue;
    const auto candidates =
        candidates_of(catalog, database, task.problem, target, line.get<std::uint64_t>("samples"),
                      line.get<std::uint64_t>("seed"));
    if (candidates.empty()) {
      fmt::print(stderr, "hone build: no variant serves {} on {}\n", text, target.text());
      ++built.failed;
    }
    const Op& op = catalog.op(task.problem.op);
    Values scope = op.scope(task.problem);
    scope.merge(target.limits);
    for (const auto& [variant, config] : candidates) {
      const auto begin = std::chrono::steady_clock::now();
      Trial trial;
      trial.device = device.key();
      trial.problem = text;
      trial.handle = op.handle(task.problem).text();
      trial.variant = variant->variant;
      trial.template_hash = variant->hash;
      trial.config = config.text();
      trial.layout = layout_of(*variant, config, scope);
      trial.toolchain = toolchain;
      trial.status = Status::kBuilt;
      trial.when = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
      std::size_t bytes = 0;
      try {
        const Source source = render(catalog, *variant, task.problem, config, target);
        trial.source = source.hash;
        const Binary binary = backend.compile(source, target, kCompileLimit);
        database.put_binary(binary.source, binary.target, binary.code);
        bytes = binary.code.size();
      } catch (const Error& error) {
        if (error.code() != Code::kCompile) throw;
        trial.status = Status::kCompileFailed;
        trial.reason = error.what();
      }
      trial.compile_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::steady_clock::now() - begin)
                             .count();
      database.put_template(variant->hash, op.name, variant->variant, variant->text);
      // A trial that was run says more than one that was only built.
      if (!database.find_trial(trial.device, text, trial.template_hash, trial.config))
        database.put_trial(trial);
      const bool ok = trial.status == Status::kBuilt;
      ++(ok ? built.done : built.failed);
      if (line.json())
        print_json({{"problem", text},
                    {"variant", trial.variant},
                    {"config", trial.config},
                    {"target", target.text()},
                    {"status", to_text(trial.status)},
                    {"source", trial.source.text()},
                    {"bytes", bytes},
                    {"registers", nullptr},
                    {"spills", nullptr},
                    {"shared", nullptr},
                    {"occupancy", nullptr},
                    {"modelled_ns", nullptr},
                    {"compile_ms", trial.compile_ms},
                    {"reason", trial.reason}});
      else
        fmt::print("{} {} {} {}: {} bytes, {} ms{}\n", ok ? "built " : "FAILED", text,
                   trial.variant, trial.config, bytes, trial.compile_ms,
                   ok ? "" : "\n" + trial.reason);
    }
  }
  if (!line.json())
    fmt::print("{} built for {}, {} failed; binaries in {}\n", built.done, target.text(),
               built.failed, database.file().string());
  return built.failed > 0 ? 1 : 0;
}

const RegisterCommand kRegistered({"build", "compiles kernels for a target, runs nothing", run});

}  // namespace
}  // namespace hone
