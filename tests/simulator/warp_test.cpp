// Shuffles, votes, matches and what else a warp does together.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

using u32 = std::uint32_t;
const Source kWarpTests{.file = "warp.cu"};
const Geometry kOneWarp{.block = {32, 1, 1}};

std::vector<int> lanes(std::uint64_t seed) { return Numbers(seed).integers(32, -100, 100); }

TEST(WarpKernels, EveryShuffleTakesItsLane) {
  const std::vector<int> v = lanes(1);
  std::vector<int> expected;
  const auto row = [&](const std::function<int(int)>& f) {
    for (int lane = 0; lane < 32; ++lane) expected.push_back(f(lane));
  };
  const auto at = [&](int lane) { return v[static_cast<std::size_t>(lane)]; };
  row([&](int) { return at(5); });
  row([&](int l) { return at((l * 7 + 3) % 32); });
  row([&](int l) { return at(l / 8 * 8 + (l + 3) % 8); });
  row([&](int l) { return at(l >= 1 ? l - 1 : l); });
  row([&](int l) { return at(l % 16 >= 3 ? l - 3 : l); });
  row([&](int l) { return at(l + 4 < 32 ? l + 4 : l); });
  row([&](int l) { return at(l % 8 + 5 < 8 ? l + 5 : l); });
  row([&](int l) { return at(l ^ 1); });
  row([&](int l) { return at(l ^ 16); });
  row([&](int l) { return at(l ^ 7); });
  // An xor that leaves its segment upwards stays; downwards it reads the lower segment.
  row([&](int l) { return (l ^ 8) > (l | 7) ? at(l) : at(l ^ 8); });
  row([&](int l) { return at(l ^ 2); });
  row([&](int l) { return at(l + 9 < 32 ? l + 9 : l); });
  row([&](int l) { return l + 9 < 32 ? l + 9 : l; });
  row([&](int l) { return at(31 - l); });
  everywhere(kWarpTests, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("shuffles", kOneWarp, machine.upload(v), out), "");
    expect_equal(machine.download<int>(out, expected.size()), expected, "lane");
  });
}

TEST(WarpKernels, HalvesOfAWarpShuffleApart) {
  const std::vector<int> v = lanes(2);
  std::vector<int> expected(32);
  int sum = 0;
  for (std::size_t l = 0; l < 16; ++l) sum += v[l];
  std::vector<int> picked(32);
  for (std::size_t l = 16; l < 32; ++l) picked[l] = v[16 + (l * 3) % 16];
  for (std::size_t l = 0; l < 32; ++l)
    expected[l] = l < 16 ? sum : picked[l] - v[l == 16 ? l : l - 1];
  everywhere(kWarpTests, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(128);
    ASSERT_EQ(machine.run("half_shuffles", kOneWarp, machine.upload(v), out), "");
    expect_equal(machine.download<int>(out, 32), expected, "lane");
  });
}

TEST(WarpKernels, VotesMatchesAndLaneMasksAgree) {
  for (const bool equal : {false, true}) {
    const std::vector<int> v = equal ? std::vector<int>(32, 9) : lanes(3);
    std::vector<u32> expected;
    const auto row = [&](const std::function<u32(u32)>& f) {
      for (u32 lane = 0; lane < 32; ++lane) expected.push_back(f(lane));
    };
    const auto ballot = [&](const std::function<bool(u32)>& f) {
      u32 mask = 0;
      for (u32 l = 0; l < 32; ++l) mask |= f(l) ? 1u << l : 0u;
      return mask;
    };
    const u32 big = ballot([&](u32 l) { return v[l] > 3; });
    const bool all_equal = std::all_of(v.begin(), v.end(), [&](int x) { return x == v[0]; });
    row([&](u32) { return big; });
    row([&](u32) { return 0u; });
    row([&](u32) { return 1u; });
    row([&](u32) { return 1u; });
    row([&](u32) {
      return std::all_of(v.begin(), v.end(), [](int x) { return x > 0; }) ? 1u : 0u;
    });
    row([&](u32 l) { return ballot([&](u32 o) { return (v[o] & 3) == (v[l] & 3); }); });
    row([&](u32 l) { return ballot([&](u32 o) { return (v[o] & 7) == (v[l] & 7); }); });
    row([&](u32) { return ~32u; });
    row([&](u32) { return all_equal ? ~32u : 0u; });
    row([&](u32 l) { return l & 1u ? (big & 0xaaaaaaaau) ^ 0xaaaaaaaau : 0u; });
    row([&](u32 l) { return 1u << l; });
    row([&](u32 l) {
      const u32 lt = (1u << l) - 1, le = lt | 1u << l;
      return lt ^ (le << 1);
    });
    row([&](u32 l) {
      const u32 ge = ~((1u << l) - 1), gt = ge & ~(1u << l);
      return gt + (ge >> 3);
    });
    everywhere(kWarpTests, [&](Machine& machine, int) {
      const Pointer out = machine.allocate(expected.size() * 4);
      ASSERT_EQ(machine.run("votes", kOneWarp, machine.upload(v), out), "");
      expect_equal(machine.download<u32>(out, expected.size()), expected, "lane");
    });
  }
}

