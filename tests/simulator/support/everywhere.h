// Runs a test's kernels on each architecture.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/simulator/support/machine.h"

namespace hone::test {

// Random orders that a kernel is tried in.
#ifdef HONE_SANITIZED
inline constexpr std::uint64_t kOrders = 3;
#else
inline constexpr std::uint64_t kOrders = 20;
#endif

struct Source {
  std::string_view file;  // of tests/simulator/kernels
  bool headers = false;   // includes some of the toolkit's
  int least_sm = 75;
  std::vector<std::string> options{};
};

// Runs `body` in a child with these variables set: a driver has one set of devices for the life of
// its process. What fails there is printed there, and fails the test here.
void in_child(const std::vector<std::pair<std::string, std::string>>& environment,
              const std::function<void()>& body);

// Compiles the file for every architecture, and calls `body` with a fresh machine that has it
// loaded. Skips the test, with the reason, where something isn't installed.
void everywhere(const Source& source, const std::function<void(Machine&, int sm)>& body);

// A generator with the same numbers everywhere (SplitMix64).
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  // In [low, high].
  int integer(int low, int high) {
    return low + static_cast<int>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  // In [-1, 1), multiples of 2^-23.
  float real() {
    return static_cast<float>(static_cast<std::int64_t>(next() >> 40) - (1 << 23)) /
           static_cast<float>(1 << 23);
  }
  std::vector<int> integers(std::size_t count, int low, int high) {
    std::vector<int> values(count);
    for (int& value : values) value = integer(low, high);
    return values;
  }
  std::vector<float> reals(std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = real();
    return values;
  }

 private:
  std::uint64_t state_;
};

// Every value as expected, the first that isn't told by index. Integers and bit patterns: exactly.
template <typename T>
void expect_equal(const std::vector<T>& got, const std::vector<T>& expected,
                  std::string_view what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], expected[i]) << what << " at " << i << " of " << got.size();
}

// Floats: |got - expected| <= relative * |expected| + absolute; infinities and NaN as expected.
template <typename T>
void expect_near(const std::vector<T>& got, const std::vector<T>& expected, double relative,
                 double absolute, std::string_view what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto g = static_cast<double>(got[i]), e = static_cast<double>(expected[i]);
    const bool same = g == e || (std::isnan(g) && std::isnan(e));
    ASSERT_TRUE(same || std::fabs(g - e) <= relative * std::fabs(e) + absolute)
        << fmt::format("{} at {} of {}: {} instead of {}", what, i, got.size(), g, e);
  }
}

}  // namespace hone::test
