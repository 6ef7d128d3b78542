// 16-bit and 8-bit floating point.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/numbers.h"

namespace hone::test {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;

Source half_source(int least_sm = 75) {
  return {.file = "half.cu", .headers = true, .least_sm = least_sm};
}

double rounded(double x, const Format& f) { return widened(narrowed(x, f), f); }

// What one thread of half_scalar and bf16_scalar writes. From the 17th on: functions, which may be
// one unit off.
constexpr std::size_t kExactScalars = 21;
std::vector<float> scalar_row(double a, double b, double c, int thread, const Format& f) {
  const auto r = [&](double x) { return static_cast<float>(rounded(x, f)); };
  // The quotient is rounded to binary32 first, as the headers do it.
  return {r(a + b),
          r(a - b),
          r(a * b),
          r(static_cast<float>(a / b)),
          r(std::fma(a, b, c)),
          r(-a),
          r(std::fabs(a)),
          r(std::min(a, b)),
          r(std::max(a, b)),
          a < b ? 1.0f : 0.0f,
          1.0f,
          a >= c ? 1.0f : 0.0f,
          0.0f,
          static_cast<float>(static_cast<int>(a)),
          r(static_cast<float>(thread) * 1.3f),
          r(thread * 17),
          r(std::sqrt(std::fabs(a))),
          r(std::floor(a)),
          r(std::ceil(a)),
          r(std::trunc(a)),
          r(std::nearbyint(a)),
          r(std::exp(b)),
          r(std::log(std::fabs(a) + c)),
          r(std::exp2(b)),
          r(1 / c),
          r(1 / std::sqrt(c)),
          r(std::tanh(b))};
}

// Three inputs a thread, already of the type: a in [-40, 40), b in [-2, 2) and not 0, c in [0.5,
// 9).
std::vector<float> triples(std::size_t count, const Format& f, std::uint64_t seed) {
  Numbers numbers(seed);
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    const double b = rounded(static_cast<double>(numbers.real()) * 2, f);
    values.push_back(static_cast<float>(rounded(static_cast<double>(numbers.real()) * 40, f)));
    values.push_back(static_cast<float>(b == 0 ? 1 : b));
    values.push_back(
        static_cast<float>(rounded(static_cast<double>(numbers.real()) * 4 + 4.75, f)));
  }
  return values;
}

void check_scalars(const std::string& kernel, const Format& f, int least_sm) {
  const std::vector<float> in = triples(96, f, 1);
  everywhere(half_source(least_sm), [&](Machine& machine, int) {
    const Pointer out = machine.allocate(96 * 27 * 4);
    ASSERT_EQ(machine.run(kernel, {.block = {96, 1, 1}}, machine.upload(in), out), "");
    const std::vector<float> got = machine.download<float>(out, 96 * 27);
    for (std::size_t t = 0; t < 96; ++t) {
      const std::vector<float> expected =
          scalar_row(static_cast<double>(in[3 * t]), static_cast<double>(in[3 * t + 1]),
                     static_cast<double>(in[3 * t + 2]), static_cast<int>(t), f);
      for (std::size_t k = 0; k < 27; ++k) {
        const double unit = std::ldexp(1.0, -f.mantissa_bits);
        // __hlog rounds |a| + c to the type first, which costs a unit of its argument.
        const double slack = k < kExactScalars ? 0 : k == 22 ? 2 * unit : unit;
        ASSERT_LE(
            std::fabs(static_cast<double>(got[27 * t + k]) - static_cast<double>(expected[k])),
            slack * std::max(std::fabs(static_cast<double>(expected[k])), k == 22 ? 1.0 : 0.0))
            << fmt::format("thread {}, result {}: {} instead of {} (a={}, b={}, c={})", t, k,
                           got[27 * t + k], expected[k], in[3 * t], in[3 * t + 1], in[3 * t + 2]);
      }
    }
  });
}

TEST(HalfKernels, HalvesRoundAsTheyShould) { check_scalars("half_scalar", kF16, 75); }
TEST(HalfKernels, BfloatsRoundAsTheyShould) { check_scalars("bf16_scalar", kBf16, 80); }

