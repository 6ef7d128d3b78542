// FlashAttention on tensor cores, and FlashDecoding with `splits`: a block has `rows` of the query
// rows (tokens times heads of a group) that share a head of the cache, and goes through the keys BN
// at a time. WM warps share the rows, WN the keys of a tile. Keys and values pass by turns through
// a ring of `stages` buffers. Probabilities stay in registers: the sum of one product is the
// operand of the next, whose extra column of ones adds them up. Where 16 bits don't hold a query or
// a probability well enough, it goes as two parts, of which the second is what the first left over.
//! serves       cuda
//! when         has_mma && (c == f16 || c == bf16 && has_bf16) && d % 8 == 0 && \
//!              d <= (has_cp_async ? 256 : 128)
//! fixed        heads kv_heads d window page
//! param        softmax online lazy unified
//! param        WM 1 2 4 8
//! param        WN 1 2 4 8
//! param        tall 1 2                        // tiles of 16 rows in a warp
//! param        BN 16 32 64 128 256
//! param        stages 2 3 4
//! param        keep own shared                 // queries: in registers or shared memory
//! launch_param splits 1 2 4 8 16 32 64 128
//! let          threads = WM * WN * 32
//! let          rows = WM * tall * 16
//! let          parts = x == f32 || x == f16 && c == bf16 ? 2 : 1
//! let          depth = round_up(d, 16)
//! let          line = depth * 2 + 16           // bytes of a row in shared memory
//! let          pitch = d % 16 == 8 ? d : d + 8 // floats of a row of sums there
//! let          shared_bytes = max(stages * BN * line + (keep == shared ? parts * rows : 0) * line, \
//!              max(parts * rows * line, WN * rows * (pitch + 2) * 4))
//! let          sums = tall * (d / 2 + BN / WN / 2 + (keep == own ? parts * d / 4 : 0))
//! require      BN % (16 * WN) == 0 && threads >= 64 && threads <= 256
//! require      sums <= 176 && BN * depth >= 16 * threads
//! require      rows == 16 || rows < 2 * q * (heads / kv_heads)
//! require      stages == 2 || has_cp_async
//! require      shared_bytes <= max_shared
//! require      splits == 1 || splits * BN <= kv
//! workspace    splits > 1 ? splits * batch * q * heads * (d + 2) * 4 : 0
//! launch       main batch * kv_heads * ceil_div(q * (heads / kv_heads), rows) * splits 1 1 \
//!              threads shared shared_bytes
//! launch       combine ceil_div(batch * q * heads, 4) 1 1 4 * wave if splits > 1
//! start        softmax=online,WM=q*(heads/kv_heads)>16?4:1,WN=q*(heads/kv_heads)>16?1:4,tall=1,\
//!              BN=q*(heads/kv_heads)>16&&d>128?32/parts:64,stages=2,keep=d*parts>128?shared:own,\
//!              splits=batch*kv_heads<units&&q*(heads/kv_heads)<=16&&kv>=1024?kv>=4096?16:4:1
//! preset       flashdecoding softmax=online
//! preset       flashdecoding++ softmax=unified
#include "attention_tiles.h"

constexpr int kStages = static_cast<int>(stages), kRing = kStages * kKeys * kLine;
constexpr int kDown = kOwnKeys / 8, kAcross = kD / 8;  // tiles of 8 keys, of 8 columns of out

// 16 rows of a warp. Half 0 of a lane is row lane / 4, half 1 the one 8 below.
struct Strip {
  f32 score[kDown][4];  // of the tile's keys
  f32 out[kAcross][4], sum[4], maximum[2];
  f32 base[2];  // maximum that probabilities are relative to, in units of log2
  Span seen[2];
  i32 position[2];
  f32 slope[2];

