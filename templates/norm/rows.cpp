// One row after another, in passes: the moments, then the output. LayerNorm's variance comes from a second pass over centred values, or
// from one pass over values shifted by the row's first; where that cancels badly (the first is an outlier) the second pass follows.
//! serves       cpu
//! fixed        cols
//! param        unroll 1 2 4 8
//! param        store cached stream             // stream: past the caches, for outputs that nobody reads soon
//! param        moments two shifted
//! launch_param block 1 4 16 64                 // rows
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= rows
//! require      moments == two || kind == layer || kind == layer_bias
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        unroll=4,store=cached,moments=two,block=1,threads=1
#include "rows.h"

constexpr bool centred = kind == word::layer || kind == word::layer_bias;

inline f32 total(const vec (&part)[unroll]) {
  vec sum = part[0];
#pragma GCC unroll 16
  for (int u = 1; u < unroll; ++u) sum += part[u];
  return reduce_add(sum);
}

struct Moments {
  f32 mean, rest, variance;  // the mean is mean + rest: what rounding took from it
};

inline Moments around(const x_t *v, f32 mean) {
  vec sum[unroll] = {}, square[unroll] = {};
  sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY {
    const vec d = pad(vload(v + c, n) - mean, n, 0);
    sum[u] += d;
    square[u] += d * d;
  });
  const f32 rest = total(sum) / f32(cols);
  return {mean, rest, total(square) / f32(cols) - rest * rest};
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  constexpr bool shifted = centred && moments == word::shifted;
  for (i64 r = b.x * a.block; r < end; ++r) {
    const x_t *x = a.x + r * cols, *add = nullptr;
    x_t *y = a.y + r * cols, *kept = nullptr;
    if constexpr (residual == word::add) {
      add = a.residual + r * cols;
      kept = a.sum + r * cols;
    }
    vec sum[unroll] = {}, square[unroll] = {};
    f32 shift = 0;
    if constexpr (shifted) shift = load_f32(x, 0) + (residual == word::add ? load_f32(add, 0) : 0.0f);
    sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY {
      vec d = vload(x + c, n);
      if constexpr (residual == word::add) {
        d += vload(add + c, n);
        vstore(kept + c, d, n);
      }
      if constexpr (shifted) d = pad(d - shift, n, 0);
      if constexpr (centred) sum[u] += d;
      if constexpr (!centred || shifted) square[u] += d * d;
    });
    const x_t *v = residual == word::add ? kept : x;
    Moments m{0, 0, 0};
    if constexpr (!centred) {
      m.variance = total(square) / f32(cols);
    } else if constexpr (!shifted) {
      m = around(v, total(sum) / f32(cols));
    } else {
      const f32 rest = total(sum) / f32(cols), second = total(square) / f32(cols);
      m = {shift, rest, second - rest * rest};
      if (!(rest * rest <= 8 * m.variance)) m = around(v, shift + rest);
    }
    const f32 scale = 1 / __builtin_sqrtf(max(m.variance, 0.0f) + a.eps);
    const f32 offset = -m.rest * scale;

    const weight_t *gain = a.weight, *base = a.bias;
    sweep_output<unroll, store == word::stream>(y, cols, [&](i64 c, int, auto n) HONE_BODY {
      const vec w = vload(gain + c, n);
      vec d = vload(v + c, n);
      if constexpr (centred) d = (d - m.mean) * scale + offset;
      else d *= scale;
      if constexpr (kind == word::rms1) d = d * w + d;
      else if constexpr (kind == word::layer_bias) d = d * w + vload(base + c, n);
      else d *= w;
      emit<store == word::stream>(y + c, d, n);
    });
  }
  if constexpr (store == word::stream) _mm_sfence();
}
