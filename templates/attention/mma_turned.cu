// Decode on tensor cores: FlashDecoding with the query rows that share a head of the cache (tokens
// times heads of the group) on the 8-wide side of the instruction, keys and values on its 16-wide
// side. Both products are taken transposed for that, and between them a lane trades its
// probabilities for those of one query. All warps of a block share the queries; each has its part
// of a tile's keys and its own maximum; they meet at the end.
//! serves       cuda
//! when         has_mma && (c == f16 || c == bf16 && has_bf16) && d % 8 == 0 && \
//!              d <= (has_cp_async ? 256 : 128) && q * (heads / kv_heads) <= 64
//! fixed        heads kv_heads d window page
//! param        softmax online lazy unified
//! param        WN 1 2 4 8                      // warps
//! param        tall 1 2 4                      // times 8 rows
//! param        BN 16 32 64 128 256
//! param        stages 2 3 4 6
//! launch_param splits 1 2 4 8 16 32 64 128
//! let          threads = WN * 32
//! let          rows = tall * 8
//! let          parts = x == f32 || x == f16 && c == bf16 ? 2 : 1
//! let          depth = round_up(d, 32)
//! let          line = depth * 2 + 16           // bytes of a row in shared memory
//! let          pitch = d + 4                   // floats of a row of sums there
//! let          shared_bytes = max(stages * BN * line, \
//!              max(parts * rows * line, WN * rows * (pitch + 2) * 4))
//! let          sums = tall * (d / 4 + BN / WN / 4 + parts * d / 8)
//! require      BN % (16 * WN) == 0 && BN / WN <= 64 && threads >= 64
//! require      sums <= 160 && BN * depth >= 16 * threads
//! require      rows == 8 || rows < 2 * q * (heads / kv_heads)
//! require      stages == 2 || has_cp_async
//! require      shared_bytes <= max_shared
//! require      splits == 1 || splits * BN <= kv
//! workspace    splits > 1 ? splits * batch * q * heads * (d + 2) * 4 : 0
//! launch       main batch * kv_heads * ceil_div(q * (heads / kv_heads), rows) * splits 1 1 \
//!              threads shared shared_bytes
//! launch       combine ceil_div(batch * q * heads, 4) 1 1 4 * wave if splits > 1
//! start        softmax=online,WN=4,tall=1,BN=64,stages=has_cp_async&&d<=128?4:2,\
//!              splits=batch*kv_heads<units&&q*(heads/kv_heads)<=16&&kv>=1024?kv>=4096?16:4:1
//! preset       flashdecoding softmax=online
//! preset       flashdecoding++ softmax=unified
#include "attention_tiles.h"

constexpr int kDown = kOwnKeys / 16, kAcross = (kD + 15) / 16;  // tiles of 16 keys, 16 of out

// 8 rows, which are the columns of all sums: the lane has two, from lane % 4 * 2 on, and of tiles
// of keys or columns of out the lines lane / 4 (sums 0 1) and the one 8 below (2 3).
struct Strip {
  f32 score[kDown][4], out[kAcross][4], sum[4], maximum[2], base[2];
  Span seen[2];
  i32 position[2];
  f32 slope[2];

  HONE_INLINE void look(const Args &a, const Task &task, int row) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int r = row + lane_index() % 4 * 2 + i;
      position[i] = task.position(r);
      seen[i] = visible(position[i], task.length);
      if constexpr (alibi == word::yes) slope[i] = a.slopes[task.row(r) % heads];
    }
  }
  HONE_INLINE void clear(f32 first_base) {
#pragma unroll
    for (int n = 0; n < kAcross; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) out[n][i] = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] = 0;
    maximum[0] = maximum[1] = -kInfinity;
    base[0] = base[1] = first_base;
  }
  // As in mma.cu: `first` is the first key; scores are `factor` times what stands in `score`.
  HONE_INLINE void finish(const Args &a, i32 first, f32 factor) {
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        score[j][i] = finish_score(a, score[j][i] * factor, slope[i % 2],
                                   position[i % 2] - first - lane_index() / 4 - j * 16 - i / 2 * 8);
  }
  HONE_INLINE void hide(i32 first) {
    first += lane_index() / 4;
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (j * 16 + i / 2 * 8 >= seen[i % 2].high - first ||
            (window > 0 && j * 16 + i / 2 * 8 < seen[i % 2].low - first))
          score[j][i] = -kInfinity;
  }
  HONE_INLINE void find_maximum(f32 factor, f32 slack) {
    f32 shrinking[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      f32 found = score[0][i];
#pragma unroll
      for (int j = 0; j < kDown; ++j)
        found = largest_of(found, largest_of(score[j][i], score[j][i + 2]));
#pragma unroll
      for (int other = 4; other < 32; other *= 2)
        found = largest_of(found, shuffle_xor(found, other));
      const f32 old = maximum[i];
      maximum[i] = next_maximum(old, found, slack);
      base[i] = finite_floor(maximum[i]) * factor;
      shrinking[i] = power_of_two(old * factor - base[i]);
    }
    if (softmax == word::lazy && !any_lane(shrinking[0] != 1 || shrinking[1] != 1)) return;
#pragma unroll
    for (int n = 0; n < kAcross; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) out[n][i] *= shrinking[i % 2];
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] *= shrinking[i % 2];
  }
  // The probabilities of 16 keys, in parts that are operands.
  HONE_INLINE void probabilities(u32 (&to)[kParts][2], int j, f32 factor) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      f32 left[2] = {power_of_two(score[j][2 * half] * factor - base[0]),
                     power_of_two(score[j][2 * half + 1] * factor - base[1])};
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const u32 pair = to_pair(v_t{}, left[0], left[1]);
        to[part][half] = transpose_matrix(pair);
        const auto stored = __builtin_bit_cast(Two<v_t>, pair);
        left[0] -= to_f32(stored.element[0]);
        left[1] -= to_f32(stored.element[1]);
      }
    }
  }
};

