// mma.cu where tiles don't fill the last wave of blocks: Stream-K (arXiv 2301.03598). As many blocks
// as the GPU holds share the steps of all tiles alike; what a block has of a tile that isn't wholly
// its own goes to the workspace, where gather() sums it up.
//! serves       cuda
//! when         has_mma && has_cp_async && k * size(x, 1) % 16 == 0 && \
//!              (x == w && (x == f16 || x == bf16) || x == s8 && k <= 131072)
//! fixed        n k
//! param        BM 64 128 256
//! param        BN 64 128 256
//! param        depth 64 128                    // bytes of k in a tile
//! param        WM 2 4
//! param        WN 2 4
//! param        stages 3 4 5
//! launch_param raster 1 4 8 16
//! launch_param blocks units 2*units 3*units
//! launch_param splits 1                        // no equal parts of k
//! let          threads = WM * WN * 32
//! let          shared_bytes = max(stages * (BM + BN) * depth, WM * BN * 64)
//! let          wanted = BM * BN / threads + 8 * (BM / (16 * WM) + BN / (16 * WN)) + \
//!              (BM + BN) * depth / threads / 16  // registers
//! require      (BM + BN) * depth <= 256 * threads
//! require      wanted <= 200 && (wanted + 48) * threads <= registers
//! require      shared_bytes <= max_shared
//! require      BM == 64 || BM < 2 * m
//! workspace    blocks * 2 * BM * BN * 4
//! launch       main blocks 1 1 threads shared shared_bytes
//! launch       gather ceil_div(m, BM) * ceil_div(n, BN) 1 1 256
//! start        BM=64,BN=64,depth=64,WM=2,WN=2,stages=4,raster=4,blocks=units,splits=1
#include "mma_pipeline.h"

constexpr i64 kTile = i64{kBM} * kBN;

// The steps of all tiles, the blocks that have any, the first step of a block, the block of a step.
HONE_INLINE i64 steps_of(const Args &a) { return ceil_div(a.m, kBM) * ceil_div(n, kBN) * kSteps; }
HONE_INLINE i64 blocks_of(const Args &a) { return smaller(a.blocks, steps_of(a)); }
HONE_INLINE i64 first_step(const Args &a, i64 block) { return steps_of(a) * block / blocks_of(a); }
HONE_INLINE i64 block_of(const Args &a, i64 step) {
  return ((step + 1) * blocks_of(a) - 1) / steps_of(a);
}
// A block has at most one tile that others began, and one that others end.
HONE_INLINE f32 *partial(const Args &a, i64 block, bool began) {
  return reinterpret_cast<f32 *>(a.workspace) + (block * 2 + (began ? 1 : 0)) * kTile;
}

HONE_GPU_KERNEL(main, threads, 1) {
  if (block_x() >= blocks_of(a)) return;
  u8 *shared = dynamic_shared();
  u8 *piece = shared + wave_index() * Sums::kPiece;
  const i64 end = first_step(a, block_x() + 1);
  for (i64 at = first_step(a, block_x()); at < end;) {
    const int begin = static_cast<int>(at % kSteps);
    const Part part = {begin, static_cast<int>(smaller<i64>(kSteps, begin + end - at))};
    const Tile tile = tile_at(at / kSteps, a.m, kBM, kBN, a.raster);
    Sums sums;
    multiply_tiles(a, shared, tile, part, sums);
    barrier();
    const int row = first_row_of_warp(), column = first_column_of_warp();
    if (part.end - part.begin == kSteps) {
      sums.put(a, piece, tile.row + row, tile.column + column);
    } else {
      f32 *to = partial(a, block_x(), begin == 0) + row * kBN + column;
      sums.put(piece, [&](u32 r, u32 c, f32 (&value)[4]) { store_vector(to + r * kBN + c, value); });
    }
    barrier();
    at += part.end - part.begin;
  }
}

constexpr int kGatherThreads = 256;
HONE_GPU_KERNEL(gather, kGatherThreads) {
  const i64 first = block_of(a, block_x() * kSteps);
  const i64 last = block_of(a, (block_x() + 1) * kSteps - 1);
  if (first == last) return;
  const Tile tile = tile_at(block_x(), a.m, kBM, kBN, a.raster);
  for (int at = thread_index() * 4; at < kTile; at += kGatherThreads * 4) {
    f32 sum[4], other[4];
    load_vector(sum, partial(a, first, true) + at);
    for (i64 block = first + 1; block <= last; ++block) {
      load_vector(other, partial(a, block, false) + at);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[i] += other[i];
    }
    put_sums(a, tile.row + at / kBN, tile.column + at % kBN, sum);
  }
}
