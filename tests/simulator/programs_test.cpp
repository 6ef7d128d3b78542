// Small whole programs.
#include <gtest/gtest.h>

#include <algorithm>
#include <complex>
#include <numbers>
#include <numeric>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/numbers.h"

namespace hone::test {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// Contraction would make the host's doubles differ where a path depends on them.
const Source kPrograms{.file = "programs.cu", .headers = true, .options = {"--fmad=false"}};

TEST(Programs, FlashAttentionAttends) {
  const std::size_t queries = 32, keys = 41, head = 32;
  Numbers numbers(1);
  const auto draw = [&](std::size_t count) {
    std::vector<u16> codes(count);
    for (u16& code : codes) code = bf16(numbers.real() * 2);
    return codes;
  };
  const std::vector<u16> q = draw(queries * head), k = draw(keys * head), v = draw(keys * head);
  const auto at = [&](const std::vector<u16>& m, std::size_t i, std::size_t d) {
    return widened(m[i * head + d], kBf16);
  };
  std::vector<float> expected(queries * head);
  for (std::size_t i = 0; i < queries; ++i) {
    std::vector<double> p(keys);
    double total = 0;
    for (std::size_t j = 0; j < keys; ++j) {
      double score = 0;
      for (std::size_t d = 0; d < head; ++d) score += at(q, i, d) * at(k, j, d);
      total += p[j] = std::exp(score / std::sqrt(static_cast<double>(head)));
    }
    for (std::size_t d = 0; d < head; ++d) {
      double sum = 0;
      for (std::size_t j = 0; j < keys; ++j) sum += p[j] * at(v, j, d);
      expected[i * head + d] = static_cast<float>(sum / total);
    }
  }
  Source source = kPrograms;
  source.least_sm = 80;
  everywhere(source, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(queries * head * 4);
    ASSERT_EQ(
        machine.run("flash_attention", {.grid = {2, 1, 1}, .block = {32, 1, 1}}, machine.upload(q),
                    machine.upload(k), machine.upload(v), out, static_cast<int>(keys)),
        "");
    expect_near(machine.download<float>(out, expected.size()), expected, 2e-2, 1e-2, "attention");
  });
}

TEST(Programs, AWorkQueueIsEmptiedOnce) {
  const std::vector<int> lengths = Numbers(2).integers(23, 0, 300);
  std::vector<u64> expected;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    u64 sum = 0;
    for (u64 k = 0; k < static_cast<u64>(lengths[i]); ++k) sum += k * k + i;
    expected.push_back(sum);
  }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer results = machine.allocate(23 * 8), next = machine.upload(std::vector<int>{0});
    ASSERT_EQ(machine.run("work_queue", {.grid = {4, 1, 1}, .block = {64, 1, 1}},
                          machine.upload(lengths), 23, next, results),
              "");
    expect_equal(machine.download<u64>(results, 23), expected, "sum");
  });
}

TEST(Programs, AScanThatLooksBackScans) {
  std::vector<u32> in(1000), expected(1000);
  for (u32 i = 0; i < 1000; ++i) in[i] = i * 7 % 13;
  std::exclusive_scan(in.begin(), in.end(), expected.begin(), 0u);
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(4000), states = machine.upload(std::vector<u64>(8)),
                  tickets = machine.upload(std::vector<u32>(1));
    ASSERT_EQ(machine.run("look_back_scan", {.grid = {8, 1, 1}, .block = {128, 1, 1}},
                          machine.upload(in), out, states, tickets, 1000),
              "");
    expect_equal(machine.download<u32>(out, 1000), expected, "scan");
  });
}

TEST(Programs, AFourierTransformTransforms) {
  const std::vector<float> in = Numbers(3).reals(2 * 512);
  std::vector<float> expected;
  for (std::size_t batch = 0; batch < 2; ++batch)
    for (std::size_t f = 0; f < 256; ++f) {
      std::complex<double> sum = 0;
      for (std::size_t k = 0; k < 256; ++k) {
        const std::complex<double> x(static_cast<double>(in[batch * 512 + 2 * k]),
                                     static_cast<double>(in[batch * 512 + 2 * k + 1]));
        sum += x * std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(f * k % 256) / 256);
      }
      expected.push_back(static_cast<float>(sum.real()));
      expected.push_back(static_cast<float>(sum.imag()));
    }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(4096);
    ASSERT_EQ(
        machine.run("fourier", {.grid = {2, 1, 1}, .block = {128, 1, 1}}, machine.upload(in), out),
        "");
    expect_near(machine.download<float>(out, 1024), expected, 1e-4, 1e-4, "spectrum");
  });
}

