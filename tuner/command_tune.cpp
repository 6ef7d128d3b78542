// hone tune: searches problems, keeps results in a database.
#include <fmt/format.h>

#include <charconv>
#include <csignal>

#include "codegen/error.h"
#include "tuner/command.h"
#include "tuner/confine.h"
#include "tuner/report.h"
#include "tuner/strategy.h"
#include "tuner/tune.h"

namespace hone {
namespace {

namespace po = boost::program_options;

constexpr double kDefaultBudgetS = 60;

std::uint64_t parse_count(const std::string& text, const char* what) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(Code::kUsage, fmt::format("{} '{}': expected a number", what, text));
  return number;
}

void parse_shard(const std::string& text, TuneOptions* options) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos)
    throw Error(Code::kUsage, fmt::format("--shard '{}': expected I/N, as in 0/4", text));
  options->shard = parse_count(text.substr(0, slash), "--shard");
  options->shards = parse_count(text.substr(slash + 1), "--shard");
  if (options->shards == 0 || options->shard >= options->shards)
    throw Error(Code::kUsage, fmt::format("--shard '{}': I counts from 0 to N-1", text));
}

Json progress_json(const Trial& trial) {
  Json object = {
      {"kind", "trial"},        {"problem", trial.problem},        {"variant", trial.variant},
      {"config", trial.config}, {"status", to_text(trial.status)}, {"median_ns", trial.median_ns},
      {"spread", trial.spread}, {"samples", trial.samples},        {"error", trial.error},
      {"timed", trial.timed},   {"compile_ms", trial.compile_ms}};
  if (!trial.figures.empty()) object["figures"] = Json::parse(trial.figures);
  if (!trial.reason.empty()) object["reason"] = trial.reason;
  return object;
}

Json json_of(const Outcome& outcome, bool modelled) {
  Json object = {{"kind", "winner"}, {"problem", outcome.task.problem.text()}};
  if (modelled) object["modelled"] = true;
  if (!outcome.winner) {
    object["status"] = "none";
    object["reason"] = outcome.note;
    object["trials"] = outcome.trials;
    return object;
  }
  const Trial& winner = *outcome.winner;
  const std::int64_t time = counted_ns(winner);
  object["variant"] = winner.variant;
  object["config"] = winner.config;
  object["status"] = "ok";
  object["median_ns"] = time;
  object["spread"] = winner.spread;
  object["default_ns"] = outcome.default_ns;
  object["speedup"] = outcome.default_ns > 0
                          ? static_cast<double>(outcome.default_ns) / static_cast<double>(time)
                          : 0.0;
  object["bound_ns"] = winner.bound_ns;
  object["fraction"] = static_cast<double>(winner.bound_ns) / static_cast<double>(time);
  object["layout"] = winner.layout;
  object["trials"] = outcome.trials;
  object["fresh"] = outcome.fresh;
  return object;
}

std::string line_of(const Outcome& outcome, bool modelled) {
  const std::string problem = outcome.task.problem.text();
  if (!outcome.winner) return fmt::format("{}: {}", problem, outcome.note);
  const Trial& winner = *outcome.winner;
  const auto time = static_cast<double>(counted_ns(winner));
  std::string text = fmt::format("{}: {}{} {}", problem, time_text(time * 1e-9),
                                 modelled ? " (modelled)" : "", winner.variant);
  if (outcome.default_ns > 0)
    text += fmt::format(", {:.2f}x the default", static_cast<double>(outcome.default_ns) / time);
  return text + fmt::format(", {} trials{}", outcome.trials, outcome.fresh ? "" : " (known)");
}

