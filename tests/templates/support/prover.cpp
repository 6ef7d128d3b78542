#include "tests/templates/support/prover.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "codegen/error.h"
#include "codegen/source.h"
#include "runtime/backends/cpu_identity.h"
#include "tests/templates/support/fenced.h"

namespace hone::prove {
namespace {

constexpr std::chrono::seconds kCompileLimit{120};
constexpr int kAttempts = 60;      // draws before a rare shape is given up
constexpr int kCandidates = 6;     // problems of which the one that covers most is taken
constexpr int kRounds = 6;         // calls per compiled config
constexpr int kMostFailures = 12;  // per test: more say nothing new
constexpr const char* kTemplates = "HONE_TEST_TEMPLATES";
constexpr std::int64_t kAlignment = 64;  // of workspace and packed arguments

// No database but none; the binaries of earlier runs of these tests.
class Surroundings : public testing::Environment {
 public:
  void SetUp() override {
    const std::string cache =
        (std::filesystem::temp_directory_path() / fmt::format("hone-test-{}", ::getuid())).string();
    ::setenv("HONE_CACHE", cache.c_str(), 0);
    ::setenv("HONE_DB", "/nonexistent/hone.db", 1);
    ::setenv("HONE_SYSTEM_DB", "/nonexistent/hone.db", 1);
  }
};
const auto* const kSurroundings = testing::AddGlobalTestEnvironment(new Surroundings);

std::int64_t number_from(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::atoll(text);
}

std::vector<std::int64_t> dims_of(const Call& call) {
  std::vector<std::int64_t> dims;
  for (const std::string& dim : catalog().op(call.problem.op).dynamic_dims())
    dims.push_back(call.scope.integer(dim));
  return dims;
}

// The same words and static dims with other dynamic ones.
Problem redraw_dynamics(const Spec& spec, const Problem& problem, Random& random) {
  const Op& op = catalog().op(spec.op);
  for (int attempt = 0;; ++attempt) {
    Problem other{spec.op, {}};
    const Values scope = op.scope(op.handle(problem));
    for (const Word& word : op.words) other.values.set(word.name, scope.word(word.name));
    for (const Dim& dim : op.dims)
      if (!dim.dynamic) other.values.set(dim.name, scope.integer(dim.name));
    spec.draw_dynamics(random, other);
    try {
      return op.canonical(other, true);
    } catch (const Error&) {
      if (attempt == kAttempts) throw;
    }
  }
}

// Pairs of words and compiled parameters that were seen together.
class Coverage {
 public:
  int gain(const Problem& problem, const Template* variant, const Config& config) const {
    int count = 0;
    each(problem, variant, config, [&](std::string pair) { count += seen_.count(pair) == 0; });
    return count;
  }
  void take(const Problem& problem, const Template* variant, const Config& config) {
    each(problem, variant, config, [&](std::string pair) { seen_.insert(std::move(pair)); });
  }

 private:
  template <typename F>
  void each(const Problem& problem, const Template* variant, const Config& config, F f) const {
    const Op& op = catalog().op(problem.op);
    const Values scope = op.scope(problem);
    std::vector<std::string> items;
    for (const Word& word : op.words) items.push_back(word.name + "=" + scope.word(word.name));
    if (variant != nullptr)
      for (const Parameter& parameter : variant->parameters)
        if (!parameter.at_launch)
          items.push_back(parameter.name + ":" + to_text(*config.find(parameter.name)));
    for (std::size_t i = 0; i < items.size(); ++i)
      for (std::size_t k = i; k < items.size(); ++k) f(items[i] + " " + items[k]);
  }
  std::set<std::string> seen_;
};

struct Sample {
  Problem problem;
  Config config;
};

// The candidate that covers most that is new. nullopt when no draw is served by the variant.
std::optional<Sample> draw_sample(const Spec& spec, const Template& variant, const Target& target,
                                  bool start, Coverage& coverage, Random& random) {
  std::optional<Sample> best;
  int most = -1;
  int candidates = 0;
  for (int attempt = 0; attempt < kAttempts && candidates < kCandidates; ++attempt) {
    std::optional<Problem> problem = draw_problem(spec, random);
    if (!problem) continue;
    const Values scope = scope_on(*problem, target);
    if (!variant.serves_problem(scope, target.backend)) continue;
    const Space space(variant, scope);
    if (space.count() == 0) continue;
    ++candidates;
    for (int k = 0; k < (start ? 1 : 2 * kCandidates); ++k) {
      Config config = start ? space.start() : space.sample(random);
      if (int gain = coverage.gain(*problem, &variant, config); gain > most)
        most = gain, best = Sample{*problem, config};
    }
  }
  if (best) coverage.take(best->problem, &variant, best->config);
  return best;
}

// Other launch parameters and dynamic dims for the same compiled code, as far as there are any.
Sample vary(const Spec& spec, const Template& variant, const Target& target, const Sample& sample,
            Random& random) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Sample other{redraw_dynamics(spec, sample.problem, random), sample.config};
    const Values scope = scope_on(other.problem, target);
    if (!variant.serves_problem(scope, target.backend)) continue;
    for (const Parameter& parameter : variant.parameters) {
      if (!parameter.at_launch) continue;
      const Expression& value = parameter.values[static_cast<std::size_t>(
          within(random, 0, std::ssize(parameter.values) - 1))];
      other.config.set(parameter.name, value.with(variant.lets).evaluate(lookup_in(scope)));
    }
    if (is_legal(variant, scope, other.config)) return other;
  }
  return sample;
}

