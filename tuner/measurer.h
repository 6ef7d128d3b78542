// How long a kernel takes: a stated policy, the median of samples, and how far they spread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "tuner/call.h"
#include "tuning_db/record.h"

namespace hone {

struct MeasurePolicy {
  double warm_up_s = 0.002;  // runs before anything counts; at least one run
  double sample_s =
      0.0004;  // a sample repeats the call until it lasts this long: far above the clock's grain
  int least_samples = 5;
  int most_samples = 40;
  double target_spread =
      0.02;  // interquartile range / median at which more samples aren't worth their time
  double limit_s = 0.15;         // per candidate; the least samples are taken whatever they cost
  double unstable_spread = 2.0;  // beyond this, time after time, there is no time worth keeping
  int tries = 3;                 // measurements before a candidate counts as unstable
  int reject_after = 3;          // samples, all of them ...
  double reject_ratio = 2.0;     // ... this much slower than the best so far: it can't win, stop
  double cold_bytes_least = 64 << 20;  // cold arguments rotate over copies of at least this total,
  double cold_cache_ratio = 2.0;       // and at least this many last-level caches
  int final_rounds = 15;               // interleaved samples per finalist
  double final_sample_s = 0.002;
  double final_limit_s = 1.5;  // for the whole final round; at least 5 rounds are run
};

// For a device whose times are modelled: they don't vary, and each one costs a simulation.
MeasurePolicy modelled_policy();

struct Measurement {
  double median_s = 0;
  double spread = 0;  // interquartile range / median
  int samples = 0;
  bool rejected = false;  // stopped early: too slow to win
};

// `run(repeats)` returns the seconds that `repeats` calls took. `best_s`: the best median so far, 0
// when there is none.
using TimedRun = std::function<double(int repeats)>;
Measurement measure(const TimedRun& run, const MeasurePolicy& policy, double best_s);

// All in turn, round after round, so that drift of the machine hits everybody alike.
std::vector<Measurement> measure_interleaved(const std::vector<TimedRun>& runs,
                                             const MeasurePolicy& policy);

// The cache that cold data must outgrow, by a target's limits; 0 where none is known.
std::int64_t last_level_bytes(const Values& limits);

double median_of(std::vector<double> values);
double spread_of(std::vector<double> values);  // interquartile range / median

// The memory that timed calls of one problem use: cold arguments in rotating copies, everything
// else hot. Copies of one layout are shared by all candidates that read it. Not thread safe.
class TimingMemory {
 public:
  // All outlive it. `last_level_bytes`: the cache that cold data must outgrow.
  TimingMemory(Device& device, const Call& call, const MeasurePolicy& policy,
               std::int64_t last_level_bytes);
  ~TimingMemory();
  TimingMemory(const TimingMemory&) = delete;
  TimingMemory& operator=(const TimingMemory&) = delete;

  // A function that calls the candidate, each time on the next copy. Valid while both live.
  // Throws Error(kDevice) when there isn't enough memory or the device refuses to pack.
  std::function<void()> prepare(const Candidate& candidate);
  // The argument pointers of every step of a rotation, as prepare() uses them.
  std::vector<std::vector<void*>> steps(const Candidate& candidate);
  std::int64_t bytes() const { return bytes_; }  // held for rotating copies
  bool refused() const { return refused_; }      // a launch failed since the last prepare()

  // Trial::timed, e.g. "w cold in 19 copies"; "hot" when nothing is cold.
  const std::string& policy_text() const { return policy_text_; }

 private:
  struct Rotation {
    std::vector<void*> copies;  // into `memory`
    void* memory = nullptr;
  };
  const Rotation& rotation(std::size_t argument, const Candidate& candidate);

  Device& device_;
  const Call& call_;
  double cold_total_;
  std::map<std::string, Rotation> rotations_;  // "argument" or "argument layout"
  void* workspace_ = nullptr;
  std::int64_t workspace_bytes_ = 0;
  std::int64_t bytes_ = 0;
  std::string policy_text_ = "hot";
  bool refused_ = false;
};

}  // namespace hone
