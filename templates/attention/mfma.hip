// FlashAttention on matrix cores, the twin of mma.cu. The products are taken transposed, keys and
// values on the side of the instruction's rows, queries on that of its columns: a lane then has
// probabilities of one query, in the very places in which the second product wants them. For that
// the values lie transposed in shared memory.
//! serves       hip
//! when         has_mfma && c != s8 && d % 8 == 0 && d <= 256
//! fixed        heads kv_heads d window page
//! param        softmax online lazy unified
//! param        WM 1 2 4 8
//! param        WN 1 2 4
//! param        tall 1 2 4                      // tiles of 16 rows in a wave
//! param        BN 16 32 64 128
//! launch_param splits 1 2 4 8 16 32 64 128
//! let          threads = WM * WN * 64
//! let          rows = WM * tall * 16
//! let          parts = c == f32 ? 1 : x == f32 || x == f16 && c == bf16 ? 2 : 1
//! let          depth = round_up(d, 64 / size(c, 1))
//! let          line = size(c, depth) + 16      // bytes of a row of keys or queries
//! let          column = size(c, BN) + 16       // of a column of values
//! let          pitch = d + 4                   // floats of a row of sums
//! let          shared_bytes = max(BN * line + depth * column, \
//!              max(parts * rows * line, WN * rows * (pitch + 2) * 4))
//! let          sums = tall * (d / 4 + BN / WN / 4 + size(c, parts * d) / 16)
//! require      BN % (64 / size(c, 1) * WN) == 0 && threads <= 512
//! require      sums <= 160 && BN * depth >= 16 * threads && size(c, BN * depth) <= 256 * threads
//! require      rows == 16 || rows < 2 * q * (heads / kv_heads)
//! require      shared_bytes <= max_shared
//! require      splits == 1 || splits * BN <= kv
//! workspace    splits > 1 ? splits * batch * q * heads * (d + 2) * 4 : 0
//! launch       main batch * kv_heads * ceil_div(q * (heads / kv_heads), rows) * splits 1 1 \
//!              threads shared shared_bytes
//! launch       combine ceil_div(batch * q * heads, 4) 1 1 4 * wave if splits > 1
//! start        softmax=online,WM=q*(heads/kv_heads)>16?4:1,WN=1,tall=1,\
//!              BN=size(c,d)>=1024?16:32,\
//!              splits=batch*kv_heads<units&&q*(heads/kv_heads)<=16&&kv>=1024?kv>=4096?16:4:1
//! preset       flashdecoding softmax=online
//! preset       flashdecoding++ softmax=unified
#include "attention_tiles.h"

constexpr int kColumn = static_cast<int>(column), kStep = kRun / 4 * 16;  // keys of a product
constexpr int kDown = kOwnKeys / 16, kAcross = (kD + 15) / 16;  // tiles of 16 keys, 16 of out

// Values on their way into shared memory: a thread brings runs of four neighbouring tokens, and
// puts them there as columns. Neighbouring threads have both runs of a sector, then other tokens.
// The keys of a column lie as a lane has its probabilities: four of each tile of a product.
struct Columns {
  static constexpr int kFours = kKeys / 4, kAll = kFours * kRuns;
  static constexpr int kEach = (kAll + kThreads - 1) / kThreads;
  Words<16> held[kEach][4];

  template <typename F>
  static HONE_INLINE void places(F f) {  // f(four, run, e)
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads;
      if (kAll % kThreads == 0 || at < kAll) f(at / 2 % kFours, at % 2 + at / (2 * kFours) * 2, e);
    }
  }
  HONE_INLINE void fetch(const Cache<v_t> &cache, i32 token, i32 end) {
    places([&](int four, int run, int e) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const i32 at = token + four * 4 + i;
        const bool there = at < end && (kDepth == kD || run * kRun < kD);
        held[e][i] =
            there ? *reinterpret_cast<const Words<16> *>(cache[at] + run * kRun) : Words<16>{};
      }
    });
  }
  HONE_INLINE void land(u8 *to) const {
    struct Row {
      v_t element[kRun];
    };
    struct Four {
      v_t element[4];
    };
    constexpr int kBytes = static_cast<int>(sizeof(Four)), kTiles = kStep / 16;
    places([&](int four, int run, int e) {
      const int tile = four / 4, place = (tile / kTiles * 4 + four % 4) * kTiles + tile % kTiles;
      Row row[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) row[i] = __builtin_bit_cast(Row, held[e][i]);
#pragma unroll
      for (int i = 0; i < kRun; ++i) {
        const Four some{
            {row[0].element[i], row[1].element[i], row[2].element[i], row[3].element[i]}};
        *reinterpret_cast<Words<kBytes> *>(to + (run * kRun + i) * kColumn + place * kBytes) =
            __builtin_bit_cast(Words<kBytes>, some);
      }
    });
  }
};

