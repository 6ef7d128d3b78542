#include "tuner/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "codegen/element.h"
#include "tuner/draw.h"

namespace hone {
namespace {

std::vector<double> there_and_back(const char* element, std::vector<double> values) {
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(element_bytes(element, static_cast<std::int64_t>(values.size()))));
  encode(element, values, bytes.data());
  std::vector<double> back(values.size());
  decode(element, bytes.data(), 0, back);
  return back;
}

TEST(Numbers, HalfPrecisionRoundsToNearestEven) {
  const auto back = there_and_back("f16", {1.0, 1.0 + 0x1p-11, 1.0 + 0x1.8p-10, 65504, 65520,
                                           -65519.9, 0x1p-24, 0x1p-26, -2.5, 0});
  EXPECT_EQ(back, (std::vector<double>{1.0, 1.0, 1.0 + 0x1p-9, 65504, INFINITY, -65504, 0x1p-24, 0,
                                       -2.5, 0}));
}

TEST(Numbers, EveryHalfComesBackAsItself) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    double value = 0;
    decode("f16", reinterpret_cast<const std::byte*>(&half), 0, {&value, 1});
    if (std::isnan(value)) continue;
    std::uint16_t again = 0;
    encode("f16", {&value, 1}, reinterpret_cast<std::byte*>(&again));
    ASSERT_EQ(again, half);
  }
}

TEST(Numbers, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(there_and_back("bf16", {1.0, 1.0 + 0x1p-8, 1.0 + 0x1.8p-7, -3.140625}),
            (std::vector<double>{1.0, 1.0, 1.0 + 0x1p-6, -3.140625}));
  EXPECT_TRUE(std::isnan(there_and_back("bf16", {NAN})[0]));
}

TEST(Numbers, IntegersRoundAndSaturate) {
  EXPECT_EQ(there_and_back("s8", {1.4, -1.6, 300, -300}), (std::vector<double>{1, -2, 127, -128}));
  EXPECT_EQ(there_and_back("u8", {-5, 255.4}), (std::vector<double>{0, 255}));
}

TEST(Numbers, BlockFormatsKeepValuesWithinAStep) {
  std::vector<double> values(64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<double>(i));
  for (const auto& [element, step] :
       {std::pair{"q8_0", 1.0 / 127}, {"q4_0", 1.0 / 8}, {"q4_1", 2.0 / 15}}) {
    const auto back = there_and_back(element, values);
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(back[i], values[i], 1.01 * step) << element << " " << i;
  }
}

std::vector<double> drawn(const std::string& how, const std::string& element, std::int64_t count,
                          std::uint64_t seed = 1) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(element_bytes(element, count)));
  draw(how, {"op.json", 1}, Values{{"n", std::int64_t{6}}}, element, count, seed, bytes.data());
  std::vector<double> values(static_cast<std::size_t>(count));
  decode(element, bytes.data(), 0, values);
  return values;
}

TEST(Draw, NormalHasItsMeanAndDeviation) {
  double sum = 0, squares = 0;
  const auto values = drawn("normal(2, 0.5)", "f32", 20'000);
  for (double value : values) sum += value, squares += (value - 2) * (value - 2);
  EXPECT_NEAR(sum / 20'000, 2, 0.02);
  EXPECT_NEAR(std::sqrt(squares / 20'000), 0.5, 0.02);
}

TEST(Draw, PermutationHoldsEachNumberOnce) {
  auto values = drawn("permutation(n)", "s32", 6);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, (std::vector<double>{0, 1, 2, 3, 4, 5}));
}

TEST(Draw, RangeStaysWithinItsEnds) {
  for (double value : drawn("range(2,n-1)", "s64", 500)) {
    EXPECT_GE(value, 2);
    EXPECT_LE(value, 5);
  }
}

TEST(Draw, ChoicesMayHaveFractions) {
  EXPECT_EQ(drawn("constant(n==6?0.25:2)", "f32", 1)[0], 0.25);
}

TEST(Draw, SeedsDiffer) {
  EXPECT_EQ(drawn("normal", "f32", 8, 1), drawn("normal", "f32", 8, 1));
  EXPECT_NE(drawn("normal", "f32", 8, 1), drawn("normal", "f32", 8, 2));
}

TEST(Draw, LongInputsDoNotRepeatWithARowsLength) {
  const auto values = drawn("normal", "f32", 4'000'000);
  EXPECT_NE(values[0], values[1'000'000]);
  EXPECT_NE(values[0], values[2'097'152]);
}

}  // namespace
}  // namespace hone