TEST(Programs, QuantisedRowsMultiply) {
  const std::size_t rows = 5, columns = 1280, count = columns / 32;
  Numbers numbers(4);
  std::vector<u8> blocks(rows * count * 34);
  std::vector<signed char> x(columns);
  for (signed char& v : x) v = static_cast<signed char>(numbers.integer(-128, 127));
  const std::vector<float> scales = numbers.reals(count);
  std::vector<float> expected(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::size_t b = 0; b < count; ++b) {
      u8* block = &blocks[(r * count + b) * 34];
      const u16 scale = f16(numbers.real() * 0.1f);
      std::memcpy(block, &scale, 2);
      int dot = 0;
      for (std::size_t k = 0; k < 32; ++k) {
        const int w = numbers.integer(-128, 127);
        block[2 + k] = static_cast<u8>(w);
        dot += w * x[b * 32 + k];
      }
      sum += static_cast<double>(f16(scale)) * static_cast<double>(scales[b]) * dot;
    }
    expected[r] = static_cast<float>(sum);
  }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(rows * 4);
    ASSERT_EQ(machine.run("quantised_rows", {.grid = {rows, 1, 1}, .block = {32, 1, 1}},
                          machine.upload(blocks), machine.upload(x), machine.upload(scales), out,
                          static_cast<int>(columns)),
              "");
    expect_near(machine.download<float>(out, rows), expected, 1e-4, 1e-1, "row");
  });
}

TEST(Programs, EditDistanceByDiagonalsIsTheHosts) {
  Numbers numbers(5);
  std::vector<u8> a(100), b(77);
  for (u8& c : a) c = static_cast<u8>('a' + numbers.integer(0, 3));
  for (u8& c : b) c = static_cast<u8>('a' + numbers.integer(0, 3));
  std::vector<std::vector<int>> d(101, std::vector<int>(78));
  for (std::size_t i = 0; i <= 100; ++i)
    for (std::size_t j = 0; j <= 77; ++j)
      d[i][j] = i == 0 || j == 0 ? static_cast<int>(i + j)
                                 : std::min({d[i - 1][j] + 1, d[i][j - 1] + 1,
                                             d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(4);
    ASSERT_EQ(machine.run("edit_distance", {.block = {128, 1, 1}}, machine.upload(a),
                          machine.upload(b), 100, 77, out),
              "");
    EXPECT_EQ(machine.download<int>(out, 1)[0], d[100][77]);
  });
}

TEST(Programs, EscapeTimesAreTheHosts) {
  const int width = 50, height = 30, limit = 60;
  std::vector<int> expected;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const double cr = -2.0 + 3.0 * x / width, ci = -1.25 + 2.5 * y / height;
      double zr = 0, zi = 0;
      int k = 0;
      for (; k < limit && zr * zr + zi * zi <= 4.0; ++k) {
        const double next = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = next;
      }
      expected.push_back(k);
    }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("escape_times", {.grid = {4, 4, 1}, .block = {16, 8, 1}}, out, width,
                          height, limit),
              "");
    expect_equal(machine.download<int>(out, expected.size()), expected, "time");
  });
}

TEST(Programs, UnionsAndBitFieldsOfDoublesAreTheHosts) {
  std::vector<double> in(1000);
  Numbers numbers(6);
  for (double& x : in) x = static_cast<double>(numbers.real()) * 1e6;
  std::vector<double> expected;
  for (std::size_t t = 0; t < 32; ++t) {
    double sum = 0, lost = 0;
    for (std::size_t k = t; k < in.size(); k += 32) {
      const double y = in[k] - lost, next = sum + y;
      lost = (next - sum) - y;
      sum = next;
    }
    u64 word = std::bit_cast<u64>(sum) ^ t;
    expected.push_back(std::bit_cast<double>(word) + static_cast<double>(word >> 20 & 0xfffu));
  }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256);
    ASSERT_EQ(machine.run("kahan", {.block = {32, 1, 1}}, machine.upload(in), out, 1000), "");
    expect_equal(machine.download<double>(out, 32), expected, "sum");
  });
}

TEST(Programs, ApproximationsAreClose) {
  const std::vector<float> in = Numbers(7).reals(64);
  std::vector<float> expected;
  for (const float x : in) {
    const auto d = static_cast<double>(x);
    for (const double value :
         {std::sin(d), std::cos(d), std::exp(d), std::log(d + 3), std::pow(d + 3, 1.5), d / 3,
          1 / (d + 3), d, d * 0.333, std::clamp(d, 0.0, 1.0), 1 / std::sqrt(d + 3), std::tanh(d)})
      expected.push_back(static_cast<float>(value));
  }
  everywhere(kPrograms, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(expected.size() * 4);
    ASSERT_EQ(machine.run("approximate", {.block = {64, 1, 1}}, machine.upload(in), out), "");
    // tanh.approx is good to 2^-11; the others to a few units of the last place.
    expect_near(machine.download<float>(out, expected.size()), expected, 6e-4, 2e-6, "value");
  });
}

}  // namespace
}  // namespace hone::test
