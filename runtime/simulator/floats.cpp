#include "runtime/simulator/floats.h"

#include "runtime/simulator/lanes.h"

namespace hone::sim {

bool fast_machine() {
#if defined(__x86_64__)
  // No machine has AVX2 without F16C, which clang 14 can't ask for.
  static const bool fast = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                           __builtin_cpu_supports("bmi2");
  return fast;
#else
  return false;
#endif
}

double decode_float(std::uint32_t bits, Format format) {
  const std::uint32_t mantissa_mask = (1u << format.mantissa) - 1,
                      exponent_mask = (1u << format.exponent) - 1;
  const std::uint32_t mantissa = bits & mantissa_mask;
  const int exponent = static_cast<int>(bits >> format.mantissa & exponent_mask);
  const bool negative = (bits >> (format.mantissa + format.exponent) & 1) != 0;
  const int bias = (1 << (format.exponent - 1)) - 1;
  double value = 0;
  if (format.infinity && exponent == static_cast<int>(exponent_mask)) {
    value = mantissa != 0 ? std::nan("") : HUGE_VAL;
  } else if (!format.infinity && format.nan && exponent == static_cast<int>(exponent_mask) &&
             mantissa == mantissa_mask) {
    value = std::nan("");
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<double>(mantissa), 1 - bias - format.mantissa);
  } else {
    value = std::ldexp(static_cast<double>(mantissa | (mantissa_mask + 1)),
                       exponent - bias - format.mantissa);
  }
  return negative ? -value : value;
}

std::uint32_t encode_float(double value, Format format, Rounding rounding, bool saturate) {
  const std::uint32_t mantissa_mask = (1u << format.mantissa) - 1,
                      exponent_mask = (1u << format.exponent) - 1;
  const int bias = (1 << (format.exponent - 1)) - 1;
  const std::uint32_t sign = (std::signbit(value) ? 1u : 0u) << (format.mantissa + format.exponent);
  if (std::isnan(value)) return exponent_mask << format.mantissa | mantissa_mask;
  const std::uint32_t largest =
      format.infinity
          ? ((exponent_mask - 1) << format.mantissa) | mantissa_mask
          : (exponent_mask << format.mantissa) | (mantissa_mask - (format.nan ? 1u : 0u));
  const std::uint32_t overflow = format.infinity
                                     ? exponent_mask << format.mantissa
                                     : (exponent_mask << format.mantissa) | mantissa_mask;
  double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | (saturate ? largest : overflow);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  int e = exponent - 1;
  if (e < 1 - bias) e = 1 - bias;
  const double scaled = std::ldexp(magnitude, format.mantissa - e);
  double whole = std::floor(scaled);
  const double rest = scaled - whole;
  bool up = false;
  switch (rounding) {
    case Rounding::kNearest:
      up = rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2.0) != 0);
      break;
    case Rounding::kAway:
      up = rest >= 0.5;
      break;
    case Rounding::kZero:
      break;
    case Rounding::kDown:
      up = sign != 0 && rest > 0;
      break;
    case Rounding::kUp:
      up = sign == 0 && rest > 0;
      break;
  }
  if (up) whole += 1;
  // whole counts units of the last place at exponent e; a carry moves into the exponent by itself.
  const std::uint32_t units = static_cast<std::uint32_t>(whole);
  const std::uint64_t encoded = units <= mantissa_mask
                                    ? units
                                    : (static_cast<std::uint64_t>(e + bias) << format.mantissa) +
                                          (units - (mantissa_mask + 1));
  if (encoded > largest) {
    const bool to_infinity = rounding == Rounding::kNearest || rounding == Rounding::kAway ||
                             (rounding == Rounding::kUp && sign == 0) ||
                             (rounding == Rounding::kDown && sign != 0);
    return sign | (saturate || !to_infinity ? largest : overflow);
  }
  return sign | static_cast<std::uint32_t>(encoded);
}

}  // namespace hone::sim
