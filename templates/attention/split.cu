// Few queries against a long cache (FlashDecoding): the keys of a sequence are cut into `splits`
// parts, one block each; `combine` brings the parts to one maximum. In a block, teams of `team`
// lanes take `keys` keys at a time against `rows` query rows, which are the query tokens and heads
// that share a head of the cache. Each team keeps its own running maximum; they meet at the end.
//! serves       cuda hip
//! fixed        heads kv_heads d window page
//! param        softmax online lazy unified
//! param        team 4 8 16 32
//! param        threads 64 128 256
//! param        vec 1 2 4 8 16                  // elements in one access
//! param        rows 1 2 4 8 16
//! param        keys 1 2 4
//! launch_param splits 1 2 4 8 16 32 64
//! let          share = ceil_div(d, team * vec) * vec     // of a row, with a lane
//! let          pitch = round_up(d, 4)                 // floats of a row of sums, in shared memory
//! let          shared_bytes = threads / wave * rows * (pitch + 2) * 4
//! require      threads % wave == 0
//! require      d % vec == 0 && size(c, vec) <= 16 && size(x, vec) <= 64
//! require      team == 4 || team * vec < 2 * d
//! require      (2 * rows + keys) * share + (keys + 6) * rows <= 160 && rows * keys <= 16
//! require      rows == 1 || rows < 2 * q * (heads / kv_heads)
//! require      shared_bytes <= max_shared
//! require      splits == 1 || splits * 32 <= kv
//! workspace    splits > 1 ? splits * batch * q * heads * (d + 2) * 4 : 0
//! launch       main batch * kv_heads * ceil_div(q * (heads / kv_heads), rows) * splits 1 1 \
//!              threads shared shared_bytes
//! launch       combine ceil_div(batch * q * heads, 4) 1 1 4 * wave if splits > 1
//! start        softmax=online,team=d>=256?32:d>32?16:d>16?8:4,threads=128,\
//!              vec=d%8==0&&c!=f32&&d>=128?8:d%4==0?4:1,\
//!              rows=heads/kv_heads>=4?4:heads/kv_heads>=2?2:1,keys=2,\
//!              splits=batch*kv_heads<units&&q*(heads/kv_heads)<=16&&kv>=1024?kv>=4096?16:4:1
//! preset       flashdecoding softmax=online
//! preset       flashdecoding++ softmax=unified
#include "attention_gpu.h"

constexpr int kTeam = static_cast<int>(team), kVec = static_cast<int>(vec);
constexpr int kRows = static_cast<int>(rows), kKeys = static_cast<int>(keys);
constexpr int kShare = static_cast<int>(share), kVectors = kShare / kVec;
constexpr int kThreads = static_cast<int>(threads), kTeams = kThreads / kTeam;

// Calls f(j, element) for the vectors of a row that this lane has.
template <typename F>
HONE_INLINE void for_vectors(F f) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int element = (j * kTeam + thread_index() % kTeam) * kVec;
    if (kD % (kTeam * kVec) == 0 || element < kD) f(j, element);
  }
}

