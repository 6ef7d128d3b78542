// Tiles of the gemms with few rows of x: rows of w take the 16-row side of the matrix instruction
// and rows of x its 8 columns, so that m is padded to 8 only.
#pragma once
#include "gemm_gpu.h"
#include "mma.h"

constexpr int kBM = static_cast<int>(BM), kBN = static_cast<int>(BN);
constexpr int kThreads = static_cast<int>(threads), kStages = static_cast<int>(stages);
constexpr int kRun = 16;  // bytes that a lane copies, and of a row of a matrix
using Sum = SumOf<x_t>::type;

// Where a run of a row lies in a tile with rows of `bytes` bytes. Runs change places within their
// 128 bytes, so that what eight lanes read lies in all banks: the same run of eight rows `apart`
// from one another, or (apart = 0) four runs of two neighbouring rows.
constexpr int kLine = 128;
template <int bytes, int apart>
HONE_INLINE int place_of_run(int row, int run) {
  constexpr int runs = kLine / kRun, others = smaller(runs, runs * apart * bytes / kLine);
  const int at = row * (bytes / kRun) + run;
  int other = 0;
  if constexpr (apart > 0) other = row / (bytes < kLine ? 2 : apart) % others;
  if constexpr (apart == 0 && bytes >= kLine) other = row % 2 * (runs / 2);
  return at / runs * kLine + (at % runs ^ other) * kRun;
}
// From the place of a run to that of a later one of its row, `on` a multiple of a power of two that
// the first is less than.
HONE_INLINE int later_run(int place, int on) {
  constexpr int runs = kLine / kRun;
  return (place ^ on % runs * kRun) + on / runs * kLine;
}

// The runs that a thread copies to a tile of `extent` rows of `bytes` bytes out of a matrix with
// rows of `row_bytes`, step after step along its rows. `whole`: no tile reaches beyond the matrix.
template <int extent, int bytes, i64 row_bytes, int apart, bool whole>
struct Stream {
  static constexpr int kRuns = bytes / kRun, kAll = extent * kRuns;
  static constexpr int kRowStep = kThreads / kRuns;  // between two runs of a thread
  static_assert(kThreads % kRuns == 0);
  const u8 *from;
  int rows;  // how many there are from this thread's first on

  HONE_INLINE Stream(const void *matrix, i64 first, i64 there, int step) {
    const int row = thread_index() / kRuns;
    from = static_cast<const u8 *>(matrix) + (first + row) * row_bytes +
           thread_index() % kRuns * kRun + static_cast<i64>(step) * bytes;
    rows = static_cast<int>(smaller<i64>(there - first, extent)) - row;
  }
  // Zeros where there is nothing, or nothing is wanted.
  HONE_INLINE void copy(u8 *tile, int step, bool wanted) {
    const int row = thread_index() / kRuns, run = thread_index() % kRuns;
    const bool within = wanted && (row_bytes % bytes == 0 || step * bytes + run * kRun < row_bytes);
#pragma unroll
    for (int e = 0; e * kThreads < kAll; ++e)
      if (kAll % kThreads == 0 || row + e * kRowStep < extent)
        copy_async(tile + place_of_run<bytes, apart>(row + e * kRowStep, run),
                   from + e * kRowStep * row_bytes, within && (whole || e * kRowStep < rows));
    from += bytes;
  }
};
