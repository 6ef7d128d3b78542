// Correct kernels that a checker is tempted to blame raise nothing, in any order.
#include <gtest/gtest.h>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

struct Quiet {
  std::string kernel;
  Geometry geometry{.block = {64, 1, 1}};
  int n = 0;  // the last argument; 0: none
};

TEST(CorrectKernels, RaiseNothingInAnyOrder) {
  const std::vector<Quiet> all = {{"late_set", {.block = {64, 1, 1}}, 21},
                                  {"guarded", {.block = {32, 1, 1}}, 21},
                                  {"partial_shuffle", {.block = {32, 1, 1}}, 21},
                                  {"select_tail", {.block = {64, 1, 1}}, 21},
                                  {"vector_tail", {.block = {32, 1, 1}}, 53},
                                  {"byte_built"},
                                  {"flag_passing"},
                                  {"slots", {.block = {128, 1, 1}}},
                                  {"same_flag", {.block = {128, 1, 1}}},
                                  {"same_global_flag", {.grid = {4, 1, 1}, .block = {64, 1, 1}}},
                                  {"warps_leave", {.block = {128, 1, 1}}},
                                  {"ping_pong", {.block = {64, 1, 1}}, 53},
                                  {"lock_within_a_warp"},
                                  {"copy_padded"},
                                  {"copy_padded_words"}};
  for (const std::string_view arch : {"sm_80", "sm_100a"}) {
    const Compiled compiled = compile_file("silent.cu", arch);
    if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
    ASSERT_EQ(compiled.log, "");
    for (const Quiet& quiet : all) {
      for (std::uint64_t seed = 0; seed < kOrders; ++seed) {
        sim::Options options;
        options.seed = seed;
        options.instruction_limit = 1'000'000;
        Direct machine(arch.substr(0, arch.find('a')), options);
        machine.load(compiled.ptx);
        std::vector<int> words(512);
        for (int i = 0; i < 512; ++i) words[static_cast<std::size_t>(i)] = i * 7 % 23;
        const Pointer in = machine.upload(words), out = machine.allocate(4096),
                      more = machine.allocate(4096);
        const Pointer done = machine.upload(std::vector<int>{0});
        const std::string report = quiet.n != 0
                                       ? machine.run(quiet.kernel, quiet.geometry, in, out, quiet.n)
                                   : quiet.kernel.starts_with("copy_padded")
                                       ? machine.run(quiet.kernel, quiet.geometry, in, out, more)
                                   : quiet.kernel == "same_global_flag"
                                       ? machine.run(quiet.kernel, quiet.geometry, in, done)
                                       : machine.run(quiet.kernel, quiet.geometry, in, out);
        ASSERT_EQ(report, "") << quiet.kernel << " for " << arch << ", seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace hone::test
