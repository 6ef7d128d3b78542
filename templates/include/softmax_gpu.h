// What the softmax variants of GPUs share: a row's scores, and sums of exponentials that move from
// one largest score to another.
#pragma once
#include "numeric_gpu.h"

constexpr f32 kLog2e = 1.44269504f;

// Of no score at all or -infinity only: a finite stand-in, so that exponentials are 0 and not NaN.
HONE_INLINE f32 finite_floor(f32 largest) { return largest == -kInfinity ? 0.0f : largest; }
// What a sum relative to `from` is multiplied with to be one relative to `to`.
HONE_INLINE f32 shrink(f32 from, f32 to) {
  return from == -kInfinity ? 0.0f : exp2f((from - to) * kLog2e);
}
// NaN never wins.
HONE_INLINE f32 largest_of(f32 p, f32 q) { return q > p ? q : p; }

HONE_INLINE i64 columns_seen(const Args &a, i64 row) {
  if constexpr (causal == word::yes) {
    const i64 q = a.rows / heads;
    return cols - q + row % q + 1;
  } else {
    return cols;
  }
}

// Scores of `column` and its neighbours in the row that begins at element `start`.
template <int count>
HONE_INLINE void load_scores(f32 (&score)[count], const Args &a, i64 start, i64 column, i64 seen) {
  load_vector(score, a.x + start + column);
  f32 other[count];
  if constexpr (mask == word::row) load_vector(other, a.m + column);
  if constexpr (mask == word::full) load_vector(other, a.m + start + column);
#pragma unroll
  for (int i = 0; i < count; ++i) {
    score[i] *= a.scale;
    if constexpr (softcap == word::yes) score[i] = a.cap * tanhf(score[i] / a.cap);
    if constexpr (mask != word::none) score[i] += other[i];
    if (causal == word::yes && column + i >= seen) score[i] = -kInfinity;
  }
}

// A thread's largest score so far and the sum of exponentials relative to it.
struct Part {
  f32 largest = -kInfinity, sum = 0;

  template <int count>
  HONE_INLINE void raise(const f32 (&score)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) largest = largest_of(largest, score[i]);
  }
  template <int count>
  HONE_INLINE void add(const f32 (&score)[count]) {
    const f32 before = largest;
    raise(score);
    sum *= shrink(before, largest);
#pragma unroll
    for (int i = 0; i < count; ++i) sum += exp2f((score[i] - finite_floor(largest)) * kLog2e);
  }
};