HONE_GPU_KERNEL(main, threads) {
  const Task task(a, kRows, 1);
  f32 query[kRows][kShare] = {}, slope[kRows] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const i64 row = task.row(r);
    if constexpr (alibi == word::yes) slope[r] = a.slopes[row % heads];
    for_vectors([&](int j, int element) {
      f32 some[kVec];
      load_vector(some, a.query + row * d + element);
#pragma unroll
      for (int i = 0; i < kVec; ++i) query[r][j * kVec + i] = some[i] * query_factor(a);
    });
  }
  const Cache<k_t> cached_keys(a, a.k, task.sequence, task.kv_head);
  const Cache<v_t> cached_values(a, a.v, task.sequence, task.kv_head);
  const Cache<k_scale_t, 1> key_scales(a, a.k_scale, task.sequence, task.kv_head);
  const Cache<v_scale_t, 1> value_scales(a, a.v_scale, task.sequence, task.kv_head);
  const Meeting<kThreads / kWave, kRows, static_cast<int>(pitch)> meeting;

  for (bool fixed = softmax == word::unified;; fixed = false) {
    f32 maximum[kRows], sum[kRows] = {}, out[kRows][kShare] = {};
#pragma unroll
    for (int r = 0; r < kRows; ++r) maximum[r] = fixed ? a.phi * kLog2e : -kInfinity;
    // All lanes take part to the end: a team without keys of its own repeats the last and sees
    // none.
    for (i32 base = task.begin; base < task.end; base += kTeams * kKeys) {
      const i32 first = base + thread_index() / kTeam * kKeys;
      f32 score[kRows][kKeys] = {}, key_scale[kKeys];
#pragma unroll
      for (int u = 0; u < kKeys; ++u) {
        const i32 token = smaller(first + u, task.end - 1);
        const k_t *key = cached_keys[token];
        if constexpr (c == word::s8) key_scale[u] = *key_scales[token];
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
        const Span seen = task.span(r);
        f32 found = -kInfinity;
#pragma unroll
        for (int u = 0; u < kKeys; ++u) {
          const i32 token = first + u;
          sees[r][u] = token < task.end && token >= seen.low && token < seen.high;
          score[r][u] = reduce_lanes<kTeam>(score[r][u], [](f32 p, f32 q) { return p + q; });
          if constexpr (c == word::s8) score[r][u] *= key_scale[u];
          score[r][u] = finish_score(a, score[r][u], slope[r], task.position(r) - token);
          if (sees[r][u]) found = largest_of(found, score[r][u]);
        }
        if (!fixed) {
          const f32 now = next_maximum(maximum[r], found, kSlack);
          const f32 factor = shrink(maximum[r], now);
          maximum[r] = now;
          if (softmax == word::online || any_lane(factor != 1)) {
            sum[r] *= factor;
#pragma unroll
            for (int i = 0; i < kShare; ++i) out[r][i] *= factor;
          }
        }
#pragma unroll
        for (int u = 0; u < kKeys; ++u) {
          score[r][u] = power_of_two(score[r][u] - finite_floor(maximum[r]));
          if (sees[r][u]) sum[r] += score[r][u];
        }
      }
#pragma unroll
      for (int u = 0; u < kKeys; ++u) {
        const i32 token = smaller(first + u, task.end - 1);
        const v_t *value = cached_values[token];
        if constexpr (c == word::s8) {
          const f32 scale = *value_scales[token];
#pragma unroll
          for (int r = 0; r < kRows; ++r) score[r][u] *= scale;
        }
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
    barrier();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      f32 most = maximum[r];
#pragma unroll
      for (int other = kTeam; other < kWave; other *= 2)
        most = largest_of(most, shuffle_xor(most, other));
      const f32 factor = shrink(maximum[r], most);
      const auto join = [&](f32 part) {
        part *= factor;
#pragma unroll
        for (int other = kTeam; other < kWave; other *= 2) part += shuffle_xor(part, other);
        return part;
      };
      sum[r] = join(sum[r]);
#pragma unroll
      for (int i = 0; i < kShare; ++i) out[r][i] = join(out[r][i]);
      // Every other four lanes begin with the second half of their vectors, so that the banks of
      // eight lanes differ.
      constexpr int kPiece = smaller(kVec, 4);
      const int turn = kVec == 8 ? lane_index() / 4 % 2 : 0;
      if (lane_index() < kTeam)
        for_vectors([&](int j, int element) {
#pragma unroll
          for (int piece = 0; piece < kVec / kPiece; ++piece) {
            f32 some[kPiece];
#pragma unroll
            for (int i = 0; i < kPiece; ++i) {
              const int at = j * kVec + piece * kPiece + i;
              some[i] = turn == 0 ? out[r][at] : out[r][kVec == 8 ? at ^ 4 : at];
            }
            store_shared(meeting.out(wave_index(), r) + element + (piece ^ turn) * kPiece, some);
          }
        });
      if (lane_index() == 0) store_shared(meeting.ends(wave_index(), r), {most, sum[r]});
    }
    barrier();
    if (!fixed || meeting.safe(task, 0x1p-40f, 0x1p40f)) break;
  }
  meeting.finish(a, task);
}