int run_tune(const Words& words) {
  std::string names;
  for (const auto& [name, about] : strategies()) names += fmt::format("\n  {:<12}{}", name, about);
  CommandLine line("hone tune PROBLEM... | --model MODEL [options]",
                   "Searches the variants and configs of each problem, checks and times them in "
                   "worker processes, and keeps every\n"
                   "trial in the database. Running the same command again goes on where it was "
                   "interrupted, and finishes in\n"
                   "seconds when nothing is left. PROBLEM is text as in "
                   "\"softmax:rows=512,cols=4096\", an operator for its\n"
                   "default problems, or op@set.\n\nstrategies:" +
                       names);
  line.add_problems();
  line.add_device();
  line.add_database();
  line.add_templates();
  line.add_preset();
  line.add()("budget", po::value<std::string>()->value_name("TIME"),
             "for everything, as in 90s or 10m; default 60s unless --trials is given");
  line.add()("trials", po::value<std::string>()->value_name("N"),
             "per problem, earlier ones included; or all");
  line.add()("strategy", po::value<std::string>()->value_name("NAME")->default_value("annealing"),
             "see above");
  line.add()("seed", po::value<std::uint64_t>()->value_name("N")->default_value(1),
             "of inputs and search");
  line.add()(
      "shard", po::value<std::string>()->value_name("I/N"),
      "only this part of the problems: several machines share the work, hone db merge joins it");
  line.add()("extend", "search on in problems that are finished");
  line.add_json();
  if (!line.parse(words)) return 0;

  TuneOptions options;
  options.strategy = line.get<std::string>("strategy");
  options.seed = line.get<std::uint64_t>("seed");
  options.extend = line.has("extend");
  // An ablation isn't what the database's readers are to run.
  options.final_rounds = !line.has("preset");
  if (line.has("budget")) options.budget_s = parse_seconds(line.get<std::string>("budget"));
  if (line.has("shard")) parse_shard(line.get<std::string>("shard"), &options);
  if (line.has("trials")) {
    const std::string trials = line.get<std::string>("trials");
    if (trials == "all") {
      options.trials = std::numeric_limits<std::uint64_t>::max();
      options.strategy = "exhaustive";
    } else {
      options.trials = parse_count(trials, "--trials");
      if (options.trials == 0)
        throw Error(Code::kUsage, "--trials 0 would try nothing; give at least 1");
    }
  } else if (options.budget_s == 0) {
    options.budget_s = kDefaultBudgetS;
  }
  make_strategy(options.strategy, SearchSpace({}),
                options.seed);  // an unknown name is refused before any work

  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  Database database(line.database(), Database::Mode::kWrite);
  Evaluator evaluator(
      catalog, {line.get<std::string>("device"), line.templates(), options.seed, "/proc/self/exe"});
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, [](int) { Evaluator::interrupt(); });

  const bool modelled = evaluator.device().identity().simulated();
  ProgressLine display(line.json() ? stderr : stdout);
  std::int64_t made = 0;
  TuneProgress progress;
  progress.trial = [&](const Task&, const Trial& trial) {
    ++made;
    if (line.json()) print_json(progress_json(trial));
  };
  progress.problem = [&](const Outcome& outcome) {
    if (line.json())
      print_json(json_of(outcome, modelled));
    else
      display.line(line_of(outcome, modelled));
  };
  progress.status = [&](const std::string& what, std::size_t done, std::size_t all, double left_s) {
    const std::string left = left_s < 0 ? "" : fmt::format(", {:.0f} s left", left_s);
    display.update(fmt::format("[{}/{}] {} trials{}: {}", done, all, made, left, what));
  };
  const std::vector<Outcome> outcomes = tune(evaluator, database, tasks, options, progress);
  display.update("");

  std::size_t without = 0;
  for (const Outcome& outcome : outcomes) without += !outcome.winner;
  if (!line.json()) {
    print_outcomes(stdout, outcomes, tasks);
    if (modelled)
      fmt::print("\nAll times are modelled: {} is simulated, and nothing here was measured.\n",
                 evaluator.device().identity().name);
    fmt::print("\n{} trials made; results in {}\n", made, database.file().string());
  }
  if (Evaluator::interrupted()) {
    fmt::print(stderr, "hone tune: interrupted; the same command goes on from here\n");
    return 1;
  }
  if (without > 0) {
    fmt::print(stderr, "hone tune: {} of {} problems have no result\n", without, outcomes.size());
    return 1;
  }
  return 0;
}

const RegisterCommand kTune({"tune", "searches the fastest kernels for problems or a model",
                             run_tune});

}  // namespace
}  // namespace hone
