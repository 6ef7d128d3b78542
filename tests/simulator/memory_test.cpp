// Constants, globals, parameters, special registers and traps.
#include <gtest/gtest.h>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

using u32 = std::uint32_t;
const Source kMemory{.file = "memory.cu"};

TEST(MemoryKernels, ConstantsAndInitialisersAreInPlace) {
  std::vector<int> filled(64);
  for (int i = 0; i < 64; ++i) filled[static_cast<std::size_t>(i)] = i * i;
  const float weights[8] = {1.0f, -2.0f, 0.5f, 4.0f, 0, 0, 0, 0};
  const std::string text("abc\ndefg\"h");
  const double values[3] = {1.5, 2.5, -3.5};
  const int keys[3] = {1, 2, -3}, second[3] = {'b', 'e', 0};
  std::vector<float> floats;
  std::vector<int> ints;
  for (int t = 0; t < 64; ++t) {
    floats.push_back(weights[t % 8] + static_cast<float>(1 + t % 4 * 3 + t % 3));
    ints.push_back(filled[static_cast<std::size_t>(t)] + text[static_cast<std::size_t>(t % 10)] +
                   static_cast<int>(values[t % 3] * 2) + keys[t % 3] + second[t % 3]);
  }
  everywhere(kMemory, [&](Machine& machine, int) {
    const auto [address, bytes] = machine.variable("filled_by_host");
    ASSERT_EQ(bytes, 256u);
    machine.write(address, filled.data(), 256);
    const Pointer out = machine.allocate(256), out2 = machine.allocate(256);
    ASSERT_EQ(machine.run("constants", {.block = {64, 1, 1}}, out, out2), "");
    expect_equal(machine.download<float>(out, 64), floats, "float");
    expect_equal(machine.download<int>(out2, 64), ints, "int");
  });
}

TEST(MemoryKernels, GlobalsKeepTheirValuesBetweenLaunches) {
  everywhere(kMemory, [&](Machine& machine, int) {
    for (int k = 0; k < 2; ++k) ASSERT_EQ(machine.run("globals", {.block = {64, 1, 1}}), "");
    expect_equal(machine.download<int>(machine.variable("counters").first, 4), {37, 38, 32, 32},
                 "counter");
    EXPECT_EQ(machine.download<double>(machine.variable("kept").first, 1)[0], 5.0);
  });
}

TEST(MemoryKernels, FunctionTablesCall) {
  std::vector<int> expected;
  for (int t = 0; t < 64; ++t) {
    const int a = t % 7, b = t % 5;
    int power = 1;
    for (int k = 0; k < b; ++k) power *= a;
    expected.push_back(t % 3 == 0 ? a + b : t % 3 == 1 ? a * b : power);
  }
  everywhere(kMemory, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("function_table", {.block = {64, 1, 1}}, out), "");
    expect_equal(machine.download<int>(out, 64), expected, "value");
  });
}

TEST(MemoryKernels, VectorsOfEveryWidthMove) {
  const std::vector<float> in = Numbers(1).reals(256);
  std::vector<std::int16_t> shorts;
  std::vector<std::int64_t> wide;
  std::vector<float> expected;
  std::vector<unsigned char> bytes;
  std::vector<double> doubles;
  for (int i = 0; i < 256; ++i) {
    shorts.push_back(static_cast<std::int16_t>(i * 31 - 4000));
    bytes.push_back(static_cast<unsigned char>(shorts.back() & 255));
    expected.push_back(in[static_cast<std::size_t>(i)] + static_cast<float>(shorts.back()));
  }
  for (int i = 0; i < 128; ++i) wide.push_back((std::int64_t{i} << 35) - i * 3);
  for (std::size_t t = 0; t < 64; ++t) {
    doubles.push_back(static_cast<double>(expected[4 * t]) * 0.5);
    doubles.push_back(static_cast<double>(wide[2 * t] - wide[2 * t + 1]));
  }
  everywhere(kMemory, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(1024), out_bytes = machine.allocate(256),
                  out_doubles = machine.allocate(1024);
    ASSERT_EQ(machine.run("vectors", {.block = {64, 1, 1}}, machine.upload(in), out,
                          machine.upload(shorts), out_bytes, out_doubles, machine.upload(wide)),
              "");
    expect_equal(machine.download<float>(out, 256), expected, "float");
    expect_equal(machine.download<unsigned char>(out_bytes, 256), bytes, "byte");
    expect_equal(machine.download<double>(out_doubles, 128), doubles, "double");
  });
}

