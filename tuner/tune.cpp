#include "tuner/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <thread>

#include "codegen/error.h"
#include "runtime/kernel.h"
#include "tuner/strategy.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::duration<double> kCeilingsBudget{3.0};
constexpr double kSearchShare =
    0.75;                           // of a handle's time; the rest is for layouts and final rounds
constexpr double kEvenShare = 0.5;  // of the budget is split evenly, the rest by estimated cost
constexpr double kGuessFlops = 5e10,
                 kGuessBytes = 1e10;  // per second: only to weigh problems against each other
constexpr std::size_t kFastest = 3;   // finalists by time alone
constexpr int kLayoutTrials =
    6;  // per problem and layout that another bucket of the handle prefers
constexpr int kLayoutDraws = 400;   // random configs looked at to find one of a layout
constexpr double kTieLeast = 0.02;  // finalists closer than this are equal ...
constexpr double kTieMost = 0.06;   // ... and never further than this, however noisy the round
constexpr double kTieErrors = 3;    // standard errors of the difference of two medians

// One problem of the run, and everything known about it.
struct Work {
  Outcome outcome;
  std::vector<const Template*> variants;  // that serve it, by name
  Values scope;                           // with the target's limits
  std::unique_ptr<SearchSpace> space;
  std::vector<Trial> trials;  // of the templates at hand
  double weight = 0;
  bool done = false;        // had its share before this run
  bool stale_final = true;  // its final round doesn't know all trials
};

bool works(const Trial& trial) { return trial.status == Status::kOk && trial.median_ns > 0; }

std::int64_t time_of(const Trial& trial) {
  return trial.final_ns > 0 ? trial.final_ns : trial.median_ns;
}

