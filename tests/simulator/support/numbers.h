// The small floating-point types, value by value.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace hone::test {

struct Format {
  int exponent_bits = 0, mantissa_bits = 0;
  bool infinities = true;  // e4m3 has none: its all-ones exponent holds numbers, and one NaN
};
inline constexpr Format kF16{5, 10}, kBf16{8, 7}, kTf32{8, 10}, kE4m3{4, 3, false}, kE5m2{5, 2};

inline double widened(std::uint32_t bits, const Format& f) {
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const std::uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const int exponent = static_cast<int>(bits >> f.mantissa_bits & ((1u << f.exponent_bits) - 1));
  const bool negative = (bits >> (f.mantissa_bits + f.exponent_bits) & 1u) != 0;
  const int top = (1 << f.exponent_bits) - 1;
  double value = 0;
  if (exponent == top && f.infinities) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == top && mantissa + 1 == 1u << f.mantissa_bits) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    value = exponent == 0
                ? std::ldexp(mantissa, 1 - bias - f.mantissa_bits)
                : std::ldexp(mantissa + (1u << f.mantissa_bits), exponent - bias - f.mantissa_bits);
  }
  return negative ? -value : value;
}

enum class Rounding { kNearest, kZero, kUp, kDown };

// The nearest code; what doesn't fit becomes an infinity or, when `saturate`, the largest number.
inline std::uint32_t narrowed(double value, const Format& f, Rounding rounding = Rounding::kNearest,
                              bool saturate = false) {
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const std::uint32_t sign = std::signbit(value) ? 1u << (f.exponent_bits + f.mantissa_bits) : 0;
  const auto top = static_cast<std::uint32_t>((1 << f.exponent_bits) - 1) << f.mantissa_bits;
  if (std::isnan(value)) return (1u << (f.exponent_bits + f.mantissa_bits)) - 1;
  const std::uint32_t infinity = f.infinities ? top : top | ((1u << f.mantissa_bits) - 1);
  const std::uint32_t largest = f.infinities ? top - 1 : infinity - 1;
  const double x = std::fabs(value);
  if (std::isinf(x)) return sign | (saturate ? largest : infinity);
  if (x == 0) return sign;
  const int exponent = std::max(std::ilogb(x), 1 - bias);
  const double scaled = std::ldexp(x, f.mantissa_bits - exponent);
  const bool up = rounding == Rounding::kUp     ? sign == 0
                  : rounding == Rounding::kDown ? sign != 0
                                                : false;
  const double whole = rounding == Rounding::kNearest ? std::nearbyint(scaled)
                       : up                           ? std::ceil(scaled)
                                                      : std::floor(scaled);
  // A mantissa that rounds up to the next power carries into the exponent by itself.
  const auto code = static_cast<std::int64_t>(whole) +
                    (static_cast<std::int64_t>(exponent + bias - 1) << f.mantissa_bits);
  if (code > static_cast<std::int64_t>(largest)) {
    const bool stays = saturate || (rounding != Rounding::kNearest && !up);
    return sign | (stays ? largest : infinity);
  }
  return sign | static_cast<std::uint32_t>(code);
}

inline float f16(std::uint16_t bits) { return static_cast<float>(widened(bits, kF16)); }
inline std::uint16_t f16(float value) { return static_cast<std::uint16_t>(narrowed(value, kF16)); }
inline std::uint16_t bf16(float value) {
  return static_cast<std::uint16_t>(narrowed(value, kBf16));
}

}  // namespace hone::test
