// What the attention variants share: where a token lies in the cache, which keys a query sees, and
// how a dot product becomes a score. Scores are in units of log2: a probability is 2^(score -
// maximum).
#pragma once
#include "dot.h"
#include "simd.h"

constexpr i64 group = heads / kv_heads;          // query heads that share one head of the cache
constexpr i64 padded = round_up(d, i64(lanes));  // floats in a row of query or output scratch
constexpr f32 kLog2e = 1.44269504f;
constexpr f32 kNegativeInfinity = -__builtin_inff();

// One head of one sequence, in the key or the value cache.
template <typename T>
struct Cache {
  const T *base;
  i64 stride;        // elements between neighbouring tokens; paged: within a page
  const i32 *pages;  // paged: page numbers of this sequence

  const T *operator[](i64 token) const {
    if constexpr (layout == word::paged)
      return base + (i64(pages[u64(token) / page]) * page + i64(u64(token) % page)) * stride;
    else
      return base + token * stride;
  }
};
template <typename A,
          typename T>  // A is Args; as a template parameter it need not have what the problem lacks
inline Cache<T> cache_of(const A &a, const T *data, i64 sequence, i64 kv_head) {
  if constexpr (layout == word::tokens)
    return {data + (sequence * a.cap * kv_heads + kv_head) * d, kv_heads * d, nullptr};
  else if constexpr (layout == word::heads)
    return {data + (sequence * kv_heads + kv_head) * a.cap * d, d, nullptr};
  else
    return {data + kv_head * d, kv_heads * d, a.block_table + sequence * ceil_div(a.cap, page)};
}
// The scales of a head's tokens, where the cache is of s8.
template <typename A>
inline Cache<f32> scales_of(const A &a, const f32 *data, i64 sequence, i64 kv_head) {
  if constexpr (layout == word::tokens)
    return {data + sequence * a.cap * kv_heads + kv_head, kv_heads, nullptr};
  else if constexpr (layout == word::heads)
    return {data + (sequence * kv_heads + kv_head) * a.cap, 1, nullptr};
  else
    return {data + kv_head, kv_heads, a.block_table + sequence * ceil_div(a.cap, page)};
}
inline vec vload(const i8 *p) { return to_vec(load_i8(p)); }
inline vec vload(const i8 *p, i64 count) {
  i8 part[lanes] = {};
  for (i64 i = 0; i < count; ++i) part[i] = p[i];
  return vload(part);
}
template <typename T>
inline void prefetch_row(const T *row) {  // into L2: L1 is too small for what is under way
  for (i64 line = 0; line < d * i64(sizeof(T)); line += 64)
    __builtin_prefetch(reinterpret_cast<const u8 *>(row) + line, 0, 2);
}

// Positions [low, high) of the keys that the query at `position` sees in a context of `length`
// tokens.
struct Span {
  i64 low, high;
};
inline Span visible(i64 position, i64 length) {
  Span span{0, length};
  if constexpr (mask == word::causal) span.high = min(length, position + 1);
  if constexpr (window > 0) {
    span.low = max(i64(0), position - window + 1);
    span.high = min(span.high, position + window);
  }
  return span;
}