class Run {
 public:
  Run(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
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

  std::vector<Outcome> all() {
    std::vector<double> shares;
    for (const auto& [handle, members] : groups_) shares.push_back(share_of(members));
    // The costly first: what they leave over flows to the others.
    std::vector<std::size_t> order(groups_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return shares[a] > shares[b]; });
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

 private:
  void collect(const std::vector<Task>& tasks) {
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

  void load_trials(Work& work) const {
    work.trials.clear();
    for (Trial& trial : database_.trials(device_key_, work.outcome.task.problem.text()))
      if (variant_of(work, trial) && trial.status != Status::kBuilt)
        work.trials.push_back(std::move(trial));
  }

  // The index of the trial's template among the variants at hand.
  static std::optional<std::size_t> variant_of(const Work& work, const Trial& trial) {
    for (std::size_t i = 0; i < work.variants.size(); ++i)
      if (work.variants[i]->variant == trial.variant &&
          work.variants[i]->hash == trial.template_hash)
        return i;
    return std::nullopt;
  }

  // Had a final round, every variant was tried, and no more trials are asked for.
  bool finished(const Work& work) const {
    std::set<std::size_t> tried;
    bool winner = false;
    for (const Trial& trial : work.trials) {
      tried.insert(*variant_of(work, trial));
      winner |= trial.preference == 1;
    }
    const std::uint64_t wanted = std::min(options_.trials, work.space->count());
    return winner && tried.size() == work.variants.size() && work.trials.size() >= wanted;
  }

  double share_of(const std::vector<std::size_t>& members) const {
    double share = 0;
    for (std::size_t i : members)
      if (!works_[i].done) share += works_[i].weight;
    return share;
  }

  double left_s() const {
    if (!deadline_) return std::numeric_limits<double>::infinity();
    return std::chrono::duration<double>(*deadline_ - Clock::now()).count();
  }

  static bool past(double end_s, Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count() >= end_s;
  }

  void say(const Work& work, const char* what) {
    if (!progress_.status) return;
    std::size_t done = 0;
    for (const Work& other : works_) done += other.done;
    progress_.status(fmt::format("{} {}", what, work.outcome.task.problem.text()), done,
                     works_.size(), deadline_ ? left_s() : -1);
  }

  void group(const std::vector<std::size_t>& members, double part) {
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
    const double layout_s =
        deadline_ ? slice * (1 - kSearchShare) / static_cast<double>(2 * members.size())
                  : std::numeric_limits<double>::infinity();
    for (std::size_t i : members) {
      if (Evaluator::interrupted()) return;
      if (members.size() > 1)
        for (const std::string& layout : layouts) fill_layout(members, works_[i], layout, layout_s);
      finish(works_[i], layouts);
    }
  }

  static const Trial* fastest(const Work& work, const std::string* layout = nullptr) {
    const Trial* best = nullptr;
    for (const Trial& trial : work.trials)
      if (works(trial) && (!layout || trial.layout == *layout) &&
          (!best || time_of(trial) < time_of(*best)))
        best = &trial;
    return best;
  }

  void begin(const Work& work) {
    if (current_ == &work) return;
    evaluator_.begin(work.outcome.task.problem, ceilings_);
    current_ = &work;
  }

  Attempt attempt_of(const Work& work, const Point& point) const {
    Attempt attempt{work.variants[static_cast<std::size_t>(point.variant)], point.config, false,
                    true};
    attempt.is_default = point.variant == 0 && point.config == work.space->spaces().front().start();
    return attempt;
  }

  static bool tried(const Work& work, const Point& point) {
    const Template& variant = *work.variants[static_cast<std::size_t>(point.variant)];
    const std::string config = point.config.text();
    return std::any_of(work.trials.begin(), work.trials.end(), [&](const Trial& trial) {
      return trial.config == config && trial.template_hash == variant.hash;
    });
  }

  // Tries points that nobody tried yet, and tells what came out, in order of their end.
  void attempt(Work& work, const std::vector<Point>& points, const std::function<bool()>& stop,
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

  void search(Work& work, double seconds) {
    if (work.variants.empty()) return;
    say(work, "searching");
    const auto since = Clock::now();
    const auto strategy = make_strategy(options_.strategy, *work.space, options_.seed);
    const auto tell = [&](const Point& point, const Trial& trial) {
      strategy->tell(point, works(trial)
                                ? std::optional(static_cast<double>(trial.median_ns) * 1e-9)
                                : std::nullopt);
    };
    for (const Trial& trial : work.trials)
      tell({static_cast<int>(*variant_of(work, trial)), Values::parse(trial.config)}, trial);
    const auto enough = [&] {
      return Evaluator::interrupted() ||
             (options_.trials > 0 && work.trials.size() >= options_.trials);
    };
    // The default is tried whatever the time, as long as there is any at all.
    std::vector<Point> starts;
    for (std::size_t i = 0; i < work.variants.size(); ++i) {
      Point point{static_cast<int>(i), work.space->spaces()[i].start()};
      if (!tried(work, point)) starts.push_back(std::move(point));
    }
    attempt(
        work, starts, [&] { return Evaluator::interrupted() || left_s() <= 0; }, tell);
    const int batch = 2 * static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
    const auto stop = [&] {
      return enough() || left_s() <= 0 || (deadline_ && past(seconds, since));
    };
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

  std::string layout_at(const Work& work, const Point& point) const {
    return layout_of(*work.variants[static_cast<std::size_t>(point.variant)], point.config,
                     work.scope);
  }

  // Buckets of a handle share their packed weights: a layout that one of them prefers needs results
  // in all of them.
  void fill_layout(const std::vector<std::size_t>& members, Work& work, const std::string& layout,
                   double seconds) {
    if (fastest(work, &layout) || work.variants.empty()) return;
    const auto since = Clock::now();
    Random random(options_.seed);
    std::vector<Point> candidates;
    const auto add = [&](Point point) {
      if (work.space->contains(point) && layout_at(work, point) == layout && !tried(work, point) &&
          std::find(candidates.begin(), candidates.end(), point) == candidates.end())
        candidates.push_back(std::move(point));
    };
    for (std::size_t i : members) {
      const Trial* best = fastest(works_[i], &layout);
      if (best == nullptr) continue;
      for (std::size_t v = 0; v < work.variants.size(); ++v)
        if (work.variants[v]->variant == best->variant)
          add({static_cast<int>(v), work.space->spaces()[v].nearest(Values::parse(best->config))});
    }
    for (std::size_t v = 0; v < work.variants.size(); ++v)
      add({static_cast<int>(v), work.space->spaces()[v].start()});
    for (int i = 0; i < kLayoutDraws && candidates.size() < kLayoutTrials / 2; ++i)
      add(work.space->sample(random));
    if (candidates.empty()) return;
    say(work, "layouts of");
    const auto stop = [&] {
      return Evaluator::interrupted() || left_s() <= 0 || past(seconds, since);
    };
    std::optional<Point> best;
    std::int64_t best_ns = std::numeric_limits<std::int64_t>::max();
    const auto note = [&](const Point& point, const Trial& trial) {
      if (works(trial) && trial.median_ns < best_ns) best_ns = trial.median_ns, best = point;
    };
    // The first one is tried whatever the time: without it the engine can't compare.
    attempt(
        work, {candidates.front()}, [] { return Evaluator::interrupted(); }, note);
    candidates.erase(candidates.begin());
    int left = kLayoutTrials - 1;
    while (!stop() && left > 0) {
      if (best) {
        std::vector<Point> around = work.space->neighbours(*best);
        std::shuffle(around.begin(), around.end(), random);
        for (Point& point : around) add(std::move(point));
      }
      if (candidates.empty()) return;
      const std::size_t count =
          std::min<std::size_t>({candidates.size(), static_cast<std::size_t>(left), 3});
      const std::vector<Point> points(candidates.begin(),
                                      candidates.begin() + static_cast<std::ptrdiff_t>(count));
      candidates.clear();
      left -= static_cast<int>(count);
      attempt(work, points, stop, note);
    }
  }

  // Finalists: the default, the fastest, and the fastest of each layout in question.
  void finish(Work& work, const std::set<std::string>& layouts) {
    const bool was_done = work.done;
    work.done = true;
    if (work.stale_final && !work.trials.empty() && left_s() > -kFinalGraceS)
      final_round(work, layouts);
    const auto valid = [&](const Trial& trial) { return variant_of(work, trial).has_value(); };
    Outcome outcome = outcome_of(
        work.outcome.task, database_.trials(device_key_, work.outcome.task.problem.text()), valid);
    outcome.fresh = work.outcome.fresh;
    if (!outcome.winner && work.variants.empty())
      outcome.note = "no variant serves it on this device";
    else if (!outcome.winner && work.trials.empty())
      outcome.note = "no time was left; run the same command again";
    work.outcome = std::move(outcome);
    if (!was_done) say(work, "finished");
    if (progress_.problem) progress_.problem(work.outcome);
  }

  void final_round(Work& work, const std::set<std::string>& layouts) {
    std::vector<const Trial*> ranked;
    for (const Trial& trial : work.trials)
      if (works(trial)) ranked.push_back(&trial);
    if (ranked.empty()) return;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Trial* a, const Trial* b) { return a->median_ns < b->median_ns; });
    std::vector<const Trial*> chosen;
    const auto choose = [&](const Trial* trial) {
      if (trial && std::find(chosen.begin(), chosen.end(), trial) == chosen.end())
        chosen.push_back(trial);
    };
    for (const Trial* trial : ranked)
      if (trial->is_default) choose(trial);
    for (std::size_t i = 0; i < std::min(kFastest, ranked.size()); ++i) choose(ranked[i]);
    for (const std::string& layout : layouts) choose(fastest(work, &layout));

    say(work, "finalists of");
    std::vector<Attempt> attempts;
    std::vector<Finalist> finalists;
    for (const Trial* trial : chosen) {
      const Template& variant = *work.variants[*variant_of(work, *trial)];
      const Config config = Values::parse(trial->config);
      attempts.push_back({&variant, config, trial->is_default, true});
      Finalist finalist;
      finalist.is_default = trial->is_default;
      if (const Value* threads = config.find("threads"))
        if (const auto* number = std::get_if<std::int64_t>(threads)) finalist.threads = *number;
      Values all = work.scope;
      all.merge(config);
      if (!variant.workspace.empty())
        finalist.workspace_bytes = variant.workspace.with(variant.lets).integer(lookup_in(all));
      finalists.push_back(finalist);
    }
    begin(work);
    const auto measured = evaluator_.final_round(attempts);
    if (!measured) return;
    for (std::size_t i = 0; i < finalists.size(); ++i) finalists[i].measured = (*measured)[i];
    const std::size_t winner = choose_winner(finalists);
    std::vector<std::size_t> order(chosen.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      if ((a == winner) != (b == winner)) return a == winner;
      return finalists[a].measured.median_s < finalists[b].measured.median_s;
    });
    std::vector<Trial> result;
    std::set<std::string> kept;  // layouts whose best binary is stored
    for (std::size_t i : order) {
      Trial trial = *chosen[i];
      trial.final_ns =
          std::max<std::int64_t>(1, std::llround(finalists[i].measured.median_s * 1e9));
      result.push_back(trial);
      if (kept.insert(trial.layout).second) {
        const Binary binary = evaluator_.binary_of(attempts[i]);
        database_.put_binary(binary.source, binary.target, binary.code);
      }
    }
    database_.put_final(result);
    load_trials(work);
  }

  // A final round may begin this long after the deadline: without it the search was for nothing.
  static constexpr double kFinalGraceS = 5;

  Evaluator& evaluator_;
  Database& database_;
  const TuneOptions& options_;
  const TuneProgress& progress_;
  std::string device_key_;
  std::optional<Clock::time_point> deadline_;
  Ceilings ceilings_;
  std::vector<Work> works_;
  std::vector<std::pair<std::string, std::vector<std::size_t>>> groups_;  // handle -> problems
  const Work* current_ = nullptr;                                         // the evaluator's problem
};

}  // namespace

