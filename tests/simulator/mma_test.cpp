// mma.sync in every dense shape, ldmatrix, stmatrix, and a matrix product made of them.
#include <gtest/gtest.h>

#include <bit>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/numbers.h"

namespace hone::test {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

// D = A B + C over the reals: A is m x k by rows, B k x n by columns.
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b,
                            const std::vector<double>& c, std::size_t m, std::size_t n,
                            std::size_t k) {
  std::vector<double> d = c;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t q = 0; q < k; ++q) d[i * n + j] += a[i * k + q] * b[j * k + q];
  return d;
}

// Codes of small numbers of the format, and what they stand for.
struct Operand {
  std::vector<u32> codes;
  std::vector<double> values;
};

Operand operand(std::size_t count, const Format& f, std::uint64_t seed) {
  Numbers numbers(seed);
  Operand o;
  for (std::size_t i = 0; i < count; ++i) {
    o.codes.push_back(narrowed(static_cast<double>(numbers.real()) * 4, f));
    o.values.push_back(widened(o.codes.back(), f));
  }
  return o;
}

template <typename T>
std::vector<T> as(const std::vector<u32>& codes) {
  return {codes.begin(), codes.end()};
}

template <typename T>
Pointer upload_codes(Machine& machine, const std::vector<u32>& codes, int bytes) {
  return bytes == 1   ? machine.upload(as<u8>(codes))
         : bytes == 2 ? machine.upload(as<u16>(codes))
                      : machine.upload(codes);
}

struct FloatShape {
  std::string kernel;
  Format a, b;
  int bytes = 2;  // of an operand's element in memory
  std::size_t k = 0;
  bool half_sums = false;
  int least_sm = 80;
  int only_sm = 0;
};

void check_float(const FloatShape& shape) {
  const Operand a = operand(16 * shape.k, shape.a, 1), b = operand(8 * shape.k, shape.b, 2),
                c = operand(128, kF16, 3);
  const std::vector<double> expected = product(a.values, b.values, c.values, 16, 8, shape.k);
  // tf32 lies in the upper bits of a word; the lower 13 are ignored, so there is noise in them.
  const auto stored = [&](const Operand& o) {
    std::vector<u32> codes = o.codes;
    if (shape.bytes == 4)
      for (u32& code : codes) code = code << 13 | 0x7u;
    return codes;
  };
  everywhere({.file = "mma.cu", .least_sm = shape.least_sm}, [&](Machine& machine, int sm) {
    if (shape.only_sm != 0 && sm != shape.only_sm) return;
    const Pointer da = upload_codes<u32>(machine, stored(a), shape.bytes),
                  db = upload_codes<u32>(machine, stored(b), shape.bytes);
    std::vector<double> got;
    if (shape.half_sums) {
      const Pointer dc = machine.upload(as<u16>(c.codes)), out = machine.allocate(256);
      ASSERT_EQ(machine.run(shape.kernel, {.block = {32, 1, 1}}, da, db, dc, out), "")
          << shape.kernel;
      for (const u16 code : machine.download<u16>(out, 128)) got.push_back(widened(code, kF16));
    } else {
      const Pointer dc = machine.upload(std::vector<float>(c.values.begin(), c.values.end())),
                    out = machine.allocate(512);
      ASSERT_EQ(machine.run(shape.kernel, {.block = {32, 1, 1}}, da, db, dc, out), "")
          << shape.kernel;
      for (const float value : machine.download<float>(out, 128))
        got.push_back(static_cast<double>(value));
    }
    expect_near(got, expected, shape.half_sums ? 2e-3 : 1e-5, shape.half_sums ? 3e-2 : 1e-4,
                shape.kernel);
  });
}

