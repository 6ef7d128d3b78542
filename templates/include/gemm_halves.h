// Weights of the packed block formats as pairs of 16-bit numbers for tensor cores. Quants become
// numbers by being put into the mantissa of a power of two, which is then taken off: exact.
#pragma once
#include "gemm_blocks.h"

// Four of the eight bytes of a (0 .. 3) and b (4 .. 7), by the digits of `which`; a & mask | bits;
// arithmetic on pairs of T in 32 bits.
#if HONE_CUDA
template <u32 which>
HONE_INLINE u32 pick_bytes(u32 a, u32 b) {
  u32 result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "n"(which));
  return result;
}
template <u32 mask, u32 bits>
HONE_INLINE u32 put_into(u32 a) {
  u32 result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(a), "n"(mask), "n"(bits));
  return result;
}
HONE_INLINE u32 add(f16, u32 a, u32 b) {
  u32 result;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
HONE_INLINE u32 multiply(f16, u32 a, u32 b) {
  u32 result;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
HONE_INLINE u32 multiply_add(f16, u32 a, u32 b, u32 c) {
  u32 result;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}
HONE_INLINE u32 multiply_add(bf16, u32 a, u32 b, u32 c) {
  u32 result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}
HONE_INLINE u32 pair_of(bf16, f32 low, f32 high) {
  u32 result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
#else
template <u32 which>
HONE_INLINE u32 pick_bytes(u32 a, u32 b) {
  const u64 all = static_cast<u64>(b) << 32 | a;
  u32 result = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    result |= static_cast<u32>(all >> (which >> 4 * i & 7u) * 8 & 255u) << 8 * i;
  return result;
}
template <u32 mask, u32 bits>
HONE_INLINE u32 put_into(u32 a) {
  return (a & mask) | bits;
}
typedef _Float16 f16x2 __attribute__((vector_size(4)));
HONE_INLINE u32 add(f16, u32 a, u32 b) {
  return __builtin_bit_cast(u32, __builtin_bit_cast(f16x2, a) + __builtin_bit_cast(f16x2, b));
}
HONE_INLINE u32 multiply(f16, u32 a, u32 b) {
  return __builtin_bit_cast(u32, __builtin_bit_cast(f16x2, a) * __builtin_bit_cast(f16x2, b));
}
// Rounds twice where the product isn't exact.
HONE_INLINE u32 multiply_add(f16, u32 a, u32 b, u32 c) { return add(f16{}, multiply(f16{}, a, b), c); }
HONE_INLINE u32 pair_of(bf16, f32 low, f32 high) {
  return to_bf16(low).bits | static_cast<u32>(to_bf16(high).bits) << 16;
}
HONE_INLINE u32 multiply_add(bf16, u32 a, u32 b, u32 c) {
  const auto low = [](u32 v) { return __builtin_bit_cast(f32, v << 16); };
  const auto high = [](u32 v) { return __builtin_bit_cast(f32, v & 0xffff0000u); };
  return pair_of(bf16{}, low(a) * low(b) + low(c), high(a) * high(b) + high(c));
}
#endif

// `half`: which half of a word of factors; `odd`, `i`: which of the quants of a word.
template <typename T>
struct Pairs;

template <>
struct Pairs<f16> {
  static constexpr u32 kMagic = 0x64006400u;  // 1024, units of 1 in the low bits
  HONE_INLINE static u32 scaled(u32 quant, u32 scale) { return multiply(f16{}, quant, scale); }
  template <int half>
  HONE_INLINE static u32 twice(u32 factors) {
    return pick_bytes<half == 0 ? 0x1010 : 0x3232>(factors, 0);
  }
  // minimum + 8 * scale
  HONE_INLINE static u32 centre(u32 factors) {
    return multiply_add(f16{}, twice<0>(factors), 0x48004800u, twice<1>(factors));
  }
  // Bytes 0 and 2, or 1 and 3, less 128.
  template <int odd>
  HONE_INLINE static u32 of_bytes(u32 bytes) {
    return add(f16{}, pick_bytes<odd == 0 ? 0x4240 : 0x4341>(bytes, kMagic >> 8),
               0xe480e480u);  // - 1152
  }
  // The i-th of four nibbles in both halves, less 8.
  template <int i>
  HONE_INLINE static u32 of_nibbles(u32 nibbles) {
    const u32 some = i < 2 ? nibbles : nibbles >> 8;
    if constexpr (i % 2 == 0) return add(f16{}, put_into<0x000f000fu, kMagic>(some), 0xe408e408u);
    return multiply_add(f16{}, put_into<0x00f000f0u, kMagic>(some), 0x2c002c00u, 0xd480d480u);
  }
};

template <>
struct Pairs<bf16> {
  static constexpr u32 kMagic = 0x43004300u;  // 128, units of 1 in the low bits
  static constexpr u32 kOne = 0x3f803f80u, kMinusOne = 0xbf80bf80u, kMinusZero = 0x80008000u;
  HONE_INLINE static u32 scaled(u32 quant, u32 scale) {
    return multiply_add(bf16{}, quant, scale, kMinusZero);
  }
  template <int half>
  HONE_INLINE static f32 factor(u32 factors) {
    return to_f32(f16{static_cast<u16>(factors >> 16 * half)});
  }
  template <int half>
  HONE_INLINE static u32 twice(u32 factors) {
    return pair_of(bf16{}, factor<half>(factors), factor<half>(factors));
  }
  HONE_INLINE static u32 centre(u32 factors) {
    const f32 value = factor<1>(factors) + 8 * factor<0>(factors);
    return pair_of(bf16{}, value, value);
  }
  // The seven low bits fit in the mantissa; the eighth makes 128 or 256 of what is taken off.
  template <int odd>
  HONE_INLINE static u32 of_bytes(u32 bytes) {
    const u32 some = odd == 0 ? bytes : bytes >> 8;
    return multiply_add(bf16{}, put_into<0x00800080u, kMagic>(~some), kMinusOne,
                        put_into<0x007f007fu, kMagic>(some));
  }
  template <int i>
  HONE_INLINE static u32 of_nibbles(u32 nibbles) {
    return multiply_add(bf16{}, put_into<0x000f000fu, kMagic>(nibbles >> i * 4), kOne, 0xc308c308u);
  }
};

// A row of a lane as pairs along k. Of q4_1 the value is scale * (q - 8) + (minimum + 8 * scale):
// what is added then is small, and so is its rounding.
template <typename T, int row>
HONE_INLINE void weights_of_row(u32 (&to)[kLaneDepth / 2], const Quants &from) {
  using P = Pairs<T>;
  if constexpr (w == word::q8_0) {
    const u32 *words = from.part[row / 2].word + row % 2 * 2;
    to[0] = P::template of_bytes<0>(words[0]), to[1] = P::template of_bytes<1>(words[0]);
    to[2] = P::template of_bytes<0>(words[1]), to[3] = P::template of_bytes<1>(words[1]);
  } else {
    const u32 all = from.part[0].word[row];
    to[0] = P::template of_nibbles<0>(all), to[1] = P::template of_nibbles<1>(all);
    to[2] = P::template of_nibbles<2>(all), to[3] = P::template of_nibbles<3>(all);
  }
  constexpr bool offset = w == word::q4_1;
  const u32 mine = from.factors.word[offset ? row : row / 2];
  const u32 scale = P::template twice<offset ? 0 : row % 2>(mine);
#pragma unroll
  for (int i = 0; i < kLaneDepth / 2; ++i)
    to[i] = offset ? multiply_add(T{}, to[i], scale, P::centre(mine)) : P::scaled(to[i], scale);
}
