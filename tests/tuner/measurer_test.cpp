#include "tuner/measurer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tuner/tune.h"

namespace hone {
namespace {

// A machine whose calls take `seconds`, with noise that only adds, and a clock that can't fail.
struct FakeMachine {
  double seconds;
  double noise = 0;
  std::mt19937_64 random{1};
  int calls = 0;
  double run(int repeats) {
    calls += repeats;
    const double extra = noise * std::exponential_distribution<double>(1)(random);
    return seconds * repeats * (1 + extra);
  }
  TimedRun timed() {
    return [this](int repeats) { return run(repeats); };
  }
};

TEST(Measurer, StopsAtTheLeastSamplesWhenNothingSpreads) {
  FakeMachine machine{1e-6};
  const MeasurePolicy policy;
  const Measurement result = measure(machine.timed(), policy, 0);
  EXPECT_NEAR(result.median_s, 1e-6, 1e-12);
  EXPECT_EQ(result.samples, policy.least_samples);
  EXPECT_FALSE(result.rejected);
}

TEST(Measurer, TakesMoreSamplesWhileTheySpread) {
  FakeMachine machine{1e-6, 0.5};
  MeasurePolicy policy;
  policy.limit_s = 100;
  const Measurement result = measure(machine.timed(), policy, 0);
  EXPECT_EQ(result.samples, policy.most_samples);
  EXPECT_GT(result.spread, policy.target_spread);
}

TEST(Measurer, KeepsToItsTimeLimit) {
  FakeMachine machine{0.02, 0.5};
  const MeasurePolicy policy;
  const Measurement result = measure(machine.timed(), policy, 0);
  EXPECT_LE(result.samples,
            1 + std::max<int>(policy.least_samples, static_cast<int>(policy.limit_s / 0.02)));
}

TEST(Measurer, MakesSamplesLongEnoughForTheClock) {
  FakeMachine machine{10e-9};
  MeasurePolicy policy;
  int longest = 0;
  measure(
      [&](int repeats) {
        longest = std::max(longest, repeats);
        return machine.run(repeats);
      },
      policy, 0);
  EXPECT_GE(longest * 10e-9, policy.sample_s * 0.99);
}

TEST(Measurer, RejectsEarlyWhatCannotWin) {
  FakeMachine machine{1e-4, 0.05};
  const MeasurePolicy policy;
  const Measurement result = measure(machine.timed(), policy, 1e-5);
  EXPECT_TRUE(result.rejected);
  EXPECT_EQ(result.samples, policy.reject_after);
}

TEST(Measurer, InterleavesInEveryRound) {
  std::vector<int> order;
  std::vector<TimedRun> runs;
  for (int i = 0; i < 3; ++i)
    runs.push_back([&order, i](int repeats) {
      order.push_back(i);
      return 1e-3 * repeats * (i + 1);
    });
  MeasurePolicy policy;
  policy.final_limit_s = 1e9;
  const auto results = measure_interleaved(runs, policy);
  for (int i = 0; i < 3; ++i)
    EXPECT_NEAR(results[static_cast<std::size_t>(i)].median_s, 1e-3 * (i + 1), 1e-9);
  const std::vector<int> tail(order.end() - 9, order.end());
  for (int round = 0; round < 3; ++round) {
    const std::set<int> met(tail.begin() + 3 * round, tail.begin() + 3 * round + 3);
    EXPECT_EQ(met.size(), 3u);
  }
}

TEST(Measurer, QuantilesInterpolate) {
  EXPECT_DOUBLE_EQ(median_of({4, 1, 2, 3}), 2.5);
  EXPECT_DOUBLE_EQ(spread_of({1, 2, 3, 4, 5}), 2.0 / 3);
}

Finalist finalist(double seconds, bool is_default, std::int64_t threads = 1,
                  std::int64_t workspace = 0) {
  return {{seconds, 0.005, 15, false}, is_default, threads, workspace, false};
}

TEST(Winner, FasterBeyondTheBandWins) {
  EXPECT_EQ(choose_winner({finalist(1.0, true), finalist(0.9, false), finalist(0.95, false)}), 1u);
}

TEST(Winner, DefaultWinsATie) {
  EXPECT_EQ(choose_winner({finalist(0.995, false), finalist(1.0, true)}), 1u);
}

TEST(Winner, FewerThreadsThenLessWorkspaceWinATie) {
  EXPECT_EQ(choose_winner({finalist(0.90, false, 2), finalist(0.905, false, 1), finalist(2, true)}),
            1u);
  EXPECT_EQ(choose_winner(
                {finalist(0.90, false, 1, 4096), finalist(0.905, false, 1, 64), finalist(2, true)}),
            1u);
}

TEST(Winner, TheNextBucketsVariantWinsATieAndOnlyThat) {
  Finalist same = finalist(0.99, false);
  same.as_next_bucket = true;
  EXPECT_EQ(choose_winner({finalist(0.98, false), same, finalist(1.0, true)}), 1u);
  EXPECT_EQ(choose_winner({finalist(0.9, false), same, finalist(1.0, true)}), 0u);
  same.measured.median_s = 1.005;
  EXPECT_EQ(choose_winner({finalist(0.99, false), same, finalist(1.0, true)}), 0u);
}

TEST(Winner, NeverSlowerThanTheDefault) {
  // The default lies a hair outside the fastest's band, a simpler one just inside it but behind the
  // default.
  const std::vector<Finalist> finalists = {finalist(1.0, false, 2), finalist(1.018, false, 1),
                                           finalist(1.005, true, 2)};
  const std::size_t winner = choose_winner(finalists);
  EXPECT_LE(finalists[winner].measured.median_s, 1.005);
}

TEST(Winner, NoiseWidensTheBandUpToALimit) {
  Finalist fast = finalist(1.0, false), start = finalist(1.05, true);
  fast.measured.spread = start.measured.spread = 0.3;
  EXPECT_EQ(choose_winner({fast, start}), 1u);
  start.measured.median_s = 1.2;
  EXPECT_EQ(choose_winner({fast, start}), 0u);
}

}  // namespace
}  // namespace hone
