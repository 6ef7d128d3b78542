#include "numeric.h"

static double activation(double v) {
  if constexpr (act == word::silu) return v / (1 + __builtin_exp(-v));
  if constexpr (act == word::gelu) return 0.5 * v * (1 + __builtin_erf(v * 0.70710678118654752440));
  if constexpr (act == word::gelu_tanh)
    return 0.5 * v * (1 + __builtin_tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
  return v < 0 ? 0 : v;
}

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r)
    for (i64 c = 0; c < a.cols; ++c) {
      double y = activation(load(a.x, r * (form == word::fused ? 2 * a.cols : a.cols) + c));
      if constexpr (form == word::fused) y *= load(a.x, (2 * r + 1) * a.cols + c);
      if constexpr (form == word::two) y *= load(a.up, r * a.cols + c);
      a.y[r * a.cols + c] = y;
    }
}
