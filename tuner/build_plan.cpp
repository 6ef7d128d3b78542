#include "tuner/build_plan.h"

#include <fmt/format.h>

#include <csignal>
#include <set>
#include <thread>

#include "codegen/error.h"
#include "tuner/strategy.h"

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

}  // namespace

void add_build_options(CommandLine& line) {
  line.add()("target", po::value<std::string>()->value_name("TARGET"),
             "as in cpu/x86-64-v4+bf16+vnni, cuda/sm_80 or hip/gfx90a; default: the device's");
  line.add()("as", po::value<std::string>()->value_name("GPU"),
             "whose times are modelled, as in rtx3090; default: the target's first");
  line.add()("samples", po::value<std::uint64_t>()->value_name("N")->default_value(0),
             "random configs per variant");
  line.add()("trials", po::value<std::string>()->value_name("all"),
             "every config of every variant's space");
  line.add()("jobs,j", po::value<std::uint64_t>()->value_name("N")->default_value(0),
             "compilations at once; 0: one per core");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of the samples");
}

BuildPlan plan_build(const CommandLine& line, const Catalog& catalog, const Database& database,
                     const std::vector<Task>& tasks) {
  BuildPlan plan;
  plan.target = line.has("target") ? parse_target(line.get<std::string>("target"))
                                   : open_device(line.get<std::string>("device"))->target();
  plan.device = identity_of(plan.target);
  if (plan.target.backend == "cuda")
    plan.gpu = sim::find_gpu(line.has("as") ? line.get<std::string>("as") : plan.target.arch);
  if (line.has("as")) {
    take_gpu(line.get<std::string>("as"), plan.gpu, &plan.target);
    plan.device = identity_of(plan.target, *plan.gpu);
  }
  const bool all = line.has("trials");
  if (all && line.get<std::string>("trials") != "all")
    throw Error(Code::kUsage, "--trials: expected 'all'; --samples N takes N per variant");
  const auto threads = line.get<std::uint64_t>("jobs");
  plan.threads = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  std::set<std::string> known;
  for (const Task& task : tasks) {
    const std::string text = task.problem.text();
    if (!known.insert(text).second) continue;
    const auto candidates =
        candidates_of(catalog, database, task.problem, plan.target,
                      line.get<std::uint64_t>("samples"), line.get<std::uint64_t>("seed"), all);
    if (candidates.empty()) plan.unserved.push_back(text);
    for (const auto& [variant, config] : candidates)
      plan.jobs.push_back({task.problem, variant, config});
  }
  return plan;
}

void build(const BuildPlan& plan, const Catalog& catalog, Database& database,
           const std::function<void(const BuildResult&)>& done) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, [](int) { Evaluator::interrupt(); });
  build(
      catalog, database, *find_backend(plan.target.backend), plan.target, plan.device, plan.gpu,
      plan.jobs, plan.threads, [] { return Evaluator::interrupted(); }, done);
}

}  // namespace hone
