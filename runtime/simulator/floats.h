// The float formats that a CPU lacks, and rounding as PTX names it.
#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>

namespace hone::sim {

#if defined(__GNUC__) && !defined(__clang__)
#define HONE_LAMBDA __attribute__((always_inline))
#else
#define HONE_LAMBDA
#endif

[[gnu::always_inline]] inline float half_to_float(std::uint16_t h) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(h & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(scaled);
  bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : bits;
  return std::bit_cast<float>(bits | sign);
}

// To the nearest, ties to even.
[[gnu::always_inline]] inline std::uint16_t float_to_half(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Below the smallest normal half the addition of 0.5 rounds at the right place.
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  std::uint32_t half = magnitude < 0x38800000u ? small : normal;
  half = magnitude >= 0x47800000u ? (magnitude > 0x7f800000u ? 0x7fffu : 0x7c00u) : half;
  return static_cast<std::uint16_t>(half | (magnitude > 0x7f800000u ? 0 : sign));
}

[[gnu::always_inline]] inline float bfloat_to_float(std::uint16_t h) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16);
}
[[gnu::always_inline]] inline std::uint16_t float_to_bfloat(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded);
}

enum class Rounding : std::uint8_t { kNearest, kZero, kDown, kUp, kAway };

// Any binary format of 1 + exponent + mantissa bits; `infinity`: the largest exponent is infinity
// and NaN (e5m2, halves), otherwise only all ones is NaN (e4m3), if anything.
struct Format {
  int exponent = 5, mantissa = 10;
  bool infinity = true, nan = true;
};
inline constexpr Format kHalfFormat{5, 10, true}, kBfloatFormat{8, 7, true},
    kE4m3Format{4, 3, false}, kE5m2Format{5, 2, true}, kTf32Format{8, 10, true},
    kE2m3Format{2, 3, false, false}, kE3m2Format{3, 2, false, false},
    kE2m1Format{2, 1, false, false};

double decode_float(std::uint32_t bits, Format format);
// `saturate`: the largest finite value instead of infinity.
std::uint32_t encode_float(double value, Format format, Rounding rounding, bool saturate);

[[gnu::always_inline]] inline float flush(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  return std::bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

struct Half {
  std::uint16_t v;
  static Half from_bits(std::uint32_t bits) { return {static_cast<std::uint16_t>(bits)}; }
  std::uint32_t bits() const { return v; }
  float f() const { return half_to_float(v); }
  static Half of(float f) { return {float_to_half(f)}; }
};
struct Bfloat {
  std::uint16_t v;
  static Bfloat from_bits(std::uint32_t bits) { return {static_cast<std::uint16_t>(bits)}; }
  std::uint32_t bits() const { return v; }
  float f() const { return bfloat_to_float(v); }
  static Bfloat of(float f) { return {float_to_bfloat(f)}; }
};

// The CPU rounds as asked while it lives.
class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding) {
    static constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD,
                                     FE_TONEAREST};
    std::fesetround(kModes[static_cast<int>(rounding)]);
  }
  ~RoundingScope() { std::fesetround(FE_TONEAREST); }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;
};

}  // namespace hone::sim
