// Cooperative groups.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

const Source kGroups{.file = "groups.cu", .headers = true};

TEST(GroupKernels, TilesReduceAndScan) {
  const std::vector<int> in = Numbers(1).integers(128, -100, 100);
  std::vector<int> values(128), most(128), expected(128);
  for (std::size_t t = 0; t < 128; ++t) {
    const auto begin = in.begin() + static_cast<long>(t / 16 * 16);
    values[t] = std::accumulate(begin, begin + 16, 0) +
                std::accumulate(begin, begin + static_cast<long>(t % 16 + 1), 0);
    most[t] = *std::max_element(begin, begin + 16);
  }
  for (std::size_t t = 0; t < 128; ++t)
    expected[t] = values[127 - t] + most[t] * 3 + in[t / 16 * 16] + static_cast<int>(t / 16);
  everywhere(kGroups, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(512);
    ASSERT_EQ(machine.run("tiles", {.block = {128, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, 128), expected, "value");
  });
}

TEST(GroupKernels, CoalescedGroupsHoldWhoIsThere) {
  const std::vector<int> in = Numbers(2).integers(64, 0, 9);
  std::vector<int> expected(64, -1);
  for (std::size_t w = 0; w < 64; w += 32) {
    int sum = 0, rank = 0;
    for (std::size_t t = w; t < w + 32; ++t) sum += in[t] % 2 == 0 ? in[t] : 0;
    for (std::size_t t = w; t < w + 32; ++t)
      if (in[t] % 2 == 0) expected[t] = sum * 100 + rank++;
  }
  everywhere(kGroups, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("coalesced", {.block = {64, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, 64), expected, "value");
  });
}

TEST(GroupKernels, TheWholeGridMeets) {
  const std::vector<int> in = Numbers(3).integers(4 * 64, -100, 100);
  const std::size_t n = in.size();
  std::vector<int> expected(n);
  for (std::size_t i = 0; i < n; ++i) expected[i] = in[n - 1 - i] * 2 + in[(i + 100) % n] * 2;
  everywhere(kGroups, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(n * 4), partial = machine.allocate(n * 4);
    ASSERT_EQ(
        machine.run("whole_grid", {.grid = {4, 1, 1}, .block = {64, 1, 1}, .cooperative = true},
                    machine.upload(in), partial, out),
        "");
    expect_equal(machine.download<int>(out, n), expected, "value");
    std::rotate(expected.begin(), expected.begin() + 1, expected.end());
    expect_equal(machine.download<int>(partial, n), expected, "partial");
  });
}

}  // namespace
}  // namespace hone::test
