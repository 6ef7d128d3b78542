// cp.async and what goes with it.
#include <gtest/gtest.h>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

using u32 = std::uint32_t;
const Source kAsync{.file = "async.cu", .headers = true, .least_sm = 80};

TEST(AsyncKernels, APipelineOfFourStagesSums) {
  for (const int vectors : {64, 500, 20}) {
    std::vector<float> in(static_cast<std::size_t>(vectors) * 4);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>((i * 7) % 31);
    std::vector<float> expected(64);
    for (int v = 0; v < vectors; ++v)
      for (int k = 0; k < 4; ++k)
        expected[static_cast<std::size_t>(63 - v % 64)] +=
            static_cast<float>(k + 1) * in[static_cast<std::size_t>(v * 4 + k)];
    everywhere(kAsync, [&](Machine& machine, int) {
      const Pointer out = machine.allocate(256);
      ASSERT_EQ(
          machine.run("pipelined_sum", {.block = {64, 1, 1}}, machine.upload(in), out, vectors),
          "");
      expect_equal(machine.download<float>(out, 64), expected, "sum");
    });
  }
}

TEST(AsyncKernels, EverySizeCopiesAndFillsWithZeros) {
  std::vector<u32> in(256);
  for (u32 i = 0; i < 256; ++i) in[i] = i * 0x01010101u + 1;
  std::vector<u32> expected(448);
  for (u32 t = 0; t < 64; ++t) {
    const u32 s = 63 - t;
    for (u32 k = 0; k < 4; ++k) expected[4 * t + k] = s % 5 == 0 && k >= 2 ? 0 : in[4 * s + k];
    for (u32 k = 0; k < 2; ++k)
      expected[256 + 2 * t + k] = s % 3 == 0 && k == 1 ? 0 : in[2 * s + k];
    expected[384 + t] = in[s];
  }
  everywhere(kAsync, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(448 * 4);
    ASSERT_EQ(machine.run("copy_sizes", {.block = {64, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<u32>(out, 448), expected, "word");
  });
}

TEST(AsyncKernels, ThePipelineHeadersPrimitivesWait) {
  const std::vector<int> in = Numbers(1).integers(256, -1000, 1000);
  std::vector<int> expected(128);
  for (std::size_t t = 0; t < 128; ++t) expected[t] = in[127 - t] * 3 + in[255 - t];
  everywhere(kAsync, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(512);
    ASSERT_EQ(machine.run("pipeline_primitives", {.block = {128, 1, 1}}, machine.upload(in), out),
              "");
    expect_equal(machine.download<int>(out, 128), expected, "value");
  });
}

TEST(AsyncKernels, CacheHintsChangeNothing) {
  std::vector<u32> in(128 * 4), words(128), expected(64 * 4), results(128);
  for (u32 i = 0; i < in.size(); ++i) in[i] = i * 2654435761u;
  for (u32 i = 0; i < 128; ++i) words[i] = i * 40503u + 7;
  for (u32 t = 0; t < 64; ++t) {
    for (u32 k = 0; k < 4; ++k) expected[t * 4 + k] = in[t * 4 + k];
    expected[t * 4] ^= in[(t + 64) * 4 + 3];
    results[t] = words[t] + 2 * words[t + 64] + 3 * words[t];
    results[64 + t] = words[t] ^ words[t + 64];
  }
  everywhere(kAsync, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(1024), out2 = machine.allocate(512);
    ASSERT_EQ(machine.run("cache_hints", {.block = {64, 1, 1}}, machine.upload(in), out,
                          machine.upload(words), out2),
              "");
    expect_equal(machine.download<u32>(out, 256), expected, "vector");
    expect_equal(machine.download<u32>(out2, 128), results, "word");
  });
}

TEST(AsyncKernels, MbarriersCountTheirPhases) {
  const std::vector<int> in = Numbers(2).integers(128, -1000, 1000);
  std::vector<int> expected;
  for (int round = 1; round <= 3; ++round)
    for (std::size_t t = 0; t < 128; ++t) expected.push_back(in[127 - t] * round);
  everywhere(kAsync, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("mbarriers", {.block = {128, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, expected.size()), expected, "value");
  });
}

}  // namespace
}  // namespace hone::test
