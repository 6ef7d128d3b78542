// FlashAttention: a tile of query rows stays, blocks of keys and values come by. The query heads of
// a group are rows of one tile, so that they share what is packed: keys transposed into panels
// [depth][width], values into panels [block][width]. Both products are then the same register tile:
// tile_rows broadcasts against tile_columns vectors. Blocks and panels that no row sees are
// skipped.
//! serves        cpu
//! when          q >= 8 && c != s8
//! fixed         heads kv_heads d window page
//! param         softmax online lazy unified
//! param         dot f32 bf16               // queries times keys: in f32, or two bf16 at a time
//! param         rows 32 64 128 192 256     // tokens times heads of a group, in a grid block
//! param         panels 1 2 3 4 6 8 12 16   // panels of keys between two looks at the maximum
//! param         tile_rows 2 4 6 8 10 12 14
//! param         tile_columns 1 2 3 4 6     // vectors: width of a panel
//! launch_param  threads 1 2 4 8 16 32 64 units
//! let           tokens = max(1, rows / (heads / kv_heads))
//! let           state = round_up(round_up(tokens * (heads / kv_heads), tile_rows), 16)
//! let           width = tile_columns * vector_bytes / 4
//! let           block = panels * width
//! let           row = round_up(d, vector_bytes / 4)
//! let           scratch = round_up(2 * state * row + state * block + block * (row + d) + \
//!               state * (3 + vector_bytes / 4), 16)
//! require       dot == f32 || (x == bf16 && c == bf16 && has_bf16 && d % (vector_bytes / 2) == 0)
//! require       tile_rows * tile_columns + tile_columns + 1 <= registers
//! require       tile_rows * tile_columns >= registers / 4
//! require       block >= 32 && block <= 256
//! require       threads <= units
//! workspace     4 * threads * scratch
//! launch        main ceil_div(q, tokens) kv_heads batch threads
//! start         softmax=online,dot=x==bf16&&c==bf16&&has_bf16&&d%(vector_bytes/2)==0?bf16:f32,\
//!               rows=256,panels=256/vector_bytes,tile_rows=registers/8+4,tile_columns=2,\
//!               threads=units
//! preset        flashdecoding softmax=online
//! preset        flashdecoding++ softmax=unified
#include "attention.h"

using Tile = Task<group>;

struct State {
  f32 *query;   // [state][padded], times query_factor
  f32 *out;     // [state][padded], not yet divided by sum
  f32 *scores;  // [state][block]
  f32 *keys;    // [panels][depth_of_keys][width]
  f32 *values;  // panels of [block][width] side by side, the last one as narrow as padded leaves it
  f32 *maximum;  // [state]
  f32 *shrink;   // [state]: what the new maximum does to sums and outputs so far
  f32 *sum;      // [state]
  f32 *sums;     // [state][lanes]
};
static State state_of(const Args &a, i64 thread) {
  f32 *p = reinterpret_cast<f32 *>(a.workspace) + thread * scratch;
  State s;
  s.query = p;
  s.out = s.query + state * padded;
  s.scores = s.out + state * padded;
  s.keys = s.scores + state * block;
  s.values = s.keys + block * d;
  s.maximum = s.values + block * padded;
  s.shrink = s.maximum + state;
  s.sum = s.shrink + state;
  s.sums = s.sum + state;
  return s;
}

constexpr i64 depth_of_keys =
    dot == word::bf16 ? d / 2
                      : d;  // 32-bit elements of a key in its panel: floats or pairs of bf16

// c[r][n] = (shrinking ? c[r][n] * shrink[r] : 0) + sum over k of a[r][k] * b[k][n]; b is a panel
// of N vectors. pairs: a and b hold pairs of bf16.
template <int N, i64 A_STRIDE, i64 C_STRIDE, bool shrinking, bool pairs>
static void multiply(const f32 *a, const f32 *b, i64 depth, f32 *c, const f32 *shrink) {
  vec sums[tile_rows][N];
#pragma GCC unroll 16
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      if constexpr (shrinking)
        sums[r][n] = vload(c + r * C_STRIDE + n * lanes) * shrink[r];
      else
        sums[r][n] = vec{};
    }
  for (i64 k = 0; k < depth; ++k) {
    vec line[N];
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      line[n] = vload(b + k * N * lanes + n * lanes);
      keep(line[n]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < tile_rows; ++r) {
      vec factor = broadcast(a[r * A_STRIDE + k]);
      keep(factor);
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) {
        if constexpr (pairs)
          sums[r][n] = dot_bf16(sums[r][n], as_ivec(factor), as_ivec(line[n]));
        else
          sums[r][n] = sums[r][n] + factor * line[n];
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) vstore(c + r * C_STRIDE + n * lanes, sums[r][n]);
}

