// Shared memory and barriers.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

using u32 = std::uint32_t;
const Source kShared{.file = "shared.cu"};

TEST(SharedKernels, ReductionOverABlockSums) {
  std::vector<float> in(10000);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 17) - 8;
  const float expected = std::accumulate(in.begin(), in.end(), 0.0f);
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.upload(std::vector<float>(7));
    ASSERT_EQ(machine.run("block_reduce", {.grid = {7, 1, 1}, .block = {256, 1, 1}},
                          machine.upload(in), out, 10000),
              "");
    const std::vector<float> sums = machine.download<float>(out, 7);
    EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), 0.0f), expected);
  });
}

TEST(SharedKernels, ScanInDynamicSharedMemoryIsAPrefixSum) {
  const std::vector<int> in = Numbers(1).integers(3 * 160, -50, 50);
  std::vector<int> expected(in.size());
  for (std::size_t b = 0; b < 3; ++b)
    std::partial_sum(in.begin() + static_cast<long>(b) * 160,
                     in.begin() + static_cast<long>(b + 1) * 160,
                     expected.begin() + static_cast<long>(b) * 160);
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(in.size() * 4);
    ASSERT_EQ(
        machine.run("block_scan", {.grid = {3, 1, 1}, .block = {160, 1, 1}, .shared = 320 * 4},
                    machine.upload(in), out),
        "");
    expect_equal(machine.download<int>(out, in.size()), expected, "scan");
  });
}

TEST(SharedKernels, TransposeOfARaggedMatrixTransposes) {
  const int rows = 45, columns = 70;
  const std::vector<float> in = Numbers(2).reals(static_cast<std::size_t>(rows * columns));
  std::vector<float> expected(in.size());
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      expected[static_cast<std::size_t>(c * rows + r)] =
          in[static_cast<std::size_t>(r * columns + c)];
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(in.size() * 4);
    ASSERT_EQ(machine.run("transpose", {.grid = {3, 2, 1}, .block = {32, 8, 1}}, machine.upload(in),
                          out, rows, columns),
              "");
    expect_equal(machine.download<float>(out, in.size()), expected, "transpose");
  });
}

TEST(SharedKernels, HistogramWithSharedAtomicsCounts) {
  std::vector<unsigned char> in(5000);
  Numbers numbers(3);
  std::vector<u32> expected(256);
  for (unsigned char& value : in)
    ++expected[value = static_cast<unsigned char>(numbers.integer(0, 60))];
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.upload(std::vector<u32>(256));
    ASSERT_EQ(machine.run("histogram", {.grid = {4, 1, 1}, .block = {256, 1, 1}},
                          machine.upload(in), out, 5000),
              "");
    expect_equal(machine.download<u32>(out, 256), expected, "histogram");
  });
}

TEST(SharedKernels, BitonicSortSorts) {
  std::vector<u32> in(1024);
  Numbers numbers(4);
  for (u32& value : in) value = static_cast<u32>(numbers.next());
  std::vector<u32> expected = in;
  std::sort(expected.begin(), expected.begin() + 512);
  std::sort(expected.begin() + 512, expected.end());
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer data = machine.upload(in);
    ASSERT_EQ(machine.run("bitonic_sort", {.grid = {2, 1, 1}, .block = {256, 1, 1}}, data), "");
    expect_equal(machine.download<u32>(data, in.size()), expected, "sort");
  });
}

TEST(SharedKernels, TiledMatrixProductWithEdgesMultiplies) {
  const int m = 70, n = 66, k = 21;
  Numbers numbers(5);
  const std::vector<float> a = numbers.reals(70 * 21), b = numbers.reals(21 * 66);
  std::vector<float> expected(70 * 66);
  for (int r = 0; r < m; ++r)
    for (int c = 0; c < n; ++c) {
      double sum = 0;
      for (int q = 0; q < k; ++q)
        sum += static_cast<double>(a[static_cast<std::size_t>(r * k + q)]) *
               static_cast<double>(b[static_cast<std::size_t>(q * n + c)]);
      expected[static_cast<std::size_t>(r * n + c)] = static_cast<float>(sum);
    }
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("sgemm_64", {.grid = {2, 2, 1}, .block = {256, 1, 1}}, machine.upload(a),
                          machine.upload(b), out, m, n, k),
              "");
    expect_near(machine.download<float>(out, expected.size()), expected, 1e-5, 1e-5, "product");
  });
}

