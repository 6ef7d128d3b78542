#include "tuner/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <thread>

#include "codegen/error.h"
#include "tuner/modelled_order.h"
#include "tuner/tune_run.h"

namespace hone {
namespace {

constexpr std::chrono::duration<double> kCeilingsBudget{3.0};
// Of a handle's time; the rest is for layouts and final rounds.
constexpr double kSearchShare = 0.75;
// Of the budget is split evenly, the rest by estimated cost.
constexpr double kEvenShare = 0.5;
// Configs that are compiled to be modelled before a GPU's search; one in so many is tried, in the
// model's order. They may take so much of the search's time.
constexpr std::uint64_t kModelledPool = 32, kModelledShare = 4;
constexpr double kModelledTimeShare = 0.2;
// Per second: only to weigh problems against each other.
constexpr double kGuessFlops = 5e10, kGuessBytes = 1e10;
// Behind the deadline, the default of a problem that has nothing yet and final rounds may still
// begin: without them the rest was for nothing.
constexpr double kGraceShare = 0.1, kLeastGraceS = 5;

}  // namespace

TuneRun::TuneRun(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
                 const TuneOptions& options, const TuneProgress& progress)
    : evaluator_(evaluator),
      database_(database),
      options_(options),
      progress_(progress),
      device_key_(evaluator.device().identity().key()) {
  if (options.budget_s > 0)
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(options.budget_s));
  ceilings_ = ceilings_of(database, evaluator.device());
  collect(tasks);
}

std::vector<Outcome> TuneRun::all() {
  std::vector<double> shares;
  for (const auto& [handle, members] : groups_) shares.push_back(share_of(members));
  // The costly last: they get what the others leave over, and others can't starve behind them.
  std::vector<std::size_t> order(groups_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return shares[a] < shares[b]; });
  double left = 0;
  for (double share : shares) left += share;
  for (std::size_t i : order) {
    const double part = left > 0 ? shares[i] / left : 0;
    left -= shares[i];
    group(groups_[i].second, part);
  }
  std::vector<Outcome> outcomes;
  for (Work& work : works_) outcomes.push_back(std::move(work.outcome));
  return outcomes;
}

void TuneRun::collect(const std::vector<Task>& tasks) {
  const Target& target = evaluator_.device().target();
  const Catalog& catalog = evaluator_.catalog();
  std::set<std::string> known;
  std::map<std::int64_t, double> step_cost;
  std::map<std::string, std::size_t> group_of;
  std::set<std::pair<std::string, std::string>> stored;
  std::vector<double> costs;
  for (const Task& task : tasks) {
    if (!known.insert(task.problem.text()).second) continue;
    const Op& op = catalog.op(task.problem.op);
    const std::string handle = op.handle(task.problem).text();
    if (hash_of(handle).low % options_.shards != options_.shard) continue;
    Work work;
    work.outcome.task = task;
    work.scope = op.scope(task.problem);
    const double cost =
        static_cast<double>(task.count) *
        std::max(static_cast<double>(op.flops.integer(lookup_in(work.scope))) / kGuessFlops,
                 static_cast<double>(op.cost_bytes(work.scope)) / kGuessBytes);
    costs.push_back(cost);
    step_cost[task.tokens] += cost;
    work.scope.merge(target.limits);
    std::vector<Space> spaces;
    for (const Template& variant : catalog.variants(op.name)) {
      if (!variant.serves_problem(work.scope, target.backend)) continue;
      Space space(variant, work.scope);
      if (space.count() == 0) continue;
      work.variants.push_back(&variant);
      spaces.push_back(std::move(space));
      if (stored.emplace(op.name, variant.variant).second)
        database_.put_template(variant.hash, op.name, variant.variant, variant.text);
    }
    work.space = std::make_unique<SearchSpace>(std::move(spaces));
    load_trials(work);
    work.done = !options_.extend && finished(work);
    work.stale_final = !work.done;
    work.outcome.trials = static_cast<std::int64_t>(work.trials.size());
    const auto [at, fresh] = group_of.emplace(handle, groups_.size());
    if (fresh) groups_.push_back({handle, {}});
    groups_[at->second].second.push_back(works_.size());
    works_.push_back(std::move(work));
  }
  // Each step of a model (decode, prefill) weighs the same.
  for (std::size_t i = 0; i < works_.size(); ++i)
    works_[i].weight =
        (kEvenShare + (1 - kEvenShare) * costs[i] / step_cost[works_[i].outcome.task.tokens] *
                          static_cast<double>(works_.size()) /
                          static_cast<double>(step_cost.size()));
}

