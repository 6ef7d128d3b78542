// Atomic operations, fences and blocks that wait for one another.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/numbers.h"

namespace hone::test {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
const Source kAtomics{.file = "atomics.cu", .headers = true};

struct Cells {
  int add, minimum, maximum, land, lor, lxor, exchange_count, sub;
  u32 umin, umax, inc, dec;
  u64 add64, min64, max64, and64, or64, xor64;
  std::int64_t smin64, smax64;
  float fadd;
  u32 ordered;
  double dadd;
  bool operator==(const Cells&) const = default;
};

Cells first_cells() {
  Cells c{};
  c.land = -1;
  c.umin = ~0u;
  c.dec = 7;
  c.min64 = ~0ull;
  c.and64 = ~0ull;
  return c;
}

void update(Cells& c, int v) {
  const auto u = static_cast<u64>(v);
  c.add += v;
  c.sub -= v;
  c.minimum = std::min(c.minimum, v);
  c.maximum = std::max(c.maximum, v);
  c.land &= v | 0x7f000000;
  c.lor |= v & 0xff0ff;
  c.lxor ^= v;
  c.umin = std::min(c.umin, static_cast<u32>(v));
  c.umax = std::max(c.umax, static_cast<u32>(v));
  c.inc = c.inc >= 100 ? 0 : c.inc + 1;
  c.dec = c.dec == 0 || c.dec > 90 ? 90 : c.dec - 1;
  c.add64 += u * 0x100000001ull;
  c.min64 = std::min(c.min64, u << 20);
  c.max64 = std::max(c.max64, u << 20);
  c.and64 &= ~(1ull << (v & 63));
  c.or64 |= 1ull << (v & 63);
  c.xor64 ^= u << 13;
  c.smin64 = std::min(c.smin64, std::int64_t{v} * 1000000007);
  c.smax64 = std::max(c.smax64, std::int64_t{v} * 1000000007);
  c.fadd += 0.25f * static_cast<float>(v & 255);
  c.dadd += 0.125 * (v & 1023);
}

TEST(AtomicKernels, EveryOperationAddsUpInGlobalAndSharedMemory) {
  const std::vector<int> in = Numbers(1).integers(300, -100000, 100000);
  Cells expected = first_cells();
  for (const int v : in) update(expected, v);
  everywhere(kAtomics, [&](Machine& machine, int) {
    const Pointer data = machine.upload(in);
    for (const bool shared : {false, true}) {
      const Pointer cells = machine.upload(std::vector<Cells>{first_cells()});
      ASSERT_EQ(
          machine.run(shared ? "atomics_shared" : "atomics_global",
                      {.grid = {shared ? 1u : 5u, 1, 1}, .block = {64, 1, 1}}, cells, data, 300),
          "");
      EXPECT_TRUE(machine.download<Cells>(cells, 1)[0] == expected)
          << (shared ? "shared" : "global");
    }
  });
}

TEST(AtomicKernels, WhatAnAtomicReturnsWasThereBefore) {
  everywhere(kAtomics, [&](Machine& machine, int) {
    const std::size_t n = 192;
    const Pointer tickets = machine.allocate(n * 4),
                  counter = machine.upload(std::vector<u32>{100}),
                  slot = machine.upload(std::vector<u32>{0}), handed = machine.allocate(n * 4),
                  maximum = machine.upload(std::vector<float>{-1}),
                  product = machine.upload(std::vector<u64>{1});
    ASSERT_EQ(machine.run("atomics_returned", {.grid = {2, 1, 1}, .block = {96, 1, 1}}, tickets,
                          counter, slot, handed, maximum, product),
              "");
    std::vector<u32> got = machine.download<u32>(tickets, n), expected(n);
    std::sort(got.begin(), got.end());
    std::iota(expected.begin(), expected.end(), 100u);
    expect_equal(got, expected, "tickets");
    got = machine.download<u32>(handed, n);
    got.push_back(machine.download<u32>(slot, 1)[0]);
    std::sort(got.begin(), got.end());
    expected.resize(n + 1);
    std::iota(expected.begin(), expected.end(), 0u);
    expect_equal(got, expected, "handed on");
    EXPECT_EQ(machine.download<float>(maximum, 1)[0], 100.0f);
    u64 power = 1;
    for (std::size_t i = 0; i < n; ++i) power *= 3;
    EXPECT_EQ(machine.download<u64>(product, 1)[0], power);
  });
}

TEST(AtomicKernels, HalvesAddUp) {
  everywhere(kAtomics, [&](Machine& machine, int sm) {
    const auto pair = [](float low, float high) {
      return static_cast<u32>(f16(high)) << 16 | f16(low);
    };
    const Pointer h2 = machine.upload(std::vector<u32>{0}),
                  b2 = machine.upload(std::vector<u32>{0}),
                  h = machine.upload(std::vector<std::uint16_t>{0, 7}),
                  b = machine.upload(std::vector<std::uint16_t>{0, 7}), out = machine.allocate(4);
    ASSERT_EQ(machine.run("atomics_half", {.block = {64, 1, 1}}, h2, b2, h, b, out), "");
    EXPECT_EQ(machine.download<u32>(h2, 1)[0], pair(64, 32));
    EXPECT_EQ(machine.download<u32>(out, 1)[0], pair(32, 129));
    EXPECT_EQ(machine.download<u32>(h, 1)[0], pair(64, 0) | 7u << 16);
    if (sm < 80) return;
    EXPECT_EQ(machine.download<u32>(b2, 1)[0], static_cast<u32>(bf16(32)) << 16 | bf16(64));
    EXPECT_EQ(machine.download<u32>(b, 1)[0], 7u << 16 | bf16(64));
  });
}

TEST(AtomicKernels, TheLastBlockSeesWhatTheOthersLeft) {
  const std::vector<int> in = Numbers(2).integers(8 * 64, -1000, 1000);
  everywhere(kAtomics, [&](Machine& machine, int) {
    const Pointer partial = machine.allocate(32), ticket = machine.upload(std::vector<u32>{0}),
                  out = machine.allocate(4);
    ASSERT_EQ(machine.run("last_block", {.grid = {8, 1, 1}, .block = {64, 1, 1}},
                          machine.upload(in), partial, ticket, out),
              "");
    EXPECT_EQ(machine.download<int>(out, 1)[0], std::accumulate(in.begin(), in.end(), 0));
  });
}

TEST(AtomicKernels, ALockBetweenBlocksProtects) {
  int expected = 5;
  for (int k = 0; k < 12; ++k) expected = expected * 3 % 1000003 + 1;
  everywhere(kAtomics, [&](Machine& machine, int) {
    const Pointer lock = machine.upload(std::vector<int>{0}),
                  value = machine.upload(std::vector<int>{5});
    ASSERT_EQ(machine.run("spin_lock", {.grid = {12, 1, 1}, .block = {32, 1, 1}}, lock, value), "");
    EXPECT_EQ(machine.download<int>(value, 1)[0], expected);
  });
}

TEST(AtomicKernels, BlocksThatWaitForOneAnotherAreResidentTogether) {
  const u32 total = 6 * 64;
  std::vector<int> expected;
  for (u32 round = 0; round < 3; ++round)
    for (u32 i = 0; i < total; ++i)
      expected.push_back(static_cast<int>((i + 64) % total * 10 + round));
  everywhere(kAtomics, [&](Machine& machine, int) {
    const Pointer arrived = machine.upload(std::vector<u32>{0}),
                  values = machine.allocate(3 * total * 4), out = machine.allocate(3 * total * 4);
    ASSERT_EQ(
        machine.run("grid_barrier", {.grid = {6, 1, 1}, .block = {64, 1, 1}}, arrived, values, out),
        "");
    expect_equal(machine.download<int>(out, expected.size()), expected, "values");
  });
}

TEST(AtomicKernels, ScopesAndPairsWork) {
  everywhere(kAtomics, [&](Machine& machine, int) {
    const Pointer out = machine.upload(std::vector<int>(10)),
                  pairs = machine.upload(std::vector<float>(2));
    ASSERT_EQ(machine.run("scoped", {.grid = {3, 1, 1}, .block = {48, 1, 1}}, out, pairs), "");
    expect_equal(machine.download<int>(out, 10), {48, 48, 48, 0, 0, 0, 0, 0, 288, 47}, "cells");
    expect_equal(machine.download<float>(pairs, 2), {144.0f, 72.0f}, "pairs");
  });
}

}  // namespace
}  // namespace hone::test
