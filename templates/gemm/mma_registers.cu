// The tensor cores of where nothing copies to shared memory by itself (sm_75): the twin of mma.cu,
// with the next tiles of x and w on their way in registers while these are multiplied.
//! serves       cuda
//! when         has_mma && !has_cp_async && k * size(x, 1) % 16 == 0 && \
//!              (x == f16 && w == f16 || x == s8 && k <= 131072)
//! fixed        n k
//! param        BM 16 32 64 128 256
//! param        BN 16 32 64 128 256
//! param        depth 64 128                    // bytes of k in a tile
//! param        WM 1 2 4
//! param        WN 1 2 4
//! launch_param raster 1 4 8 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = WM * WN * 32
//! let          shared_bytes = max(2 * (BM + BN) * depth, WM * BN * 64)
//! let          wanted = BM * BN / threads + 8 * (BM / (16 * WM) + BN / (16 * WN)) + \
//!              (BM + BN) * depth / threads / 4  // registers
//! require      BM % (16 * WM) == 0 && BN % (16 * WN) == 0
//! require      threads >= 64 && BM * BN >= 8 * threads && (BM + BN) * depth <= 128 * threads
//! require      wanted <= 224 && (wanted + 40) * threads <= registers
//! require      shared_bytes <= max_shared
//! require      BM == 16 || BM < 2 * m
//! require      splits == 1 || splits * depth * 4 <= k * size(x, 1)
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=16,BN=64,depth=64,WM=1,WN=4,raster=1,splits=1
//! preset       flashdecoding BM=64
//! preset       flashdecoding++
#include "mma_tiles.h"

HONE_GPU_KERNEL(main, threads, 1) {
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
  const auto finish = [&](u8 *stage) {
    next_x.finish(stage);
    next_w.finish(stage + kBM * kDepth);
  };
  Sums sums;
  Operands operands[2];
  int left = part.end - part.begin, used = 0;  // steps; offset of the stage that is read
  if (left > 0) {
    start();
    finish(shared);
    barrier();
    operands[0].load(shared, first_row, first_column, 0);
  }
  for (; left > 0; --left) {
#pragma unroll
    for (int run = 0; run < kRuns; run += 2) {
      if (run == 0 && left > 1) start();
      if (run + 2 == kRuns && left > 1) {
        used ^= kStageBytes;
        finish(shared + used);
        barrier();  // the next step's tiles are here for all, and nobody reads this step's any more
      }
      operands[(run / 2 + 1) % 2].load(shared + used, first_row, first_column, (run + 2) % kRuns);
      sums.add(operands[run / 2 % 2]);
    }
  }
  barrier();
  sums.put(a, shared + wave_index() * Sums::kPiece, tile.row + first_row, tile.column + first_column);
}