std::string text_of(Flavour flavour) {
  return flavour == Flavour::kPlain ? "plain" : flavour == Flavour::kSpecial ? "special" : "hard";
}

struct Tally {
  std::int64_t configs = 0, calls = 0;
  int failures = 0;
  bool enough() const { return failures >= kMostFailures; }
  void note(const std::string& wrong, const std::string& description) {
    ++calls;
    if (wrong.empty()) return;
    ++failures;
    ADD_FAILURE() << wrong << "\n  " << description;
  }
  void print(const std::string& what) const {
    fmt::print("  {}: {} calls of {} compiled configs\n", what, calls, configs);
  }
};

std::string describe(const Call& call, std::uint64_t seed, const std::string& target,
                     const std::string& variant, const std::string& config) {
  std::string text = fmt::format(
      "hone check '{}' --variant {} --config '{}'\n  {} inputs, call seed {}, first seed {}, {}",
      call.problem.text(), variant, config, text_of(call.flavour), seed, first_seed(), target);
  for (const auto& [output, input] : call.same_memory)
    text += fmt::format(", {} is {}", output, input);
  return text;
}

Flavour flavour_of(int round) {
  static constexpr Flavour kFlavours[] = {Flavour::kPlain, Flavour::kSpecial, Flavour::kHard};
  return kFlavours[round % 3];
}

void prove_config(const Spec& spec, const Template& variant, const Target& target, Device& device,
                  const Sample& sample, Random& random, Tally& tally) {
  const Source source = render(catalog(), variant, sample.problem, sample.config, target);
  std::shared_ptr<Module> module;
  try {
    module =
        device.load(find_backend("cpu")->compile(source, target, kCompileLimit), source.entries);
  } catch (const Error& error) {
    tally.note(error.what(),
               fmt::format("hone check '{}' --variant {} --config '{}'", sample.problem.text(),
                           variant.variant, sample.config.text()));
    return;
  }
  ++tally.configs;
  for (int round = 0; round < kRounds && !tally.enough(); ++round) {
    const Sample one = round == 0 ? sample : vary(spec, variant, target, sample, random);
    const std::uint64_t seed = random();
    const Call call = draw_call(spec, one.problem, flavour_of(round), seed);
    const Kernel kernel(catalog(), variant, one.problem, one.config, target, module);
    const std::string description =
        describe(call, seed, target.text(), variant.variant, one.config.text());
    if (!kernel.legal(dims_of(call).data())) {
      tally.note("the config is in the space, but the kernel finds it illegal", description);
      continue;
    }
    tally.note(verdict(runner_of(kernel), spec, call, description), description);
  }
}

// A resolved problem of the C API, with what it needs.
class Resolved {
 public:
  explicit Resolved(const char* threads) {
    if (threads != nullptr) ::setenv("HONE_THREADS", threads, 1);
    hone_options options = {};
    options.templates = std::getenv(kTemplates);
    if (hone_open(&options, &engine_) != HONE_OK) ADD_FAILURE() << hone_error();
    if (threads != nullptr) ::unsetenv("HONE_THREADS");
  }
  ~Resolved() {
    hone_release(kernel_);
    hone_close(engine_);
  }
  Resolved(const Resolved&) = delete;
  Resolved& operator=(const Resolved&) = delete;