TEST(MatrixKernels, HalvesMultiplyInEveryShape) {
  check_float({.kernel = "f16_m16n8k8_f32", .a = kF16, .b = kF16, .k = 8, .least_sm = 75});
  check_float({.kernel = "f16_m16n8k8_f16",
               .a = kF16,
               .b = kF16,
               .k = 8,
               .half_sums = true,
               .least_sm = 75});
  check_float({.kernel = "f16_m16n8k16_f32", .a = kF16, .b = kF16, .k = 16});
  check_float({.kernel = "f16_m16n8k16_f16", .a = kF16, .b = kF16, .k = 16, .half_sums = true});
}
TEST(MatrixKernels, BfloatsMultiplyInEveryShape) {
  check_float({.kernel = "bf16_m16n8k8", .a = kBf16, .b = kBf16, .k = 8});
  check_float({.kernel = "bf16_m16n8k16", .a = kBf16, .b = kBf16, .k = 16});
}
TEST(MatrixKernels, Tf32MultipliesInEveryShape) {
  check_float({.kernel = "tf32_m16n8k4", .a = kTf32, .b = kTf32, .bytes = 4, .k = 4});
  check_float({.kernel = "tf32_m16n8k8", .a = kTf32, .b = kTf32, .bytes = 4, .k = 8});
}
TEST(MatrixKernels, Fp8MultipliesInEveryShape) {
  check_float(
      {.kernel = "e4m3_m16n8k32", .a = kE4m3, .b = kE4m3, .bytes = 1, .k = 32, .least_sm = 89});
  check_float(
      {.kernel = "e5m2_m16n8k32", .a = kE5m2, .b = kE5m2, .bytes = 1, .k = 32, .least_sm = 89});
  check_float(
      {.kernel = "e4m3e5m2_m16n8k32", .a = kE4m3, .b = kE5m2, .bytes = 1, .k = 32, .least_sm = 89});
  check_float(
      {.kernel = "e4m3_m16n8k16", .a = kE4m3, .b = kE4m3, .bytes = 1, .k = 16, .least_sm = 89});
  check_float({.kernel = "e4m3_m16n8k32_f16",
               .a = kE4m3,
               .b = kE4m3,
               .bytes = 1,
               .k = 32,
               .half_sums = true,
               .least_sm = 89});
  check_float({.kernel = "e4m3_kind",
               .a = kE4m3,
               .b = kE5m2,
               .bytes = 1,
               .k = 32,
               .least_sm = 120,
               .only_sm = 120});
}

struct IntegerShape {
  std::string kernel;
  std::size_t m = 16, k = 0;
  bool a_signed = true, b_signed = true, saturates = false;
  int least_sm = 80;
};

void check_integer(const IntegerShape& shape) {
  Numbers numbers(4);
  const auto values = [&](std::size_t count, bool is_signed) {
    return is_signed ? numbers.integers(count, -128, 127) : numbers.integers(count, 0, 255);
  };
  const std::vector<int> a = values(shape.m * shape.k, shape.a_signed),
                         b = values(8 * shape.k, shape.b_signed);
  std::vector<int> c = numbers.integers(shape.m * 8, -100000, 100000);
  // Sums that leave 32 bits wrap, or stop at the end when the instruction says so.
  c[5] = std::numeric_limits<int>::max();
  c[6] = std::numeric_limits<int>::min();
  std::vector<int> expected;
  for (const double d : product({a.begin(), a.end()}, {b.begin(), b.end()}, {c.begin(), c.end()},
                                shape.m, 8, shape.k)) {
    const auto sum = static_cast<std::int64_t>(d);
    expected.push_back(shape.saturates ? static_cast<int>(std::clamp<std::int64_t>(
                                             sum, std::numeric_limits<int>::min(),
                                             std::numeric_limits<int>::max()))
                                       : static_cast<int>(static_cast<u32>(sum)));
  }
  everywhere({.file = "mma.cu", .least_sm = shape.least_sm}, [&](Machine& machine, int) {
    const Pointer da = machine.upload(std::vector<u8>(a.begin(), a.end())),
                  db = machine.upload(std::vector<u8>(b.begin(), b.end())),
                  out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run(shape.kernel, {.block = {32, 1, 1}}, da, db, machine.upload(c), out), "")
        << shape.kernel;
    expect_equal(machine.download<int>(out, expected.size()), expected, shape.kernel);
  });
}

