// The simulator's checks against a list of planted bugs: each is found at its line whatever the
// order, and its correct twin raises nothing in twenty orders.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <ostream>
#include <set>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

using Kind = sim::Finding::Kind;
using std::uint32_t;

struct Bug {
  std::string kernel;
  std::set<Kind> kinds;  // any of them says what is wrong
  int n = 256;
  Geometry geometry{.block = {128, 1, 1}};
  bool async = false;  // needs sm_80
};

void PrintTo(const Bug& bug, std::ostream* out) { *out << bug.kernel; }

const Geometry kBlocks{.grid = {4, 1, 1}, .block = {64, 1, 1}};
const Geometry kWarp{.block = {32, 1, 1}};

const std::vector<Bug>& bugs() {
  static const std::vector<Bug> all = {
      {"reduce_without_barrier", {Kind::kRace, Kind::kUninitialised}},
      {"reduce_without_inner_barrier", {Kind::kRace}},
      {"tile_overwritten_too_early", {Kind::kRace}},
      {"double_buffer_with_one_buffer", {Kind::kRace}},
      {"same_value_race", {Kind::kRace}},
      {"histogram_without_atomics", {Kind::kRace}},
      {"counter_read_without_barrier", {Kind::kRace}},
      {"exchange_without_syncwarp", {Kind::kRace, Kind::kUninitialised}},
      {"blocks_add_without_atomics", {Kind::kRace}, 256, kBlocks},
      {"neighbours_block_read", {Kind::kRace, Kind::kUninitialised}, 256, kBlocks},
      {"barrier_in_a_branch", {Kind::kBarrier, Kind::kDeadlock}},
      {"barrier_in_a_loop", {Kind::kBarrier, Kind::kDeadlock, Kind::kRace}},
      {"barrier_of_the_wrong_number", {Kind::kBarrier, Kind::kDeadlock}},
      {"barrier_with_too_many", {Kind::kBarrier, Kind::kDeadlock}},
      {"arrival_forgotten", {Kind::kBarrier, Kind::kDeadlock}},
      {"wait_off_by_one", {Kind::kAsyncCopy}, 1024, {.block = {128, 1, 1}}, true},
      {"copy_never_waited_for", {Kind::kAsyncCopy}, 256, {.block = {128, 1, 1}}, true},
      {"commit_forgotten", {Kind::kAsyncCopy}, 256, {.block = {128, 1, 1}}, true},
      {"wait_without_barrier",
       {Kind::kRace, Kind::kAsyncCopy, Kind::kUninitialised},
       256,
       {.block = {128, 1, 1}},
       true},
      {"stage_overwritten_by_a_copy",
       {Kind::kRace, Kind::kAsyncCopy},
       1024,
       {.block = {128, 1, 1}},
       true},
      {"copy_out_of_bounds", {Kind::kOutOfBounds}, 256, {.block = {128, 1, 1}}, true},
      {"fragments_of_a_crooked_pitch", {Kind::kMisaligned}, 256, kWarp, true},
      {"fragments_beyond_the_tile", {Kind::kOutOfBounds}, 256, kWarp, true},
      {"fragments_before_the_tile_is_there",
       {Kind::kRace, Kind::kUninitialised},
       256,
       {.block = {128, 1, 1}},
       true},
      {"fragments_half_filled", {Kind::kUninitialised}, 256, kWarp, true},
      {"fragments_in_half_a_warp",
       {Kind::kMask, Kind::kDeadlock, Kind::kBarrier},
       256,
       kWarp,
       true},
      {"store_past_the_end", {Kind::kOutOfBounds}, 250, kBlocks},
      {"load_before_the_start", {Kind::kOutOfBounds}, 250, kBlocks},
      {"vector_over_the_end", {Kind::kOutOfBounds}, 254, kBlocks},
      {"crooked_vector", {Kind::kMisaligned}},
      {"index_that_wraps", {Kind::kOutOfBounds}, 250, kBlocks},
      {"null_pointer", {Kind::kOutOfBounds}},
      {"shared_past_the_end", {Kind::kOutOfBounds}},
      {"dynamic_shared_past_the_end",
       {Kind::kOutOfBounds},
       256,
       {.block = {128, 1, 1}, .shared = 512}},
      {"local_past_the_end", {Kind::kOutOfBounds}},
      {"variable_past_the_end", {Kind::kOutOfBounds}},
      {"shared_never_written", {Kind::kUninitialised}},
      {"global_never_written", {Kind::kUninitialised}},
      {"local_never_written", {Kind::kUninitialised}, 129},
      {"sum_of_unwritten_decides", {Kind::kUninitialised}},
      {"shuffle_in_a_branch", {Kind::kMask, Kind::kDeadlock}},
      {"shuffle_from_a_lane_that_is_not_there", {Kind::kMask, Kind::kUninitialised}},
      {"caller_outside_its_mask", {Kind::kMask}},
      {"vote_without_everyone", {Kind::kMask, Kind::kDeadlock}},
      {"match_without_everyone", {Kind::kMask, Kind::kDeadlock}},
      {"syncwarp_outside_its_mask", {Kind::kMask}},
      {"lock_never_released", {Kind::kHang, Kind::kDeadlock}},
      {"trap_reached", {Kind::kTrap}},
      {"shuffle_orders_no_writes", {Kind::kRace}},
      {"shuffle_from_another_group", {Kind::kUninitialised}},
      {"tail_left_out_of_the_branch", {Kind::kMask}},
      {"volatile_is_no_barrier", {Kind::kRace}, 256, kWarp},
      {"counter_cleared_without_barrier", {Kind::kRace, Kind::kUninitialised}},
      {"neighbours_read_in_place", {Kind::kRace}},
      {"turn_passed_without_barrier", {Kind::kRace}, 256, kBlocks},
      {"flag_without_release", {Kind::kRace}, 256, kBlocks},
      {"bytes_of_the_tail", {Kind::kUninitialised}},
      {"mbarrier_of_fewer_threads", {Kind::kRace}, 256, {.block = {128, 1, 1}}, true},
      {"mbarrier_before_it_is_ready",
       {Kind::kRace, Kind::kUninitialised, Kind::kHang},
       256,
       {.block = {128, 1, 1}},
       true},
  };
  return all;
}