std::size_t choose_winner(const std::vector<Finalist>& finalists) {
  std::size_t fastest = 0;
  for (std::size_t i = 1; i < finalists.size(); ++i)
    if (finalists[i].measured.median_s < finalists[fastest].measured.median_s) fastest = i;
  const Measurement& best = finalists[fastest].measured;
  // The standard error of a median is about 1.25 / 1.35 of the interquartile range over the root of
  // the samples.
  const auto error = [](const Measurement& one) {
    return 0.93 * one.spread / std::sqrt(std::max(1, one.samples));
  };
  std::size_t winner = fastest;
  for (std::size_t i = 0; i < finalists.size(); ++i) {
    const Finalist& other = finalists[i];
    const double band = std::clamp(kTieErrors * std::hypot(error(best), error(other.measured)),
                                   kTieLeast, kTieMost);
    if (other.measured.median_s > best.median_s * (1 + band)) continue;
    const Finalist& chosen = finalists[winner];
    if (std::tuple(!other.is_default, other.threads, other.workspace_bytes,
                   other.measured.median_s) < std::tuple(!chosen.is_default, chosen.threads,
                                                         chosen.workspace_bytes,
                                                         chosen.measured.median_s))
      winner = i;
  }
  for (const Finalist& finalist : finalists)
    if (finalist.is_default && finalists[winner].measured.median_s > finalist.measured.median_s)
      return fastest;
  return winner;
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

Outcome outcome_of(const Task& task, const std::vector<Trial>& trials,
                   const Database::Valid& valid) {
  Outcome outcome;
  outcome.task = task;
  for (const Trial& trial : trials) {
    if (!valid(trial)) continue;
    ++outcome.trials;
    if (trial.is_default && works(trial)) outcome.default_ns = time_of(trial);
    if (works(trial) && (!outcome.winner || ranks_before(trial, *outcome.winner)))
      outcome.winner = trial;
    if (!works(trial) && outcome.note.empty() && trial.is_default)
      outcome.note = fmt::format("the default is {}: {}", to_text(trial.status), trial.reason);
  }
  if (outcome.winner) outcome.note.clear();
  return outcome;
}

std::vector<Outcome> tune(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
                          const TuneOptions& options, const TuneProgress& progress) {
  return Run(evaluator, database, tasks, options, progress).all();
}

}  // namespace hone
