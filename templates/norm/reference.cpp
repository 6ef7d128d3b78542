#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r) {
    const i64 row = r * a.cols;
    auto value = [&](i64 c) {
      double v = load(a.x, row + c);
      if constexpr (residual == word::add) v += load(a.residual, row + c);
      // The sum as written: later layers read it in this form.
      if constexpr (residual == word::add && x == word::bf16) v = to_f32(to_bf16(f32(v)));
      if constexpr (residual == word::add && x == word::f16) v = to_f32(to_f16(f32(v)));
      return v;
    };
    const bool centred = kind == word::layer || kind == word::layer_bias;
    double mean = 0;
    for (i64 c = 0; centred && c < a.cols; ++c) mean += value(c) / double(a.cols);
    double variance = 0;
    for (i64 c = 0; c < a.cols; ++c) variance += (value(c) - mean) * (value(c) - mean) / double(a.cols);
    const double scale = 1 / __builtin_sqrt(variance + double(a.eps));
    for (i64 c = 0; c < a.cols; ++c) {
      double y = (value(c) - mean) * scale * (load(a.weight, c) + (kind == word::rms1 ? 1 : 0));
      if constexpr (kind == word::layer_bias) y += load(a.bias, c);
      if constexpr (residual == word::add) a.sum[row + c] = value(c);
      a.y[row + c] = y;
    }
  }
}
