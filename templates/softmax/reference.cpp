#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  const i64 q = a.rows / a.heads;
  for (i64 r = begin; r < end; ++r) {
    const i64 row = r * a.cols;
    auto score = [&](i64 c) {
      if (causal == word::yes && c > a.cols - q + r % q) return -__builtin_inf();
      double s = double(a.scale) * load(a.x, row + c);
      if constexpr (softcap == word::yes) s = double(a.cap) * __builtin_tanh(s / double(a.cap));
      if constexpr (mask != word::none) s += load(a.m, mask == word::row ? c : row + c);
      return s;
    };
    double largest = -__builtin_inf();
    for (i64 c = 0; c < a.cols; ++c) largest = score(c) > largest ? score(c) : largest;
    double sum = 0;
    for (i64 c = 0; c < a.cols; ++c) sum += __builtin_exp(score(c) - largest);
    for (i64 c = 0; c < a.cols; ++c)
      a.y[row + c] = form == word::log ? score(c) - largest - __builtin_log(sum) : __builtin_exp(score(c) - largest) / sum;
  }
}