TEST(MatrixKernels, BytesMultiplyInEveryShape) {
  check_integer({.kernel = "s8_m8n8k16", .m = 8, .k = 16, .least_sm = 75});
  check_integer({.kernel = "u8_m8n8k16",
                 .m = 8,
                 .k = 16,
                 .a_signed = false,
                 .b_signed = false,
                 .saturates = true,
                 .least_sm = 75});
  check_integer({.kernel = "s8_m16n8k16", .k = 16});
  check_integer({.kernel = "u8s8_m16n8k16", .k = 16, .a_signed = false});
  check_integer({.kernel = "s8_m16n8k32", .k = 32});
  check_integer({.kernel = "u8_m16n8k32", .k = 32, .a_signed = false, .b_signed = false});
  check_integer({.kernel = "s8_m16n8k32_sat", .k = 32, .saturates = true});
}

TEST(MatrixKernels, VoltasShapeMakesFourProducts) {
  const Operand a = operand(4 * 32, kF16, 5), b = operand(4 * 32, kF16, 6),
                c = operand(4 * 64, kF16, 7);
  std::vector<float> expected;
  for (std::size_t quad = 0; quad < 4; ++quad) {
    const auto part = [&](const std::vector<double>& v, std::size_t size) {
      return std::vector<double>(v.begin() + static_cast<long>(quad * size),
                                 v.begin() + static_cast<long>((quad + 1) * size));
    };
    for (const double d :
         product(part(a.values, 32), part(b.values, 32), part(c.values, 64), 8, 8, 4))
      expected.push_back(static_cast<float>(d));
  }
  everywhere({.file = "mma.cu"}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(1024);
    ASSERT_EQ(
        machine.run("f16_m8n8k4_f32", {.block = {32, 1, 1}}, machine.upload(as<u16>(a.codes)),
                    machine.upload(as<u16>(b.codes)),
                    machine.upload(std::vector<float>(c.values.begin(), c.values.end())), out),
        "");
    expect_near(machine.download<float>(out, 256), expected, 1e-5, 1e-5, "product");
  });
}

TEST(MatrixKernels, DoublesMultiply) {
  Numbers numbers(8);
  std::vector<double> a(32), b(32), c(64);
  for (std::vector<double>* v : {&a, &b, &c})
    for (double& x : *v) x = static_cast<double>(numbers.real());
  everywhere({.file = "mma.cu", .least_sm = 80}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(512);
    ASSERT_EQ(machine.run("f64_m8n8k4", {.block = {32, 1, 1}}, machine.upload(a), machine.upload(b),
                          machine.upload(c), out),
              "");
    expect_near(machine.download<double>(out, 64), product(a, b, c, 8, 8, 4), 1e-14, 1e-15,
                "product");
  });
}

TEST(MatrixKernels, Tf32ConversionRoundsHalfAwayFromZero) {
  const std::vector<float> in = Numbers(9).reals(32);
  std::vector<u32> expected;
  for (const float v : in) expected.push_back((std::bit_cast<u32>(v) + 0x1000u) & ~0x1fffu);
  everywhere({.file = "mma.cu", .least_sm = 80}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(128);
    ASSERT_EQ(machine.run("tf32_converted", {.block = {32, 1, 1}}, machine.upload(in), out), "");
    std::vector<u32> got = machine.download<u32>(out, 32);
    for (u32& word : got) word &= ~0x1fffu;
    expect_equal(got, expected, "tf32");
  });
}

// The register of `lane` in an 8x8 matrix whose rows begin at `row(i)`; transposed: of its
// transpose.
template <typename Row>
u32 fragment(const std::vector<u16>& tile, const Row& row, std::size_t lane, bool transposed) {
  const std::size_t i = lane / 4, j = lane % 4 * 2;
  const u32 low = transposed ? tile[row(j) + i] : tile[row(i) + j];
  const u32 high = transposed ? tile[row(j + 1) + i] : tile[row(i) + j + 1];
  return high << 16 | low;
}