struct Big {
  int values[20];
  Pointer from;
  signed char tag;
  double scale;
  std::int16_t rest[3];
};

TEST(MemoryKernels, StructsAndSmallTypesArePassedByValue) {
  everywhere(kMemory, [&](Machine& machine, int) {
    const std::vector<int> from = Numbers(2).integers(64, 0, 99);
    Big big{};
    for (int k = 0; k < 20; ++k) big.values[k] = k * k;
    big.from = machine.upload(from);
    big.tag = -7;
    big.scale = 1.5;
    for (int k = 0; k < 3; ++k) big.rest[k] = static_cast<std::int16_t>(-100 * k);
    std::vector<int> expected;
    for (int t = 0; t < 64; ++t)
      expected.push_back(big.values[t * 7 % 20] + from[static_cast<std::size_t>(t)] - 7 +
                         static_cast<int>(1.5 * t) - 100 * (t % 3) + 1000 + 3 - 4 + 5 + 6);
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("big_parameter", {.block = {64, 1, 1}}, big, out, true,
                          static_cast<signed char>(3), std::int16_t{-4}, 5.5f, 6.5),
              "");
    expect_equal(machine.download<int>(out, 64), expected, "value");
  });
}

TEST(MemoryKernels, IndicesCountInThreeDimensions) {
  const u32 g[3] = {3, 2, 2}, b[3] = {5, 3, 2};
  std::vector<u32> expected;
  for (u32 block = 0; block < 12; ++block)
    for (u32 t = 0; t < 30; ++t)
      expected.push_back(block % g[0] + 10 * (block / g[0] % g[1]) + 100 * (block / (g[0] * g[1])) +
                         1000 * (t % b[0]) + 10000 * (t / b[0] % b[1]) +
                         100000 * (t / (b[0] * b[1])) + (t << 24));
  everywhere(kMemory, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("indices", {.grid = {3, 2, 2}, .block = {5, 3, 2}}, out), "");
    expect_equal(machine.download<u32>(out, expected.size()), expected, "index");
  });
}

// The weights of the stencil travel as a struct parameter; the names are C++ names.
template <typename T, std::size_t N>
struct Stencil {
  T weights[N];
};

template <typename T, std::size_t N>
void check_stencil(Machine& machine, const std::string& mangled) {
  Stencil<T, N> stencil{};
  for (std::size_t k = 0; k < N; ++k) stencil.weights[k] = static_cast<T>(k + 1);
  std::vector<T> in, expected(100);
  for (int i = 0; i < 100; ++i) in.push_back(static_cast<T>(i * i % 23));
  for (int i = 0; i < 100; ++i)
    for (int k = 0; k < static_cast<int>(N); ++k) {
      const int j = i + k - static_cast<int>(N) / 2;
      if (j >= 0 && j < 100)
        expected[static_cast<std::size_t>(i)] +=
            stencil.weights[k] * in[static_cast<std::size_t>(j)];
    }
  const Pointer out = machine.allocate(100 * sizeof(T));
  ASSERT_EQ(machine.run(mangled, {.grid = {2, 1, 1}, .block = {64, 1, 1}}, machine.upload(in), out,
                        100, stencil),
            "");
  expect_equal(machine.download<T>(out, 100), expected, mangled);
}

TEST(MemoryKernels, TemplatesRunUnderTheirMangledNames) {
  everywhere(kMemory, [&](Machine& machine, int) {
    check_stencil<float, 5>(machine, "_Z7stencilIfLi5EEvPKT_PS0_i7StencilIS0_XT0_EE");
    check_stencil<double, 3>(machine, "_Z7stencilIdLi3EEvPKT_PS0_i7StencilIS0_XT0_EE");
    check_stencil<std::int64_t, 7>(machine, "_Z7stencilIxLi7EEvPKT_PS0_i7StencilIS0_XT0_EE");
  });
}

TEST(MemoryKernels, ClocksGoForward) {
  everywhere(kMemory, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(512);
    ASSERT_EQ(machine.run("clocks", {.block = {64, 1, 1}}, out), "");
    const std::vector<std::uint64_t> sums = machine.download<std::uint64_t>(out, 64);
    for (std::uint64_t t = 0; t < 64; ++t) ASSERT_EQ(sums[t], 4950 * t);
  });
}

TEST(MemoryKernels, ATrapEndsTheLaunch) {
  everywhere(kMemory, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    EXPECT_NE(machine.run("trapped", {.block = {64, 1, 1}}, out), "");
  });
}

}  // namespace
}  // namespace hone::test
