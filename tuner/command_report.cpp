// hone report: what a step of a model would take on a GPU that needn't be here, by operator.
#include <fmt/format.h>

#include <map>

#include "codegen/error.h"
#include "tuner/build_plan.h"
#include "tuner/figures.h"
#include "tuner/report.h"
#include "tuner/roofline.h"

namespace hone {
namespace {

// The modelled time of one call; nullopt where it wasn't built or the model has none.
std::optional<std::int64_t> modelled_ns(const Trial& trial) {
  if (trial.status == Status::kCompileFailed || trial.status == Status::kLaunchFailed ||
      trial.figures.empty())
    return std::nullopt;
  const Figures figures = Figures::parse(trial.figures);
  const auto found = figures.find("modelled_ns");
  if (found == figures.end() || !found->is_number()) return std::nullopt;
  return found->get<std::int64_t>();
}

// Modelled times in the place of measured ones.
class ModelledOutcomes {
 public:
  ModelledOutcomes(const Catalog& catalog, const BuildPlan& plan, const std::vector<Task>& tasks)
      : catalog_(catalog), plan_(plan), ceilings_(sim::paper_ceilings(*plan.gpu)) {
    for (const Task& task : tasks) by_problem_[task.problem.text()].task = task;
    for (auto& [problem, outcome] : by_problem_) outcome.note = "no time could be modelled";
    for (const std::string& problem : plan.unserved)
      by_problem_[problem].note = "no variant serves it on this target";
  }

  void add(Trial trial) {
    const auto ns = modelled_ns(trial);
    if (!ns) return;
    Outcome& outcome = by_problem_[trial.problem];
    ++outcome.trials;
    if (outcome.winner && outcome.winner->median_ns <= *ns) return;
    const Op& op = catalog_.op(outcome.task.problem.op);
    const double bound_s =
        roofline(op, op.scope(outcome.task.problem), plan_.target.limits, ceilings_).bound_s;
    trial.median_ns = *ns;
    trial.final_ns = 0;
    trial.bound_ns = std::llround(bound_s * 1e9);
    outcome.winner = std::move(trial);
    outcome.note.clear();
  }

  const Outcome& of(const Task& task) const { return by_problem_.at(task.problem.text()); }
  std::vector<Outcome> all() const {
    std::vector<Outcome> outcomes;
    for (const auto& [problem, outcome] : by_problem_) outcomes.push_back(outcome);
    return outcomes;
  }

 private:
  const Catalog& catalog_;
  const BuildPlan& plan_;
  Ceilings ceilings_;
  std::map<std::string, Outcome> by_problem_;
};

Json json_of(const Task& task, const Outcome& outcome, const BuildPlan& plan) {
  Json object = {{"tokens", task.tokens},          {"role", task.role},
                 {"problem", task.problem.text()}, {"count", task.count},
                 {"target", plan.target.text()},   {"gpu", plan.gpu->name},
                 {"modelled_ns", nullptr}};
  if (!outcome.winner) {
    object["reason"] = outcome.note;
    return object;
  }
  const Trial& best = *outcome.winner;
  object["modelled_ns"] = best.median_ns;
  object["bound_ns"] = best.bound_ns;
  object["fraction"] = static_cast<double>(best.bound_ns) / static_cast<double>(best.median_ns);
  object["variant"] = best.variant;
  object["config"] = best.config;
  object["configs"] = outcome.trials;
  return object;
}

int run_report(const Words& words) {
  CommandLine line("hone report --model MODEL --target TARGET [options]",
                   "Prints what each operator of a model's steps would take on a GPU that needn't "
                   "be here, beside its roofline:\n"
                   "kernels are built as hone build does it, and their times modelled from machine "
                   "code and data sheet. Nothing is\n"
                   "measured. --samples looks further than the start configs.");
  line.add_problems();
  line.add_database();
  line.add_templates();
  line.add_preset();
  line.add_gpu_libraries();
  add_build_options(line);
  line.add_json();
  if (!line.parse(words)) return 0;
  if (!line.has("target"))
    throw Error(Code::kUsage, "name a target, as in --target cuda/sm_80; hone devices lists them");
  const Catalog catalog = line.catalog();
  const std::vector<Task> tasks = tasks_of(line, catalog);
  Database database(line.database(), Database::Mode::kWrite);
  const BuildPlan plan = plan_build(line, catalog, database, tasks);
  if (plan.gpu == nullptr)
    throw Error(Code::kUnsupported, fmt::format("times are modelled for NVIDIA's GPUs only: {} has "
                                                "no model; hone build tells what its compiler says",
                                                plan.target.text()));
  ModelledOutcomes outcomes(catalog, plan, tasks);
  ProgressLine display(line.json() ? stderr : stdout);
  std::size_t done = 0;
  build(plan, catalog, database, [&](const BuildResult& result) {
    display.update(fmt::format("[{}/{}] {}", ++done, plan.jobs.size(), result.trial.problem));
    outcomes.add(result.trial);
  });
  display.update("");
  if (Evaluator::interrupted()) {
    fmt::print(stderr, "hone report: interrupted; the same command goes on from here\n");
    return 1;
  }
  bool complete = true;
  for (const Task& task : tasks) {
    complete &= outcomes.of(task).winner.has_value();
    if (line.json()) print_json(json_of(task, outcomes.of(task), plan));
  }
  if (!line.json()) {
    print_outcomes(stdout, outcomes.all(), tasks);
    fmt::print(
        "\nAll times are modelled for {}, the best of the {} configs built: nothing was "
        "measured.\n",
        plan.gpu->label, plan.jobs.size());
  }
  return complete ? 0 : 1;
}

const RegisterCommand kReport({"report", "models a model's steps on a GPU that needn't be here",
                               run_report});

}  // namespace
}  // namespace hone