void TuneRun::load_trials(Work& work) const {
  work.trials.clear();
  for (Trial& trial : database_.trials(device_key_, work.outcome.task.problem.text()))
    if (in_space(work, trial) && trial.status != Status::kBuilt)
      work.trials.push_back(std::move(trial));
}

std::optional<std::size_t> TuneRun::variant_of(const Work& work, const Trial& trial) {
  for (std::size_t i = 0; i < work.variants.size(); ++i)
    if (work.variants[i]->variant == trial.variant && work.variants[i]->hash == trial.template_hash)
      return i;
  return std::nullopt;
}

bool TuneRun::in_space(const Work& work, const Trial& trial) {
  const auto variant = variant_of(work, trial);
  return variant && work.space->spaces()[*variant].contains(Values::parse(trial.config));
}

bool TuneRun::finished(const Work& work) const {
  std::set<std::size_t> tried;
  bool winner = false;
  for (const Trial& trial : work.trials) {
    tried.insert(*variant_of(work, trial));
    winner |= trial.preference == 1;
  }
  const std::uint64_t wanted = std::min(options_.trials, work.space->count());
  return winner && tried.size() == work.variants.size() && work.trials.size() >= wanted;
}

double TuneRun::share_of(const std::vector<std::size_t>& members) const {
  double share = 0;
  for (std::size_t i : members)
    if (!works_[i].done) share += works_[i].weight;
  return share;
}

double TuneRun::left_s() const {
  if (!deadline_) return std::numeric_limits<double>::infinity();
  return std::chrono::duration<double>(*deadline_ - Clock::now()).count();
}

bool TuneRun::in_grace() const {
  return left_s() > -std::max(kLeastGraceS, kGraceShare * options_.budget_s);
}

double TuneRun::since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void TuneRun::say(const Work& work, const char* what) {
  if (!progress_.status) return;
  std::size_t done = 0;
  for (const Work& other : works_) done += other.done;
  progress_.status(fmt::format("{} {}", what, work.outcome.task.problem.text()), done,
                   works_.size(), deadline_ ? left_s() : -1);
}

