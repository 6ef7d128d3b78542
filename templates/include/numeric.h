// Storage formats as numbers: scalar conversions for references, packing and tails. Plain C++, no
// headers.
#pragma once

// Exact.
inline f32 to_f32(f16 value) {
#if defined(__F16C__)
  typedef short halves __attribute__((vector_size(16)));
  return __builtin_ia32_vcvtph2ps(halves{static_cast<short>(value.bits)})[0];
#else
  const u32 sign = static_cast<u32>(value.bits & 0x8000u) << 16;
  const u32 magnitude = static_cast<u32>(value.bits & 0x7fffu) << 13;
  if (magnitude >= 0x0f800000u) return __builtin_bit_cast(f32, sign | 0x70000000u | magnitude);
  // 2^112 moves the exponent's bias from 15 to 127, subnormals included.
  const f32 scaled = __builtin_bit_cast(f32, magnitude) * 0x1p112f;
  return __builtin_bit_cast(f32, sign | __builtin_bit_cast(u32, scaled));
#endif
}
inline f32 to_f32(bf16 value) {
  return __builtin_bit_cast(f32, static_cast<u32>(value.bits) << 16);
}

// Rounds to nearest, ties to even; overflow becomes infinity, NaN stays NaN.
inline f16 to_f16(f32 value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  const u32 sign = bits >> 16 & 0x8000u;
  const u32 magnitude = bits & 0x7fffffffu;
  u32 half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520: halfway to what would be 2^16
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the subnormal's bits in
                                         // the low mantissa
    const f32 shifted = __builtin_bit_cast(f32, magnitude) + 0.5f;
    half = __builtin_bit_cast(u32, shifted) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return {static_cast<u16>(sign | half)};
}
inline bf16 to_bf16(f32 value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<u16>(bits >> 16 | 0x40u)};
  return {static_cast<u16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

// Element i as a double. Block types count elements, not blocks.
inline f64 load(const f32 *p, i64 i) { return p[i]; }
inline f64 load(const f64 *p, i64 i) { return p[i]; }
inline f64 load(const f16 *p, i64 i) { return to_f32(p[i]); }
inline f64 load(const bf16 *p, i64 i) { return to_f32(p[i]); }
inline f64 load(const i8 *p, i64 i) { return p[i]; }
inline f64 load(const u8 *p, i64 i) { return p[i]; }
inline f64 load(const i32 *p, i64 i) { return p[i]; }
inline f64 load(const i64 *p, i64 i) { return static_cast<f64>(p[i]); }
inline f64 load(const q8_0 *p, i64 i) {
  const q8_0 &block = p[i / 32];
  return static_cast<f64>(to_f32(block.scale)) * block.values[i % 32];
}
inline i32 nibble(const u8 *values, i64 i) { return i < 16 ? values[i] & 15 : values[i - 16] >> 4; }
inline f64 load(const q4_0 *p, i64 i) {
  const q4_0 &block = p[i / 32];
  return static_cast<f64>(to_f32(block.scale)) * (nibble(block.values, i % 32) - 8);
}
inline f64 load(const q4_1 *p, i64 i) {
  const q4_1 &block = p[i / 32];
  return static_cast<f64>(to_f32(block.scale)) * nibble(block.values, i % 32) +
         to_f32(block.minimum);
}

// Element i of a plain type as f32, and back.
inline f32 load_f32(const f32 *p, i64 i) { return p[i]; }
inline f32 load_f32(const f16 *p, i64 i) { return to_f32(p[i]); }
inline f32 load_f32(const bf16 *p, i64 i) { return to_f32(p[i]); }
inline f32 load_f32(const i8 *p, i64 i) { return p[i]; }
inline void store_f32(f32 *p, i64 i, f32 value) { p[i] = value; }
inline void store_f32(f16 *p, i64 i, f32 value) { p[i] = to_f16(value); }
inline void store_f32(bf16 *p, i64 i, f32 value) { p[i] = to_bf16(value); }

inline constexpr i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
inline constexpr i64 round_up(i64 a, i64 b) { return ceil_div(a, b) * b; }
template <typename T>
inline constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
inline constexpr T max(T a, T b) {
  return a < b ? b : a;
}