static void pack_keys(const Cache<k_t> &cache, i64 first, i64 count, f32 *to) {
  for (i64 t = 0; t < count; t += lanes) {
    f32 *panel = to + t / width * width * depth_of_keys + t % width;
    for (i64 e = 0; e < depth_of_keys; e += lanes) {
      vec part[lanes];
      for (int j = 0; j < lanes; ++j) {
        const k_t *key = cache[first + min(t + j, count - 1)];
        if (t + j >= count)
          part[j] = vec{};
        else if constexpr (dot == word::bf16)
          part[j] = load_pairs(key + 2 * e);
        else if (d % lanes != 0 && e + lanes > d)
          part[j] = vload(key + e, d % lanes);
        else
          part[j] = vload(key + e);
      }
      transpose(part);
      for (int j = 0; j < lanes && e + j < depth_of_keys; ++j)
        vstore(panel + (e + j) * width, part[j]);
    }
  }
}
// Returns whether all of them are finite.
static bool pack_values(const Cache<v_t> &cache, i64 first, i64 count, f32 *to) {
  vec probe{};
  for (i64 t = 0; t < count; ++t) {
    const v_t *value = cache[first + t];
    for (i64 e = 0; e < padded; e += width) {
      const i64 narrow = min(width, padded - e);
      f32 *line = to + e * block + t * narrow;
      for (i64 n = 0; n < narrow; n += lanes) {
        const vec v = d % lanes != 0 && e + n + lanes > d ? vload(value + e + n, d % lanes)
                                                          : vload(value + e + n);
        probe = probe + v * 0.0f;
        vstore(line + n, v);
      }
    }
  }
  return reduce_add(probe) == 0.0f;
}

// Which part of the block at `first` the rows of a task see; relative to the block.
struct View {
  const Args &a;
  const Tile &task;
  i64 first, count;

  Span rows(i64 r0, i64 r1) const {  // r0 to r1, both included
    const i64 length = a.lens[task.sequence], position = length - a.q + task.q0;
    const i64 last = task.q1 - task.q0 - 1;  // rows beyond the task's stand in for its last token
    const i64 low = visible(position + min(r0 / group, last), length).low;
    const i64 high = visible(position + min(r1 / group, last), length).high;
    return {max(i64(0), low - first), min(count, high - first)};
  }
};

static void probabilities(const View &view, word mode, const State &s) {
  const i64 length = view.a.lens[view.task.sequence],
            position = length - view.a.q + view.task.q0 - view.first;
  for (i64 r0 = 0; r0 < view.task.rows(); r0 += tile_rows) {
    const Span any = view.rows(r0, r0 + tile_rows - 1);
    if (any.low >= any.high) continue;
    const i64 begin = any.low / lanes * lanes;
    f32 largest[tile_rows];
    for (i64 r = r0; r < r0 + tile_rows; ++r) {
      const Span seen = view.rows(r, r);
      const i64 head = view.task.kv_head * group + r % group;
      f32 *scores = s.scores + r * block;
      vec top = broadcast(kNegativeInfinity);
      for (i64 t = begin; t < any.high; t += lanes) {
        vec v = finish_scores(view.a, vload(scores + t), head, position + r / group - t);
        if (t < seen.low || t + lanes > seen.high) {
          const ivec at = iota() + static_cast<i32>(t);
          v = select((at >= static_cast<i32>(seen.low)) & (at < static_cast<i32>(seen.high)), v,
                     broadcast(kNegativeInfinity));
          vstore(scores + t, v);
        } else if constexpr (finishing) {
          vstore(scores + t, v);
        }
        top = vmax(top, v);
      }
      largest[r - r0] = reduce_max(top);
    }
    for (i64 r = r0; r < r0 + tile_rows; ++r) {
      const f32 old = s.maximum[r], found = largest[r - r0];
      f32 now = old;
      if (mode == word::online) now = found > old ? found : old;
      if (mode == word::lazy)
        now = found > old + 8.0f ? found : old;  // probabilities stay below 2^8
      s.maximum[r] = now;
      s.shrink[r] = now == old ? 1.0f : vexp2(broadcast(old - now))[0];
      const vec base = broadcast(finite_floor(now));
      f32 *scores = s.scores + r * block;
      vec sum = vload(s.sums + r * lanes) * s.shrink[r];
      for (i64 t = begin; t < any.high; t += lanes) {
        const vec p = vexp2(vload(scores + t) - base);
        vstore(scores + t, p);
        sum = sum + p;
      }
      vstore(s.sums + r * lanes, sum);
    }
  }
}