  // nullptr with a failure of the test when it can't be had.
  const hone_kernel* find(const Problem& problem) {
    hone_release(kernel_);
    kernel_ = nullptr;
    if (hone_find(engine_, problem.text().c_str(), &kernel_) != HONE_OK)
      ADD_FAILURE() << problem.text() << ": " << hone_error();
    return kernel_;
  }

  void prove(const Spec& spec, const Call& call, std::uint64_t seed, const std::string& where,
             Tally& tally) const {
    hone_kernel_info info;
    if (hone_info(kernel_, dims_of(call).data(), &info) != HONE_OK) {
      tally.note(hone_error(), call.problem.text());
      return;
    }
    const std::string description = describe(call, seed, where, info.variant, info.config);
    tally.note(verdict(runner_of(kernel_), spec, call, description), description);
  }

 private:
  hone_engine* engine_ = nullptr;
  hone_kernel* kernel_ = nullptr;
};

}  // namespace

const Catalog& catalog() {
  static const Catalog all = [] {
    Catalog catalog = Catalog::embedded();
    if (const char* folder = std::getenv(kTemplates)) catalog.add_directory(folder);
    return catalog;
  }();
  return all;
}

bool serves_cpu(const Template& variant) {
  return std::find(variant.serves.begin(), variant.serves.end(), "cpu") != variant.serves.end();
}

int samples(int otherwise) { return static_cast<int>(number_from("HONE_TEST_SAMPLES", otherwise)); }
std::uint64_t first_seed() {
  return static_cast<std::uint64_t>(number_from("HONE_TEST_SEED", 20260101));
}

std::string difference(const std::string& name, const std::vector<double>& got,
                       const std::vector<double>& want, double tolerance, double least_rms) {
  if (got.size() != want.size())
    return fmt::format("the test expects {} elements of {}, not {}", got.size(), name, want.size());
  double squares = 0;
  std::size_t finite = 0;
  for (double value : want)
    if (std::isfinite(value)) squares += value * value, ++finite;
  const double rms =
      std::max(least_rms, finite == 0 ? 0 : std::sqrt(squares / static_cast<double>(finite)));
  std::size_t wrong = 0, worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    double error = 0;
    if (std::isfinite(want[i]) && std::isfinite(got[i])) {
      if (got[i] != want[i]) error = std::fabs(got[i] - want[i]) / (std::fabs(want[i]) + rms);
    } else if (!(got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i])))) {
      error = kInfinity;
    }
    wrong += error > tolerance;
    if (error > largest) largest = error, worst = i;
  }
  if (wrong == 0) return "";
  return fmt::format(
      "{}[{}] is {:.9g} and should be {:.9g}: error {:.3g} of {:.3g} allowed; {} of {} wrong", name,
      worst, got[worst], want[worst], largest, tolerance, wrong, want.size());
}

// Draws words until the operator accepts them, then dims.
std::optional<Problem> draw_problem(const Spec& spec, Random& random) {
  const Op& op = catalog().op(spec.op);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Problem problem{spec.op, {}};
    for (const Word& word : op.words)
      problem.values.set(
          word.name,
          word.values[static_cast<std::size_t>(within(random, 0, std::ssize(word.values) - 1))]);
    try {
      spec.draw_statics(random, problem);
      spec.draw_dynamics(random, problem);
      return op.canonical(problem, true);
    } catch (const Error& error) {
      if (error.code() != Code::kUsage) throw;
    }
  }
  return std::nullopt;
}

Values scope_on(const Problem& problem, const Target& target) {
  Values scope = catalog().op(problem.op).scope(problem);
  scope.merge(target.limits);
  return scope;
}

Kernel build(const Template& variant, const Problem& problem, const Config& config,
             Device& device) {
  const Source source = render(catalog(), variant, problem, config, device.target());
  return {catalog(),
          variant,
          problem,
          config,
          device.target(),
          device.load(find_backend("cpu")->compile(source, device.target(), kCompileLimit),
                      source.entries)};
}

