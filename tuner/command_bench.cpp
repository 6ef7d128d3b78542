// hone bench: what the database gives, against the machine's ceilings and other libraries, all in
// one run.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "codegen/error.h"
#include "runtime/engine.h"
#include "tuner/command.h"
#include "tuner/measurer.h"
#include "tuner/numbers.h"
#include "tuner/peers.h"
#include "tuner/report.h"
#include "tuner/roofline.h"

namespace hone {
namespace {

namespace po = boost::program_options;

// A peer whose result is further away than this computes something else.
constexpr double kPeerTolerance = 0.02;

struct PeerResult {
  std::string name;  // "onednn", "onednn:packed"
  double seconds = 0;
};

struct Result {
  std::string match, variant, config, timed;
  Measurement measured;
  Roofline roofline;
  std::vector<PeerResult> peers;
  std::vector<std::string> notes;
};

// The higher of two takes: a ceiling is what the machine reached, and moments differ.
Ceilings higher(const Ceilings& a, const Ceilings& b) {
  Ceilings result = a;
  for (const auto& [name, value] : b) {
    const bool time = name.find("_ns") != std::string::npos;
    const auto [at, fresh] = result.emplace(name, value);
    if (!fresh) at->second = time ? std::min(at->second, value) : std::max(at->second, value);
  }
  return result;
}

// One thread is bounded by what one thread can do.
Ceilings of_threads(const Ceilings& ceilings, std::int64_t threads) {
  if (threads != 1) return ceilings;
  Ceilings result;
  for (const auto& [name, value] : ceilings) {
    const auto single = ceilings.find(name + "_1t");
    result[name] = single == ceilings.end() ? value : single->second;
  }
  return result;
}

std::vector<double> decoded(Device& device, const CallArgument& argument, const void* data) {
  std::vector<std::byte> content(static_cast<std::size_t>(argument.bytes));
  device.copy_out(content.data(), data, content.size());
  std::vector<double> values(static_cast<std::size_t>(argument.count));
  decode(argument.element, content.data(), 0, values);
  return values;
}

// Largest |a - b| / (|a| + rms(a)).
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0, worst = 0;
  for (double value : a) squares += value * value;
  const double rms = std::sqrt(squares / static_cast<double>(std::max<std::size_t>(1, a.size())));
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(a[i] - b[i]) / (std::fabs(a[i]) + rms));
  return worst;
}

class Bench {
 public:
  Bench(const CommandLine& line, std::vector<Peer> peers)
      : engine_({line.has("db") ? std::optional(line.database()) : std::nullopt,
                 line.get<std::string>("device"), line.templates(), false}),
        peers_(std::move(peers)),
        threads_(line.has("threads") ? line.get<std::int64_t>("threads") : 0),
        seed_(line.get<std::uint64_t>("seed")),
        ceilings_s_(parse_seconds(line.get<std::string>("ceilings"))) {
    const Values& limits = engine_.device().target().limits;
    const std::int64_t units = limits.has("units") ? limits.integer("units") : 1;
    if (threads_ < 0 || threads_ > units)
      throw Error(Code::kUsage, fmt::format("--threads {}: this device has {}", threads_, units));
    // They read and write the host's memory.
    if (!peers_.empty() && engine_.device().identity().backend != "cpu")
      throw Error(Code::kUnsupported, "--against compares with libraries for the processor only");
    ceilings_ = engine_.device().measure_ceilings(std::chrono::duration<double>(ceilings_s_));
  }

