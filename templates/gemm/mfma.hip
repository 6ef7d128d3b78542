// Matrix cores by MFMA, the twin of mma.cu: tiles of x and w pass through shared memory, the next
// ones on their way in registers while these are multiplied. f32, f16, bf16 and s8 differ in the
// instruction only.
//! serves       hip
//! when         has_mfma && x == w && (x != s8 || k <= 131072) && k * size(x, 1) % 16 == 0
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
#include "mfma_tiles.h"

HONE_GPU_KERNEL(main, threads) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(kSteps, block_y(), a.splits);
  multiply_tiles<x_t>(a, tile, part, Carried<RunsOfX>{{a.x, tile.row, a.m, part.begin}, {}},
                      Carried<RunsOfW>{{a.w, tile.column, n, part.begin}, {}});
}
