// Matrix cores by MFMA, the twin of mma.cu: tiles of x and w pass through shared memory, the next
// ones on their way in registers while these are multiplied. f32, bf16 and s8 differ in the
// instruction only.
//! serves       hip
//! when         has_mfma && (x == w && (x == f32 || x == bf16) || x == s8 && k <= 131072) && \
//!              k * size(x, 1) % 16 == 0
//! fixed        n k
//! param        BM 16 32 64 128 256
//! param        BN 16 32 64 128 256
//! param        depth 64 128                    // bytes of k in a tile
//! param        WM 1 2 4
//! param        WN 1 2 4
//! param        stages 1 2
//! launch_param raster 1 4 8 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = WM * WN * 64
//! let          shared_bytes = stages * (BM + BN) * depth
//! require      BM % (16 * WM) == 0 && BN % (16 * WN) == 0
//! require      BM * BN <= 64 * threads && BM * BN >= 4 * threads
//! require      (BM + BN) * depth <= 256 * threads
//! require      shared_bytes <= max_shared
//! require      BM == 16 || BM < 2 * m
//! require      splits == 1 || splits * depth * 4 <= k * size(x, 1)
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=16,BN=64,depth=64,WM=1,WN=4,stages=2,raster=1,splits=1
#include "gemm_tiles.h"

constexpr int kDown = kRowTile / 16, kAcross = kColumnTile / 16;  // sums of 16 x 16 of a wave
using Sum4 = decltype([] {
  if constexpr (sizeof(x_t) == 1) return i32x4{};
  else return f32x4{};
}());

HONE_GPU_KERNEL(main, threads) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(kSteps, block_y(), a.splits);
  const int first_row = wave_index() / static_cast<int>(WN) * kRowTile;
  const int first_column = wave_index() % static_cast<int>(WN) * kColumnTile;
  u8 *shared = dynamic_shared();
  Carried<RunsOfX> next_x{{a.x, tile.row, a.m, part.begin}, {}};
  Carried<RunsOfW> next_w{{a.w, tile.column, n, part.begin}, {}};
  const auto start = [&] {
    next_x.start();
    next_w.start();
  };
  const auto finish = [&](int step) {
    u8 *to = shared + step % stages * kStageBytes;
    next_x.finish(to);
    next_w.finish(to + kBM * kDepth);
  };
  Sum4 sum[kDown][kAcross] = {};
  if (part.begin < part.end) {
    start();
    finish(part.begin);
  }
  barrier();
  const int row = lane_index() % 16, group = lane_index() / 16;
  for (int step = part.begin; step < part.end; ++step) {
    const bool more = step + 1 < part.end;
    if (more) start();
    const u8 *xs = shared + step % stages * kStageBytes, *ws = xs + kBM * kDepth;
#pragma unroll
    for (int run = 0; run < kRuns; run += 4) {
      Words<16> left[kDown], right[kAcross];
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        left[i] = *reinterpret_cast<const Words<16> *>(
            xs + run_place(first_row + i * 16 + row, run + group));
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
        right[j] = *reinterpret_cast<const Words<16> *>(
            ws + run_place(first_column + j * 16 + row, run + group));
      // w first: a lane then has four neighbouring columns of one row of y.
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) multiply_add(x_t{}, sum[i][j], right[j], left[i]);
    }
    if constexpr (stages == 1) barrier();
    if (more) finish(step + 1);
    barrier();
  }
#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int j = 0; j < kAcross; ++j) {
      f32 value[4];
#pragma unroll
      for (int c = 0; c < 4; ++c) value[c] = static_cast<f32>(sum[i][j][c]);
      put_sums(a, tile.row + first_row + i * 16 + row,
               tile.column + first_column + j * 16 + group * 4, value);
    }
}
