// What the GPU's attention variants share: where a token lies in the cache, which keys a query
// sees, and how a dot product becomes a score. Scores are in units of log2: a probability is
// 2^(score - maximum).
#pragma once
#include "numeric_gpu.h"

constexpr int kGroup = static_cast<int>(heads / kv_heads);  // query heads that share a cache head
constexpr int kPage = static_cast<int>(page);
constexpr int kD = static_cast<int>(d);
constexpr f32 kLog2e = 1.44269504f;

// Elements between neighbouring tokens of a cache; paged: within a page.
constexpr i64 kTokenStride = layout == word::heads ? kD : kv_heads * kD;

// One head of one sequence, in the key or the value cache; of their scales with `width` 1.
template <typename T, i64 width = d>
struct Cache {
  static constexpr i64 kStride = kTokenStride / d * width;
  const T *base;
  const i32 *pages;  // paged: page numbers of this sequence

  HONE_INLINE Cache(const Args &a, const T *data, i64 sequence, i64 kv_head) {
    if constexpr (layout == word::tokens)
      base = data + (sequence * a.cap * kv_heads + kv_head) * width;
    else if constexpr (layout == word::heads)
      base = data + (sequence * kv_heads + kv_head) * a.cap * width;
    else
      base = data + kv_head * width;
    if constexpr (layout == word::paged) pages = a.block_table + sequence * ceil_div(a.cap, page);
  }
  HONE_INLINE const T *operator[](i32 token) const {
    if constexpr (layout == word::paged)
      return base + (pages[token / kPage] * page + token % kPage) * kStride;
    else
      return base + token * kStride;
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

// 2^x within two units in the last place; on CUDA what is no normal number is 0.
HONE_INLINE f32 power_of_two(f32 x) {
#if HONE_CUDA
  f32 result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}
// Of a score: within 3e-7 of tanh(x), two approximations of the hardware and no branch.
HONE_INLINE f32 hyperbolic_tangent(f32 x) {
  const f32 power = power_of_two(x * (2 * kLog2e)) + 1.0f;
#if HONE_CUDA
  f32 inverse;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(power));
#else
  const f32 inverse = __builtin_amdgcn_rcpf(power);
#endif
  return 1.0f - 2.0f * inverse;
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
  if constexpr (softcap == word::yes) dot = hyperbolic_tangent(dot) * (a.softcap_value * kLog2e);
  if constexpr (alibi == word::yes)
    dot -= slope * kLog2e * static_cast<f32>(distance < 0 ? -distance : distance);
  return dot;
}

// Of no score at all or -infinity only: a finite stand-in, so that probabilities are 0 and not NaN.
HONE_INLINE f32 finite_floor(f32 maximum) { return maximum == -kInfinity ? 0.0f : maximum; }
// What sums and outputs relative to the maximum `from` are multiplied with to be relative to `to`.
HONE_INLINE f32 shrink(f32 from, f32 to) { return power_of_two(from - finite_floor(to)); }
// NaN never wins.
HONE_INLINE f32 largest_of(f32 p, f32 q) { return fmaxf(p, q); }

// The maximum that a row goes on with after `found`. online: the largest so far; lazy: it stays
// until something is `slack` above it, so that rescaling is rare. (unified never asks.)
constexpr f32 kSlack = 8;  // in units of log2: probabilities stay below 2^8
HONE_INLINE f32 next_maximum(f32 old, f32 found, f32 slack) {
  return softmax == word::lazy && !(found > old + slack) ? old : largest_of(old, found);
}

// The rows of query and out that a block has, which all share a head of the cache, and the keys
// [begin, end) that its split has of those that any of them sees. A row is a query token and a head
// of the group; rows beyond the last stand for it, and give nothing.
struct Task {
  i32 sequence, kv_head, first, all, split, length, q, begin, end;

  // `step`: what the number of keys of a split is a multiple of.
  HONE_INLINE Task(const Args &a, int rows_of_block, int step) {
    q = static_cast<i32>(a.q);
    all = q * kGroup;
    const i32 tiles = (all + rows_of_block - 1) / rows_of_block;
    const i32 splits = static_cast<i32>(a.splits), block = static_cast<i32>(block_x());
    split = block % splits;
    const i32 index = block / splits, head = index / tiles;
    kv_head = head % static_cast<i32>(kv_heads);
    sequence = head / static_cast<i32>(kv_heads);
    // The last tokens see most: they begin, so that no unit is left alone with them.
    first = (tiles - 1 - index % tiles) * rows_of_block;
    length = a.lens[sequence];
    const i32 low = span(0).low, high = larger(low, span(rows_of_block - 1).high);
    const i32 part = ((high - low + splits - 1) / splits + step - 1) / step * step;
    begin = smaller(high, low + split * part);
    end = smaller(high, begin + part);
  }
  HONE_INLINE bool has(int r) const { return first + r < all; }
  HONE_INLINE i32 position(int r) const {
    return length - q + smaller(first + r, all - 1) / kGroup;
  }
  HONE_INLINE Span span(int r) const { return visible(position(r), length); }
  // Of query and out, [sequence][token][head].
  HONE_INLINE i64 row(int r) const {
    const i32 at = smaller(first + r, all - 1);
    return (static_cast<i64>(sequence) * q + at / kGroup) * heads + kv_head * kGroup + at % kGroup;
  }
  // How many of the split's keys a row sees.
  HONE_INLINE i32 keys(int r) const {
    const Span seen = span(r);
    return smaller(seen.high, end) - larger(seen.low, begin);
  }
};

// What splits leave for `combine`: sums of out [row][split][d], then [row][split] maximum and sum.
struct Splits {
  f32 *out, *ends;
  HONE_INLINE explicit Splits(const Args &a) {
    out = reinterpret_cast<f32 *>(a.workspace);
    ends = out + a.batch * a.q * heads * a.splits * d;
  }
};
constexpr int kSumVector = smaller(4, kD & -kD);  // of out and sums in one access

// Where the `parts` of a block's rows that different waves made meet in shared memory: sums of out
// [part][row][pitch], then [part][row] maximum and sum.
template <int parts, int rows, int pitch>
struct Meeting {
  f32 *all = reinterpret_cast<f32 *>(dynamic_shared());

