// Few queries against a long cache (FlashDecoding): the keys of a sequence are cut into `splits`
// parts, one block each; `combine` brings the parts to one maximum. In a block, teams of `team`
// lanes take `keys` keys at a time against `rows` query rows, which are the query tokens and heads
// that share a head of the cache. Each team keeps its own running maximum; they meet at the end.
//! serves       cuda hip
//! fixed        heads kv_heads d window page
//! param        team 4 8 16 32
//! param        threads 64 128 256
//! param        vec 1 2 4 8                     // elements in one access
//! param        rows 1 2 4 8 16
//! param        keys 1 2 4
//! launch_param splits 1 2 4 8 16 32 64
//! let          share = ceil_div(d, team * vec) * vec     // of a row, with a lane
//! let          shared_bytes = threads / wave * rows * (d + 2) * 4
//! require      threads % wave == 0
//! require      d % vec == 0 && size(c, vec) <= 16 && size(x, vec) <= 32
//! require      team == 4 || team * vec < 2 * d
//! require      (2 * rows + keys) * share + (keys + 6) * rows <= 160 && rows * keys <= 16
//! require      rows == 1 || rows < 2 * q * (heads / kv_heads)
//! require      shared_bytes <= max_shared
//! require      splits == 1 || splits * 32 <= kv
//! workspace    splits > 1 ? splits * batch * q * heads * (d + 2) * 4 : 0
//! launch       main batch * kv_heads * ceil_div(q * (heads / kv_heads), rows) * splits 1 1 \
//!              threads shared shared_bytes
//! launch       combine ceil_div(batch * q * heads, 4) 1 1 4 * wave if splits > 1
//! start        team=d>=256?32:d>32?16:d>16?8:4,threads=128,\
//!              vec=d%8==0&&c!=f32&&d>=128?8:d%4==0?4:1,\
//!              rows=heads/kv_heads>=4?4:heads/kv_heads>=2?2:1,keys=2,splits=1
#include "attention_gpu.h"

constexpr int kTeam = static_cast<int>(team), kVec = static_cast<int>(vec);
constexpr int kRows = static_cast<int>(rows), kKeys = static_cast<int>(keys);
constexpr int kShare = static_cast<int>(share), kVectors = kShare / kVec;
constexpr int kThreads = static_cast<int>(threads), kTeams = kThreads / kTeam;
constexpr int kWaves = kThreads / kWave;
constexpr int kPartial = kD + 2;  // floats of a row's part: outputs, maximum, sum

// Calls f(j, element) for the vectors of a row that this lane has.
template <typename F>
HONE_INLINE void for_vectors(F f) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int element = (j * kTeam + thread_index() % kTeam) * kVec;
    if (kD % (kTeam * kVec) == 0 || element < kD) f(j, element);
  }
}

// The row of query and out: [sequence][token][head].
HONE_INLINE i64 row_of(const Args &a, i64 sequence, i64 kv_head, i64 row) {
  return (sequence * a.q + row / kGroup) * heads + kv_head * kGroup + row % kGroup;
}

HONE_GPU_KERNEL(main, threads) {
  const i64 tiles = ceil_div(a.q * kGroup, kRows);
  const i64 split = block_x() % a.splits, task = block_x() / a.splits;
  const i64 kv_head = task / tiles % kv_heads, sequence = task / tiles / kv_heads;
  const i64 first_row = task % tiles * kRows, all_rows = a.q * kGroup;
  const i32 length = a.lens[sequence];
  Span seen[kRows];
  f32 query[kRows][kShare], slope[kRows] = {};
  i32 position[kRows], low = length, high = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const bool there = first_row + r < all_rows;
    const i64 row = there ? first_row + r : all_rows - 1;
    position[r] = static_cast<i32>(length - a.q + row / kGroup);
    seen[r] = there ? visible(position[r], length) : Span{0, 0};
    if (seen[r].low < seen[r].high) {
      low = smaller(low, seen[r].low);
      high = larger(high, seen[r].high);
    }
    const i64 at = row_of(a, sequence, kv_head, row);
    if constexpr (alibi == word::yes) slope[r] = a.slopes[at % heads];
#pragma unroll
    for (int i = 0; i < kShare; ++i) query[r][i] = 0;
    for_vectors([&](int j, int element) {
      f32 some[kVec];
      load_vector(some, a.query + at * d + element);
#pragma unroll
      for (int i = 0; i < kVec; ++i) query[r][j * kVec + i] = some[i] * query_factor(a);
    });
  }
  const i32 splits = static_cast<i32>(a.splits);
  const i32 part = (larger(0, high - low) + splits - 1) / splits;
  const i32 begin = low + static_cast<i32>(split) * part, end = smaller(high, begin + part);
  const Cache<k_t> cached_keys(a, a.k, sequence, kv_head);
  const Cache<v_t> cached_values(a, a.v, sequence, kv_head);

  f32 maximum[kRows], sum[kRows] = {}, out[kRows][kShare] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) maximum[r] = -kInfinity;
  // All lanes take part to the end: a team without keys of its own repeats the last and sees none.
  for (i32 base = begin; base < end; base += kTeams * kKeys) {
    const i32 first = base + thread_index() / kTeam * kKeys;
    f32 score[kRows][kKeys] = {};
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      const k_t *key = cached_keys[smaller(first + u, end - 1)];
      for_vectors([&](int j, int element) {
        f32 some[kVec];
        load_vector(some, key + element);
#pragma unroll
        for (int r = 0; r < kRows; ++r)
#pragma unroll
          for (int i = 0; i < kVec; ++i) score[r][u] += query[r][j * kVec + i] * some[i];
      });
    }
    bool sees[kRows][kKeys];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      f32 now = maximum[r];