TEST(MatrixKernels, LdmatrixTakesItsRowsFromTheLanesAddresses) {
  std::vector<u16> tile(256);
  for (std::size_t i = 0; i < 256; ++i) tile[i] = static_cast<u16>(i * 257 + 1);
  std::vector<u32> expected;
  const auto matrices = [&](std::size_t count, bool transposed,
                            const std::function<std::size_t(std::size_t)>& row_of_lane) {
    for (std::size_t matrix = 0; matrix < count; ++matrix)
      for (std::size_t lane = 0; lane < 32; ++lane)
        expected.push_back(fragment(
            tile, [&](std::size_t i) { return row_of_lane(matrix * 8 + i) * 8; }, lane,
            transposed));
  };
  const auto straight = [](std::size_t lane) { return lane; };
  matrices(4, false, straight);
  matrices(4, true, [](std::size_t lane) { return lane ^ 9; });
  matrices(2, false, [](std::size_t lane) { return 31 - lane; });
  matrices(2, true, straight);
  matrices(1, false, straight);
  matrices(1, true, straight);
  everywhere({.file = "mma.cu"}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("ldmatrix_forms", {.block = {32, 1, 1}}, machine.upload(tile), out), "");
    expect_equal(machine.download<u32>(out, expected.size()), expected, "register");
  });
}

TEST(MatrixKernels, StmatrixIsLdmatrixBackwards) {
  std::vector<u32> in(128);
  for (u32 i = 0; i < 128; ++i) in[i] = (2 * i + 1) << 16 | (2 * i);
  std::vector<u16> expected(384);
  for (std::size_t matrix = 0; matrix < 4; ++matrix)
    for (std::size_t lane = 0; lane < 32; ++lane)
      for (std::size_t half = 0; half < 2; ++half) {
        const auto value = static_cast<u16>(in[matrix * 32 + lane] >> (16 * half));
        const std::size_t i = lane / 4, j = lane % 4 * 2 + half;
        expected[(matrix * 8 + i) * 8 + j] = value;
        if (matrix < 2) expected[256 + (matrix * 8 + j) * 8 + i] = value;
      }
  everywhere({.file = "mma.cu", .least_sm = 90}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(768);
    ASSERT_EQ(machine.run("stmatrix_forms", {.block = {32, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<u16>(out, 384), expected, "element");
  });
}

TEST(MatrixKernels, AGemmThroughAsyncCopiesMultiplies) {
  const std::size_t m = 128, n = 128, k = 96;
  const Operand a = operand(m * k, kF16, 10), b = operand(k * n, kF16, 11);
  std::vector<float> expected(m * n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t q = 0; q < k; ++q) sum += a.values[i * k + q] * b.values[q * n + j];
      expected[i * n + j] = static_cast<float>(sum);
    }
  everywhere({.file = "mma.cu", .least_sm = 80}, [&](Machine& machine, int) {
    const Pointer da = machine.upload(as<u16>(a.codes)), db = machine.upload(as<u16>(b.codes));
    for (const u32 tile : {64u, 128u}) {
      const Pointer out = machine.allocate(m * n * 2);
      ASSERT_EQ(machine.run(fmt::format("gemm_f16_{}", tile),
                            {.grid = {128 / tile, 128 / tile, 1},
                             .block = {tile == 64 ? 128u : 256u, 1, 1},
                             .shared = 3 * 2 * tile * 32 * 2},
                            da, db, out, static_cast<int>(n), static_cast<int>(k)),
                "");
      std::vector<float> got;
      for (const u16 code : machine.download<u16>(out, m * n)) got.push_back(f16(code));
      expect_near(got, expected, 1e-3, 1e-2, "product");
    }
  });
}

TEST(MatrixKernels, TheWmmaInterfaceMultiplies) {
  const std::size_t k = 48;
  const Operand a = operand(16 * k, kF16, 12), b = operand(16 * k, kF16, 13);
  std::vector<float> expected;
  for (const double d : product(a.values, b.values, std::vector<double>(256, 0.5), 16, 16, k))
    expected.push_back(static_cast<float>(2 * d));
  everywhere({.file = "wmma.cu", .headers = true}, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(1024);
    ASSERT_EQ(machine.run("wmma_f16", {.block = {32, 1, 1}}, machine.upload(as<u16>(a.codes)),
                          machine.upload(as<u16>(b.codes)), out, static_cast<int>(k)),
              "");
    expect_near(machine.download<float>(out, 256), expected, 1e-5, 1e-4, "product");
  });
}

}  // namespace
}  // namespace hone::test