Call draw_call(const Spec& spec, const Problem& problem, Flavour flavour, std::uint64_t seed) {
  Random random(seed);
  const Op& op = catalog().op(spec.op);
  Call call;
  call.problem = problem;
  call.scope = op.scope(problem);
  call.flavour = flavour;
  for (const Argument* argument : op.present(call.scope)) {
    if (argument->kind != Argument::Kind::kIn) continue;
    Tensor& tensor = call.in[argument->name];
    tensor.element = op.element_of(*argument, call.scope);
    tensor.values.resize(static_cast<std::size_t>(op.count_of(*argument, call.scope)));
    for (double& value : tensor.values) value = normal(random);
  }
  spec.fill(random, call);
  if (flavour == Flavour::kSpecial) {
    const std::map<std::string, bool> allowed = spec.special(call);
    const std::int64_t chosen = within(random, 0, std::ssize(allowed) - 1);
    std::int64_t at = 0;
    for (const auto& [name, infinity] : allowed) {
      if (at++ != chosen && !chance(random, 4)) continue;
      std::vector<double>& values = call.in.at(name).values;
      for (std::int64_t count = within(random, 1, 2); count > 0; --count) {
        std::int64_t where = within(random, 0, std::ssize(values) - 1);
        if (chance(random, 5)) where = one_of(random, {std::int64_t{0}, std::ssize(values) - 1});
        values[static_cast<std::size_t>(where)] =
            infinity ? one_of(random, {kNaN, kInfinity, -kInfinity}) : kNaN;
      }
    }
  }
  for (auto& [name, tensor] : call.in) tensor.store();
  if (flavour == Flavour::kHard) spec.harden(random, call);
  const auto aliases = spec.aliases(call);
  if (!aliases.empty() && chance(random, 3))
    call.same_memory =
        aliases[static_cast<std::size_t>(within(random, 0, std::ssize(aliases) - 1))];
  return call;
}

Runner runner_of(const Kernel& kernel) {
  return {[&](const std::string& argument) {
            return static_cast<std::size_t>(kernel.packed_bytes(argument).value_or(0));
          },
          [&](const std::string& argument, const void* from, void* to) {
            return kernel.pack(argument, from, to, nullptr);
          },
          [&](const std::int64_t* dims) -> std::optional<std::size_t> {
            auto bytes = kernel.workspace_bytes(dims);
            return bytes ? std::optional(static_cast<std::size_t>(*bytes)) : std::nullopt;
          },
          [&](void* const* arguments, const std::int64_t* dims, void* workspace) {
            return kernel.launch(arguments, dims, workspace, nullptr);
          }};
}

Runner runner_of(const hone_kernel* kernel) {
  return {[=](const std::string& argument) {
            std::size_t bytes = 0;
            EXPECT_EQ(hone_packed_bytes(kernel, argument.c_str(), &bytes), HONE_OK) << hone_error();
            return bytes;
          },
          [=](const std::string& argument, const void* from, void* to) {
            return hone_pack(kernel, argument.c_str(), from, to) == HONE_OK;
          },
          [=](const std::int64_t* dims) -> std::optional<std::size_t> {
            std::size_t bytes = 0;
            if (hone_workspace_bytes(kernel, dims, &bytes) != HONE_OK) return std::nullopt;
            return bytes;
          },
          [=](void* const* arguments, const std::int64_t* dims, void* workspace) {
            return hone_launch(kernel, arguments, dims, workspace, nullptr) == HONE_OK;
          }};
}