// What queries are multiplied with before the dot products: everything linear, unless a soft cap
// stands between.
template <typename A>
inline f32 query_factor(const A &a) {
  const f32 scale = a.scale == 0 ? 1.0f / __builtin_sqrtf(static_cast<f32>(d)) : a.scale;
  if constexpr (softcap == word::yes)
    return scale / a.softcap_value;
  else
    return scale * kLog2e;
}
// Scores change once more before they are looked at.
constexpr bool finishing = c == word::s8 || softcap == word::yes || alibi == word::yes || dot == word::bf16;
// `lanes` pairs of neighbouring 16-bit elements, as bits.
template <typename T>
inline vec load_pairs(const T *p) {
  return vload(reinterpret_cast<const f32 *>(p));
}
// Scores of `lanes` neighbouring keys: `distance` is position of the query minus position of the
// first key.
template <typename A>
inline vec finish_scores(const A &a, vec dots, i64 head, i64 distance) {
  if constexpr (dot == word::bf16) dots = dots * query_factor(a);
  if constexpr (softcap == word::yes) dots = vtanh(dots) * (a.softcap_value * kLog2e);
  if constexpr (alibi == word::yes)
    dots = dots -
           vabs(to_vec(broadcast(static_cast<i32>(distance)) - iota())) * (a.slopes[head] * kLog2e);
  return dots;
}
template <typename T>
inline void load_query(f32 *to, const T *from, f32 factor) {
  i64 e = 0;
  for (; e + lanes <= d; e += lanes) vstore(to + e, vload(from + e) * factor);
  if constexpr (d % lanes != 0) vstore(to + e, vload(from + e, d % lanes) * factor);
}
template <typename T>
inline void store_row(T *to, const f32 *from, f32 factor) {
  i64 e = 0;
  for (; e + lanes <= d; e += lanes) vstore(to + e, vload(from + e) * factor);
  if constexpr (d % lanes != 0) vstore(to + e, vload(from + e) * factor, d % lanes);
}
// Largest of a row of scores, NaN aside. No score at all, or -inf only: a finite stand-in keeps
// 2^(score - maximum) defined.
inline f32 finite_floor(f32 maximum) { return maximum == kNegativeInfinity ? 0.0f : maximum; }

// The free guard of the unified maximum: with every score taken relative to phi instead of the
// row's own maximum, the sum tells all. Above 2^64 or below 2^-40, infinite or NaN, the row is
// computed again with a running maximum; an output that isn't finite may stem from an overflow as
// well.
inline bool sum_is_safe(f32 sum) { return sum > 0x1p-40f && sum < 0x1p64f; }
inline bool row_is_finite(const f32 *row) {
  vec probe{};  // x * 0 is NaN exactly where x isn't finite
  for (i64 e = 0; e < padded; e += lanes) probe = probe + vload(row + e) * 0.0f;
  return reduce_add(probe) == 0.0f;
}

// Query tokens [q0, q1) of one sequence with the query heads that share the heads of the cache from
// kv_head on, HEADS of them. Rows of scratch follow one another as [query token][query head].
template <i64 HEADS>
struct Task {
  i64 sequence, kv_head, q0, q1;
  Span seen;  // keys that any of the query tokens sees

  i64 rows() const { return (q1 - q0) * HEADS; }
  void look(const Args &a) {
    const i64 length = a.lens[sequence];
    seen = {visible(length - a.q + q0, length).low, visible(length - a.q + q1 - 1, length).high};
  }
  i64 element(const Args &a, i64 row) const {  // of query and out
    return ((sequence * a.q + q0 + row / HEADS) * heads + kv_head * group + row % HEADS) * d;
  }
  __attribute__((noinline)) void load_queries(const Args &a, f32 *query) const {
    const f32 factor = query_factor(a);
    for (i64 r = 0; r < rows(); ++r) {
      const auto *from = a.query + element(a, r);
      if constexpr (dot == word::bf16)  // as they are: pairs for dot_bf16, the factor comes after
        for (i64 e = 0; e < d; e += 2 * lanes)
          vstore(query + r * padded + e / 2, load_pairs(from + e));
      else
        load_query(query + r * padded, from, factor);
    }
  }
  // Divides and writes. False if a row fails the guard of the unified maximum: what is written
  // doesn't count then.
  __attribute__((noinline)) bool finish(const Args &a, const f32 *out, const f32 *sum,
                                        bool guarded) const {
    const i64 length = a.lens[sequence];
    for (i64 r = 0; r < rows(); ++r) {
      const Span keys = visible(length - a.q + q0 + r / HEADS, length);
      const bool empty = keys.low >= keys.high;
      if (guarded && !empty && !(sum_is_safe(sum[r]) && row_is_finite(out + r * padded)))
        return false;
      store_row(a.out + element(a, r), out + r * padded, empty ? 0.0f : 1.0f / sum[r]);
    }
    return true;
  }
};
