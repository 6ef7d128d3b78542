// For few rows of x: a team of lanes shares `columns` rows of w, which stream from memory once, and
// multiplies them with MR rows of x. Lanes next to one another read what lies next to one another.
//! serves       cuda hip
//! when         x != s8 && !quantised
//! fixed        n k
//! param        team 8 16 32 64
//! param        threads 64 128 256
//! param        vec 1 2 4 8 16                  // elements along k in one access
//! param        columns 1 2 4                   // of y, with a team
//! param        MR 1 2 4 8
//! launch_param splits 1 2 4 8                  // of k
//! require      threads % wave == 0 && team <= wave
//! require      k % vec == 0 && size(w, vec) <= 32
//! require      (MR + columns) * vec + MR * columns <= 112
//! require      MR == 1 || MR < 2 * m
//! require      splits == 1 || splits * team * vec * 2 <= k
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(n, threads / team * columns) * ceil_div(m, MR) splits 1 threads
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        team=32,threads=128,vec=k%8==0&&w!=f32?8:k%4==0?4:1,columns=2,\
//!              MR=m>=4?4:1,splits=1
#include "gemm_gpu.h"

constexpr int kTeam = static_cast<int>(team), kVec = static_cast<int>(vec);
constexpr int kTeams = static_cast<int>(threads) / kTeam;
constexpr int kColumns = static_cast<int>(columns), kRows = static_cast<int>(MR);
constexpr int kSteps = static_cast<int>(ceil_div(k, kTeam * kVec));

HONE_GPU_KERNEL(main, threads) {
  // Blocks that share rows of w follow one another: the later ones find them in L2.
  const i64 down = ceil_div(a.m, kRows);
  const i64 row = block_x() % down * kRows;
  const i64 column = (block_x() / down * kTeams + thread_index() / kTeam) * kColumns;
  const int lane = thread_index() % kTeam;
  const Part part = part_of(kSteps, block_y(), a.splits);
  f32 sum[kRows][kColumns] = {};
  for (int step = part.begin; step < part.end; ++step) {
    const i64 at = (static_cast<i64>(step) * kTeam + lane) * kVec;
    if (at >= k) break;
    f32 left[kRows][kVec];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int i = 0; i < kVec; ++i) left[r][i] = 0;
      if (row + r < a.m) load_vector(left[r], a.x + (row + r) * k + at);
    }
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      if (column + c >= n) break;
      f32 right[kVec];
      load_run(right, a.w, (column + c) * k + at);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int i = 0; i < kVec; ++i) sum[r][c] += left[r][i] * right[i];
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      sum[r][c] = reduce_lanes<kTeam>(sum[r][c], [](f32 p, f32 q) { return p + q; });
    if (lane == r) put_sums(a, row + r, column, sum[r]);
  }
}