  HONE_INLINE void look(const Args &a, const Task &task, int row) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row + lane_index() / 4 + 8 * half;
      position[half] = task.position(r);
      seen[half] = visible(position[half], task.length);
      if constexpr (alibi == word::yes) slope[half] = a.slopes[task.row(r) % heads];
    }
  }
  HONE_INLINE void clear(f32 first_base) {
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) out[j][i] = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] = 0;
    maximum[0] = maximum[1] = -kInfinity;
    base[0] = base[1] = first_base;
  }
  // What a soft cap and biases make of dot products with the keys from `first` on.
  HONE_INLINE void finish(const Args &a, i32 first, f32 factor) {
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        score[j][i] = finish_score(a, score[j][i] * factor, slope[i / 2],
                                   position[i / 2] - first - lane_index() % 4 * 2 - j * 8 - i % 2);
  }
  HONE_INLINE void hide(i32 first) {  // keys that a row doesn't see
    first += lane_index() % 4 * 2;
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (j * 8 + i % 2 >= seen[i / 2].high - first ||
            (window > 0 && j * 8 + i % 2 < seen[i / 2].low - first))
          score[j][i] = -kInfinity;
  }
  // Scores are `factor` times what stands in `score`.
  HONE_INLINE void find_maximum(f32 factor, f32 slack) {
    f32 shrinking[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      f32 found = score[0][2 * half];
#pragma unroll
      for (int j = 0; j < kDown; ++j)
        found = largest_of(found, largest_of(score[j][2 * half], score[j][2 * half + 1]));
      found = reduce_lanes<4>(found, [](f32 p, f32 q) { return largest_of(p, q); });
      const f32 old = maximum[half];
      maximum[half] = next_maximum(old, found, slack);
      base[half] = finite_floor(maximum[half]) * factor;
      shrinking[half] = power_of_two(old * factor - base[half]);
    }
    if (softmax == word::lazy && !any_lane(shrinking[0] != 1 || shrinking[1] != 1)) return;
#pragma unroll
    for (int j = 0; j < kAcross; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) out[j][i] *= shrinking[i / 2];
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] *= shrinking[i / 2];
  }
  // The probabilities of 16 keys, in parts that are operands.
  HONE_INLINE void probabilities(u32 (&to)[kParts][4], int j, f32 factor) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const f32 *from = score[j + i / 2] + i % 2 * 2;
      f32 left[2] = {power_of_two(from[0] * factor - base[i % 2]),
                     power_of_two(from[1] * factor - base[i % 2])};
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        to[part][i] = to_pair(v_t{}, left[0], left[1]);
        const auto stored = __builtin_bit_cast(Two<v_t>, to[part][i]);
        left[0] -= to_f32(stored.element[0]);
        left[1] -= to_f32(stored.element[1]);
      }
    }
  }
};

