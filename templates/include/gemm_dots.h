// Dot products of the packed block formats with x in blocks of s8, four elements an instruction.
#pragma once
#include "dot_gpu.h"
#include "gemm_blocks.h"

// Within two units in the last place.
HONE_INLINE f32 fast_inverse(f32 value) {
#if HONE_CUDA
  f32 result;
  asm("rcp.approx.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return __builtin_amdgcn_rcpf(value);
#endif
}

constexpr u32 kFlip = w == word::q8_0 && kSigned ? 0x80808080u : 0;  // makes bytes + 128 signed
constexpr i32 kOffset = w == word::q4_0 ? 8 : w == word::q8_0 && !kSigned ? 128 : 0;

HONE_INLINE u32 four_bytes(u32 a, u32 b, u32 c, u32 d) {
  return (a & 255u) | (b & 255u) << 8 | (c & 255u) << 16 | d << 24;
}

// Eight elements of a block of x: quants in the order of those of w. For the offset of those,
// `first` is what a sum of products begins with; for the minima of q4_1, scale * sum(quants).
struct alignas(16) XPart {
  u32 quants[2];
  union {
    i32 first;
    f32 sum;
  };
  f32 scale;
};

// Eight elements of a block of x. Of f32 two neighbouring lanes bring whole sectors and exchange
// halves of what they need: all lanes of the wave must take part.
template <typename T>
HONE_INLINE void load_part(f32 (&to)[kLaneDepth], const T *p, bool there) {
  if constexpr (sizeof(T) < 4) {
    if (there) load_vector(to, p);
  } else {
    const bool odd = lane_index() % 2 != 0;
    const T *pair = p - (odd ? kLaneDepth - 4 : 0);
    f32 low[4] = {}, high[4] = {};
    if (there) load_vector(low, pair);
    if (there) load_vector(high, pair + kLaneDepth);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const f32 other = shuffle_xor(odd ? low[i] : high[i], 1);
      to[i] = odd ? other : low[i];
      to[4 + i] = odd ? high[i] : other;
    }
  }
}

// The block's four parts lie with four neighbouring lanes; all lanes of the wave must take part.
HONE_INLINE XPart quantise(const f32 (&value)[kLaneDepth]) {
  constexpr f32 smallest = 0x1p-100f;  // below it a block counts as zero: its inverse would overflow
  constexpr f32 rounder = 0x1.8p23f;   // added: to the nearest integer, in the low bits
  constexpr u32 no_sign = 0x7fffffffu;
  // As integers: NaN is more than infinity.
  u32 most = 0;
#pragma unroll
  for (int i = 0; i < kLaneDepth; ++i)
    most = larger(most, __builtin_bit_cast(u32, value[i]) & no_sign);
  const f32 top = reduce_lanes<kBlock / kLaneDepth>(__builtin_bit_cast(f32, most), [](f32 p, f32 q) {
    return __builtin_bit_cast(f32, larger(__builtin_bit_cast(u32, p), __builtin_bit_cast(u32, q)));
  });
  const f32 inverse = top > smallest && top < kInfinity ? 127.0f * fast_inverse(top) : 0.0f;
  u32 quant[kLaneDepth];
#pragma unroll
  for (int i = 0; i < kLaneDepth; ++i) {
    quant[i] = __builtin_bit_cast(u32, value[i] * inverse + rounder);
    quant[i] = value[i] == kInfinity ? 127u : quant[i];
    quant[i] = value[i] == -kInfinity ? 0u - 127u : quant[i];
  }
  // In the order of w's words, see pack_row().
  XPart result;
  if constexpr (w == word::q8_0) {
    result.quants[0] = four_bytes(quant[0], quant[2], quant[1], quant[3]);
    result.quants[1] = four_bytes(quant[4], quant[6], quant[5], quant[7]);
  } else {
    result.quants[0] = four_bytes(quant[0], quant[4], quant[1], quant[5]);
    result.quants[1] = four_bytes(quant[2], quant[6], quant[3], quant[7]);
  }
  result.scale = top < smallest ? 0.0f : top * (1.0f / 127.0f);
  constexpr u32 ones = 0x01010101u;
  const i32 total = dot_quants(ones, result.quants[1], dot_quants(ones, result.quants[0], 0));
  if constexpr (w == word::q4_1)
    result.sum = result.scale * static_cast<f32>(total);
  else
    result.first = -kOffset * total;
  return result;
}

HONE_INLINE void add_dots(f32 (&sum)[kLaneRows], const Quants &quants, const XPart &x_part) {
#pragma unroll
  for (int row = 0; row < kLaneRows; ++row) {
    i32 dot = w == word::q4_1 ? 0 : x_part.first;
    u32 factors;
    if constexpr (w == word::q8_0) {
      const u32 *words = quants.part[row / 2].word + row % 2 * 2;
      dot = dot_quants(words[0] ^ kFlip, x_part.quants[0], dot);
      dot = dot_quants(words[1] ^ kFlip, x_part.quants[1], dot);
    } else {
      const u32 all = quants.part[0].word[row];
      dot = dot_quants(all & 0x0f0f0f0fu, x_part.quants[0], dot);
      dot = dot_quants(all >> 4 & 0x0f0f0f0fu, x_part.quants[1], dot);
    }
    if constexpr (w == word::q4_1)
      factors = quants.factors.word[row];
    else
      factors = quants.factors.word[row / 2] >> row % 2 * 16;
    const f32 scale = to_f32(f16{static_cast<u16>(factors)}) * x_part.scale;
    sum[row] += static_cast<f32>(dot) * scale;
    if constexpr (w == word::q4_1)
      sum[row] += to_f32(f16{static_cast<u16>(factors >> 16)}) * x_part.sum;
  }
}
