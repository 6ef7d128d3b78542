#include "tuner/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace hone {
namespace {

constexpr double kTieLeast = 0.02;  // finalists closer than this are equal ...
constexpr double kTieMost = 0.06;   // ... and never further than this, however noisy the round
constexpr double kTieErrors = 3;    // standard errors of the difference of two medians

}  // namespace

bool works(const Trial& trial) { return trial.status == Status::kOk && trial.median_ns > 0; }

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
    const auto rank = [](const Finalist& one) {
      return std::tuple(!one.as_next_bucket, !one.is_default, one.threads, one.workspace_bytes,
                        one.measured.median_s);
    };
    if (rank(other) < rank(finalists[winner])) winner = i;
  }
  for (const Finalist& finalist : finalists)
    if (finalist.is_default && finalists[winner].measured.median_s > finalist.measured.median_s)
      return fastest;
  return winner;
}

Outcome outcome_of(const Task& task, const std::vector<Trial>& trials,
                   const Database::Valid& valid) {
  Outcome outcome;
  outcome.task = task;
  for (const Trial& trial : trials) {
    if (!valid(trial)) continue;
    ++outcome.trials;
    if (trial.is_default && works(trial)) outcome.default_ns = counted_ns(trial);
    if (works(trial) && (!outcome.winner || ranks_before(trial, *outcome.winner)))
      outcome.winner = trial;
    if (!works(trial) && outcome.note.empty() && trial.is_default)
      outcome.note = fmt::format("the default is {}: {}", to_text(trial.status), trial.reason);
  }
  if (outcome.winner) outcome.note.clear();
  return outcome;
}

}  // namespace hone
