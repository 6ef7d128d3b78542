// What the row operators share: a walk along a row in vectors, stores that bypass the caches, and a cheap 2^t for t <= 0.
#pragma once
#include "simd.h"

#define HONE_BODY __attribute__((always_inline))  // of a lambda that a walk calls in several places

struct Whole {};  // stands where a count does, for a whole vector
template <typename T>
inline vec vload(const T *p, Whole) { return vload(p); }
template <typename T>
inline void vstore(T *p, vec v, Whole) { vstore(p, v); }
inline vec pad(vec v, Whole, f32) { return v; }
inline vec pad(vec v, i64 count, f32 fill) {  // the lanes beyond `count` become `fill`
  return select(iota() < static_cast<i32>(count), v, broadcast(fill));
}

// Calls f(column, u, count) for [0, n) in vectors: u < unroll tells independent accumulators apart, count is Whole or, for the
// columns that are left, a number.
template <i64 unroll, typename F>
HONE_BODY inline void sweep(i64 n, F f) {
  i64 c = 0;
  for (; c + unroll * lanes <= n; c += unroll * lanes) {
#pragma GCC unroll 16
    for (int u = 0; u < unroll; ++u) f(c + u * lanes, u, Whole{});
  }
  for (; c < n; c += lanes) f(c, 0, min<i64>(lanes, n - c));
}

// The same, with whole vectors where y + column is aligned to their stored size, as vstream needs.
template <i64 unroll, bool aligned, typename T, typename F>
HONE_BODY inline void sweep_output(const T *y, i64 n, F f) {
  i64 head = 0;
  if constexpr (aligned) {
    constexpr u64 size = lanes * sizeof(T);
    head = min(n, static_cast<i64>((size - reinterpret_cast<u64>(y) % size) % size / sizeof(T)));
    if (head > 0) f(0, 0, head);
  }
  sweep<unroll>(n - head, [&](i64 c, int u, auto count) HONE_BODY { f(head + c, u, count); });
}

// Past the caches; p is aligned to what is stored. An sfence must follow before another thread reads it.
inline void vstream(f32 *p, vec v) {
#if HONE_SIMD_BYTES == 64
  _mm512_stream_ps(p, (__m512)v);
#elif HONE_SIMD_BYTES == 32
  _mm256_stream_ps(p, (__m256)v);
#else
  _mm_stream_ps(p, (__m128)v);
#endif
}
template <typename T>
inline void vstream(T *p, vec v) {  // f16, bf16
  const uvec16 bits = narrow(p, v);
#if HONE_SIMD_BYTES == 64
  _mm256_stream_si256(reinterpret_cast<__m256i *>(p), (__m256i)bits);
#elif HONE_SIMD_BYTES == 32
  _mm_stream_si128(reinterpret_cast<__m128i *>(p), (__m128i)bits);
#else
  _mm_stream_si64(reinterpret_cast<long long *>(p), __builtin_bit_cast(long long, bits));
#endif
}
// The store of a pass over sweep_output<unroll, stream>.
template <bool stream, typename T>
inline void emit(T *p, vec v, Whole) {
  if constexpr (stream) vstream(p, v);
  else vstore(p, v);
}
template <bool stream, typename T>
inline void emit(T *p, vec v, i64 count) { vstore(p, v, count); }

// Lanes 2i and 2i + 1 change places.
inline vec swap_pairs(vec v) {
#if HONE_SIMD_BYTES == 64
  return (vec)_mm512_permute_ps((__m512)v, 0xb1);
#elif HONE_SIMD_BYTES == 32
  return (vec)_mm256_permute_ps((__m256)v, 0xb1);
#else
  return (vec)_mm_shuffle_ps((__m128)v, (__m128)v, 0xb1);
#endif
}

// 1 / v to about 1 ulp for v in [1, 2], and NaN: the processor's estimate and one Newton step, a fraction of a division's time.
inline vec reciprocal_of_1_to_2(vec v) {
#if HONE_SIMD_BYTES == 64
  const vec r = (vec)_mm512_rcp14_ps((__m512)v);
#elif HONE_SIMD_BYTES == 32
  const vec r = (vec)_mm256_rcp_ps((__m256)v);
#else
  const vec r = (vec)_mm_rcp_ps((__m128)v);
#endif
  return r + r * (1.0f - v * r);
}

// 2^t for t <= 0: 0 for -infinity (and, narrow vectors, below 2^-126), NaN stays NaN. Minimax polynomials over [0, 1): relative error 7.5e-5, 2.6e-6, 7.5e-8
// and 2e-9 for degree 3, 4, 5 and 6, plus rounding.
template <i64 degree>
inline vec exp2_down(vec t) {
  static_assert(degree >= 3 && degree <= 6);
#if HONE_SIMD_BYTES == 64
  const vec f = (vec)_mm512_reduce_ps((__m512)t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
  t = vmax(broadcast(-126.9f), t);
  const vec shifted = (t - 0.5f) + 0x1.8p23f;  // the low mantissa bits are the exponent
  const vec f = t - (shifted - 0x1.8p23f);
#endif
  vec p;
  if constexpr (degree == 3) {
    p = f * 0.07802452266f + 0.2260671554f;
    p = (p * f + 0.6958335405f) * f + 0.9999252186f;
  } else if constexpr (degree == 4) {
    p = f * 0.01353416791f + 0.05201146062f;
    p = ((p * f + 0.2414427569f) * f + 0.6930038345f) * f + 1.000002593f;
  } else if constexpr (degree == 5) {
    p = f * 0.001877576673f + 0.008989340095f;
    p = (p * f + 0.05582631805f) * f + 0.240153617f;
    p = (p * f + 0.6931530732f) * f + 0.9999999251f;
  } else {
    p = f * 0.0002170225545f + 0.001243968783f;
    p = (p * f + 0.009678840996f) * f + 0.05548334198f;
    p = ((p * f + 0.2402298363f) * f + 0.6931469838f) * f + 1.0f;
  }
#if HONE_SIMD_BYTES == 64
  return (vec)_mm512_scalef_ps((__m512)p, (__m512)t);
#else
  return p * as_vec((as_ivec(shifted) + 127) << 23);
#endif
}