  Result run(const Problem& problem) {
    Device& device = engine_.device();
    const Op& op = engine_.catalog().op(problem.op);
    const Call call = draw_call(op, problem, seed_);
    const std::unique_ptr<Handle> handle = engine_.resolve(op.handle(problem).text());
    const Handle::Bucket* bucket = handle->choose(call.dims.data());
    if (bucket == nullptr)
      throw Error(Code::kUnsupported, fmt::format("nothing serves {} here", problem.text()));
    Result result;
    result.match = to_text(handle->match(call.dims.data()));
    std::unique_ptr<Kernel> other;  // the same with other launch parameters
    const Kernel& kernel = with_threads(problem, bucket->kernel, &other, &result);
    result.variant = kernel.variant();
    result.config = kernel.config().text();

    const Values& limits = device.target().limits;
    const bool modelled = device.identity().simulated();
    const MeasurePolicy policy = modelled ? modelled_policy() : MeasurePolicy{};
    TimingMemory memory(device, call, policy, last_level_bytes(limits));
    const Candidate candidate = candidate_of(kernel, call);
    const std::function<void()> own = memory.prepare(candidate);
    own();
    if (memory.refused()) throw Error(Code::kDevice, device.last_error());
    std::vector<std::vector<double>> expected;
    const std::vector<void*> first = memory.steps(candidate).front();
    for (std::size_t i = 0; i < first.size(); ++i)
      if (call.arguments[i].kind == Argument::Kind::kOut)
        expected.push_back(decoded(device, call.arguments[i], first[i]));

    std::vector<TimedRun> runs = {timed(own)};
    std::vector<std::string> names;
    std::vector<std::vector<std::unique_ptr<Peer::Call>>> calls;
    const Candidate plain;  // nothing packed: arguments as they come
    for (const Peer& peer : peers_) {
      for (int way = 0; way < static_cast<int>(peer.ways().size()); ++way) {
        std::vector<std::unique_ptr<Peer::Call>> rotation;
        const auto steps = memory.steps(plain);
        for (const std::vector<void*>& pointers : steps) {
          auto prepared = peer.prepare(problem.text(), way, pointers.data(), peer_threads());
          if (!prepared) break;
          rotation.push_back(std::move(prepared));
        }
        if (rotation.size() != steps.size()) continue;
        const std::string name =
            peer.ways().size() == 1
                ? peer.name()
                : peer.name() + ":" + peer.ways()[static_cast<std::size_t>(way)];
        rotation.front()->run();
        double apart = 0;
        std::size_t output = 0;
        for (std::size_t i = 0; i < first.size(); ++i)
          if (call.arguments[i].kind == Argument::Kind::kOut)
            apart =
                std::max(apart, difference(expected[output++],
                                           decoded(device, call.arguments[i], steps.front()[i])));
        // Scales of int8 products are left to the caller by peers.
        const bool comparable =
            call.scope.find("x") == nullptr || to_text(*call.scope.find("x")) != "s8";
        if (comparable && !(apart <= kPeerTolerance)) {
          result.notes.push_back(fmt::format("{} differs by {:.2g}: left out", name, apart));
          continue;
        }
        names.push_back(name);
        calls.push_back(std::move(rotation));
      }
    }
    for (auto& rotation : calls)
      runs.push_back(timed([&rotation, next = std::size_t{0}]() mutable {
        rotation[next]->run();
        if (++next == rotation.size()) next = 0;
      }));

    const std::vector<Measurement> measured = measure_interleaved(runs, policy);
    const Ceilings after = device.measure_ceilings(std::chrono::duration<double>(ceilings_s_));
    result.roofline =
        roofline(op, call.scope, limits, of_threads(higher(ceilings_, after), threads_));
    ceilings_ = after;
    result.measured = measured.front();
    result.timed = modelled ? "modelled by " + device.identity().driver : memory.policy_text();
    for (const Peer& peer : peers_) {
      double best = 0;
      for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].starts_with(peer.name()) && (best == 0 || measured[i + 1].median_s < best))
          best = measured[i + 1].median_s;
      if (best > 0) result.peers.push_back({peer.name(), best});
    }
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i].find(':') != std::string::npos)
        result.peers.push_back({names[i], measured[i + 1].median_s});
    return result;
  }

 private:
  int peer_threads() {
    if (threads_ > 0) return static_cast<int>(threads_);
    const Values& limits = engine_.device().target().limits;
    return limits.has("units") ? static_cast<int>(limits.integer("units")) : 1;
  }

  TimedRun timed(std::function<void()> call) {
    return [this, call = std::move(call)](int repeats) {
      return engine_.device().time(call, repeats);
    };
  }

  // With --threads, a winner that was tuned for more is launched with fewer: the nearest legal
  // config with that number.
  const Kernel& with_threads(const Problem& problem, const Kernel& kernel,
                             std::unique_ptr<Kernel>* other, Result* result) {
    const Value* threads = kernel.config().find("threads");
    if (threads_ == 0 || threads == nullptr || *threads == Value(threads_)) return kernel;
    const Template& variant = *engine_.catalog().variant(problem.op, kernel.variant());
    const Target& target = engine_.device().target();
    Values scope = engine_.catalog().op(problem.op).scope(problem);
    scope.merge(target.limits);
    Config config = kernel.config();
    config.set("threads", threads_);
    const Space space(variant, scope);
    if (!space.contains(config)) config = space.nearest(config);
    if (const Value* got = config.find("threads"); *got != Value(threads_))
      throw Error(Code::kUnsupported,
                  fmt::format("{} has no config for {} threads", kernel.variant(), threads_));
    const Source source = render(engine_.catalog(), variant, problem, config, target);
    const Binary binary =
        find_backend(target.backend)->compile(source, target, std::chrono::seconds(60));
    *other = std::make_unique<Kernel>(engine_.catalog(), variant, problem, config, target,
                                      engine_.device().load(binary, source.entries));
    result->notes.push_back(fmt::format("tuned with {} threads", to_text(*threads)));
    return **other;
  }

  Engine engine_;
  std::vector<Peer> peers_;
  std::int64_t threads_;
  std::uint64_t seed_;
  double ceilings_s_;
  Ceilings ceilings_;
};

