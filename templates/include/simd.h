// Vectors of f32 as wide as the target's registers: AVX-512, AVX2 with FMA and F16C, or plain SSE2. Arithmetic and comparisons are
// the compiler's own (`a * b + c` becomes one FMA); what follows is what operators can't say.
#pragma once
#include <immintrin.h>
#include "numeric.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define HONE_SIMD_BYTES 64
#elif defined(__AVX2__)
#define HONE_SIMD_BYTES 32
#else
#define HONE_SIMD_BYTES 16
#endif
static_assert(vector_bytes == HONE_SIMD_BYTES, "the target's vector_bytes and the compiler's flags disagree");

constexpr int lanes = static_cast<int>(vector_bytes / 4);
typedef f32 vec __attribute__((vector_size(HONE_SIMD_BYTES)));
typedef i32 ivec __attribute__((vector_size(HONE_SIMD_BYTES)));  // also what comparisons of vec yield: 0 or -1
typedef u16 uvec16 __attribute__((vector_size(HONE_SIMD_BYTES / 2)));  // 16-bit storage of one vec

inline vec broadcast(f32 value) { return value - vec{}; }  // keeps -0
inline ivec broadcast(i32 value) { return ivec{} + value; }
inline vec as_vec(ivec bits) { return __builtin_bit_cast(vec, bits); }
inline ivec as_ivec(vec value) { return __builtin_bit_cast(ivec, value); }
inline vec to_vec(ivec value) { return __builtin_convertvector(value, vec); }
inline vec select(ivec condition, vec yes, vec no) {
  return as_vec((as_ivec(yes) & condition) | (as_ivec(no) & ~condition));
}
inline ivec iota() {
  ivec result{};
  for (int i = 0; i < lanes; ++i) result[i] = i;
  return result;
}
inline vec vabs(vec a) { return as_vec(as_ivec(a) & 0x7fffffff); }
inline vec copy_sign(vec magnitude, vec sign) {
  return as_vec(as_ivec(vabs(magnitude)) | (as_ivec(sign) & static_cast<i32>(0x80000000u)));
}
inline void prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }  // into L1; harmless beyond a buffer's end

// The compiler keeps `v` in a register from here on, rather than loading it again at each use.
inline void keep(vec &v) { asm("" : "+v"(v)); }

