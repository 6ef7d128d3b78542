// Weights in block formats on tensor cores, from few rows of x to many: as in flat.cu the rows of w
// take the 16-row side of mma.sync. They are packed so that a lane's part of two matrices lies in 16
// or 32 neighbouring bytes, and become 16-bit numbers in registers: f16 with x = f16, bf16
// otherwise. x = f32 is rounded to bf16, which the tolerance of block formats admits.
//! serves       cuda
//! when         has_mma && quantised && (has_cp_async || x == f16)
//! fixed        n k
//! param        BM 8 16 32 64 128 256           // rows of x
//! param        BN 32 64 128 256                // rows of w
//! param        blocks 2 4 8                    // of k, in a tile
//! param        WM 1 2 4
//! param        WN 1 2 4 8
//! param        stages 2 3 4 5 6
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = WM * WN * 32
//! let          tile_bytes = w == q8_0 ? 1088 : w == q4_0 ? 576 : 640
//! let          stage_bytes = blocks * (BM * 32 * size(x, 1) + BN / 32 * tile_bytes)
//! let          shared_bytes = stages * stage_bytes
//! let          tall = BN / WN / 32             // bands of a warp
//! let          wide = BM / WM / 8              // eights of rows of x of a warp
//! let          held = 8 * tall * wide + size(x, 2) * wide + 2 * tall * (w == q4_0 ? 8 : 12) + 16
//! require      BM % (8 * WM) == 0 && BN % (32 * WN) == 0 && threads >= 64 && threads <= 512
//! require      tall <= 4 && held <= 232 && (held + 24) * threads <= registers
//! require      BM == 8 || BM * BN >= 8 * threads
//! require      stage_bytes <= (has_cp_async ? 512 : 192) * threads && shared_bytes <= max_shared
//! require      BM == 8 || BM < 2 * m
//! require      splits == 1 || splits * blocks * 128 <= k
//! pack         w bands ceil_div(n, 32) * (k / 32) * tile_bytes
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=m>32?64:m>16?32:m>8?16:8,BN=64,blocks=2,WM=m>32?2:1,WN=2,stages=4,splits=1
#include "gemm_flat.h"
#include "gemm_halves.h"

using Half = decltype([] {
  if constexpr (x == word::f16) return f16{};
  else return bf16{};
}());
constexpr int kDepth = static_cast<int>(blocks), kElement = static_cast<int>(sizeof(x_t));
constexpr int kBlockBytes = kBlock * kElement, kRowBytes = kDepth * kBlockBytes;  // of a row of x
constexpr int kTileBands = kBN / kBand, kPanelBytes = kDepth * kTileBytes;  // of a band of a tile
constexpr int kXBytes = kBM * kRowBytes, kStageBytes = kXBytes + kTileBands * kPanelBytes;
constexpr int kTall = kTileBands / static_cast<int>(WN);     // bands of a warp
constexpr int kWide = kBM / static_cast<int>(WM) / 8;        // eights of rows of x of a warp
constexpr int kApart = kElement == 2 ? 0 : 1;                // see place_of_run

// The runs of the tiles of w that a thread copies, step after step: of one band.
struct Bands {
  static constexpr int kTeam = kThreads / kTileBands, kRuns = kPanelBytes / kRun;
  const u8 *from;
  int place;
  bool there;
  Copies<(kRuns + kTeam - 1) / kTeam> copies;

  HONE_INLINE Bands(const u8 *packed, i64 first, int step) {
    const int band = thread_index() / kTeam, run = thread_index() % kTeam;
    from = packed + ((first + band) * kBlocks + step * kDepth) * kTileBytes + run * kRun;
    place = band * kPanelBytes + run * kRun;
    there = kBands % kTileBands == 0 || first + band < kBands;
  }
  // Calls f(e, place in the tile) for each run.
  template <typename F>
  HONE_INLINE void each(u8 *tile, F f) {
    const int run = thread_index() % kTeam;
#pragma unroll
    for (int e = 0; e * kTeam < kRuns; ++e)
      if (kRuns % kTeam == 0 || run + e * kTeam < kRuns) f(e, tile + place + e * kTeam * kRun);
  }
  HONE_INLINE void copy(u8 *tile, int step, bool wanted) {
    const int run = thread_index() % kTeam;
    const i64 left = (kBlocks - step * kDepth) * (kTileBytes / kRun);
    each(tile, [&](int e, u8 *to) {
      copies.bring(e, to, from + e * kTeam * kRun,
                   wanted && there && (kBlocks % kDepth == 0 || run + e * kTeam < left));
    });
    from += kPanelBytes;
  }
  HONE_INLINE void settle(u8 *tile) {
    each(tile, [&](int e, u8 *to) { copies.settle(e, to); });
  }
};

// Eight rows of x, a block of k: the 16-bit words of two instructions.
HONE_INLINE void load_x(u32 (&to)[4], const u8 *tile, int place) {
  const auto words = *reinterpret_cast<const Words<16> *>(tile + place);
  if constexpr (kElement == 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = words.word[i];
  } else {
    const auto more = *reinterpret_cast<const Words<16> *>(tile + (place ^ kRun));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Words<16> &pair = i < 2 ? words : more;
      to[i] = pair_of(bf16{}, __builtin_bit_cast(f32, pair.word[i % 2 * 2]),
                              __builtin_bit_cast(f32, pair.word[i % 2 * 2 + 1]));
    }
  }
}

