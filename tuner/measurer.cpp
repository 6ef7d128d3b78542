#include "tuner/measurer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr int kMostRepeats = 1 << 20;
constexpr int kLeastFinalRounds = 5;
constexpr std::int64_t kAlignment = 64;

double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// Warms up and finds how many calls make a sample of `sample_s`.
int warm_up(const TimedRun& run, double warm_up_s, double sample_s, double* spent) {
  int repeats = 1;
  double seconds = run(1);
  *spent += seconds;
  for (double warmed = seconds; warmed < warm_up_s || seconds < sample_s / 4;) {
    if (seconds < sample_s && repeats < kMostRepeats) repeats = std::min(kMostRepeats, repeats * 2);
    seconds = run(repeats);
    warmed += seconds;
    *spent += seconds;
  }
  const double wanted = sample_s / std::max(seconds / repeats, 1e-10);
  return static_cast<int>(std::clamp(std::ceil(wanted), 1.0, static_cast<double>(kMostRepeats)));
}

}  // namespace

MeasurePolicy modelled_policy() {
  MeasurePolicy policy;
  policy.warm_up_s = 0;
  policy.sample_s = 0;
  policy.least_samples = policy.most_samples = 1;
  policy.cold_bytes_least = policy.cold_cache_ratio = 0;
  policy.final_rounds = 1;
  policy.final_sample_s = 0;
  return policy;
}

std::int64_t last_level_bytes(const Values& limits) {
  for (const char* name : {"l3_bytes", "l2_bytes"})
    if (limits.has(name)) return limits.integer(name);
  return 0;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return quantile(values, 0.5);
}

double spread_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double middle = quantile(values, 0.5);
  return middle > 0 ? (quantile(values, 0.75) - quantile(values, 0.25)) / middle : 0;
}

Measurement measure(const TimedRun& run, const MeasurePolicy& policy, double best_s) {
  double spent = 0;
  const int repeats = warm_up(run, policy.warm_up_s, policy.sample_s, &spent);
  Measurement result;
  std::vector<double> samples;
  while (static_cast<int>(samples.size()) < policy.most_samples) {
    const double seconds = run(repeats);
    spent += seconds;
    samples.push_back(seconds / repeats);
    const int count = static_cast<int>(samples.size());
    // The fastest sample decides: a disturbance can only add time.
    if (best_s > 0 && count >= policy.reject_after &&
        *std::min_element(samples.begin(), samples.end()) > policy.reject_ratio * best_s) {
      result.rejected = true;
      break;
    }
    if (count < policy.least_samples) continue;
    if (spent > policy.limit_s || spread_of(samples) <= policy.target_spread) break;
  }
  result.median_s = median_of(samples);
  result.spread = spread_of(samples);
  result.samples = static_cast<int>(samples.size());
  return result;
}

std::vector<Measurement> measure_interleaved(const std::vector<TimedRun>& runs,
                                             const MeasurePolicy& policy) {
  double spent = 0;
  std::vector<int> repeats;
  for (const TimedRun& run : runs)
    repeats.push_back(warm_up(run, policy.warm_up_s, policy.final_sample_s, &spent));
  std::vector<std::vector<double>> samples(runs.size());
  for (int round = 0; round < policy.final_rounds; ++round) {
    if (round >= kLeastFinalRounds && spent > policy.final_limit_s) break;
    for (std::size_t step = 0; step < runs.size(); ++step) {
      // Every round begins with another one: none is always right behind the same neighbour's
      // leavings.
      const std::size_t i = (step + static_cast<std::size_t>(round)) % runs.size();
      const double seconds = runs[i](repeats[i]);
      spent += seconds;
      samples[i].push_back(seconds / repeats[i]);
    }
  }
  std::vector<Measurement> results;
  for (const std::vector<double>& own : samples)
    results.push_back({median_of(own), spread_of(own), static_cast<int>(own.size()), false});
  return results;
}

TimingMemory::TimingMemory(Device& device, const Call& call, const MeasurePolicy& policy,
                           std::int64_t last_level_bytes)
    : device_(device),
      call_(call),
      cold_total_(std::max(policy.cold_bytes_least,
                           policy.cold_cache_ratio * static_cast<double>(last_level_bytes))) {}

