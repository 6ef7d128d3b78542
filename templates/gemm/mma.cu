// Tensor cores by mma.sync: a block for each tile of y, WM x WN warps in it. f16, bf16 and s8 differ
// in the instruction only.
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
//! preset       flashdecoding BM=64
//! preset       flashdecoding++
#include "mma_pipeline.h"

HONE_GPU_KERNEL(main, threads, 1) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  u8 *shared = dynamic_shared();
  Sums sums;
  multiply_tiles(a, shared, tile, part_of(kSteps, block_y(), a.splits), sums);
  barrier();
  sums.put(a, shared + wave_index() * Sums::kPiece, tile.row + first_row_of_warp(),
           tile.column + first_column_of_warp());
}
