// One row after another, in passes: the moments, then the output. LayerNorm's variance comes from a second pass over centred values, or
// from one pass over values shifted by the row's first; where that cancels badly (the first is an outlier) the second pass follows.
//! serves       cpu
//! fixed        cols
//! param        unroll 1 2 4 8
//! param        store cached stream             // stream: past the caches, for outputs that nobody reads soon
//! param        ahead 0 1                       // read the next row (sum, squares) while this one is written
//! param        moments two shifted
//! launch_param block 1 4 16 64                 // rows
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= rows && (ahead == 0 || block > 1)
//! require      moments == two || kind == layer || kind == layer_bias
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        unroll=4,store=cached,ahead=0,moments=two,block=1,threads=1
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
  const i64 first = b.x * a.block, end = min(a.rows, first + a.block);
  constexpr bool shifted = centred && moments == word::shifted;
  vec sum[unroll] = {}, square[unroll] = {};
  f32 shift = 0;
  // What the first pass over row r does with one vector.
  auto gather = [&](i64 r, i64 c, int u, auto n) HONE_BODY {
    vec d = vload(a.x + r * cols + c, n);
    if constexpr (residual == word::add) {
      d += vload(a.residual + r * cols + c, n);
      vstore(a.sum + r * cols + c, d, n);
    }
    if constexpr (shifted) d = pad(d - shift, n, 0);
    if constexpr (centred) sum[u] += d;
    if constexpr (!centred || shifted) square[u] += d * d;
  };
  auto begin = [&](i64 r) HONE_BODY {
    for (int u = 0; u < unroll; ++u) sum[u] = square[u] = vec{};
    if constexpr (shifted) {
      shift = load_f32(a.x, r * cols);
      if constexpr (residual == word::add) shift += load_f32(a.residual, r * cols);
    }
  };
  for (i64 r = first; r < end; ++r) {
    if (!ahead || r == first) {
      begin(r);
      sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY { gather(r, c, u, n); });
    }
    const x_t *v = (residual == word::add ? a.sum : a.x) + r * cols;
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

    x_t *y = a.y + r * cols;
    const bool more = ahead && r + 1 < end;
    if (more) begin(r + 1);
    sweep_output<unroll, store == word::stream>(y, cols, [&](i64 c, int u, auto n) HONE_BODY {
      const vec w = vload(a.weight + c, n);
      vec d = vload(v + c, n);
      if constexpr (centred) d = (d - m.mean) * scale + offset;
      else d *= scale;
      if constexpr (kind == word::rms1) d = d * w + d;
      else if constexpr (kind == word::layer_bias) d = d * w + vload(a.bias + c, n);
      else d *= w;
      emit<store == word::stream>(y + c, d, n);
      if constexpr (ahead)
        if (more) gather(r + 1, c, u, n);
    });
  }
  if constexpr (store == word::stream) _mm_sfence();
}