TimingMemory::~TimingMemory() {
  for (const auto& [name, rotation] : rotations_) device_.release(rotation.memory);
  if (workspace_ != nullptr) device_.release(workspace_);
}

const TimingMemory::Rotation& TimingMemory::rotation(std::size_t index,
                                                     const Candidate& candidate) {
  const CallArgument& argument = call_.arguments[index];
  const auto packed = candidate.packed.find(argument.name);
  const bool is_packed = packed != candidate.packed.end();
  const std::string key = is_packed ? argument.name + " " + candidate.layout : argument.name;
  if (const auto known = rotations_.find(key); known != rotations_.end()) return known->second;

  const std::int64_t bytes =
      std::max<std::int64_t>(1, is_packed ? packed->second.bytes : argument.bytes);
  std::int64_t count = 1;
  if (argument.cold)
    count = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil(cold_total_ / static_cast<double>(bytes))));
  const std::int64_t step = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  Rotation made;
  made.memory = device_.allocate(static_cast<std::size_t>(step * count));
  bytes_ += step * count;
  for (std::int64_t i = 0; i < count; ++i)
    made.copies.push_back(static_cast<std::byte*>(made.memory) + i * step);

  if (is_packed) {
    void* plain = device_.allocate(argument.content.size());
    device_.copy_in(plain, argument.content.data(), argument.content.size());
    bool packs = true;
    for (void* copy : made.copies) packs = packs && packed->second.pack(plain, copy);
    device_.synchronize();
    device_.release(plain);
    if (!packs) {
      device_.release(made.memory);
      throw Error(Code::kDevice,
                  fmt::format("packing '{}' was refused: {}", argument.name, device_.last_error()));
    }
  } else if (argument.kind == Argument::Kind::kIn) {
    for (void* copy : made.copies)
      device_.copy_in(copy, argument.content.data(), argument.content.size());
  } else {
    const std::string zeros(static_cast<std::size_t>(bytes), '\0');
    for (void* copy : made.copies) device_.copy_in(copy, zeros.data(), zeros.size());
  }
  return rotations_.emplace(key, std::move(made)).first->second;
}

std::vector<std::vector<void*>> TimingMemory::steps(const Candidate& candidate) {
  std::vector<const std::vector<void*>*> copies(call_.arguments.size(), nullptr);
  std::size_t count = 1;
  std::string text;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const CallArgument& argument = call_.arguments[i];
    if (argument.kind == Argument::Kind::kScalar) continue;
    copies[i] = &rotation(i, candidate).copies;
    count = std::max(count, copies[i]->size());
    if (argument.cold)
      text += fmt::format("{}{} cold in {} {}", text.empty() ? "" : ", ", argument.name,
                          copies[i]->size(), copies[i]->size() == 1 ? "copy" : "copies");
  }
  policy_text_ = text.empty() ? "hot" : text;
  std::vector<std::vector<void*>> result(count);
  for (std::size_t step = 0; step < count; ++step)
    for (std::size_t i = 0; i < copies.size(); ++i)
      result[step].push_back(copies[i] ? (*copies[i])[step % copies[i]->size()]
                                       : const_cast<char*>(call_.arguments[i].content.data()));
  return result;
}

std::function<void()> TimingMemory::prepare(const Candidate& candidate) {
  struct State {
    std::vector<std::vector<void*>> calls;
    std::size_t next = 0;
  };
  const auto state = std::make_shared<State>(State{steps(candidate), 0});
  if (candidate.workspace_bytes > workspace_bytes_) {
    if (workspace_ != nullptr) device_.release(workspace_);
    workspace_ = nullptr;
    workspace_ = device_.allocate(static_cast<std::size_t>(candidate.workspace_bytes));
    workspace_bytes_ = candidate.workspace_bytes;
  }
  refused_ = false;
  return [this, state, &candidate] {
    const std::vector<void*>& pointers = state->calls[state->next];
    if (++state->next == state->calls.size()) state->next = 0;
    if (!candidate.launch(pointers.data(), call_.dims.data(), workspace_)) refused_ = true;
  };
}

}  // namespace hone