void check_pairs(const std::string& kernel, const Format& f, int least_sm) {
  const std::vector<float> low = triples(64, f, 2), high = triples(64, f, 3);
  std::vector<float> in;
  for (std::size_t i = 0; i < low.size(); ++i) {
    in.push_back(low[i]);
    in.push_back(high[i]);
  }
  everywhere(half_source(least_sm), [&](Machine& machine, int) {
    const Pointer out = machine.allocate(64 * 27 * 4);
    ASSERT_EQ(machine.run(kernel, {.block = {64, 1, 1}}, machine.upload(in), out), "");
    const std::vector<float> got = machine.download<float>(out, 64 * 27);
    for (std::size_t t = 0; t < 64; ++t) {
      bool both = true;
      for (std::size_t half = 0; half < 2; ++half) {
        const std::vector<float>& v = half == 0 ? low : high;
        const double a = static_cast<double>(v[3 * t]), b = static_cast<double>(v[3 * t + 1]),
                     c = static_cast<double>(v[3 * t + 2]);
        both = both && a > b;
        const double fused = std::fma(a, b, c);
        const std::vector<double> expected = {a + b,
                                              a - b,
                                              a * b,
                                              fused,
                                              std::max(fused, 0.0),
                                              -a,
                                              std::fabs(a),
                                              std::min(a, b),
                                              std::max(a, b),
                                              a < b ? 1.0 : 0,
                                              std::clamp(a + b, 0.0, 1.0),
                                              std::sqrt(std::fabs(a)),
                                              std::exp(b)};
        for (std::size_t k = 0; k < expected.size(); ++k) {
          const double e = rounded(expected[k], f),
                       slack = k == 12 ? std::ldexp(e, -f.mantissa_bits) : 0;
          ASSERT_LE(std::fabs(static_cast<double>(got[27 * t + 2 * k + half]) - e), slack)
              << fmt::format("thread {}, result {}, half {}: {} instead of {} (a={}, b={}, c={})",
                             t, k, half, got[27 * t + 2 * k + half], e, a, b, c);
        }
      }
      ASSERT_EQ(got[27 * t + 26], both ? 1.0f : 0.0f) << "thread " << t;
    }
  });
}

TEST(HalfKernels, PairsOfHalvesRoundAsTheyShould) { check_pairs("half_pairs", kF16, 75); }
TEST(HalfKernels, PairsOfBfloatsRoundAsTheyShould) { check_pairs("bf16_pairs", kBf16, 80); }

TEST(HalfKernels, SoftmaxInHalvesSumsToOne) {
  const std::size_t rows = 3, columns = 328;
  Numbers numbers(4);
  std::vector<u16> in(rows * columns);
  for (u16& v : in) v = f16(numbers.real() * 6);
  std::vector<float> expected(in.size());
  for (std::size_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c)
      sum += std::exp(static_cast<double>(f16(in[r * columns + c])));
    for (std::size_t c = 0; c < columns; ++c)
      expected[r * columns + c] =
          static_cast<float>(std::exp(static_cast<double>(f16(in[r * columns + c]))) / sum);
  }
  everywhere(half_source(), [&](Machine& machine, int) {
    const Pointer out = machine.allocate(in.size() * 2);
    ASSERT_EQ(machine.run("half_softmax", {.grid = {3, 1, 1}, .block = {32, 1, 1}},
                          machine.upload(in), out, 328),
              "");
    std::vector<float> got;
    for (const u16 bits : machine.download<u16>(out, in.size())) got.push_back(f16(bits));
    expect_near(got, expected, 2e-3, 1e-6, "probability");
  });
}

TEST(HalfKernels, EveryCodeWidensToItsValue) {
  std::vector<float> halves, bfloats, e4m3, e5m2;
  for (u32 i = 0; i < 65536; ++i) {
    halves.push_back(static_cast<float>(widened(i, kF16)));
    bfloats.push_back(static_cast<float>(widened(i, kBf16)));
    if (i < 256) e4m3.push_back(static_cast<float>(widened(i, kE4m3)));
    if (i < 256) e5m2.push_back(static_cast<float>(widened(i, kE5m2)));
  }
  everywhere(half_source(), [&](Machine& machine, int) {
    const Pointer a = machine.allocate(65536 * 4), b = machine.allocate(65536 * 4),
                  c = machine.allocate(1024), d = machine.allocate(1024);
    ASSERT_EQ(machine.run("widen_all", {.grid = {256, 1, 1}, .block = {256, 1, 1}}, a, b, c, d),
              "");
    expect_near(machine.download<float>(a, 65536), halves, 0, 0, "half");
    expect_near(machine.download<float>(b, 65536), bfloats, 0, 0, "bf16");
    expect_near(machine.download<float>(c, 256), e4m3, 0, 0, "e4m3");
    expect_near(machine.download<float>(d, 256), e5m2, 0, 0, "e5m2");
  });
}