HONE_GPU_KERNEL(main, threads) {
  const Task task(a, kRows, kKeys);
  const int lane = lane_index(), row = wave_index() / kWN * kTall * 16;
  const int part_of_keys = wave_index() % kWN, slice = part_of_keys * kOwnKeys;
  u8 *ring = dynamic_shared(), *queries = keep == word::shared ? ring + kRing : ring;
  const f32 signed_factor = query_factor(a), to_scores = fabsf(signed_factor);
  const f32 factor = kFinishing ? 1.0f : to_scores, slack = kSlack / factor;  // after `finish`
  Strip strip[kTall];
#pragma unroll
  for (int t = 0; t < kTall; ++t) strip[t].look(a, task, row + t * 16);

  const f32 sign = signed_factor < 0 ? -1.0f : 1.0f;
  const auto load_query = [&](u32(&to)[4], int t, int part, int run) {
    load_matrices(
        to, queries + (part * kRows + row + t * 16 + lane % 16) * kLine + (run + lane / 16) * 16);
  };
  u32 query[kTall][kParts][keep == word::own ? kRuns / 2 : 1][4];
  if constexpr (keep == word::own) {
    bring_queries(a, task, sign, queries);
    barrier();
#pragma unroll
    for (int t = 0; t < kTall; ++t)
#pragma unroll
      for (int part = 0; part < kParts; ++part)
#pragma unroll
        for (int run = 0; run < kRuns; run += 2) load_query(query[t][part][run / 2], t, part, run);
    barrier();
  }
  // scores[t] = queries times the slice's keys, which lie at `from`.
  const auto multiply_keys = [&](const u8 *from) {
    from += (slice + lane % 8 + lane / 16 * 8) * kLine + lane / 8 % 2 * 16;
#pragma unroll
    for (int t = 0; t < kTall; ++t)
#pragma unroll
      for (int j = 0; j < kDown; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) strip[t].score[j][i] = 0;
#pragma unroll
    for (int run = 0; run < kRuns; run += 2) {
      u32 key[kDown / 2][4];
#pragma unroll
      for (int j = 0; j < kDown / 2; ++j) load_matrices(key[j], from + j * 16 * kLine + run * 16);
#pragma unroll
      for (int t = 0; t < kTall; ++t)
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
          auto &left = query[t][part][keep == word::own ? run / 2 : 0];
          if constexpr (keep == word::shared) load_query(left, t, part, run);
#pragma unroll
          for (int j = 0; j < kDown; ++j)
            multiply_add(k_t{}, strip[t].score[j], left, key[j / 2][j % 2 * 2],
                         key[j / 2][j % 2 * 2 + 1]);
        }
    }
  };
  // The probabilities of the slice's keys times their values, which lie at `from`.
  const auto multiply_values = [&](const u8 *from) {
    from += (slice + lane % 16) * kLine + lane / 16 * 16;
#pragma unroll
    for (int j = 0; j < kDown; j += 2) {
      u32 left[kTall][kParts][4];
#pragma unroll
      for (int t = 0; t < kTall; ++t) {
        strip[t].probabilities(left[t], j, factor);
        const u32 ones = to_pair(v_t{}, 1, 1);
#pragma unroll
        for (int part = 0; part < kParts; ++part)
          multiply_add(v_t{}, strip[t].sum, left[t][part], ones, ones);
      }
#pragma unroll
      for (int n = 0; n < kAcross; n += 2) {
        u32 value[4];
        load_matrices_transposed(value, from + j * 8 * kLine + n * 16);
#pragma unroll
        for (int t = 0; t < kTall; ++t)
#pragma unroll
          for (int part = 0; part < kParts; ++part) {
            multiply_add(v_t{}, strip[t].out[n], left[t][part], value[0], value[1]);
            if (n + 1 < kAcross)
              multiply_add(v_t{}, strip[t].out[n + 1], left[t][part], value[2], value[3]);
          }
      }
    }
  };

  // The keys that all rows of the warp see.
  const Span clear{task.span(row + kTall * 16 - 1).low, task.span(row).high};
  const Meeting<kWN, kRows, static_cast<int>(pitch)> meeting;
  for (bool fixed = softmax == word::unified;; fixed = false) {
    if constexpr (keep == word::shared) bring_queries(a, task, sign, queries);
#pragma unroll
    for (int t = 0; t < kTall; ++t) strip[t].clear(a.phi * kLog2e);

    // The values are waited for before the probabilities are made, so that making them overlaps
    // with multiplying.
    stream_tiles<kStages>(a, task, ring, multiply_keys, [&](const u8 *from, i32 tile) {
      const i32 first = tile + slice;
      const bool whole = first >= clear.low && first + kOwnKeys <= clear.high;
#pragma unroll
      for (int t = 0; t < kTall; ++t) {
        if constexpr (kFinishing) strip[t].finish(a, first, to_scores);
        if (!whole) strip[t].hide(first);
        if (!fixed) strip[t].find_maximum(factor, slack);
      }
      multiply_values(from);
    });

    barrier();
#pragma unroll
    for (int t = 0; t < kTall; ++t)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int r = row + t * 16 + lane / 4 + 8 * half;
        f32 *to = meeting.out(part_of_keys, r) + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < kAcross; ++n)
          store_shared(to + n * 8, {strip[t].out[n][2 * half], strip[t].out[n][2 * half + 1]});
        if (lane % 4 == 0)
          store_shared(
              meeting.ends(part_of_keys, r),
              {fixed ? a.phi * kLog2e : strip[t].maximum[half] * factor, strip[t].sum[2 * half]});
      }
    barrier();
    if (!fixed || meeting.safe(task, kSame<v_t, f16> ? 0x1p-6f : 0x1p-40f, 0x1p40f)) break;
  }
  meeting.finish(a, task);
}