// 16 rows of a wave: the lane has row lane % 16, and of tiles of keys or columns four, from
// lane / 16 * 4 on.
struct Strip {
  f32x4 score[kDown], out[kAcross];
  f32 sum, maximum, base, slope;
  Span seen;
  i32 position;

  HONE_INLINE void look(const Args &a, const Task &task, int row) {
    const int r = row + lane_index() % 16;
    position = task.position(r);
    seen = visible(position, task.length);
    if constexpr (alibi == word::yes) slope = a.slopes[task.row(r) % heads];
  }
  HONE_INLINE void clear(f32 first_base) {
#pragma unroll
    for (int n = 0; n < kAcross; ++n) out[n] = f32x4{};
    sum = 0;
    maximum = -kInfinity;
    base = first_base;
  }
  // As in mma.cu: `first` is the first key; scores are `factor` times what stands in `score`.
  HONE_INLINE void finish(const Args &a, i32 first, f32 factor) {
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        score[j][i] = finish_score(a, score[j][i] * factor, slope,
                                   position - first - lane_index() / 16 * 4 - j * 16 - i);
  }
  HONE_INLINE void hide(i32 first) {
    first += lane_index() / 16 * 4;
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (j * 16 + i >= seen.high - first || (window > 0 && j * 16 + i < seen.low - first))
          score[j][i] = -kInfinity;
  }
  HONE_INLINE void find_maximum(f32 factor, f32 slack) {
    f32 found = score[0][0];
#pragma unroll
    for (int j = 0; j < kDown; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) found = largest_of(found, score[j][i]);
    found = largest_of(found, shuffle_xor(found, 16));
    found = largest_of(found, shuffle_xor(found, 32));
    const f32 old = maximum;
    maximum = next_maximum(old, found, slack);
    base = finite_floor(maximum) * factor;
    const f32 shrinking = power_of_two(old * factor - base);
    if (softmax == word::lazy && !any_lane(shrinking != 1)) return;
#pragma unroll
    for (int n = 0; n < kAcross; ++n) out[n] *= shrinking;
    sum *= shrinking;
  }
  // The probabilities of a product's keys, in parts that are operands.
  HONE_INLINE void probabilities(Words<16> (&to)[kParts], int step, f32 factor) {
    f32 left[kRun];
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      left[i] = power_of_two(score[step * (kRun / 4) + i / 4][i % 4] * factor - base);
      sum += left[i];
    }
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      to[part] = words_of<v_t>(left);
#pragma unroll
      for (int i = 0; i < kRun; ++i) left[i] -= to_f32(from_f32<v_t>(left[i]));
    }
  }
};