TEST(SharedKernels, BarriersThatCountAndVoteAgree) {
  std::vector<int> in = Numbers(6).integers(200, -50, 50);
  in[150] = 77;
  const auto positive =
      static_cast<int>(std::count_if(in.begin(), in.end(), [](int v) { return v > 0; }));
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(800);
    ASSERT_EQ(machine.run("counted_barriers", {.block = {200, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, 200), std::vector<int>(200, positive * 100 + 11),
                 "counts");
  });
}

TEST(SharedKernels, ProducersAndConsumersMeetAtNamedBarriers) {
  const std::vector<int> in = Numbers(7).integers(5 * 64, -1000, 1000);
  std::vector<int> expected(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) expected[i] = in[i / 64 * 64 + 63 - i % 64] * 2 + 1;
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(in.size() * 4);
    // mail[127 - threadIdx.x] for threads 64 to 127 is mail[63] to mail[0].
    ASSERT_EQ(machine.run("named_barriers", {.block = {128, 1, 1}}, machine.upload(in), out, 5),
              "");
    expect_equal(machine.download<int>(out, in.size()), expected, "mail");
  });
}

TEST(SharedKernels, GroupsOfABlockHaveBarriersOfTheirOwn) {
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.upload(std::vector<int>(3 * 128, -1));
    ASSERT_EQ(machine.run("split_barriers", {.block = {128, 1, 1}}, out), "");
    std::vector<int> expected(3 * 128, -1);
    for (int round = 0; round < 3; ++round)
      for (int t = 0; t < 128; ++t)
        if (round < 2 + t / 64)
          expected[static_cast<std::size_t>(round * 128 + t)] = round * 1000 + 63 - t % 64;
    expect_equal(machine.download<int>(out, expected.size()), expected, "rounds");
  });
}

TEST(SharedKernels, ThreadsThatLeftAreNotWaitedFor) {
  const std::vector<int> in = Numbers(8).integers(256, -1000, 1000);
  for (const int n : {1, 31, 32, 100, 256}) {
    everywhere(kShared, [&](Machine& machine, int) {
      const Pointer out = machine.upload(std::vector<int>(256));
      ASSERT_EQ(machine.run("early_exit", {.block = {256, 1, 1}}, machine.upload(in), out, n), "");
      std::vector<int> expected(256);
      for (int t = 0; t < n; ++t)
        expected[static_cast<std::size_t>(t)] = in[static_cast<std::size_t>(n - 1 - t)];
      expect_equal(machine.download<int>(out, 256), expected, "values");
    });
  }
}

TEST(SharedKernels, StructsAndMixedTypesLieWhereTheyShould) {
  const std::vector<float> in = Numbers(9).reals(192);
  std::vector<float> expected(64);
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t o = 63 - t, d = (t + 1) % 64, s = (t + 7) % 64;
    expected[t] = in[o * 3] + in[o * 3 + 1] * 2 + in[o * 3 + 2] * 3 + static_cast<float>(o * 3) -
                  static_cast<float>(o) + in[d] * 0.5f + static_cast<float>(s * s);
  }
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("shared_structs", {.block = {64, 1, 1}, .shared = 64 * 10},
                          machine.upload(in), out),
              "");
    expect_near(machine.download<float>(out, 64), expected, 1e-6, 1e-4, "values");
  });
}

TEST(SharedKernels, GenericPointersReachEverySpace) {
  const std::vector<int> in = Numbers(10).integers(64, 0, 100);
  std::vector<int> expected(64);
  for (int t = 0; t < 64; ++t)
    expected[static_cast<std::size_t>(t)] = t % 3 == 0   ? (63 - t) * 10 + 1000
                                            : t % 3 == 1 ? in[static_cast<std::size_t>(t)] + 2000
                                                         : (t % 4 == 3 ? t : t % 4 + 1) + 4000;
  everywhere(kShared, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("generic_pointers", {.block = {64, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, 64), expected, "values");
  });
}

}  // namespace
}  // namespace hone::test
