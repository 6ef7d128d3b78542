// Few query tokens against a long cache: what counts is to read every key and value once, at the
// speed of memory. One block of the grid takes some heads of the cache, the query heads that share
// them, and one part of the context (FlashDecoding). It goes through the context `block` tokens at
// a time, all its heads within them, so that memory is read in the order in which it lies;
// prefetches run in that same order, `ahead` blocks earlier. Dot products run along d in tiles of
// tile_heads x tile_keys accumulators, the values along the tokens in tiles of tile_heads x
// tile_columns. unified (FlashDecoding++) needs no maximum: rows that the guard rejects are
// computed again, online.
//! serves        cpu
//! when          q <= 64 || c == s8
//! fixed         heads kv_heads d window page
//! param         softmax online lazy unified
//! param         dot f32 bf16               // queries times keys: in f32, or two bf16 at a time
//! param         block 16 32 64 128         // tokens between two looks at the maximum
//! param         join 1 min(kv_heads,2) min(kv_heads,4) min(kv_heads,8) kv_heads  // read together
//! param         tile_heads 1 min(heads/kv_heads,2) min(heads/kv_heads,3) min(heads/kv_heads,4) \
//!               min(heads/kv_heads,5) min(heads/kv_heads,6) min(heads/kv_heads,8)
//! param         tile_keys 4 8
//! param         tile_columns 1 2 4 8       // vectors of the value row that stay in registers
//! param         ahead 0 1 2                // blocks between a prefetch and its use
//! launch_param  splits 1 2 4 8 16 32 64
//! launch_param  threads 1 2 4 8 16 32 64 units
//! let           rows_per_token = join * (heads / kv_heads)
//! let           together = max(1, 128 / rows_per_token)  // query tokens of a block of the grid
//! let           state = round_up(together * rows_per_token, 16)
//! let           row = round_up(d, vector_bytes / 4)
//! let           scratch = \
//!               round_up(2 * state * row + (heads / kv_heads) * block + 3 * state, 16)
//! let           partial = round_up(state * row + 2 * state, 16)
//! let           tasks = batch * (kv_heads / join) * ceil_div(q, together)
//! require       dot == f32 || (x == bf16 && c == bf16 && has_bf16 && d % (vector_bytes / 2) == 0)
//! require       kv_heads % join == 0 && (join == 1 || layout == tokens || layout == paged)
//! require       tile_heads * tile_keys + tile_keys + 1 <= registers
//! require       tile_heads * tile_columns + tile_heads + 1 <= registers
//! require       tile_columns <= max(1, d * 4 / vector_bytes)
//! require       tile_heads * 2 >= min(heads / kv_heads, 4)
//! require       tile_columns * 2 >= min(d * 4 / vector_bytes, 4)
//! require       threads <= units
//! require       splits == 1 || splits * block <= kv
//! workspace     4 * (threads * scratch + (splits > 1 ? tasks * splits * partial : 0))
//! launch        main splits tasks 1 threads
//! launch        combine tasks 1 1 threads if splits > 1
//! start         softmax=online,dot=x==bf16&&c==bf16&&has_bf16&&d%(vector_bytes/2)==0?bf16:f32,\
//!               block=32,join=layout==tokens||layout==paged?kv_heads:1,tile_heads=registers/8,\
//!               tile_keys=4,tile_columns=4,ahead=1,splits=units,threads=units
//! preset        flashdecoding softmax=online
//! preset        flashdecoding++ softmax=unified
#include "attention.h"

// All pointers into the scratch of one thread; rows are [query token][head of the group].
struct State {
  f32 *query;    // [state][padded], times query_factor
  f32 *out;      // [state][padded], not yet divided by sum
  f32 *scores;   // [group][block]
  f32 *maximum;  // [state]
  f32 *sum;      // [state]
  f32 *shrink;   // [state]: what the new maximum does to sums and outputs so far
};

// Of the keys and values of a block's tokens, where the cache is of s8; zeros beyond `count`.
struct Scales {
  static constexpr i64 kRoom = c == word::s8 ? block : 1;
  f32 key[kRoom], value[kRoom];