HONE_GPU_KERNEL(main, threads, 1) {
  // Blocks that share rows of w follow one another: the later ones find them in L2.
  const i64 down = ceil_div(a.m, kBM);
  const i64 row = block_x() % down * kBM, column = block_x() / down * kBN;
  const Part part = part_of(static_cast<int>(ceil_div(kBlocks, kDepth)), block_y(), a.splits);
  Stream<kBM, kRowBytes, k * kElement, kApart, false> xs(a.x, row, a.m, part.begin);
  Bands ws(a.w, column / kBand, part.begin);
  u8 *shared = dynamic_shared();
  int filled = 0, used = 0;  // offsets of the stages that are filled and read next
  const auto next_stage = [](int &offset) {
    offset = offset + kStageBytes == kStages * kStageBytes ? 0 : offset + kStageBytes;
  };
  const auto fetch = [&](int step) {
    xs.copy(shared + filled, step, step < part.end);
    ws.copy(shared + filled + kXBytes, step, step < part.end);
    commit_stage();
  };
  const auto settle = [&] {
    xs.settle(shared + filled);
    ws.settle(shared + filled + kXBytes);
    next_stage(filled);
  };
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    fetch(part.begin + s);
    settle();
  }

  const int lane = lane_index();
  const int first_band = wave_index() % static_cast<int>(WN) * kTall;
  const int first_row = wave_index() / static_cast<int>(WN) * kWide * 8;
  const int x_place =
      place_of_run<kRowBytes, kApart>(first_row + lane / 4, lane % 4 * (kElement / 2));
  // Of w the next block of k is loaded while this one is multiplied, and the next 16 rows become
  // numbers while these are; of x the next block's takes the place of what was multiplied last.
  Quants quants[2][kTall];
  u32 left[2][2][kLaneDepth / 2], right[kWide][4];
  const auto load_w = [&](Quants(&to)[kTall], int block) {
    const u8 *bands = shared + used + kXBytes + first_band * kPanelBytes;
#pragma unroll
    for (int i = 0; i < kTall; ++i)
      to[i].load(bands + i * kPanelBytes + block * kTileBytes, lane);
  };
  const auto load_right = [&](int j, int block) {
    load_x(right[j], shared + used + j * 8 * kRowBytes,
           later_run(x_place, block * kBlockBytes / kRun));
  };
  const auto decode = [&](u32(&to)[2][kLaneDepth / 2], const Quants &from, bool upper) {
    if (upper) {
      weights_of_row<Half, 2>(to[0], from);
      weights_of_row<Half, 3>(to[1], from);
    } else {
      weights_of_row<Half, 0>(to[0], from);
      weights_of_row<Half, 1>(to[1], from);
    }
  };
  f32 sum[2 * kTall][kWide][4] = {};
  next_stage_for_all();
  load_w(quants[0], 0);
#pragma unroll
  for (int j = 0; j < kWide; ++j) load_right(j, 0);
  decode(left[0], quants[0][0], false);
  for (int step = part.begin; step < part.end; ++step)
#pragma unroll
    for (int block = 0; block < kDepth; ++block) {
      if (block == kDepth - 1) {
        settle();
        next_stage_for_all();
        next_stage(used);
      }
      const int next_block = (block + 1) % kDepth;
      load_w(quants[(block + 1) % 2], next_block);
      if (block == 0) fetch(step + kStages - 1);
#pragma unroll
      for (int i = 0; i < 2 * kTall; ++i) {
        const bool last = i + 1 == 2 * kTall;
        decode(left[(i + 1) % 2],
               last ? quants[(block + 1) % 2][0] : quants[block % 2][(i + 1) / 2],
               !last && i % 2 == 0);
#pragma unroll
        for (int at = 0; at < 4; at += 2) {
          const u32 rows[4] = {left[i % 2][0][at], left[i % 2][1][at], left[i % 2][0][at + 1],
                               left[i % 2][1][at + 1]};
#pragma unroll
          for (int j = 0; j < kWide; ++j) {
            multiply_add(Half{}, sum[i][j], rows, right[j][at], right[j][at + 1]);
            if (last && at == 2) load_right(j, next_block);
          }
        }
      }
    }
#pragma unroll
  for (int i = 0; i < kTall; ++i)
#pragma unroll
    for (int j = 0; j < kWide; ++j)
#pragma unroll
      for (int next = 0; next < 2; ++next) {
        f32 value[kLaneRows];
#pragma unroll
        for (int c = 0; c < kLaneRows; ++c) value[c] = sum[2 * i + c / 2][j][c % 2 * 2 + next];
        put_sums(a, row + first_row + j * 8 + lane % 4 * 2 + next,
                 column + (first_band + i) * kBand + lane / 4 * kLaneRows, value);
      }
}
