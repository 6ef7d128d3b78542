// What the GPU's attention variants share: where a token lies in the cache, which keys a query
// sees, and how a dot product becomes a score. Scores are in units of log2: a probability is
// 2^(score - maximum).
#pragma once
#include "numeric_gpu.h"

constexpr int kGroup = static_cast<int>(heads / kv_heads);  // query heads that share a cache head
constexpr int kPage = static_cast<int>(page);
constexpr int kD = static_cast<int>(d);
constexpr f32 kLog2e = 1.44269504f;

// One head of one sequence, in the key or the value cache.
template <typename T>
struct Cache {
  const T *base;
  const i32 *pages;  // paged: page numbers of this sequence

  HONE_INLINE Cache(const Args &a, const T *data, i64 sequence, i64 kv_head) {
    if constexpr (layout == word::tokens)
      base = data + (sequence * a.cap * kv_heads + kv_head) * d;
    else if constexpr (layout == word::heads)
      base = data + (sequence * kv_heads + kv_head) * a.cap * d;
    else
      base = data + kv_head * d;
    if constexpr (layout == word::paged)
      pages = a.block_table + sequence * ceil_div(a.cap, page);
  }
  HONE_INLINE const T *operator[](i32 token) const {
    if constexpr (layout == word::tokens) return base + token * (kv_heads * d);
    if constexpr (layout == word::heads) return base + token * d;
    if constexpr (layout == word::paged)
      return base + (pages[token / kPage] * page + token % kPage) * (kv_heads * d);
  }
};

// Positions [low, high) of the keys that the query at `position` sees in a context of `length`
// tokens.
struct Span {
  i32 low, high;
};
HONE_INLINE Span visible(i32 position, i32 length) {
  constexpr i32 reach = static_cast<i32>(window);
  Span span{0, length};
  if constexpr (mask == word::causal) span.high = smaller(length, position + 1);
  if constexpr (window > 0) {
    span.low = larger(0, position - reach + 1);
    span.high = smaller(span.high, position + reach);
  }
  return span;
}

// What queries are multiplied with before the dot products: everything linear, unless a soft cap
// stands between.
HONE_INLINE f32 query_factor(const Args &a) {
  const f32 scale = a.scale == 0 ? 1.0f / sqrtf(static_cast<f32>(d)) : a.scale;
  if constexpr (softcap == word::yes)
    return scale / a.softcap_value;
  else
    return scale * kLog2e;
}
// `slope`: of the query's head; `distance`: between the positions of query and key.
HONE_INLINE f32 finish_score(const Args &a, f32 dot, f32 slope, i32 distance) {
  if constexpr (softcap == word::yes) dot = tanhf(dot) * (a.softcap_value * kLog2e);
  if constexpr (alibi == word::yes)
    dot -= slope * kLog2e * static_cast<f32>(distance < 0 ? -distance : distance);
  return dot;
}

// Of no score at all or -infinity only: a finite stand-in, so that probabilities are 0 and not NaN.
HONE_INLINE f32 finite_floor(f32 maximum) { return maximum == -kInfinity ? 0.0f : maximum; }
// What sums and outputs relative to the maximum `from` are multiplied with to be relative to `to`.
HONE_INLINE f32 shrink(f32 from, f32 to) {
  return from == -kInfinity ? 0.0f : exp2f(from - finite_floor(to));
}
// NaN never wins.
HONE_INLINE f32 largest_of(f32 p, f32 q) { return q > p ? q : p; }