// vmax, vmin: `b` where either is NaN.
#if HONE_SIMD_BYTES == 64
inline vec vmax(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
inline vec vmin(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
inline vec vsqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
inline f32 reduce_add(vec a) { return _mm512_reduce_add_ps((__m512)a); }
inline f32 reduce_max(vec a) { return _mm512_reduce_max_ps((__m512)a); }
inline i32 reduce_add(ivec a) { return _mm512_reduce_add_epi32((__m512i)a); }
#elif HONE_SIMD_BYTES == 32
inline vec vmax(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
inline vec vmin(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
inline vec vsqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
#else
inline vec vmax(vec a, vec b) { return (vec)_mm_max_ps((__m128)a, (__m128)b); }
inline vec vmin(vec a, vec b) { return (vec)_mm_min_ps((__m128)a, (__m128)b); }
inline vec vsqrt(vec a) { return (vec)_mm_sqrt_ps((__m128)a); }
#endif
#if HONE_SIMD_BYTES < 64
inline __m128 low_half(vec a) { return __builtin_bit_cast(__m128, __builtin_shufflevector(a, a, 0, 1, 2, 3)); }
inline __m128 fold_add(vec a) {
#if HONE_SIMD_BYTES == 32
  return _mm_add_ps(low_half(a), _mm256_extractf128_ps((__m256)a, 1));
#else
  return low_half(a);
#endif
}
inline __m128 fold_max(vec a) {
#if HONE_SIMD_BYTES == 32
  return _mm_max_ps(low_half(a), _mm256_extractf128_ps((__m256)a, 1));
#else
  return low_half(a);
#endif
}
inline f32 reduce_add(vec a) {
  __m128 s = fold_add(a);
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline f32 reduce_max(vec a) {
  __m128 s = fold_max(a);
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline i32 reduce_add(ivec a) {
  u32 sum = 0;  // wraps, as vectors do
  for (int i = 0; i < lanes; ++i) sum += static_cast<u32>(a[i]);
  return static_cast<i32>(sum);
}
#endif

// p[i] = the sum of the lanes of the i-th vector.
inline void store_sums(f32 *p, vec a, vec b, vec c, vec d) {
#if HONE_SIMD_BYTES == 64
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b), _mm512_unpackhi_ps((__m512)a, (__m512)b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d), _mm512_unpackhi_ps((__m512)c, (__m512)d));
  const __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
#elif HONE_SIMD_BYTES == 32
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps((__m256)a, (__m256)b), _mm256_hadd_ps((__m256)c, (__m256)d));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
#else
  __m128 r0 = (__m128)a, r1 = (__m128)b, r2 = (__m128)c, r3 = (__m128)d;
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  _mm_storeu_ps(p, _mm_add_ps(_mm_add_ps(r0, r1), _mm_add_ps(r2, r3)));
#endif
}

// vload, vstore: `lanes` elements at p, which needs no alignment.
inline vec vload(const f32 *p) {
  vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void vstore(f32 *p, vec v) { __builtin_memcpy(p, &v, sizeof v); }
inline uvec16 vload_bits(const void *p) {
  uvec16 bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits;
}
inline vec widen(const bf16 *, uvec16 bits) {
#if HONE_SIMD_BYTES == 64
  return as_vec((ivec)_mm512_cvtepu16_epi32((__m256i)bits) << 16);
#elif HONE_SIMD_BYTES == 32
  return as_vec((ivec)_mm256_cvtepu16_epi32((__m128i)bits) << 16);
#else
  return as_vec(__builtin_convertvector(bits, ivec) << 16);
#endif
}
inline vec widen(const f16 *, uvec16 bits) {
#if HONE_SIMD_BYTES == 64
  return (vec)_mm512_cvtph_ps((__m256i)bits);
#elif HONE_SIMD_BYTES == 32 && defined(__F16C__)
  return (vec)_mm256_cvtph_ps((__m128i)bits);
#else
  const ivec wide = __builtin_convertvector(bits, ivec);
  const ivec magnitude = (wide & 0x7fff) << 13;
  const ivec finite = as_ivec(as_vec(magnitude) * 0x1p112f);
  const ivec special = magnitude >= 0x0f800000;
  return as_vec(((wide & 0x8000) << 16) | (special & (magnitude | 0x70000000)) | (~special & finite));
#endif
}
inline uvec16 narrow(const bf16 *, vec v) {
#if HONE_SIMD_BYTES == 64 && defined(__AVX512BF16__)
  return __builtin_bit_cast(uvec16, _mm512_cvtneps_pbh((__m512)v));
#else
  const ivec bits = as_ivec(v);
  const ivec rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const ivec nan = v != v;
  return __builtin_convertvector((((rounded & ~nan) | ((bits | 0x400000) & nan)) >> 16) & 0xffff, uvec16);
#endif
}
inline uvec16 narrow(const f16 *, vec v) {
#if HONE_SIMD_BYTES == 64
  return (uvec16)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT);
#elif HONE_SIMD_BYTES == 32 && defined(__F16C__)
  return (uvec16)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
#else
  uvec16 bits;
  for (int i = 0; i < lanes; ++i) bits[i] = to_f16(v[i]).bits;
  return bits;
#endif
}
inline vec vload(const bf16 *p) { return widen(p, vload_bits(p)); }
inline vec vload(const f16 *p) { return widen(p, vload_bits(p)); }
inline void vstore(bf16 *p, vec v) {
  const uvec16 bits = narrow(p, v);
  __builtin_memcpy(p, &bits, sizeof bits);
}
inline void vstore(f16 *p, vec v) {
  const uvec16 bits = narrow(p, v);
  __builtin_memcpy(p, &bits, sizeof bits);
}

// The first `count` elements at p, 1 <= count <= lanes; lanes beyond them load as zero. Touches nothing beyond p + count.
#if HONE_SIMD_BYTES == 64
inline __mmask16 first_lanes(i64 count) { return static_cast<__mmask16>((1u << count) - 1); }
inline vec vload(const f32 *p, i64 count) { return (vec)_mm512_maskz_loadu_ps(first_lanes(count), p); }
inline void vstore(f32 *p, vec v, i64 count) { _mm512_mask_storeu_ps(p, first_lanes(count), (__m512)v); }
template <typename T>
inline vec vload(const T *p, i64 count) {
  return widen(p, (uvec16)_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
template <typename T>
inline void vstore(T *p, vec v, i64 count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), (__m256i)narrow(p, v));
}
#else
template <typename T>
inline vec vload(const T *p, i64 count) {
  if (count >= lanes) return vload(p);
  T part[lanes] = {};
  for (i64 i = 0; i < count; ++i) part[i] = p[i];
  return vload(part);
}
template <typename T>
inline void vstore(T *p, vec v, i64 count) {
  if (count >= lanes) return vstore(p, v);
  T part[lanes];
  vstore(part, v);
  for (i64 i = 0; i < count; ++i) p[i] = part[i];
}
#endif

// v[i][j] becomes v[j][i].
#if HONE_SIMD_BYTES == 64
#define HONE_LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HONE_HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif HONE_SIMD_BYTES == 32
#define HONE_LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HONE_HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define HONE_LOW_HALVES 0, 4, 1, 5
#define HONE_HIGH_HALVES 2, 6, 3, 7
#endif
inline void transpose(vec (&v)[lanes]) {
#pragma GCC unroll 4
  for (int step = 1; step < lanes; step *= 2) {  // each step moves one bit of i to j
    vec next[lanes];
#pragma GCC unroll 8
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = __builtin_shufflevector(v[i], v[i + lanes / 2], HONE_LOW_HALVES);
      next[2 * i + 1] = __builtin_shufflevector(v[i], v[i + lanes / 2], HONE_HIGH_HALVES);
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) v[i] = next[i];
  }
}

// e^x to 1 ulp; underflows through subnormals to 0, overflows to infinity, NaN stays NaN.
inline vec vexp(vec x) {
  x = vmin(broadcast(89.0f), vmax(broadcast(-104.0f), x));
  const vec shifted = x * 1.44269504f + 0x1.8p23f;  // the sum's low mantissa bits are the rounded exponent
  const vec n = shifted - 0x1.8p23f;
  const vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  vec p = r * 0.001392632562f + 0.008363292753f;
  p = p * r + 0.04166655376f;
  p = p * r + 0.1666657631f;
  p = p * r + 0.5f;
  p = p * (r * r) + (r + 1.0f);
#if HONE_SIMD_BYTES == 64
  return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  // Two factors: 2^n alone leaves the normal range before the product does.
  const ivec exponent = as_ivec(shifted) - 0x4b400000;
  const ivec half = exponent >> 1;
  return p * as_vec((half + 127) << 23) * as_vec((exponent - half + 127) << 23);
#endif
}

// 2^x to 2 ulp; below 2^-126 it may flush to 0, above 2^128 it is infinity; 2^infinity may be NaN, NaN stays NaN.
inline vec vexp2(vec x) {
  x = vmax(broadcast(-150.0f), x);
#if HONE_SIMD_BYTES < 64
  x = vmin(broadcast(129.0f), x);
#endif
  const vec shifted = x + 0x1.8p23f;  // the low mantissa bits are the rounded exponent
  const vec n = shifted - 0x1.8p23f;
  const vec r = x - n;
  vec p = r * 0.0013276472454890609f + 0.009675540961325169f;
  p = p * r + 0.05550713092088699f;
  p = p * r + 0.24022120237350464f;
  p = p * r + 0.6931469440460205f;
  p = p * r + 1.0f;
#if HONE_SIMD_BYTES == 64
  return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  const ivec exponent = as_ivec(shifted) - 0x4b400000;
  const ivec half = exponent >> 1;
  return p * as_vec((half + 127) << 23) * as_vec((exponent - half + 127) << 23);
#endif
}

// ln x to about 1 ulp for positive normal x, infinity and NaN; below that: NaN for x < 0, -infinity for zero and subnormals.
inline vec vlog(vec x) {
  const ivec bits = as_ivec(x) - 0x3f3504f3;  // mantissa in [sqrt(1/2), sqrt(2))
  const vec n = to_vec(bits >> 23);
  const vec f = as_vec((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
  vec p = f * 0.06971611471f - 0.1147973385f;
  p = p * f + 0.1168541992f;
  p = p * f - 0.1242568733f;
  p = p * f + 0.1424905765f;
  p = p * f - 0.1666780232f;
  p = p * f + 0.2000071575f;
  p = p * f - 0.2499999696f;
  p = p * f + 0.3333333118f;
  const vec square = f * f;
  vec result = (p * f * square - n * 2.12194440e-4f) - square * 0.5f + f + n * 0.693359375f;
  result = select(x < 0x1p-126f, broadcast(-__builtin_inff()), result);
  result = select(x < 0.0f, broadcast(__builtin_nanf("")), result);
  return select((x <= 0x1.fffffep127f) | (x < 0.0f), result, x);  // infinity and NaN are their own
}

// Relative error below 4 ulp.
inline vec vtanh(vec x) {
  const vec a = vabs(x);
  const vec square = x * x;
  vec p = square * -0.006610227831f + 0.02130938866f;
  p = p * square - 0.05390942883f;
  p = p * square + 0.1333311373f;
  p = p * square - 0.3333333201f;
  const vec small = p * square * x + x;
  const vec large = copy_sign(1.0f - 2.0f / (vexp(a + a) + 1.0f), x);
  return select(a < 0.55f, small, select(x == x, large, x));
}

// Absolute error below 2e-7, relative near zero below 4 ulp.
inline vec verf(vec x) {
  const vec square = x * x;
  vec p = square * 7.875875063e-5f - 0.0008016864287f;
  p = p * square + 0.005189087423f;
  p = p * square - 0.02685421201f;
  p = p * square + 0.1128359472f;
  p = p * square - 0.3761262667f;
  p = p * square + 1.128379166f;
  const vec a = vmin(broadcast(4.0f), vabs(x));
  vec q = a * 1.637151415e-6f - 4.605804269e-5f;
  q = q * a + 0.0005968056257f;
  q = q * a - 0.004759596293f;
  q = q * a + 0.02642113601f;
  q = q * a - 0.1100800829f;
  q = q * a - 0.6318260516f;
  q = q * a - 1.130233435f;
  q = q * a + 0.0003201380497f;
  const vec large = copy_sign(1.0f - vexp(q), x);
  return select(vabs(x) < 1.0f, p * x, select(x == x, large, x));
}

inline vec vsilu(vec x) { return x / (vexp(-x) + 1.0f); }
inline vec vgelu(vec x) { return x * 0.5f * (verf(x * 0.707106781f) + 1.0f); }
inline vec vgelu_tanh(vec x) {
  return x * 0.5f * (vtanh(x * (x * x * 0.0356774081f + 0.797884561f)) + 1.0f);
}
inline vec vrelu(vec x) { return vmax(broadcast(0.0f), x); }  // NaN stays NaN
