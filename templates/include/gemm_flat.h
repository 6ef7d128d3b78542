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

// Runs on their way from global to shared memory: behind the threads' back, or before sm_80 in
// registers from bring() to settle(). Zeros where nothing is `there`.
template <int count>
struct Copies {
  Words<kRun> held[has_cp_async ? 1 : count];

  HONE_INLINE void bring(int e, u8 *to, const u8 *from, bool there) {
    if constexpr (has_cp_async)
      copy_async(to, from, there);
    else
      held[e] = there ? *reinterpret_cast<const Words<kRun> *>(from) : Words<kRun>{};
  }
  HONE_INLINE void settle(int e, u8 *to) const {
    if constexpr (!has_cp_async) *reinterpret_cast<Words<kRun> *>(to) = held[e];
  }
};
HONE_INLINE void commit_stage() {
  if constexpr (has_cp_async) commit_copies();
}
// The oldest of the stages under way is here for all threads, and they are done with the one before.
HONE_INLINE void next_stage_for_all() {
  if constexpr (has_cp_async) wait_for_copies<kStages - 2>();
  barrier();
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
  Copies<(kAll + kThreads - 1) / kThreads> copies;

  HONE_INLINE Stream(const void *matrix, i64 first, i64 there, int step) {
    const int row = thread_index() / kRuns;
    from = static_cast<const u8 *>(matrix) + (first + row) * row_bytes +
           thread_index() % kRuns * kRun + static_cast<i64>(step) * bytes;
    rows = static_cast<int>(smaller<i64>(there - first, extent)) - row;
  }
  // Calls f(e, place in the tile) for each run.
  template <typename F>
  HONE_INLINE void each(u8 *tile, F f) {
    const int row = thread_index() / kRuns, run = thread_index() % kRuns;
#pragma unroll
    for (int e = 0; e * kThreads < kAll; ++e)
      if (kAll % kThreads == 0 || row + e * kRowStep < extent)
        f(e, tile + place_of_run<bytes, apart>(row + e * kRowStep, run));
  }
  // Zeros where there is nothing, or nothing is wanted.
  HONE_INLINE void copy(u8 *tile, int step, bool wanted) {
    const int run = thread_index() % kRuns;
    const bool within = wanted && (row_bytes % bytes == 0 || step * bytes + run * kRun < row_bytes);
    each(tile, [&](int e, u8 *to) {
      copies.bring(e, to, from + e * kRowStep * row_bytes,
                   within && (whole || e * kRowStep < rows));
    });
    from += bytes;
  }
  HONE_INLINE void settle(u8 *tile) {
    each(tile, [&](int e, u8 *to) { copies.settle(e, to); });
  }
};
