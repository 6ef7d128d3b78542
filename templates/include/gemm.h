// What the gemm variants share: the way from finished accumulators to y.
#pragma once
#include "simd.h"

inline vec activate(vec v) {
  if constexpr (epilogue == word::bias_relu) return vrelu(v);
  if constexpr (epilogue == word::bias_gelu || epilogue == word::gelu_gate) return vgelu(v);
  if constexpr (epilogue == word::bias_gelu_tanh || epilogue == word::gelu_tanh_gate) return vgelu_tanh(v);
  if constexpr (epilogue == word::silu_gate) return vsilu(v);
  return v;
}

// Row `row` of y from `column` < n on: `lanes` columns, or as many as there are. y may be the residual itself.
template <typename A>
inline void finish(const A &a, i64 row, i64 column, vec value) {
  const i64 at = row * n + column;
  const bool whole = n % lanes == 0 || n - column >= lanes;
  const auto read = [&](const auto *p) { return whole ? vload(p) : vload(p, n - column); };
  if constexpr (x == word::s8) value = value * (read(a.w_scale + column) * a.x_scale[row]);
  if constexpr (biased) value = value + read(a.bias + column);
  if constexpr (gated) {
    value = value * activate(read(a.gate + at));
  } else {
    value = activate(value);
  }
  if constexpr (epilogue == word::residual || epilogue == word::bias_residual) value = value + read(a.residual + at);
  if (whole) {
    vstore(a.y + at, value);
  } else {
    vstore(a.y + at, value, n - column);
  }
}