// Lines marked `// <-` by kernel; those marked `// <-*`, in device functions, count for every
// kernel.
std::map<std::string, std::set<int>> marked_lines() {
  std::map<std::string, std::set<int>> lines;
  std::ifstream in(HONE_ROOT "/tests/simulator/kernels/bugs.cu");
  std::string line, kernel;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.rfind("KERNEL ", 0) == 0) kernel = line.substr(7, line.find('(') - 7);
    if (line.find("// <-*") != std::string::npos)
      lines["*"].insert(number);
    else if (line.find("// <-") != std::string::npos)
      lines[kernel].insert(number);
  }
  for (auto& [name, own] : lines) own.insert(lines["*"].begin(), lines["*"].end());
  return lines;
}

std::string report_of(const sim::Result& result) {
  std::string text = result.ok() ? "nothing found" : "";
  for (const sim::Finding& finding : result.findings) text += finding.report() + "\n";
  return text;
}

sim::Result run_bug(const Bug& bug, const std::string& ptx, std::string_view gpu,
                    std::uint64_t seed) {
  sim::Options options;
  options.seed = seed;
  options.instruction_limit = 200'000;
  Direct machine(gpu, options);
  machine.load(ptx);
  const Pointer in = machine.upload(Numbers(7).reals(static_cast<std::size_t>(bug.n)));
  const Pointer out = machine.allocate(static_cast<std::size_t>(bug.n) * sizeof(float));
  machine.run(bug.kernel, bug.geometry, in, out, bug.n);
  return machine.result();
}

// Two back ends make NVRTC's PTX, so each bug is tried with both.
#ifdef HONE_SANITIZED
constexpr std::array<std::string_view, 1> kBugArchs = {"sm_80"};
#else
constexpr std::array<std::string_view, 3> kBugArchs = {"sm_75", "sm_80", "sm_100a"};
#endif

class PlantedBug : public testing::TestWithParam<Bug> {};

TEST_P(PlantedBug, IsFoundAtItsLineAndItsTwinRaisesNothing) {
  const Bug& bug = GetParam();
  const std::map<std::string, std::set<int>> marked = marked_lines();
  const auto own = marked.find(bug.kernel);
  const std::set<int>& lines = own != marked.end() ? own->second : marked.at("*");
  for (const std::string_view arch : kBugArchs) {
    if (bug.async && arch == "sm_75") continue;
    const Compiled wrong = compile_file("bugs.cu", arch, false, {"-DBUG"}),
                   right = compile_file("bugs.cu", arch);
    if (!wrong.missing.empty()) GTEST_SKIP() << wrong.missing;
    ASSERT_EQ(wrong.log + right.log, "");
    const std::string_view gpu = arch.substr(0, arch.find('a'));
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      const sim::Result result = run_bug(bug, wrong.ptx, gpu, seed);
      EXPECT_TRUE(std::any_of(result.findings.begin(), result.findings.end(),
                              [&](const sim::Finding& finding) {
                                return bug.kinds.contains(finding.kind) &&
                                       (lines.contains(finding.source_line) ||
                                        lines.contains(finding.other_source_line));
                              }))
          << bug.kernel << " for " << arch << ", seed " << seed << ": " << report_of(result);
    }
    for (std::uint64_t seed = 0; seed < kOrders; ++seed) {
      const sim::Result result = run_bug(bug, right.ptx, gpu, seed);
      EXPECT_TRUE(result.ok()) << "the twin of " << bug.kernel << " for " << arch << ", seed "
                               << seed << ": " << report_of(result);
    }
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Simulator, PlantedBug, testing::ValuesIn(bugs()), [](const auto& each) {
  std::string name = each.param.kernel;
  name.erase(std::remove(name.begin(), name.end(), '_'), name.end());
  return name;
});

}  // namespace
}  // namespace hone::test
