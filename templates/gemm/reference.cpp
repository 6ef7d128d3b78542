// y = epilogue(x w^T), one element after the other.
#include "numeric.h"

template <typename A>
f64 finished(const A &a, i64 row, i64 column, f64 value) {
  const i64 at = row * a.n + column;
  const auto sigmoid = [](f64 v) { return 1 / (1 + __builtin_exp(-v)); };
  const auto gelu = [](f64 v) { return 0.5 * v * (1 + __builtin_erf(v * 0.70710678118654752)); };
  const auto gelu_tanh = [](f64 v) {
    return 0.5 * v * (1 + __builtin_tanh(0.79788456080286536 * (v + 0.044715 * v * v * v)));
  };
  if constexpr (x == word::s8) value *= load(a.x_scale, row) * load(a.w_scale, column);
  if (a.bias != nullptr) value += load(a.bias, column);
  if constexpr (epilogue == word::bias_relu) value = value < 0 ? 0 : value;
  if constexpr (epilogue == word::bias_gelu) value = gelu(value);
  if constexpr (epilogue == word::bias_gelu_tanh) value = gelu_tanh(value);
  if constexpr (epilogue == word::silu_gate) value *= load(a.gate, at) * sigmoid(load(a.gate, at));
  if constexpr (epilogue == word::gelu_gate) value *= gelu(load(a.gate, at));
  if constexpr (epilogue == word::gelu_tanh_gate) value *= gelu_tanh(load(a.gate, at));
  if (a.residual != nullptr) value += load(a.residual, at);
  return value;
}

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 row = begin; row < end; ++row) {
    for (i64 column = 0; column < a.n; ++column) {
      f64 sum = 0;
      for (i64 i = 0; i < a.k; ++i) sum += load(a.x, row * a.k + i) * load(a.w, column * a.k + i);
      a.y[row * a.n + column] = finished(a, row, column, sum);
    }
  }
}