int run_bench(const Words& words) {
  CommandLine line("hone bench PROBLEM... | --model MODEL [options]",
                   "Times what the runtime resolves from the database for each problem, in turn "
                   "with other libraries, and sets it\n"
                   "against ceilings taken in the same run. fraction = bound / median; the bound "
                   "is the roofline.");
  line.add_problems();
  line.add_device();
  line.add_database();
  line.add_templates();
  line.add()("threads", po::value<std::int64_t>()->value_name("N"),
             "for everybody; default: as tuned, peers on all units");
  line.add()("against", po::value<std::string>()->value_name("PEER,..."), "openblas, onednn");
  line.add()("ceilings", po::value<std::string>()->value_name("TIME")->default_value("1s"),
             "spent on ceilings before and after each problem");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of the inputs");
  line.add_json();
  if (!line.parse(words)) return 0;
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  std::vector<Peer> peers;
  if (line.has("against")) {
    std::istringstream names(line.get<std::string>("against"));
    for (std::string name; std::getline(names, name, ',');) peers.emplace_back(name);
  }
  if (!line.json())
    for (const Peer& peer : peers) fmt::print("{}: {}\n", peer.name(), peer.version());
  Bench bench(line, std::move(peers));
  Table table({"problem", "match", "variant", "time", "spread", "of limit", "peers"},
              {false, false, false, true, true, true, false});
  std::vector<std::string> done;
  for (const Task& task : tasks) {
    const std::string text = task.problem.text();
    if (std::find(done.begin(), done.end(), text) != done.end()) continue;
    done.push_back(text);
    const Result result = bench.run(task.problem);
    const double median = result.measured.median_s;
    if (line.json()) {
      Json object = {{"problem", text},
                     {"match", result.match},
                     {"variant", result.variant},
                     {"config", result.config},
                     {"median_ns", std::llround(median * 1e9)},
                     {"spread", result.measured.spread},
                     {"samples", result.measured.samples},
                     {"bound_ns", std::llround(result.roofline.bound_s * 1e9)},
                     {"fraction", result.roofline.bound_s / median},
                     {"timed", result.timed}};
      Json others = Json::object();
      for (const PeerResult& peer : result.peers)
        others[peer.name] = std::llround(peer.seconds * 1e9);
      object["peers"] = others;
      if (!result.notes.empty()) object["notes"] = result.notes;
      print_json(object);
      continue;
    }
    std::string others;
    for (const PeerResult& peer : result.peers)
      others += fmt::format("{}{} {} ({:.2f}x)", others.empty() ? "" : ", ", peer.name,
                            time_text(peer.seconds), peer.seconds / median);
    for (const std::string& note : result.notes) others += (others.empty() ? "" : "; ") + note;
    table.add({text, result.match, result.variant, time_text(median),
               percent_text(result.measured.spread), percent_text(result.roofline.bound_s / median),
               others});
  }
  if (!line.json()) table.print(stdout);
  return 0;
}

const RegisterCommand kBench({"bench", "times tuned kernels against ceilings and other libraries",
                              run_bench});

}  // namespace
}  // namespace hone