std::string run_call(const Runner& runner, const Call& call, const std::string& description,
                     Outputs* got) {
  say_before_dying("\nA kernel died:\n  " + description + "\n");
  const Op& op = catalog().op(call.problem.op);
  const std::vector<std::int64_t> dims = dims_of(call);
  std::map<std::string, std::unique_ptr<Fenced>> memory, packed;
  std::map<std::string, void*> pointers;
  std::vector<std::string> outputs;
  std::set<std::string> overwritten;  // inputs that are outputs too
  for (const auto& [output, input] : call.same_memory) overwritten.insert(input);

  std::vector<const Argument*> arguments = op.present(call.scope);
  for (const Argument* argument : arguments) {
    if (argument->kind == Argument::Kind::kScalar) continue;
    const bool output = argument->kind == Argument::Kind::kOut;
    if (output) outputs.push_back(argument->name);
    if (output && call.same_memory.count(argument->name) != 0) continue;
    const Element* element = find_element(op.element_of(*argument, call.scope));
    auto fenced = std::make_unique<Fenced>(
        static_cast<std::size_t>(op.bytes_of(*argument, call.scope)),
        element->block > 1 ? sizeof(std::uint16_t) : static_cast<std::size_t>(element->bytes));
    if (!output) {
      const std::vector<std::byte>& bytes = call.in.at(argument->name).bytes;
      std::copy(bytes.begin(), bytes.end(), fenced->data());
      if (overwritten.count(argument->name) == 0) fenced->make_read_only();
      if (std::size_t size = runner.packed_bytes(argument->name); size > 0)
        packed[argument->name] = std::make_unique<Fenced>(size, kAlignment);
    }
    memory[argument->name] = std::move(fenced);
  }
  const std::optional<std::size_t> needed = runner.workspace_bytes(dims.data());
  if (!needed) return "the workspace has no size";
  Fenced workspace(*needed, kAlignment);

  std::map<std::string, std::vector<std::byte>> first;
  for (int poison : {0xff, 0x7c}) {
    workspace.fill(poison);
    for (const std::string& input : overwritten)
      std::copy(call.in.at(input).bytes.begin(), call.in.at(input).bytes.end(),
                memory[input]->data());
    std::vector<void*> pointed;
    for (const Argument* argument : arguments) {
      const std::string& name = argument->name;
      if (argument->kind == Argument::Kind::kScalar) {
        auto given = call.scalars.find(name);
        pointed.push_back(given == call.scalars.end() ? nullptr
                                                      : const_cast<float*>(&given->second));
      } else if (auto form = packed.find(name); form != packed.end()) {
        form->second->fill(poison);
        if (!runner.pack(name, memory[name]->data(), form->second->data()))
          return "packing was refused";
        if (!form->second->gaps_intact()) return "packing " + name + " wrote outside its memory";
        pointed.push_back(form->second->data());
      } else if (auto same = call.same_memory.find(name);
                 same != call.same_memory.end() && argument->kind == Argument::Kind::kOut) {
        pointed.push_back(memory[same->second]->data());
      } else {
        if (argument->kind == Argument::Kind::kOut) memory[name]->fill(poison);
        pointed.push_back(memory[name]->data());
      }
    }
    if (!runner.launch(pointed.data(), dims.data(), *needed == 0 ? nullptr : workspace.data()))
      return "the launch was refused";
    for (const auto& [name, fenced] : memory)
      if (!fenced->gaps_intact()) return "written outside of " + name;
    for (const auto& [name, fenced] : packed)
      if (!fenced->gaps_intact()) return "written outside of the packed " + name;
    if (!workspace.gaps_intact()) return "written outside of the workspace";
    for (const std::string& name : outputs) {
      auto same = call.same_memory.find(name);
      const Fenced& fenced = *memory[same == call.same_memory.end() ? name : same->second];
      std::vector<std::byte> bytes(fenced.data(), fenced.data() + fenced.bytes());
      auto [before, fresh] = first.try_emplace(name, bytes);
      if (!fresh && before->second != bytes)
        return "two runs differ in " + name +
               ": it isn't written whole, or depends on what memory held";
    }
  }

  for (const Argument* argument : arguments) {
    if (argument->kind != Argument::Kind::kOut) continue;
    Tensor tensor;
    tensor.element = op.element_of(*argument, call.scope);
    tensor.values.resize(static_cast<std::size_t>(op.count_of(*argument, call.scope)));
    tensor.bytes = first.at(argument->name);
    tensor.load();
    (*got)[argument->name] = std::move(tensor.values);
  }
  return "";
}

std::string verdict(const Runner& runner, const Spec& spec, const Call& call,
                    const std::string& description) {
  Outputs got;
  std::string wrong = run_call(runner, call, description, &got);
  if (!wrong.empty()) return wrong;
  const Outputs want = spec.expect(call);
  const double tolerance =
      call.tolerance.value_or(catalog().op(call.problem.op).tolerance(call.scope));
  for (const auto& [name, values] : got)
    if (wrong = difference(name, values, want.at(name), tolerance, call.least_rms); !wrong.empty())
      return wrong;
  return "";
}