HONE_GPU_KERNEL(main, threads) {
  const Task task(a, kRows, kKeys);
  const int lane = lane_index(), slice = wave_index() * kOwnKeys;
  u8 *ring = dynamic_shared();
  const f32 signed_factor = query_factor(a), to_scores = fabsf(signed_factor);
  const f32 factor = kFinishing ? 1.0f : to_scores, slack = kSlack / factor;  // after `finish`
  Strip strip[kTall];
#pragma unroll
  for (int t = 0; t < kTall; ++t) strip[t].look(a, task, t * 8);

  bring_queries(a, task, signed_factor < 0 ? -1.0f : 1.0f, ring);
  u32 query[kTall][kParts][kRuns / 4][4];
  barrier();
#pragma unroll
  for (int t = 0; t < kTall; ++t)
#pragma unroll
    for (int part = 0; part < kParts; ++part)
#pragma unroll
      for (int run = 0; run < kRuns; run += 4)
        load_matrices(query[t][part][run / 4],
                      ring + (part * kRows + t * 8 + lane % 8) * kLine + (run + lane / 8) * 16);
  barrier();

  // The keys that all rows see.
  const Span clear{task.span(kRows - 1).low, task.span(0).high};
  const Meeting<kWN, kRows, static_cast<int>(pitch)> meeting;
  for (bool fixed = softmax == word::unified;; fixed = false) {
#pragma unroll
    for (int t = 0; t < kTall; ++t) strip[t].clear(a.phi * kLog2e);
    const auto multiply_keys = [&](const u8 *from) {
      from += (slice + lane % 16) * kLine + lane / 16 * 16;
#pragma unroll
      for (int t = 0; t < kTall; ++t)
#pragma unroll
        for (int j = 0; j < kDown; ++j)
#pragma unroll
          for (int i = 0; i < 4; ++i) strip[t].score[j][i] = 0;
#pragma unroll
      for (int run = 0; run < kRuns; run += 2)
#pragma unroll
        for (int j = 0; j < kDown; ++j) {
          u32 key[4];
          load_matrices(key, from + j * 16 * kLine + run * 16);
#pragma unroll
          for (int t = 0; t < kTall; ++t)
#pragma unroll
            for (int part = 0; part < kParts; ++part) {
              const auto &right = query[t][part][run / 4];
              multiply_add(k_t{}, strip[t].score[j], key, right[run % 4], right[run % 4 + 1]);
            }
        }
    };
    stream_tiles<static_cast<int>(stages)>(
        a, task, ring, multiply_keys, [&](const u8 *from, i32 tile) {
          const i32 first = tile + slice;
          const bool whole = first >= clear.low && first + kOwnKeys <= clear.high;
#pragma unroll
          for (int t = 0; t < kTall; ++t) {
            if constexpr (kFinishing) strip[t].finish(a, first, to_scores);
            if (!whole) strip[t].hide(first);
            if (!fixed) strip[t].find_maximum(factor, slack);
          }
          from += (slice + lane % 8 + lane / 16 * 8) * kLine + lane / 8 % 2 * 16;
          const u32 one = to_pair(v_t{}, 1, 1), ones[4] = {one, one, one, one};
#pragma unroll
          for (int j = 0; j < kDown; ++j) {
            u32 right[kTall][kParts][2];
#pragma unroll
            for (int t = 0; t < kTall; ++t) {
              strip[t].probabilities(right[t], j, factor);
#pragma unroll
              for (int part = 0; part < kParts; ++part)
                multiply_add(v_t{}, strip[t].sum, ones, right[t][part][0], right[t][part][1]);
            }
#pragma unroll
            for (int n = 0; n < kAcross; ++n) {
              u32 value[4];
              load_matrices_transposed(value, from + j * 16 * kLine + n * 32);
#pragma unroll
              for (int t = 0; t < kTall; ++t)
#pragma unroll
                for (int part = 0; part < kParts; ++part)
                  multiply_add(v_t{}, strip[t].out[n], value, right[t][part][0], right[t][part][1]);
            }
          }
        });

    barrier();
#pragma unroll
    for (int t = 0; t < kTall; ++t)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int r = t * 8 + lane % 4 * 2 + i;
        f32 *to = meeting.out(wave_index(), r) + lane / 4;
#pragma unroll
        for (int n = 0; n < kAcross; ++n) {
          to[n * 16] = strip[t].out[n][i];
          if (kD % 16 == 0 || n + 1 < kAcross) to[n * 16 + 8] = strip[t].out[n][i + 2];
        }
        if (lane < 4)
          store_shared(meeting.ends(wave_index(), r),
                       {fixed ? a.phi * kLog2e : strip[t].maximum[i] * factor, strip[t].sum[i]});
      }
    barrier();
    if (!fixed || meeting.safe(task, kSame<v_t, f16> ? 0x1p-6f : 0x1p-40f, 0x1p40f)) break;
  }
  meeting.finish(a, task);
}