void TuneRun::group(const std::vector<std::size_t>& members, double part) {
  const double slice = std::max(0.0, left_s()) * part;
  double share = share_of(members);
  double search_s = slice * kSearchShare;
  for (std::size_t i : members) {
    Work& work = works_[i];
    if (work.done || Evaluator::interrupted()) continue;
    const auto begin = Clock::now();
    search(work, share > 0 ? search_s * work.weight / share : 0);
    share -= work.weight;
    search_s =
        std::max(0.0, search_s - std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::set<std::string> layouts = {""};
  for (std::size_t i : members)
    if (const Trial* best = fastest(works_[i])) layouts.insert(best->layout);
  const double layout_s = deadline_
                              ? slice * (1 - kSearchShare) / static_cast<double>(2 * members.size())
                              : std::numeric_limits<double>::infinity();
  for (std::size_t i : members) {
    if (Evaluator::interrupted()) return;
    if (members.size() > 1)
      for (const std::string& layout : layouts) fill_layout(members, works_[i], layout, layout_s);
    finish(works_[i], layouts, members);
  }
}

const Trial* TuneRun::fastest(const Work& work, const std::string* layout,
                              const std::string* variant) {
  const Trial* best = nullptr;
  for (const Trial& trial : work.trials)
    if (works(trial) && (!layout || trial.layout == *layout) &&
        (!variant || trial.variant == *variant) && (!best || counted_ns(trial) < counted_ns(*best)))
      best = &trial;
  return best;
}

void TuneRun::begin(const Work& work) {
  if (current_ == &work) return;
  evaluator_.begin(work.outcome.task.problem, ceilings_);
  current_ = &work;
}

Attempt TuneRun::attempt_of(const Work& work, const Point& point) const {
  Attempt attempt{work.variants[static_cast<std::size_t>(point.variant)], point.config, false,
                  true};
  attempt.is_default = point.variant == 0 && point.config == work.space->spaces().front().start();
  return attempt;
}

bool TuneRun::tried(const Work& work, const Point& point) {
  const Template& variant = *work.variants[static_cast<std::size_t>(point.variant)];
  const std::string config = point.config.text();
  return std::any_of(work.trials.begin(), work.trials.end(), [&](const Trial& trial) {
    return trial.config == config && trial.template_hash == variant.hash;
  });
}

void TuneRun::attempt(Work& work, const std::vector<Point>& points,
                      const std::function<bool()>& stop,
                      const std::function<void(const Point&, const Trial&)>& told) {
  std::vector<Attempt> attempts;
  std::vector<Point> open;
  for (const Point& point : points) {
    Attempt made = attempt_of(work, point);
    // Another tuner on the same database may have been here meanwhile.
    if (auto known = database_.find_trial(device_key_, work.outcome.task.problem.text(),
                                          made.variant->hash, made.config.text());
        known && known->status != Status::kBuilt) {
      told(point, *known);
      work.trials.push_back(std::move(*known));
      continue;
    }
    attempts.push_back(std::move(made));
    open.push_back(point);
  }
  if (attempts.empty()) return;
  begin(work);
  const Trial* best = fastest(work);
  std::size_t next = 0;
  evaluator_.run(attempts, best ? static_cast<double>(best->median_ns) * 1e-9 : 0, stop,
                 [&](const Trial& trial) {
                   database_.put_trial(trial);
                   work.outcome.fresh = work.stale_final = true;
                   if (progress_.trial) progress_.trial(work.outcome.task, trial);
                   told(open[next++], trial);
                   work.trials.push_back(trial);
                 });
}

void TuneRun::search(Work& work, double seconds) {
  if (work.variants.empty()) return;
  say(work, "searching");
  const auto begin_time = Clock::now();
  const auto strategy = make_strategy(options_.strategy, *work.space, options_.seed);
  const auto tell = [&](const Point& point, const Trial& trial) {
    strategy->tell(point, works(trial) ? std::optional(static_cast<double>(trial.median_ns) * 1e-9)
                                       : std::nullopt);
  };
  for (const Trial& trial : work.trials)
    tell({static_cast<int>(*variant_of(work, trial)), Values::parse(trial.config)}, trial);
  const auto enough = [&] {
    return Evaluator::interrupted() ||
           (options_.trials > 0 && work.trials.size() >= options_.trials);
  };
  // The default is tried even a little behind the deadline; other variants' starts while there is
  // time.
  std::vector<Point> starts;
  for (std::size_t i = 0; i < work.variants.size(); ++i) {
    Point point{static_cast<int>(i), work.space->spaces()[i].start()};
    if (!tried(work, point)) starts.push_back(std::move(point));
  }
  attempt(
      work, starts,
      [&] {
        return Evaluator::interrupted() || (work.trials.empty() ? !in_grace() : left_s() <= 0);
      },
      tell);
  const int batch = 2 * static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
  const auto stop = [&] {
    return enough() || left_s() <= 0 || (deadline_ && since(begin_time) >= seconds);
  };
  // A GPU's search begins where the model expects the best.
  if (!stop()) {
    const std::size_t pool = std::min<std::uint64_t>(
        kModelledPool, options_.trials > 0 ? options_.trials : kModelledPool);
    const std::vector<Point> first = modelled_first(
        evaluator_.catalog(), evaluator_.backend(), evaluator_.device(), work.outcome.task.problem,
        work.variants, *work.space, pool, std::max<std::size_t>(1, pool / kModelledShare),
        options_.seed,
        [&] { return stop() || (deadline_ && since(begin_time) >= kModelledTimeShare * seconds); });
    std::vector<Point> open;
    for (const Point& point : first)
      if (!tried(work, point)) open.push_back(point);
    attempt(work, open, stop, tell);
  }
  while (!stop()) {
    int most = batch;
    if (options_.trials > 0)
      most = static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(batch),
                                                      options_.trials - work.trials.size()));
    const std::vector<Point> points = strategy->ask(most);
    if (points.empty()) break;
    attempt(work, points, stop, tell);
    say(work, "searching");
  }
}

Ceilings ceilings_of(Database& database, Device& device) {
  database.put_device(device.identity());
  const std::string key = device.identity().key();
  Ceilings ceilings = database.ceilings(key);
  if (ceilings.empty()) {
    ceilings = device.measure_ceilings(kCeilingsBudget);
    database.put_ceilings(key, ceilings);
  }
  return ceilings;
}

std::vector<Outcome> tune(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
                          const TuneOptions& options, const TuneProgress& progress) {
  return TuneRun(evaluator, database, tasks, options, progress).all();
}

}  // namespace hone