HONE_GPU_KERNEL(main, threads) {
  const Task task(a, kRows, kKeys);
  const int lane = lane_index(), row = wave_index() / kWN * kTall * 16;
  const int part_of_keys = wave_index() % kWN, slice = part_of_keys * kOwnKeys;
  u8 *shared_keys = dynamic_shared(), *shared_values = shared_keys + kKeys * kLine;
  const f32 signed_factor = query_factor(a), to_scores = fabsf(signed_factor);
  const f32 factor = kFinishing ? 1.0f : to_scores, slack = kSlack / factor;  // after `finish`
  Strip strip[kTall];
#pragma unroll
  for (int t = 0; t < kTall; ++t) strip[t].look(a, task, row + t * 16);

  bring_queries(a, task, signed_factor < 0 ? -1.0f : 1.0f, shared_keys);
  Words<16> query[kTall][kParts][kRuns / 4];
  barrier();
#pragma unroll
  for (int t = 0; t < kTall; ++t)
#pragma unroll
    for (int part = 0; part < kParts; ++part)
#pragma unroll
      for (int run = 0; run < kRuns; run += 4)
        query[t][part][run / 4] = *reinterpret_cast<const Words<16> *>(
            shared_keys + (part * kRows + row + t * 16 + lane % 16) * kLine +
            (run + lane / 16) * 16);
  barrier();

  // The keys that all rows of the wave see.
  const Span clear{task.span(row + kTall * 16 - 1).low, task.span(row).high};
  const Meeting<kWN, kRows, static_cast<int>(pitch)> meeting;
  for (bool fixed = softmax == word::unified;; fixed = false) {
    Feed keys{{a, a.k, task.sequence, task.kv_head}, task.begin, task.end};
    const Cache<v_t> values(a, a.v, task.sequence, task.kv_head);
    Words<16> held[Feed::kEach];
    Columns columns;
    const auto fetch_keys = [&] {
      if (keys.token < keys.end)
        keys.next([&](int, const k_t *from, bool there, int e) {
          held[e] = there ? *reinterpret_cast<const Words<16> *>(from) : Words<16>{};
        });
    };
    const auto land_keys = [&] {
      Feed::places(
          [&](int place, int e) { *reinterpret_cast<Words<16> *>(shared_keys + place) = held[e]; });
    };
    fetch_keys();
    land_keys();
#pragma unroll
    for (int t = 0; t < kTall; ++t) strip[t].clear(a.phi * kLog2e);

    for (i32 tile = task.begin; tile < task.end; tile += kKeys) {
      barrier();
      columns.fetch(values, tile, task.end);
#pragma unroll
      for (int t = 0; t < kTall; ++t)
#pragma unroll
        for (int j = 0; j < kDown; ++j) strip[t].score[j] = f32x4{};
#pragma unroll
      for (int run = 0; run < kRuns; run += 4)
#pragma unroll
        for (int j = 0; j < kDown; ++j) {
          const auto key = *reinterpret_cast<const Words<16> *>(
              shared_keys + (slice + j * 16 + lane % 16) * kLine + (run + lane / 16) * 16);
#pragma unroll
          for (int t = 0; t < kTall; ++t)
#pragma unroll
            for (int part = 0; part < kParts; ++part)
              multiply_add(k_t{}, strip[t].score[j], key, query[t][part][run / 4]);
        }
      columns.land(shared_values);
      barrier();
      fetch_keys();
      const i32 first = tile + slice;
      const bool whole = first >= clear.low && first + kOwnKeys <= clear.high;
#pragma unroll
      for (int t = 0; t < kTall; ++t) {
        if constexpr (kFinishing) strip[t].finish(a, first, to_scores);
        if (!whole) strip[t].hide(first);
        if (!fixed) strip[t].find_maximum(factor, slack);
      }
#pragma unroll
      for (int step = 0; step < kOwnKeys / kStep; ++step) {
        Words<16> right[kTall][kParts];
#pragma unroll
        for (int t = 0; t < kTall; ++t) strip[t].probabilities(right[t], step, factor);
#pragma unroll
        for (int n = 0; n < kAcross; ++n) {
          const auto value =
              *reinterpret_cast<const Words<16> *>(shared_values + (n * 16 + lane % 16) * kColumn +
                                                   ((slice / kStep + step) * 4 + lane / 16) * 16);
#pragma unroll
          for (int t = 0; t < kTall; ++t)
#pragma unroll
            for (int part = 0; part < kParts; ++part)
              multiply_add(v_t{}, strip[t].out[n], value, right[t][part]);
        }
      }
      land_keys();
    }

    barrier();
#pragma unroll
    for (int t = 0; t < kTall; ++t) {
      const int r = row + t * 16 + lane % 16;
      f32 *to = meeting.out(part_of_keys, r) + lane / 16 * 4;
#pragma unroll
      for (int n = 0; n < kAcross; ++n)
        if (kD % 16 == 0 || n * 16 + lane / 16 * 4 < kD) {
          const f32x4 out = strip[t].out[n];
          store_shared(to + n * 16, {out[0], out[1], out[2], out[3]});
        }
      f32 sum = strip[t].sum;
      sum += shuffle_xor(sum, 16);
      sum += shuffle_xor(sum, 32);
      if (lane < 16)
        store_shared(meeting.ends(part_of_keys, r),
                     {fixed ? a.phi * kLog2e : strip[t].maximum * factor, sum});
    }
    barrier();
    if (!fixed || meeting.safe(task, kSame<v_t, f16> ? 0x1p-6f : 0x1p-40f,
                               kSame<v_t, f16> ? 0x1p15f : 0x1p40f))
      break;
  }
  meeting.finish(a, task);
}