  void look(const Args &a, i64 sequence, i64 kv_head, i64 first, i64 count) {
    const Cache<f32> keys = scales_of(a, a.k_scale, sequence, kv_head);
    const Cache<f32> values = scales_of(a, a.v_scale, sequence, kv_head);
    for (i64 t = 0; t < kRoom; ++t) {
      key[t] = t < count ? *keys[first + t] : 0.0f;
      value[t] = t < count ? *values[first + t] : 0.0f;
    }
  }
};

// Walks the rows of a later block, in the order of memory, one row per row that is computed on.
template <typename T>
struct Ahead {
  const Cache<T> &cache;
  i64 token, end, head;

  void step() {
    if (token >= end) return;
    prefetch_row(cache[token] + head * d);
    if (++head == join) {
      head = 0;
      ++token;
    }
  }
};

// scores[r][t] for R heads and the tokens [0, count) of a block; whole tiles are written, the last
// token stands in beyond `count`.
template <int R>
static void score_heads(const f32 *query, const Cache<k_t> &keys, i64 first, i64 count,
                        Ahead<k_t> &later, f32 *scores) {
  for (i64 t = 0; t < count; t += tile_keys) {
    const k_t *key[tile_keys];
    for (i64 j = 0; j < tile_keys; ++j) key[j] = keys[first + min(t + j, count - 1)];
    for (i64 j = 0; j < tile_keys; ++j) later.step();
    vec sums[R][tile_keys] = {};
    // One vector of each key; e counts floats of the query row.
    auto step = [&](i64 e, auto load_key, auto multiply) __attribute__((always_inline)) {
      vec k[tile_keys];
#pragma GCC unroll 16
      for (i64 j = 0; j < tile_keys; ++j) k[j] = load_key(key[j]);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        vec q = vload(query + r * padded + e);
        keep(q);
#pragma GCC unroll 16
        for (i64 j = 0; j < tile_keys; ++j) sums[r][j] = multiply(sums[r][j], q, k[j]);
      }
    };
    if constexpr (dot == word::bf16) {
      for (i64 e = 0; e < d / 2; e += lanes)
        step(
            e, [&](const k_t *p) { return load_pairs(p + 2 * e); },
            [](vec sum, vec q, vec k) { return dot_bf16(sum, as_ivec(q), as_ivec(k)); });
    } else {
      const auto multiply = [](vec sum, vec q, vec k) { return sum + q * k; };
      i64 e = 0;
      for (; e + lanes <= d; e += lanes)
        step(
            e, [&](const k_t *p) { return vload(p + e); }, multiply);
      if constexpr (d % lanes != 0)
        step(
            e, [&](const k_t *p) { return vload(p + e, d % lanes); }, multiply);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (i64 j = 0; j < tile_keys; j += 4)
        store_sums(scores + r * block + t + j, sums[r][j], sums[r][j + 1], sums[r][j + 2],
                   sums[r][j + 3]);
  }
}

