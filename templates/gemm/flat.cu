// Few rows of x on tensor cores (the flat GEMM of FlashDecoding++, arXiv 2311.01282): the rows of w
// take the 16-row side of mma.sync and stream through `stages` buffers of shared memory once, x
// beside them. Two stages and no split of k are the paper's double buffering.
//! serves       cuda
//! when         has_mma && x == w && x != f32 && (has_cp_async || x != bf16) && \
//!              (x != s8 || k <= 131072) && k * size(x, 1) % 16 == 0
//! fixed        n k
//! param        BM 8 16 32 64                   // rows of x
//! param        BN 16 32 64 128 256             // rows of w
//! param        depth 64 128 256                // bytes of k in a tile
//! param        warps 1 2 4 8
//! param        stages 2 3 4 5 6 8
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = warps * 32
//! let          shared_bytes = stages * (BM + BN) * depth
//! require      BN % (16 * warps) == 0 && BM * BN <= 64 * threads
//! require      (BM + BN) * depth <= (has_cp_async ? 512 : 192) * threads
//! require      shared_bytes <= max_shared
//! require      BM == 8 || BM < 2 * m
//! require      splits == 1 || splits * depth * 4 <= k * size(x, 1)
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=m>32?64:m>16?32:m>8?16:8,BN=32,depth=has_cp_async?128:64,\
//!              warps=2,stages=4,splits=1
//! preset       flashdecoding++
#include "gemm_flat.h"

constexpr int kDepth = static_cast<int>(depth);
constexpr i64 kRowBytes = k * static_cast<i64>(sizeof(x_t));
constexpr int kStageBytes = (kBM + kBN) * kDepth;
constexpr int kTall = kBN / static_cast<int>(warps) / 16, kWide = kBM / 8;  // sums of a warp

HONE_GPU_KERNEL(main, threads, 1) {
  // Blocks that share rows of w follow one another: the later ones find them in L2.
  const i64 down = ceil_div(a.m, kBM);
  const i64 row = block_x() % down * kBM, column = block_x() / down * kBN;
  const Part part = part_of(static_cast<int>(ceil_div(kRowBytes, kDepth)), block_y(), a.splits);
  Stream<kBN, kDepth, kRowBytes, 2, n % kBN == 0> ws(a.w, column, n, part.begin);
  Stream<kBM, kDepth, kRowBytes, 1, false> xs(a.x, row, a.m, part.begin);
  u8 *shared = dynamic_shared();
  int filled = 0, used = 0;  // offsets of the stages that are filled and read next
  const auto next_stage = [](int &offset) {
    offset = offset + kStageBytes == kStages * kStageBytes ? 0 : offset + kStageBytes;
  };
  const auto fetch = [&](int step) {
    ws.copy(shared + filled, step, step < part.end);
    xs.copy(shared + filled + kBN * kDepth, step, step < part.end);
    commit_stage();
  };
  const auto settle = [&] {
    ws.settle(shared + filled);
    xs.settle(shared + filled + kBN * kDepth);
    next_stage(filled);
  };
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    fetch(part.begin + s);
    settle();
  }

  const int lane = lane_index();
  const int first = wave_index() * kTall * 16;  // row of w in the tile
  // Of w, lanes 0 .. 7 give even rows of the tile, 8 .. 15 odd ones: a lane then has neighbouring
  // columns of y.
  const int w_place =
      place_of_run<kDepth, 2>(first + lane % 8 * 2 + lane / 8 % 2, lane / 16);
  const int x_place = place_of_run<kDepth, 1>(lane % 8, lane / 8);
  Sum sum[kTall][kWide][4] = {};
  for (int step = part.begin; step < part.end; ++step) {
    next_stage_for_all();
    fetch(step + kStages - 1);
    const u8 *w_tile = shared + used, *x_tile = w_tile + kBN * kDepth;
#pragma unroll
    for (int run = 0; run < kDepth / kRun; run += 4) {
      u32 right[kWide][4];
#pragma unroll
      for (int j = 0; j < kWide; ++j)
        load_matrices(right[j], x_tile + later_run(x_place, run) + j * 8 * kDepth);
#pragma unroll
      for (int i = 0; i < kTall; ++i)
#pragma unroll
        for (int half = 0; half < 4; half += 2) {
          u32 left[4];
          load_matrices(left, w_tile + later_run(w_place, run + half) + i * 16 * kDepth);
#pragma unroll
          for (int j = 0; j < kWide; ++j)
            multiply_add(x_t{}, sum[i][j], left, right[j][half], right[j][half + 1]);
        }
    }
    settle();
    next_stage(used);
  }
#pragma unroll
  for (int i = 0; i < kTall; ++i)
#pragma unroll
    for (int j = 0; j < kWide; ++j)
#pragma unroll
      for (int next = 0; next < 2; ++next) {
        f32 value[2] = {static_cast<f32>(sum[i][j][next]), static_cast<f32>(sum[i][j][2 + next])};
        put_sums(a, row + j * 8 + lane % 4 * 2 + next, column + first + i * 16 + lane / 4 * 2, value);
      }
}
