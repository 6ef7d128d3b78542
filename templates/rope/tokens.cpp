// Each token's cosines and sines are computed once and serve all its heads. Angles are products and remainders in double precision,
// so that any position is as exact as position 1; sine and cosine are polynomials in f32.
//! serves       cpu
//! fixed        heads d rot
//! param        unroll 1 2 4
//! param        ahead 0 1                       // fetch the next token while this one is rotated
//! launch_param block 1 4 16 64                 // tokens
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= tokens
//! let          table = round_up(rot, 32)
//! workspace    threads * table * 8
//! launch       main ceil_div(tokens, block) 1 1 threads
//! start        unroll=2,ahead=0,block=1,threads=1
#include "rows.h"
#include "turns.h"

typedef f64 dvec __attribute__((vector_size(HONE_SIMD_BYTES)));
typedef f32 half_vec __attribute__((vector_size(HONE_SIMD_BYTES / 2)));  // as many lanes as dvec
constexpr i64 half_lanes = lanes / 2;

// angle -> what is left of it after quarter turns, and their number.
inline void remainders(f64 position, half_vec inv_freq, f32 *rest, f32 *quarters) {
  const dvec angle = __builtin_convertvector(inv_freq, dvec) * position;
  const dvec turns = (angle * kQuartersPerRadian + kRounder) - kRounder;
  const half_vec r = __builtin_convertvector(angle - turns * kRadiansPerQuarter, half_vec);
  const half_vec n = __builtin_convertvector(turns - ((turns * 0.25 + kRounder) - kRounder) * 4.0, half_vec);
  __builtin_memcpy(rest, &r, sizeof r);
  __builtin_memcpy(quarters, &n, sizeof n);
}

// cosine[i], sine[i] for i < rot / 2 (rounded up); interleaved: each twice, the first sine of a pair negative.
inline void fill(const Args &a, f64 position, f32 *cosine, f32 *sine) {
  constexpr i64 count = rot / 2;
  i64 i = 0;
  for (; i + half_lanes <= count; i += half_lanes) {
    half_vec f;
    __builtin_memcpy(&f, a.inv_freq + i, sizeof f);
    remainders(position, f, cosine + i, sine + i);
  }
  if constexpr (count % half_lanes != 0) {
    half_vec f{};
    for (i64 k = 0; k < count % half_lanes; ++k) f[k] = a.inv_freq[i + k];
    remainders(position, f, cosine + i, sine + i);
  }
  // From the end: interleaved results take twice the place of what they are computed from.
  for (i = round_up(count, lanes) - lanes; i >= 0; i -= lanes) {
    const vec r = vload(cosine + i);
    const ivec n = __builtin_convertvector(vload(sine + i), ivec);
    const vec s = sine_near_zero(r), c = cosine_near_zero(r);
    const ivec odd = (n & 1) != 0;
    const ivec sign = static_cast<i32>(0x80000000u) + ivec{};
    const vec co = as_vec(as_ivec(select(odd, s, c)) ^ (((n + 1) & 2) != 0 & sign)) * a.scale;
    const vec si = as_vec(as_ivec(select(odd, c, s)) ^ ((n & 2) != 0 & sign)) * a.scale;
    if constexpr (style == word::neox) {
      vstore(cosine + i, co);
      vstore(sine + i, si);
    } else {
      for (i64 k = lanes - 1; k >= 0; --k) {
        cosine[2 * (i + k)] = cosine[2 * (i + k) + 1] = co[k];
        sine[2 * (i + k)] = -si[k];
        sine[2 * (i + k) + 1] = si[k];
      }
    }
  }
}

HONE_KERNEL(main) {
  f32 *cosine = reinterpret_cast<f32 *>(a.workspace) + b.thread * 2 * table;
  f32 *sine = cosine + table;
  const i64 end = min(a.tokens, (b.x + 1) * a.block);
  for (i64 t = b.x * a.block; t < end; ++t) {
    fill(a, a.positions[t], cosine, sine);
    const i64 next = ahead && t + 1 < end ? heads * d : 0;
    for (i64 h = 0; h < heads; ++h) {
      const x_t *x = a.x + (t * heads + h) * d;
      x_t *y = a.y + (t * heads + h) * d;
      if constexpr (style == word::neox) {
        constexpr i64 half = rot / 2;
        sweep<unroll>(half, [&](i64 i, int, auto n) HONE_BODY {
          if constexpr (ahead) prefetch(x + next + i), prefetch(x + next + half + i);
          const vec p = vload(x + i, n), q = vload(x + half + i, n);
          const vec c = vload(cosine + i), s = vload(sine + i);
          vstore(y + i, p * c - q * s, n);
          vstore(y + half + i, p * s + q * c, n);
        });
      } else {
        sweep<unroll>(rot, [&](i64 i, int, auto n) HONE_BODY {
          if constexpr (ahead) prefetch(x + next + i);
          const vec p = vload(x + i, n);
          vstore(y + i, p * vload(cosine + i) + swap_pairs(p) * vload(sine + i), n);
        });
      }
      if constexpr (rot < d)
        if (x != y) sweep<1>(d - rot, [&](i64 i, int, auto n) HONE_BODY { vstore(y + rot + i, vload(x + rot + i, n), n); });
    }
  }
}