// out[r] = out[r] * shrink[r] + sum over the tokens of p[r][t] * value[t], for R heads and N
// vectors of the row from element `e`.
template <int R, int N>
static void add_values(const f32 *p, const Cache<v_t> &values, i64 first, i64 count, i64 e,
                       const f32 *shrink, f32 *out, Ahead<v_t> &later) {
  vec sums[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sums[r][n] = vload(out + r * padded + e + n * lanes) * shrink[r];
  for (i64 t = 0; t < count; ++t) {
    const v_t *value = values[first + t] + e;
    if (e == 0) later.step();
    vec weight[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      weight[r] = broadcast(p[r * block + t]);
      keep(weight[r]);
    }
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      const bool tail = d % lanes != 0 && N == 1;  // the caller passes the odd end alone
      const vec v =
          tail && e + lanes > d ? vload(value + n * lanes, d % lanes) : vload(value + n * lanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sums[r][n] = sums[r][n] + weight[r] * v;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) vstore(out + r * padded + e + n * lanes, sums[r][n]);
}
template <int R>
static void add_value_rows(const f32 *p, const Cache<v_t> &values, i64 first, i64 count,
                           const f32 *shrink, f32 *out, Ahead<v_t> &later) {
  constexpr i64 whole = d / lanes, columns = min(whole, i64(tile_columns));
  i64 n = 0;
  if constexpr (columns > 0)
    for (; n + columns <= whole; n += columns)
      add_values<R, columns>(p, values, first, count, n * lanes, shrink, out, later);
  if constexpr (columns > 0 && whole % columns != 0) {
    add_values<R, whole % columns>(p, values, first, count, n * lanes, shrink, out, later);
    n = whole;
  }
  if constexpr (d % lanes != 0)
    add_values<R, 1>(p, values, first, count, n * lanes, shrink, out, later);
}

// scores[group][count] become probabilities; maximum, sum and shrink of the `group` rows follow.
static void probabilities(const Args &a, word mode, const State &s, const Scales &scales, i64 count,
                          i64 distance, i64 kv_head) {
  const i64 whole = round_up(count, i64(lanes));
  f32 largest[round_up(group, 16)];
  for (i64 h = 0; h < group; ++h) {
    f32 *scores = s.scores + h * block;
    vec top = broadcast(kNegativeInfinity);
    for (i64 t = 0; t < whole; t += lanes) {
      vec v = vload(scores + t);
      if constexpr (c == word::s8) v = v * vload(scales.key + t);
      v = finish_scores(a, v, kv_head * group + h, distance - t);
      if (t + lanes > count) {
        v = select(iota() < static_cast<i32>(count - t), v, broadcast(kNegativeInfinity));
        vstore(scores + t, v);
      } else if constexpr (finishing) {
        vstore(scores + t, v);
      }
      top = vmax(top, v);
    }
    largest[h] = reduce_max(top);
  }
  for (i64 h = 0; h < group; ++h) {
    const f32 old = s.maximum[h];
    f32 now = old;
    if (mode == word::online) now = largest[h] > old ? largest[h] : old;
    if (mode == word::lazy)
      now = largest[h] > old + 8.0f ? largest[h] : old;  // probabilities stay below 2^8
    s.maximum[h] = now;
    s.shrink[h] = now == old ? 1.0f : vexp2(broadcast(old - now))[0];
    const vec base = broadcast(finite_floor(now));
    f32 *scores = s.scores + h * block;
    vec sum{};
    for (i64 t = 0; t < whole; t += lanes) {
      const vec p = vexp2(vload(scores + t) - base);
      if constexpr (c == word::s8)
        vstore(scores + t, p * vload(scales.value + t));
      else
        vstore(scores + t, p);
      sum = sum + p;
    }
    s.sum[h] = s.sum[h] * s.shrink[h] + reduce_add(sum);
  }
}

static Task<rows_per_token> task_of(const Args &a, i64 index) {
  const i64 parts = ceil_div(a.q, together), bundles = kv_heads / join,
            q0 = index % parts * together;
  Task<rows_per_token> task{
      index / parts / bundles, index / parts % bundles * join, q0, min(a.q, q0 + together), {}};
  task.look(a);
  return task;
}

// The queries of the task against the keys at positions [low, high).
__attribute__((noinline)) static void attend(const Args &a, const State &all,
                                             const Task<rows_per_token> &task, i64 low, i64 high,
                                             word mode) {
  const i64 length = a.lens[task.sequence];
  const Cache<k_t> keys = cache_of(a, a.k, task.sequence, task.kv_head);
  const Cache<v_t> values = cache_of(a, a.v, task.sequence, task.kv_head);
  const f32 start = mode == word::unified ? a.phi * kLog2e : kNegativeInfinity;
  for (i64 r = 0; r < task.rows(); ++r) {
    all.maximum[r] = start;
    all.sum[r] = 0;
    for (i64 e = 0; e < padded; e += lanes) vstore(all.out + r * padded + e, vec{});
  }
  for (i64 first = low; first < high; first += block) {
    const i64 later = first + ahead * block,
              later_end = ahead > 0 ? min(high, later + block) : later;
    Ahead<k_t> later_keys{keys, later, later_end, 0};
    Ahead<v_t> later_values{values, later, later_end, 0};
    for (i64 bundled = 0; bundled < join; ++bundled) {
      Cache<k_t> key = keys;
      Cache<v_t> value = values;
      key.base += bundled * d;
      value.base += bundled * d;
      for (i64 i = task.q0; i < task.q1; ++i) {
        const i64 position = length - a.q + i,
                  rows = (i - task.q0) * rows_per_token + bundled * group;
        const Span seen = visible(position, length);
        const i64 begin = max(first, seen.low),
                  count = min(min(first + block, high), seen.high) - begin;
        if (count <= 0) continue;
        const State s{all.query + rows * padded, all.out + rows * padded, all.scores,
                      all.maximum + rows,        all.sum + rows,          all.shrink + rows};
        constexpr i64 whole = group / tile_heads * tile_heads;
        for (i64 h = 0; h < whole; h += tile_heads)
          score_heads<tile_heads>(s.query + h * padded, key, begin, count, later_keys,
                                  s.scores + h * block);
        if constexpr (whole < group)
          score_heads<group - whole>(s.query + whole * padded, key, begin, count, later_keys,
                                     s.scores + whole * block);
        Scales scales;
        if constexpr (c == word::s8)
          scales.look(a, task.sequence, task.kv_head + bundled, begin, count);
        probabilities(a, mode, s, scales, count, position - begin, task.kv_head + bundled);
        for (i64 h = 0; h < whole; h += tile_heads)
          add_value_rows<tile_heads>(s.scores + h * block, value, begin, count, s.shrink + h,
                                     s.out + h * padded, later_values);
        if constexpr (whole < group)
          add_value_rows<group - whole>(s.scores + whole * block, value, begin, count,
                                        s.shrink + whole, s.out + whole * padded, later_values);
      }
    }
  }
}
static State state_of(const Args &a, i64 thread) {
  f32 *p = reinterpret_cast<f32 *>(a.workspace) + thread * scratch;
  State s;
  s.query = p;
  s.out = s.query + state * padded;
  s.scores = s.out + state * padded;
  s.maximum = s.scores + group * block;
  s.sum = s.maximum + state;
  s.shrink = s.sum + state;
  return s;
}
static f32 *partial_of(const Args &a, i64 task, i64 split) {
  return reinterpret_cast<f32 *>(a.workspace) + a.threads * scratch +
         (task * a.splits + split) * partial;
}
static void attend_alone(const Args &a, const Task<rows_per_token> &task, const State &s,
                         word mode) {
  task.load_queries(a, s.query);
  attend(a, s, task, task.seen.low, task.seen.high, mode);
}

HONE_KERNEL(main) {
  const Task<rows_per_token> task = task_of(a, b.y);
  State s = state_of(a, b.thread);
  if (a.splits == 1) {
    attend_alone(a, task, s, softmax);
    if (!task.finish(a, s.out, s.sum, softmax == word::unified)) {
      attend_alone(a, task, s, word::online);
      task.finish(a, s.out, s.sum, false);
    }
    return;
  }
  const i64 share =
      round_up(ceil_div(max(i64(0), task.seen.high - task.seen.low), a.splits), block);
  const i64 low = min(task.seen.high, task.seen.low + b.x * share);
  s.out = partial_of(a, b.y, b.x);
  s.maximum = s.out + state * padded;
  s.sum = s.maximum + state;
  task.load_queries(a, s.query);
  attend(a, s, task, low, min(task.seen.high, low + share), softmax);
}

// out and sum of the parts, brought to one maximum.
HONE_KERNEL(combine) {
  const Task<rows_per_token> task = task_of(a, b.x);
  const State s = state_of(a, b.thread);
  for (i64 r = 0; r < task.rows(); ++r) {
    f32 largest = kNegativeInfinity;
    for (i64 p = 0; p < a.splits; ++p) {
      const f32 maximum = partial_of(a, b.x, p)[state * padded + r];
      largest = maximum > largest ? maximum : largest;
    }
    s.sum[r] = 0;
    for (i64 e = 0; e < padded; e += lanes) vstore(s.out + r * padded + e, vec{});
    for (i64 p = 0; p < a.splits; ++p) {
      const f32 *part = partial_of(a, b.x, p);
      const f32 shrink = vexp2(broadcast(part[state * padded + r] - finite_floor(largest)))[0];
      s.sum[r] += shrink * part[state * padded + state + r];
      for (i64 e = 0; e < padded; e += lanes)
        vstore(s.out + r * padded + e,
               vload(s.out + r * padded + e) + vload(part + r * padded + e) * shrink);
    }
  }
  if (!task.finish(a, s.out, s.sum, softmax == word::unified)) {
    attend_alone(a, task, s, word::online);
    task.finish(a, s.out, s.sum, false);
  }
}
