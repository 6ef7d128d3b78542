// What the matrix-core gemms share: a tile of x or w in shared memory, rows of `depth` bytes along
// k. The 16-byte runs of a row change places by the row, so that the eight rows of a matrix lie in
// different banks.
#pragma once
#include "gemm_gpu.h"
#include "mma.h"

constexpr int kBM = static_cast<int>(BM), kBN = static_cast<int>(BN);
constexpr int kDepth = static_cast<int>(depth), kRuns = kDepth / 16;  // runs of a row
constexpr int kThreads = static_cast<int>(threads);
constexpr i64 kRowBytes = k * static_cast<i64>(sizeof(x_t));
constexpr int kSteps = static_cast<int>(ceil_div(kRowBytes, kDepth));
constexpr int kRowTile = kBM / static_cast<int>(WM), kColumnTile = kBN / static_cast<int>(WN);
constexpr int kStageBytes = (kBM + kBN) * kDepth;
using Sum = SumOf<x_t>::type;

HONE_INLINE int run_place(int row, int run) {
  return row * kDepth + (run ^ row / (8 / kRuns) % kRuns) * 16;
}

// The runs of a tile that a thread brings, step after step. Rows beyond the matrix repeat its last:
// what they give is never stored. `whole`: there are none, and one pointer serves all runs.
template <int extent, bool whole>
struct Runs {
  static constexpr int kAll = extent * kRuns, kEach = (kAll + kThreads - 1) / kThreads;
  static constexpr i64 kStride = kThreads / kRuns * kRowBytes;  // between the runs of a thread
  const u8 *from[whole ? 1 : kEach];

  HONE_INLINE Runs(const void *matrix, i64 first, i64 rows, int step) {
#pragma unroll
    for (int e = 0; e < (whole ? 1 : kEach); ++e) {
      const int at = thread_index() + e * kThreads;
      const i64 row = whole ? first + at / kRuns : smaller(first + at / kRuns, rows - 1);
      from[e] = static_cast<const u8 *>(matrix) + row * kRowBytes + at % kRuns * 16 +
                static_cast<i64>(step) * kDepth;
    }
  }
  // Calls f(place in the tile, source, whether it lies within k, e); then goes on by a step.
  template <typename F>
  HONE_INLINE void next(int step, F f) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads;
      if (kAll % kThreads == 0 || at < kAll)
        f(run_place(at / kRuns, at % kRuns), whole ? from[0] + e * kStride : from[e],
          kRowBytes % kDepth == 0 || step * kDepth + at % kRuns * 16 < kRowBytes, e);
    }
#pragma unroll
    for (int e = 0; e < (whole ? 1 : kEach); ++e) from[e] += kDepth;
  }
};
using RunsOfX = Runs<kBM, false>;
using RunsOfW = Runs<kBN, n % kBN == 0>;
