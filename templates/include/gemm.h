// What the gemm variants share: the way from finished accumulators to y.
#pragma once
#include "simd.h"

inline vec activate(vec v) {
  if constexpr (epilogue == word::bias_relu) return vrelu(v);
  if constexpr (epilogue == word::bias_gelu || epilogue == word::gelu_gate) return vgelu(v);
  if constexpr (epilogue == word::bias_gelu_tanh || epilogue == word::gelu_tanh_gate)
    return vgelu_tanh(v);
  if constexpr (epilogue == word::silu_gate) return vsilu(v);
  return v;
}

// `columns` <= lanes of y's row `row` from `column` on. y may be the residual itself.
template <typename A>
inline void finish_vector(const A &a, i64 row, i64 column, i64 columns, vec value) {
  const i64 at = row * n + column;
  const auto read = [&](const auto *p) { return vload(p, columns); };
  if constexpr (x == word::s8) value = value * (read(a.w_scale + column) * a.x_scale[row]);
  if constexpr (biased) value = value + read(a.bias + column);
  if constexpr (gated) {
    value = value * activate(read(a.gate + at));
  } else {
    value = activate(value);
  }
  if constexpr (epilogue == word::residual || epilogue == word::bias_residual)
    value = value + read(a.residual + at);
  vstore(a.y + at, value, columns);
}

// A tile of `rows` rows by `vectors` vectors. Not inlined, and so compiled once for all heights of
// tile.
template <typename A>
__attribute__((noinline)) void finish(const A &a, i64 row, i64 rows, i64 column, i64 vectors,
                                      const vec *sums) {
  for (i64 r = 0; r < rows; ++r) {
#pragma GCC unroll 1
    for (i64 v = 0; v < vectors && column + v * lanes < n; ++v)
      finish_vector(a, row + r, column + v * lanes,
                    n % lanes == 0 ? lanes : min(i64{lanes}, n - column - v * lanes),
                    sums[r * vectors + v]);
  }
}
