#include "numeric.h"

template <typename A>  // a template, so that members of absent arguments need not exist
void attention_rows(const A &a, i64 begin, i64 end) {
  const double scale = a.scale == 0 ? 1 / __builtin_sqrt(double(a.d)) : double(a.scale);
  for (i64 r = begin; r < end; ++r) {
    const i64 h = r % a.heads, b = r / a.heads / a.q, kv_head = h / (a.heads / a.kv_heads);
    const i64 i = a.lens[b] - a.q + r / a.heads % a.q;  // position of the query token
    auto element = [&](i64 j) {  // where the key and value of position j begin
      if constexpr (layout == word::tokens)
        return ((b * a.cap + j) * a.kv_heads + kv_head) * a.d;
      else if constexpr (layout == word::heads)
        return ((b * a.kv_heads + kv_head) * a.cap + j) * a.d;
      else
        return ((a.block_table[b * ceil_div(a.cap, a.page) + j / a.page] * a.page + j % a.page) *
                    a.kv_heads +
                kv_head) *
               a.d;
    };
    auto score = [&](i64 j) {
      double s = 0;
      for (i64 e = 0; e < a.d; ++e) s += load(a.query, r * a.d + e) * load(a.k, element(j) + e);
      if constexpr (c == word::s8) s *= double(a.k_scale[element(j) / a.d]);
      s *= scale;
      if constexpr (softcap == word::yes)
        s = double(a.softcap_value) * __builtin_tanh(s / double(a.softcap_value));
      if constexpr (alibi == word::yes) s -= double(a.slopes[h]) * double(i < j ? j - i : i - j);
      return s;
    };
    i64 low = 0, high = mask == word::causal ? i + 1 : i64(a.lens[b]);
    if (a.window > 0) {
      low = max(low, i - a.window + 1);
      high = min(high, i + a.window);
    }
    // One score at a time, rescaled when the largest so far grows, so that no buffer is needed.
    double largest = -__builtin_inf(), sum = 0;
    for (i64 e = 0; e < a.d; ++e) a.out[r * a.d + e] = 0;
    for (i64 j = low; j < high; ++j) {
      const double s = score(j);
      if (s > largest) {
        const double shrink = __builtin_exp(largest - s);
        for (i64 e = 0; e < a.d; ++e) a.out[r * a.d + e] *= shrink;
        sum *= shrink;
        largest = s;
      }
      const double p = s == -__builtin_inf() ? 0 : __builtin_exp(s - largest);
      double weight = p;
      if constexpr (c == word::s8) weight *= double(a.v_scale[element(j) / a.d]);
      for (i64 e = 0; e < a.d; ++e) a.out[r * a.d + e] += weight * load(a.v, element(j) + e);
      sum += p;
    }
    for (i64 e = 0; e < a.d && low < high; ++e) a.out[r * a.d + e] /= sum;
  }
}

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) { attention_rows(a, begin, end); }
