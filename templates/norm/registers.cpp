// Short rows (the heads of QK-norm): a row lives in registers from its load to its store, several rows at once so that their sums and
// square roots overlap.
//! serves       cpu
//! when         cols <= 4 * vector_bytes
//! fixed        cols
//! param        together 1 2 4 8
//! launch_param block 8 32 128 512              // rows
//! launch_param threads 1 2 4 8 units
//! let          vectors = ceil_div(cols, vector_bytes / 4)
//! require      together == 1 || together * vectors <= registers - 8
//! require      threads <= units && (block == 8 || block <= rows)
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        together=1,block=8,threads=1
#include "rows.h"

constexpr bool centred = kind == word::layer || kind == word::layer_bias;

template <i64 count>
inline void normalise(const Args &a, i64 r) {
  vec v[count][vectors];
  f32 scale[count], mean[count] = {};
  // The last vector of a row may be a part.
  auto columns = [&](auto f) HONE_BODY {
#pragma GCC unroll 16
    for (int i = 0; i < cols / lanes; ++i) f(i * lanes, i, Whole{});
    if constexpr (cols % lanes != 0) f(cols / lanes * lanes, cols / lanes, cols % lanes);
  };
  auto rows = [&](auto f) HONE_BODY {
#pragma GCC unroll 8
    for (int k = 0; k < count; ++k) f(k);
  };
  // Step by step for all rows, so that one row's reduction runs while another's is loaded.
  vec sum[count] = {};
  rows([&](int k) HONE_BODY {
    columns([&](i64 c, int i, auto n) HONE_BODY {
      const i64 at = (r + k) * cols + c;
      v[k][i] = vload(a.x + at, n);
      if constexpr (residual == word::add) {
        v[k][i] += vload(a.residual + at, n);
        vstore(a.sum + at, v[k][i], n);
        if constexpr (sizeof(x_t) < 4) v[k][i] = vload(a.sum + at, n);  // the sum as written
      }
      sum[k] += centred ? v[k][i] : v[k][i] * v[k][i];
    });
  });
  f32 variance[count];
  rows([&](int k) HONE_BODY { variance[k] = reduce_add(sum[k]) / f32(cols); });
  if constexpr (centred) {
    vec rest[count] = {}, square[count] = {};
    rows([&](int k) HONE_BODY {
      columns([&](i64, int i, auto n) HONE_BODY {
        const vec d = pad(v[k][i] - variance[k], n, 0);
        v[k][i] = d;
        rest[k] += d;
        square[k] += d * d;
      });
    });
    rows([&](int k) HONE_BODY {
      mean[k] = reduce_add(rest[k]) / f32(cols);  // what rounding left of it
      variance[k] = max(reduce_add(square[k]) / f32(cols) - mean[k] * mean[k], 0.0f);
    });
  }
  rows([&](int k) HONE_BODY { scale[k] = 1 / __builtin_sqrtf(variance[k] + a.eps); });
  columns([&](i64 c, int i, auto n) HONE_BODY {
    const vec w = vload(a.weight + c, n);
    rows([&](int k) HONE_BODY {
      vec d = v[k][i];
      if constexpr (centred) d = (d - mean[k]) * scale[k];
      else d *= scale[k];
      if constexpr (kind == word::rms1) d = d * w + d;
      else if constexpr (kind == word::layer_bias) d = d * w + vload(a.bias + c, n);
      else d *= w;
      vstore(a.y + (r + k) * cols + c, d, n);
    });
  });
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  i64 r = b.x * a.block;
  for (; r + together <= end; r += together) normalise<together>(a, r);
  for (; r < end; ++r) normalise<1>(a, r);
}
