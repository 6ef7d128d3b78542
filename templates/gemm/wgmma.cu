// Tensor cores of sm_90a by wgmma, warp-specialised: one warpgroup brings tiles of x and w into
// `stages` buffers of shared memory, the others, each with 64 rows of the tile, multiply straight
// out of them. Barriers in shared memory say which buffers are full and which are free.
//! serves       cuda
//! when         sm == 90 && k * size(x, 1) % 16 == 0 && \
//!              (x == w && (x == f16 || x == bf16) || x == s8 && k <= 131072)
//! fixed        n k
//! param        users 1 2                       // warpgroups that multiply
//! param        BN 128 256
//! param        stages 3 4 5 6
//! launch_param raster 1 4 8 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          BM = 64 * users
//! let          depth = 128
//! let          threads = 128                   // that copy
//! let          WM = 4 * users
//! let          WN = 1
//! let          tiles_bytes = max(stages * (BM + BN) * depth, WM * BN * 64)
//! let          shared_bytes = 1024 + tiles_bytes + 16 * stages
//! require      shared_bytes <= max_shared
//! require      BM == 64 || BM < 2 * m
//! require      splits == 1 || splits * depth * 4 <= k * size(x, 1)
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads * (users + 1) \
//!              shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        users=1,BN=128,stages=4,raster=1,splits=1
#include "mma_tiles.h"
#include "wgmma.h"

constexpr int kStages = static_cast<int>(stages), kUsers = static_cast<int>(users);
constexpr int kBehind = kStages - 2;  // steps whose copies are under way

// A buffer of the ring, and how often the ring has gone round.
struct Turn {
  int stage = 0;
  u32 parity = 0;
  HONE_INLINE void next() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

HONE_GPU_KERNEL(main, kThreads * (kUsers + 1), 1) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(kSteps, block_y(), a.splits);
  u8 *shared = dynamic_shared();
  shared += (kTileAlign - shared_address(shared) % kTileAlign) % kTileAlign;
  u64 *full = reinterpret_cast<u64 *>(shared + tiles_bytes), *free = full + kStages;
  if (thread_index() == 0) {
    for (int s = 0; s < kStages; ++s) {
      start_barrier(full + s, kThreads);
      start_barrier(free + s, 4 * kUsers);
    }
  }
  barrier();
  const int group = shuffle(wave_index(), 0) / 4;  // one number for the whole warp
  int left = part.end - part.begin;                // steps
  Turn turn;
  if (group == 0) {
    RunsOfX runs_x(a.x, tile.row, a.m, part.begin);
    RunsOfW runs_w(a.w, tile.column, n, part.begin);
    Turn copied;
    for (int step = 0; step < left + kBehind; ++step) {
      if (step < left) {
        wait_for(free + turn.stage, turn.parity ^ 1);
        u8 *stage = shared + turn.stage * kStageBytes;
        runs_x.each(0, 1, [&](int e, const u8 *from, bool there) {
          copy_async(runs_x.place(stage, e), from, there);
        });
        runs_w.each(0, 1, [&](int e, const u8 *from, bool there) {
          copy_async(runs_w.place(stage + kBM * kDepth, e), from, there);
        });
        runs_x.next();
        runs_w.next();
        turn.next();
      }
      commit_copies();  // empty groups keep the count
      if (step < kBehind) continue;
      wait_for_copies<kBehind>();
      publish_tiles();
      arrive(full + copied.stage);
      copied.next();
    }
    return;
  }
  Sums sums;
  const u64 x_tile = tile_descriptor(shared + (group - 1) * 64 * kDepth);
  const u64 w_tile = tile_descriptor(shared + kBM * kDepth);
  for (; left > 0; --left) {
    wait_for(full + turn.stage, turn.parity);
    const u64 stage = static_cast<u64>(turn.stage * (kStageBytes / 16));
    begin_products();
#pragma unroll
    for (int run = 0; run < kRuns; run += 2)
      add_product(x_t{}, sums.of[0], x_tile + stage + run, w_tile + stage + run);
    commit_products();
    wait_for_products();
    if (lane_index() == 0) arrive(free + turn.stage);  // each warp for itself
    turn.next();
  }
  barrier_among<1, kUsers * kWarpgroup>();  // nobody reads tiles any more
  const int warp = wave_index() - 4;
  sums.put(a, shared + warp * Sums::kPiece, tile.row + warp * 16, tile.column);
}