TEST(WarpKernels, ScanByShufflesIsAPrefixSum) {
  const std::vector<int> in = Numbers(4).integers(100, -9, 9);
  std::vector<int> expected(100);
  for (std::size_t i = 0; i < 100; ++i) expected[i] = in[i] + (i % 32 == 0 ? 0 : expected[i - 1]);
  everywhere(kWarpTests, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(400);
    ASSERT_EQ(machine.run("warp_scan", {.block = {128, 1, 1}}, machine.upload(in), out, 100), "");
    expect_equal(machine.download<int>(out, 100), expected, "scan");
  });
}

TEST(WarpKernels, CompactionByActiveMasksKeepsEveryElement) {
  const std::vector<int> in = Numbers(5).integers(500, 0, 1000);
  std::vector<int> expected;
  std::copy_if(in.begin(), in.end(), std::back_inserter(expected),
               [](int v) { return v % 3 == 0; });
  std::sort(expected.begin(), expected.end());
  everywhere(kWarpTests, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(2000), count = machine.upload(std::vector<u32>(1));
    ASSERT_EQ(machine.run("compact", {.grid = {4, 1, 1}, .block = {128, 1, 1}}, machine.upload(in),
                          out, count, 500),
              "");
    ASSERT_EQ(machine.download<u32>(count, 1)[0], expected.size());
    std::vector<int> got = machine.download<int>(out, expected.size());
    std::sort(got.begin(), got.end());
    expect_equal(got, expected, "kept");
  });
}

TEST(WarpKernels, ExchangeThroughSharedMemoryNeedsOnlySyncwarp) {
  std::vector<float> in(128), expected(128);
  for (std::size_t i = 0; i < 128; ++i) in[i] = static_cast<float>((i * 37) % 23);
  for (std::size_t i = 0; i < 128; ++i) {
    const std::size_t lane = (i % 32) ^ 1;
    for (std::size_t k = 0; k <= lane; ++k) expected[i] += in[i / 32 * 32 + 31 - k];
  }
  everywhere(kWarpTests, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(512);
    ASSERT_EQ(machine.run("warp_shared", {.block = {128, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<float>(out, 128), expected, "sum");
  });
}

TEST(WarpKernels, ReduxReducesOverEachLanesMask) {
  const std::vector<int> v = lanes(6);
  std::vector<u32> expected;
  const auto row = [&](u32 x) { expected.insert(expected.end(), 32, x); };
  const auto fold = [&](u32 first, const std::function<u32(u32, u32)>& f) {
    for (const int x : v) first = f(first, static_cast<u32>(x));
    return first;
  };
  row(fold(0, [](u32 a, u32 b) { return a + b; }));
  row(static_cast<u32>(*std::min_element(v.begin(), v.end())));
  row(static_cast<u32>(*std::max_element(v.begin(), v.end())));
  row(fold(~0u, [](u32 a, u32 b) { return std::min(a, b); }));
  row(fold(0, [](u32 a, u32 b) { return std::max(a, b); }));
  row(fold(~0u, [](u32 a, u32 b) { return a & (b | 0xffu); }));
  row(fold(0, [](u32 a, u32 b) { return a | (b & 0xff00u); }));
  row(fold(0, [](u32 a, u32 b) { return a ^ b; }));
  u32 fourth = 0;
  for (std::size_t l = 0; l < 32; l += 4) fourth += static_cast<u32>(v[l]);
  for (u32 l = 0; l < 32; ++l) expected.push_back(l % 4 == 0 ? fourth : 0);
  for (std::size_t l = 0; l < 32; ++l) {
    u32 sum = 0;
    for (std::size_t o = l / 8 * 8; o < l / 8 * 8 + 8; ++o) sum += static_cast<u32>(v[o]);
    expected.push_back(sum);
  }
  everywhere({.file = "warp.cu", .least_sm = 80}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("redux", kOneWarp, machine.upload(v), out), "");
    expect_equal(machine.download<u32>(out, expected.size()), expected, "lane");
  });
}

}  // namespace
}  // namespace hone::test