  HONE_INLINE f32 *out(int part, int r) const { return all + (part * rows + r) * pitch; }
  HONE_INLINE f32 *ends(int part, int r) const {
    return all + parts * rows * pitch + (part * rows + r) * 2;
  }
  HONE_INLINE f32 maximum(int r) const {
    f32 most = -kInfinity;
#pragma unroll
    for (int part = 0; part < parts; ++part) most = largest_of(most, ends(part, r)[0]);
    return most;
  }
  // Whether the sums of all rows lie in (low, high): the free guard of the unified maximum.
  HONE_INLINE bool safe(const Task &task, f32 low, f32 high) const {
    bool all_safe = true;
    for (int r = thread_index(); r < rows; r += static_cast<int>(threads)) {
      f32 total = 0;
#pragma unroll
      for (int part = 0; part < parts; ++part) total += ends(part, r)[1];
      if (task.has(r) && task.keys(r) > 0 && !(total > low && total < high)) all_safe = false;
    }
    return !barrier_or<static_cast<int>(threads)>(!all_safe);
  }
  HONE_INLINE void finish(const Args &a, const Task &task) const {
    constexpr int kStep = static_cast<int>(threads) * kSumVector;
    for (int at = thread_index() * kSumVector; at < rows * kD; at += kStep) {
      const int r = at / kD, element = at % kD;
      if (!task.has(r)) break;
      const f32 most = maximum(r);
      f32 total = 0, value[kSumVector] = {};
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        const f32 factor = shrink(ends(part, r)[0], most);
        total += ends(part, r)[1] * factor;
        f32 some[kSumVector];
        load_vector(some, out(part, r) + element);
#pragma unroll
        for (int i = 0; i < kSumVector; ++i) value[i] += some[i] * factor;
      }
      const i64 row = task.row(r);
      if (a.splits == 1) {
        const Span seen = task.span(r);
        const f32 inverse = 1.0f / total;
#pragma unroll
        for (int i = 0; i < kSumVector; ++i)
          value[i] = seen.low < seen.high ? value[i] * inverse : 0.0f;
        store_vector(a.out + row * d + element, value);
      } else {
        const Splits to(a);
        store_vector(to.out + (row * a.splits + task.split) * d + element, value);
        if (element == 0) store_vector(to.ends + (row * a.splits + task.split) * 2, {most, total});
      }
    }
  }
};

// A wave for each row.
HONE_GPU_KERNEL(combine, 4 * kWave) {
  const i64 row = block_x() * 4 + wave_index();
  if (row >= a.batch * a.q * heads) return;
  const i32 length = a.lens[row / heads / a.q];
  const Span seen = visible(static_cast<i32>(length - a.q + row / heads % a.q), length);
  const Splits from(a);
  const f32 *ends = from.ends + row * a.splits * 2;
  f32 most = -kInfinity, total = 0;
  for (i64 split = 0; split < a.splits; ++split) most = largest_of(most, ends[split * 2]);
  for (i64 split = 0; split < a.splits; ++split)
    total += ends[split * 2 + 1] * shrink(ends[split * 2], most);
  const f32 inverse = 1.0f / total;
  for (int element = lane_index() * kSumVector; element < kD; element += kWave * kSumVector) {
    f32 value[kSumVector] = {};
    for (i64 split = 0; split < a.splits; ++split) {
      const f32 factor = shrink(ends[split * 2], most);
      f32 some[kSumVector];
      load_vector(some, from.out + (row * a.splits + split) * d + element);
#pragma unroll
      for (int i = 0; i < kSumVector; ++i) value[i] += some[i] * factor;
    }
#pragma unroll
    for (int i = 0; i < kSumVector; ++i)
      value[i] = seen.low < seen.high ? value[i] * inverse : 0.0f;
    store_vector(a.out + row * d + element, value);
  }
}
