// The end of each problem: results in every layout that its handle may take, and the final round.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/kernel.h"
#include "tuner/tune_run.h"

namespace hone {
namespace {

constexpr std::size_t kFastest = 3;  // finalists by time alone
constexpr int kLayoutTrials =
    6;  // per problem and layout that another bucket of the handle prefers
constexpr int kLayoutDraws = 400;  // random configs looked at to find one of a layout

}  // namespace

std::string TuneRun::layout_at(const Work& work, const Point& point) const {
  return layout_of(*work.variants[static_cast<std::size_t>(point.variant)], point.config,
                   work.scope);
}

void TuneRun::fill_layout(const std::vector<std::size_t>& members, Work& work,
                          const std::string& layout, double seconds) {
  if (fastest(work, &layout) || work.variants.empty()) return;
  const auto begin_time = Clock::now();
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
    return Evaluator::interrupted() || left_s() <= 0 || since(begin_time) >= seconds;
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

const Trial* TuneRun::next_winner(const Work& work, const Members& members) const {
  const Op& op = evaluator_.catalog().op(work.outcome.task.problem.op);
  const Trial* next = nullptr;
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t i : members) {
    const Work& other = works_[i];
    if (&other == &work || !other.outcome.winner) continue;
    double apart = 0;
    const auto extent = [](const Work& of, const std::string& dim) {
      return static_cast<double>(std::max<std::int64_t>(1, of.scope.integer(dim)));
    };
    for (const std::string& dim : op.dynamic_dims())
      apart += std::abs(std::log2(extent(work, dim) / extent(other, dim)));
    if (apart < nearest) nearest = apart, next = &*other.outcome.winner;
  }
  return next;
}

void TuneRun::finish(Work& work, const std::set<std::string>& layouts, const Members& members) {
  const bool was_done = work.done;
  work.done = true;
  if (options_.final_rounds && work.stale_final && !work.trials.empty() && in_grace())
    final_round(work, layouts, members);
  const auto valid = [&](const Trial& trial) { return in_space(work, trial); };
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

void TuneRun::final_round(Work& work, const std::set<std::string>& layouts,
                          const Members& members) {
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
  const Trial* next = next_winner(work, members);
  if (next != nullptr) choose(fastest(work, &next->layout, &next->variant));

  say(work, "finalists of");
  std::vector<Attempt> attempts;
  std::vector<Finalist> finalists;
  for (const Trial* trial : chosen) {
    const Template& variant = *work.variants[*variant_of(work, *trial)];
    const Config config = Values::parse(trial->config);
    attempts.push_back({&variant, config, trial->is_default, true});
    Finalist finalist;
    finalist.is_default = trial->is_default;
    finalist.as_next_bucket = next != nullptr && trial->variant == next->variant;
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
    trial.final_ns = std::max<std::int64_t>(1, std::llround(finalists[i].measured.median_s * 1e9));
    result.push_back(trial);
    if (kept.insert(trial.layout).second) {
      const Binary binary = evaluator_.binary_of(attempts[i]);
      database_.put_binary(binary.source, binary.target, binary.code);
    }
  }
  database_.put_final(result);
  load_trials(work);
}

}  // namespace hone