// Keys that a row doesn't see have the probability 0, and 0 * infinity is NaN: where values aren't
// finite, each row takes its own only.
__attribute__((cold)) static void add_values_by_row(const View &view, const State &s, i64 r0) {
  for (i64 r = r0; r < r0 + tile_rows; ++r) {
    const Span seen = view.rows(r, r);
    for (i64 e = 0; e < padded; e += lanes) {
      const i64 panel = e / width * width, narrow = min(width, padded - panel);
      vec sum = vload(s.out + r * padded + e) * s.shrink[r];
      for (i64 t = seen.low; t < seen.high; ++t)
        sum = sum +
              vload(s.values + panel * block + t * narrow + e - panel) * s.scores[r * block + t];
      vstore(s.out + r * padded + e, sum);
    }
  }
}
template <int N>
static void add_values(const View &view, const State &s, i64 e, bool finite) {
  for (i64 r = 0; r < view.task.rows(); r += tile_rows) {
    const Span any = view.rows(r, r + tile_rows - 1);
    if (any.low >= any.high) continue;
    if (finite)
      multiply<N, block, padded, true, false>(
          s.scores + r * block + any.low, s.values + e * block + any.low * N * lanes,
          any.high - any.low, s.out + r * padded + e, s.shrink + r);
    else if (e == 0)
      add_values_by_row(view, s, r);
  }
}

__attribute__((noinline)) static void attend(const Args &a, const State &s, const Tile &task,
                                             word mode) {
  const Cache<k_t> keys = cache_of(a, a.k, task.sequence, task.kv_head);
  const Cache<v_t> values = cache_of(a, a.v, task.sequence, task.kv_head);
  for (i64 r = 0; r < state; ++r) {
    s.maximum[r] = mode == word::unified ? a.phi * kLog2e : kNegativeInfinity;
    vstore(s.sums + r * lanes, vec{});
    for (i64 e = 0; e < padded; e += lanes) vstore(s.out + r * padded + e, vec{});
    if (r >= task.rows())
      for (i64 e = 0; e < padded; e += lanes) vstore(s.query + r * padded + e, vec{});
  }
  task.load_queries(a, s.query);
  for (i64 first = task.seen.low; first < task.seen.high; first += block) {
    const View view{a, task, first, min(block, task.seen.high - first)};
    pack_keys(keys, first, view.count, s.keys);
    const bool finite = pack_values(values, first, view.count, s.values);
    for (i64 t = 0; t < view.count; t += width)
      for (i64 r = 0; r < task.rows(); r += tile_rows) {
        const Span any = view.rows(r, r + tile_rows - 1);
        if (t < any.high && t + width > any.low)
          multiply<tile_columns, padded, block, false, dot == word::bf16>(
              s.query + r * padded, s.keys + t * depth_of_keys, depth_of_keys,
              s.scores + r * block + t, nullptr);
      }
    probabilities(view, mode, s);
    constexpr i64 whole = padded / width * width;
    for (i64 e = 0; e < whole; e += width) add_values<tile_columns>(view, s, e, finite);
    if constexpr (whole < padded) add_values<(padded - whole) / lanes>(view, s, whole, finite);
  }
  for (i64 r = 0; r < state; ++r) s.sum[r] = reduce_add(vload(s.sums + r * lanes));
}

HONE_KERNEL(main) {
  // The last tokens see most: they begin, so that no thread is left alone with them.
  const i64 q0 = (b.grid_x - 1 - b.x) * tokens;
  Tile task{b.z, b.y, q0, min(a.q, q0 + tokens), {}};
  task.look(a);
  const State s = state_of(a, b.thread);
  attend(a, s, task, softmax);
  if (!task.finish(a, s.out, s.sum, softmax == word::unified)) {
    attend(a, s, task, word::online);
    task.finish(a, s.out, s.sum, false);
  }
}