#pragma unroll
      for (int u = 0; u < kKeys; ++u) {
        const i32 token = first + u;
        sees[r][u] = token < end && token >= seen[r].low && token < seen[r].high;
        score[r][u] = reduce_lanes<kTeam>(score[r][u], [](f32 p, f32 q) { return p + q; });
        score[r][u] = finish_score(a, score[r][u], slope[r], position[r] - token);
        if (sees[r][u]) now = largest_of(now, score[r][u]);
      }
      const f32 factor = shrink(maximum[r], now);
      maximum[r] = now;
      sum[r] *= factor;
#pragma unroll
      for (int i = 0; i < kShare; ++i) out[r][i] *= factor;
#pragma unroll
      for (int u = 0; u < kKeys; ++u) {
        score[r][u] = exp2f(score[r][u] - finite_floor(now));
        if (sees[r][u]) sum[r] += score[r][u];
      }
    }
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      const v_t *value = cached_values[smaller(first + u, end - 1)];
      for_vectors([&](int j, int element) {
        f32 some[kVec];
        load_vector(some, value + element);
#pragma unroll
        for (int r = 0; r < kRows; ++r)
          if (sees[r][u]) {
#pragma unroll
            for (int i = 0; i < kVec; ++i) out[r][j * kVec + i] += score[r][u] * some[i];
          }
      });
    }
  }

  // The teams of a wave meet by shuffles, the waves in shared memory.
  f32 *parts = reinterpret_cast<f32 *>(dynamic_shared());
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    f32 most = maximum[r];
#pragma unroll
    for (int other = kTeam; other < kWave; other *= 2)
      most = largest_of(most, shuffle_xor(most, other));
    const f32 factor = shrink(maximum[r], most);
    sum[r] *= factor;
#pragma unroll
    for (int other = kTeam; other < kWave; other *= 2) sum[r] += shuffle_xor(sum[r], other);
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      out[r][i] *= factor;
#pragma unroll
      for (int other = kTeam; other < kWave; other *= 2)
        out[r][i] += shuffle_xor(out[r][i], other);
    }
    f32 *mine = parts + (wave_index() * kRows + r) * kPartial;
    if (lane_index() < kTeam)
      for_vectors([&](int j, int element) {
#pragma unroll
        for (int i = 0; i < kVec; ++i) mine[element + i] = out[r][j * kVec + i];
      });
    if (lane_index() == 0) {
      mine[kD] = most;
      mine[kD + 1] = sum[r];
    }
  }
  barrier();
  for (int at = thread_index(); at < kRows * kD; at += kThreads) {
    const int r = at / kD, element = at % kD;
    if (first_row + r >= all_rows) break;
    const f32 *part_of_wave = parts + r * kPartial;
    f32 most = -kInfinity, total = 0, value = 0;
#pragma unroll
    for (int w = 0; w < kWaves; ++w)
      most = largest_of(most, part_of_wave[w * kRows * kPartial + kD]);
#pragma unroll
    for (int w = 0; w < kWaves; ++w) {
      const f32 *from = part_of_wave + w * kRows * kPartial;
      const f32 factor = shrink(from[kD], most);
      total += from[kD + 1] * factor;
      value += from[element] * factor;
    }
    const i64 row = row_of(a, sequence, kv_head, first_row + r);
    if (a.splits == 1) {
      const i32 at_position = static_cast<i32>(length - a.q + (first_row + r) / kGroup);
      const Span keys_seen = visible(at_position, length);
      a.out[row * d + element] =
          from_f32<out_t>(keys_seen.low < keys_seen.high ? value / total : 0.0f);
    } else {
      f32 *to = reinterpret_cast<f32 *>(a.workspace) + (row * a.splits + split) * kPartial;
      to[element] = value;
      if (element == 0) {
        to[kD] = most;
        to[kD + 1] = total;
      }
    }
  }
}

// A wave for each row.
HONE_GPU_KERNEL(combine, 4 * kWave) {
  const i64 row = block_x() * 4 + wave_index();
  if (row >= a.batch * a.q * heads) return;
  const i32 length = a.lens[row / heads / a.q];
  const Span seen = visible(static_cast<i32>(length - a.q + row / heads % a.q), length);
  const f32 *parts = reinterpret_cast<const f32 *>(a.workspace) + row * a.splits * kPartial;
  f32 most = -kInfinity, total = 0;
  for (i64 split = 0; split < a.splits; ++split)
    most = largest_of(most, parts[split * kPartial + kD]);
  for (i64 split = 0; split < a.splits; ++split)
    total += parts[split * kPartial + kD + 1] * shrink(parts[split * kPartial + kD], most);
  for (int element = lane_index(); element < kD; element += kWave) {
    f32 value = 0;
    for (i64 split = 0; split < a.splits; ++split) {
      const f32 *part = parts + split * kPartial;
      value += part[element] * shrink(part[kD], most);
    }
    a.out[row * d + element] = from_f32<out_t>(seen.low < seen.high ? value / total : 0.0f);
  }
}
