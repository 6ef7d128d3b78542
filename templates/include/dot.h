// Dot products within the 32-bit lanes of a vector: two of bf16, four of 8-bit integers. Where the
// chip has no instruction for them they are put together from what it has.
#pragma once
#include "simd.h"

typedef i16 svec __attribute__((vector_size(HONE_SIMD_BYTES)));  // pairs of 16-bit integers

// acc + a0 * b0 + a1 * b1 in f32. The instruction takes subnormals as zero.
inline vec dot_bf16(vec acc, ivec a, ivec b) {
#if HONE_SIMD_BYTES == 64 && defined(__AVX512BF16__)
  return (vec)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#else
  const i32 high = static_cast<i32>(0xffff0000u);
  return as_vec(a & high) * as_vec(b & high) + (as_vec(a << 16) * as_vec(b << 16) + acc);
#endif
}

inline ivec dot_pairs(svec a, svec b) {
#if HONE_SIMD_BYTES == 64
  return (ivec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif HONE_SIMD_BYTES == 32
  return (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return (ivec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}

// acc + a0 * b0 + ... + a3 * b3, wrapping; a and b signed.
inline ivec dot_s8(ivec acc, ivec a, ivec b) {
  const svec a_odd = (svec)a >> 8, a_even = ((svec)a << 8) >> 8;
  const svec b_odd = (svec)b >> 8, b_even = ((svec)b << 8) >> 8;
  return acc + dot_pairs(a_odd, b_odd) + dot_pairs(a_even, b_even);
}

// acc + a0 * b0 + ... + a3 * b3, wrapping; a unsigned, b signed.
inline ivec dot_u8s8(ivec acc, ivec a, ivec b) {
#if HONE_SIMD_BYTES == 64 && defined(__AVX512VNNI__)
  return (ivec)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
#else
  const svec a_odd = (svec)((a >> 8) & 0x00ff00ff), a_even = (svec)(a & 0x00ff00ff);
  const svec b_odd = (svec)b >> 8, b_even = ((svec)b << 8) >> 8;
  return acc + dot_pairs(a_odd, b_odd) + dot_pairs(a_even, b_even);
#endif
}

// The low byte of each lane.
inline void store_bytes(i8 *p, ivec v) {
#if HONE_SIMD_BYTES == 64
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtepi32_epi8((__m512i)v));
#else
  for (int i = 0; i < lanes; ++i) p[i] = static_cast<i8>(v[i]);
#endif
}

// `lanes` 8-bit integers, as i32.
inline ivec load_i8(const i8 *p) {
#if HONE_SIMD_BYTES == 64
  return (ivec)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
#elif HONE_SIMD_BYTES == 32
  return (ivec)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)));
#else
  return ivec{p[0], p[1], p[2], p[3]};
#endif
}
inline ivec load_u8(const u8 *p) { return load_i8(reinterpret_cast<const i8 *>(p)) & 255; }