std::vector<float> awkward_numbers() {
  std::vector<float> in = {0.0f,          -0.0f,        1.0f,      65504.0f,      65519.9f,
                           65520.0f,      -65536.0f,    1e-8f,     5.9604645e-8f, 2.98e-8f,
                           6.1e-5f,       448.0f,       464.0f,    465.0f,        500.0f,
                           57344.0f,      61440.0f,     61441.0f,  1e30f,         -1e-30f,
                           0.0009765625f, 0.001953125f, 0.015625f, 0.0146f,       3.3895314e38f};
  Numbers numbers(5);
  for (int i = 0; i < 500; ++i) in.push_back(std::ldexp(numbers.real(), numbers.integer(-26, 18)));
  for (u32 code = 0; code < 0x7c00; code += 17) {
    // Halfway between two halves: to the even one.
    in.push_back(static_cast<float>((widened(code, kF16) + widened(code + 1, kF16)) / 2));
  }
  for (float& v : in)
    if (std::isnan(v) || std::isinf(v)) v = 0;
  return in;
}

TEST(HalfKernels, FloatsNarrowWithTheRoundingAskedFor) {
  const std::vector<float> in = awkward_numbers();
  std::vector<u16> halves, bfloats;
  std::vector<u8> e4m3, e5m2;
  for (const float v : in) {
    const auto x = static_cast<double>(v);
    for (const Rounding r : {Rounding::kNearest, Rounding::kZero, Rounding::kUp, Rounding::kDown})
      halves.push_back(static_cast<u16>(narrowed(x, kF16, r)));
    for (const Rounding r : {Rounding::kNearest, Rounding::kZero})
      bfloats.push_back(static_cast<u16>(narrowed(x, kBf16, r)));
    e4m3.push_back(static_cast<u8>(narrowed(x, kE4m3, Rounding::kNearest, true)));
    e5m2.push_back(static_cast<u8>(narrowed(x, kE5m2, Rounding::kNearest, true)));
  }
  const std::size_t n = in.size();
  everywhere(half_source(), [&](Machine& machine, int) {
    const Pointer a = machine.allocate(n * 8), b = machine.allocate(n * 4), c = machine.allocate(n),
                  d = machine.allocate(n);
    ASSERT_EQ(machine.run("narrow",
                          {.grid = {static_cast<u32>((n + 63) / 64), 1, 1}, .block = {64, 1, 1}},
                          machine.upload(in), a, b, c, d, static_cast<int>(n)),
              "");
    expect_equal(machine.download<u16>(a, 4 * n), halves, "half");
    expect_equal(machine.download<u16>(b, 2 * n), bfloats, "bf16");
    expect_equal(machine.download<u8>(c, n), e4m3, "e4m3");
    expect_equal(machine.download<u8>(d, n), e5m2, "e5m2");
  });
}

TEST(HalfKernels, PairsNarrowToFp8AndBack) {
  std::vector<float> in = awkward_numbers();
  in.resize(in.size() / 2 * 2);
  const std::size_t n = in.size() / 2;
  std::vector<u16> e4m3, e5m2;
  std::vector<u32> back;
  for (std::size_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(in[2 * i]), y = static_cast<double>(in[2 * i + 1]);
    const auto code = [&](const Format& f) {
      return static_cast<u16>(narrowed(y, f, Rounding::kNearest, true) << 8 |
                              narrowed(x, f, Rounding::kNearest, true));
    };
    e4m3.push_back(code(kE4m3));
    e5m2.push_back(code(kE5m2));
    back.push_back(narrowed(widened(e4m3.back() >> 8, kE4m3), kF16) << 16 |
                   narrowed(widened(e4m3.back() & 255u, kE4m3), kF16));
  }
  everywhere(half_source(), [&](Machine& machine, int) {
    const Pointer a = machine.allocate(n * 2), b = machine.allocate(n * 2),
                  c = machine.allocate(n * 4);
    ASSERT_EQ(machine.run("narrow_pairs",
                          {.grid = {static_cast<u32>((n + 63) / 64), 1, 1}, .block = {64, 1, 1}},
                          machine.upload(in), a, b, c, static_cast<int>(n)),
              "");
    expect_equal(machine.download<u16>(a, n), e4m3, "e4m3");
    expect_equal(machine.download<u16>(b, n), e5m2, "e5m2");
    expect_equal(machine.download<u32>(c, n), back, "back");
  });
}

}  // namespace
}  // namespace hone::test
