// What the variants of templates/norm share: the pass over a row that gathers its moments, and the pass that writes it.
#pragma once
#include "rows.h"

constexpr bool centred = kind == word::layer || kind == word::layer_bias;

inline f32 total(const vec (&part)[unroll]) {
  vec sum = part[0];
#pragma GCC unroll 16
  for (int u = 1; u < unroll; ++u) sum += part[u];
  return reduce_add(sum);
}

// Of a row: y = (v - mean) * scale + offset, times the weight.
struct Scale {
  f32 mean, scale, offset;
};

// LayerNorm's from values centred on a mean that is nearly right; `offset` makes up for what rounding took from it.
inline Scale scale_around(const x_t *v, f32 mean, f32 eps) {
  vec sum[unroll] = {}, square[unroll] = {};
  sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY {
    const vec d = pad(vload(v + c, n) - mean, n, 0);
    sum[u] += d;
    square[u] += d * d;
  });
  const f32 rest = total(sum) / f32(cols);
  const f32 scale = 1 / __builtin_sqrtf(max(total(square) / f32(cols) - rest * rest, 0.0f) + eps);
  return {mean, scale, -rest * scale};
}

// The first pass over a row: x + residual is written to sum, and the moments gather. `shifted` (LayerNorm): both at once, from values
// less the row's first.
template <bool shifted>
struct Gather {
  const x_t *x, *add = nullptr;
  x_t *kept = nullptr;
  f32 shift = 0;
  vec sum[unroll] = {}, square[unroll] = {};

  Gather(const Args &a, i64 r) : x(a.x + r * cols) {
    if constexpr (residual == word::add) {
      add = a.residual + r * cols;
      kept = a.sum + r * cols;
    }
    if constexpr (shifted) shift = load_f32(x, 0) + (residual == word::add ? load_f32(add, 0) : 0.0f);
  }

  template <typename N>
  HONE_BODY vec take(i64 c, N n) const {
    vec d = vload(x + c, n);
    if constexpr (residual == word::add) d += vload(add + c, n);
    return d;
  }
  template <typename N>
  HONE_BODY void put(vec d, i64 c, int u, N n) {
    if constexpr (residual == word::add) {
      vstore(kept + c, d, n);
      if constexpr (sizeof(x_t) < 4) d = vload(kept + c, n);  // the sum as written
    }
    if constexpr (shifted) d = pad(d - shift, n, 0);
    if constexpr (centred) sum[u] += d;
    if constexpr (!centred || shifted) square[u] += d * d;
  }
  const x_t *values() const { return residual == word::add ? kept : x; }

  Scale scale(f32 eps) const {
    if constexpr (!centred) {
      return {0, 1 / __builtin_sqrtf(total(square) / f32(cols) + eps), 0};
    } else if constexpr (!shifted) {
      return scale_around(values(), total(sum) / f32(cols), eps);
    } else {
      const f32 rest = total(sum) / f32(cols), variance = total(square) / f32(cols) - rest * rest;
      // The first value is an outlier: the difference has lost its digits.
      if (!(rest * rest <= 8 * variance)) return scale_around(values(), shift + rest, eps);
      const f32 scale = 1 / __builtin_sqrtf(variance + eps);
      return {shift, scale, -rest * scale};
    }
  }
};

template <typename N>
HONE_BODY inline vec output(vec v, const Scale &s, const weight_t *weight, const weight_t *bias, i64 c, N n) {
  const vec w = vload(weight + c, n);
  if constexpr (centred) v = (v - s.mean) * s.scale + s.offset;
  else v *= s.scale;
  if constexpr (kind == word::rms1) return v * w + v;
  else if constexpr (kind == word::layer_bias) return v * w + vload(bias + c, n);
  else return v * w;
}
