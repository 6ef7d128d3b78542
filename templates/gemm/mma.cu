// Tensor cores by mma.sync: tiles of x and w stream through `stages` buffers of shared memory by
// asynchronous copies; WM x WN warps read their parts with ldmatrix, each part while the one before
// is multiplied, from one tile to the next. f16, bf16 and s8 differ in the instruction only.
//! serves       cuda
//! when         has_mma && has_cp_async && k * size(x, 1) % 16 == 0 && \
//!              (x == w && (x == f16 || x == bf16) || x == s8 && k <= 131072)
//! fixed        n k
//! param        BM 16 32 64 128 256
//! param        BN 16 32 64 128 256
//! param        depth 64 128                    // bytes of k in a tile
//! param        WM 1 2 4
//! param        WN 1 2 4
//! param        stages 2 3 4 5 6
//! launch_param raster 1 4 8 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = WM * WN * 32
//! let          shared_bytes = max(stages * (BM + BN) * depth, WM * BN * 64)
//! let          wanted = BM * BN / threads + 8 * (BM / (16 * WM) + BN / (16 * WN))  // registers
//! require      BM % (16 * WM) == 0 && BN % (16 * WN) == 0
//! require      threads >= 64 && BM * BN >= 8 * threads && (BM + BN) * depth <= 256 * threads
//! require      wanted <= 208 && (wanted + 40) * threads <= registers
//! require      shared_bytes <= max_shared
//! require      BM == 16 || BM < 2 * m
//! require      splits == 1 || splits * depth * 4 <= k * size(x, 1)
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=16,BN=64,depth=64,WM=1,WN=4,stages=4,raster=1,splits=1
#include "mma_tiles.h"

constexpr int kStages = static_cast<int>(stages), kRing = kStages * kStageBytes;
constexpr int kParts = kRuns / 2 - 1;  // in which the next tiles are brought while these are read

HONE_INLINE int next_stage(int offset) {
  return offset + kStageBytes == kRing ? 0 : offset + kStageBytes;
}

HONE_GPU_KERNEL(main, threads, 1) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(kSteps, block_y(), a.splits);
  const int first_row = wave_index() / static_cast<int>(WN) * kRowTile;
  const int first_column = wave_index() % static_cast<int>(WN) * kColumnTile;
  u8 *shared = dynamic_shared();
  RunsOfX runs_x(a.x, tile.row, a.m, part.begin);
  RunsOfW runs_w(a.w, tile.column, n, part.begin);
  int left = part.end - part.begin;  // steps
  // One of kParts parts of the tiles of the step that is `ahead` of this one.
  const auto fetch = [&](int part, int ahead, u8 *stage) {
    if (ahead < left) {
      runs_x.each(part, kParts, [&](int e, const u8 *from, bool there) {
        copy_async(runs_x.place(stage, e), from, there);
      });
      runs_w.each(part, kParts, [&](int e, const u8 *from, bool there) {
        copy_async(runs_w.place(stage + kBM * kDepth, e), from, there);
      });
    }
    if (part + 1 == kParts) {
      runs_x.next();
      runs_w.next();
      commit_copies();  // empty groups keep the count
    }
  };

#pragma unroll 1
  for (int s = 0; s < kStages - 1; ++s)
#pragma unroll
    for (int p = 0; p < kParts; ++p) fetch(p, s, shared + s * kStageBytes);
  int used = 0, unused = kRing - kStageBytes;  // offsets of the stages read and filled next
  Sums sums;
  Operands operands[2];
  if (left > 0) {
    wait_for_copies<kStages - 2>();
    barrier();
    operands[0].load(shared, first_row, first_column, 0);
  }
  for (; left > 0; --left) {
#pragma unroll
    for (int run = 0; run < kRuns; run += 2) {
      if (run + 2 == kRuns) {
        // The next step's tiles are here for all, and nobody reads this step's any more.
        wait_for_copies<kStages - 2>();
        barrier();
        unused = used;
        if (left > 1) used = next_stage(used);
      }
      operands[(run / 2 + 1) % 2].load(shared + used, first_row, first_column, (run + 2) % kRuns);
      if (run / 2 < kParts) fetch(run / 2, kStages - 1, shared + unused);
      sums.add(operands[run / 2 % 2]);
    }
  }
  barrier();
  sums.put(a, shared + wave_index() * Sums::kPiece, tile.row + first_row, tile.column + first_column);
}