void prove_start_configs(const Spec& spec) {
  Tally tally;
  for (const char* threads : {"1", "2"}) {
    Random random(first_seed());
    Coverage coverage;
    Resolved resolved(threads);
    for (int i = 0; i < samples(6) && !tally.enough(); ++i) {
      std::optional<Problem> problem;
      int most = -1;
      for (int k = 0; k < 2 * kCandidates; ++k)
        if (auto drawn = draw_problem(spec, random); drawn)
          if (int gain = coverage.gain(*drawn, nullptr, {}); gain > most)
            most = gain, problem = drawn;
      ASSERT_TRUE(problem) << "no problem of " << spec.op << " could be drawn";
      coverage.take(*problem, nullptr, {});
      if (resolved.find(*problem) == nullptr) continue;
      ++tally.configs;
      for (int round = 0; round < kRounds && !tally.enough(); ++round) {
        const std::uint64_t seed = random();
        resolved.prove(
            spec, draw_call(spec, redraw_dynamics(spec, *problem, random), flavour_of(round), seed),
            seed, fmt::format("C API, {} threads", threads), tally);
      }
    }
  }
  tally.print(spec.op + " start configs through the C API");
}

void prove_sampled_configs(const Spec& spec) {
  std::unique_ptr<Device> device = open_device("cpu:0");
  for (const Template& variant : catalog().variants(spec.op)) {
    if (!serves_cpu(variant)) continue;
    Tally tally;
    Random random(first_seed());
    Coverage coverage;
    for (int i = 0; i < samples(8) && !tally.enough(); ++i)
      if (auto sample = draw_sample(spec, variant, device->target(), false, coverage, random))
        prove_config(spec, variant, device->target(), *device, *sample, random, tally);
    EXPECT_TRUE(tally.calls > 0 || device->target().limits.integer("units") == 1)
        << "no drawn problem is served by " << variant.variant;
    tally.print(fmt::format("{} {}", spec.op, variant.variant));
  }
}

void prove_narrower_targets(const Spec& spec) {
  std::unique_ptr<Device> device = open_device("cpu:0");
  for (const char* arch : {"x86-64-v4", "x86-64-v3", "x86-64"}) {
    const std::optional<Target> target = find_backend("cpu")->target(arch);
    ASSERT_TRUE(target) << arch;
    if (*target == device->target() || !this_cpu_arch().runs(*parse_cpu_arch(arch))) continue;
    Tally tally;
    for (const Template& variant : catalog().variants(spec.op)) {
      if (!serves_cpu(variant)) continue;
      Random random(first_seed());
      Coverage coverage;
      for (int i = 0; i < samples(1) && !tally.enough(); ++i)
        if (auto sample = draw_sample(spec, variant, *target, i == 0, coverage, random))
          prove_config(spec, variant, *target, *device, *sample, random, tally);
    }
    EXPECT_GT(tally.calls, 0);
    tally.print(fmt::format("{} on {}", spec.op, arch));
  }
}

void prove_problem_sets(const Spec& spec) {
  // What the double-precision side does in about a second.
  const std::int64_t most_bytes = samples(0) > 0 ? 512 << 20 : 16 << 20;
  const std::int64_t most_flops = samples(0) > 0 ? 4'000'000'000 : 100'000'000;
  const Op& op = catalog().op(spec.op);
  Tally tally;
  Resolved resolved(nullptr);
  std::set<std::string> known;
  for (const auto& [set, problems] : op.problems) {
    for (const std::string& text : problems) {
      const Problem problem = catalog().problem(text, true);
      const Values scope = op.scope(problem);
      std::int64_t bytes = 0;
      for (const Argument* argument : op.present(scope))
        if (argument->kind != Argument::Kind::kScalar) bytes += op.bytes_of(*argument, scope);
      if (!known.insert(problem.text()).second || bytes > most_bytes || tally.enough() ||
          op.flops.with(op.lets).integer(lookup_in(scope)) > most_flops)
        continue;
      if (resolved.find(problem) == nullptr) continue;
      ++tally.configs;
      resolved.prove(spec, draw_call(spec, problem, Flavour::kPlain, first_seed()), first_seed(),
                     "C API, set " + set, tally);
    }
  }
  tally.print(spec.op + " problem sets");
}

}  // namespace hone::prove
