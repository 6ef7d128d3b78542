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

// The runs of a tile of `extent` rows that a thread brings, step after step: run e is that of every
// kRowStep-th row. Rows beyond the matrix repeat its last: what they give is never stored. `whole`:
// there are none.
template <int extent, bool whole>
struct Runs {
  static constexpr int kAll = extent * kRuns, kEach = (kAll + kThreads - 1) / kThreads;
  static constexpr int kRowStep = kThreads / kRuns;
  static_assert(kRowStep % 8 == 0);  // a thread's runs change places alike
  const u8 *tile;                    // in the matrix, of this step
  u32 offset[kEach];
  int step;

  HONE_INLINE Runs(const void *matrix, i64 first, i64 rows, int begin) : step(begin) {
    const int row = thread_index() / kRuns, run = thread_index() % kRuns;
    tile = static_cast<const u8 *>(matrix) + first * kRowBytes + static_cast<i64>(step) * kDepth;
    const int last = static_cast<int>(smaller<i64>(rows - first, extent)) - 1;
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int of = whole ? row + e * kRowStep : smaller(row + e * kRowStep, last);
      offset[e] = static_cast<u32>(of) * static_cast<u32>(kRowBytes) + static_cast<u32>(run * 16);
    }
  }
  // Calls f(e, source, whether it lies within k) for part `part` of `parts` of this step's runs.
  template <typename F>
  HONE_INLINE void each(int part, int parts, F f) const {
    const bool within = kRowBytes % kDepth == 0 ||
                        step * kDepth + thread_index() % kRuns * 16 < kRowBytes;
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      if (e * parts / kEach == part &&
          (kAll % kThreads == 0 || thread_index() + e * kThreads < kAll))
        f(e, tile + offset[e], within);
  }
  HONE_INLINE void next() {
    tile += kDepth;
    ++step;
  }
  // Where run e lies in a tile in shared memory.
  HONE_INLINE static u8 *place(u8 *to, int e) {
    return to + run_place(thread_index() / kRuns, thread_index() % kRuns) + e * kRowStep * kDepth;
  }
};
using RunsOfX = Runs<kBM, false>;
using RunsOfW = Runs<kBN, n % kBN == 0>;

// The runs of a step in registers, on their way to shared memory.
template <typename Runs>
struct Carried {
  Runs runs;
  Words<16> value[Runs::kEach];

  HONE_INLINE void start() {
    runs.each(0, 1, [&](int e, const u8 *from, bool there) {
      value[e] = there ? *reinterpret_cast<const Words<16> *>(from) : Words<16>{};
    });
    runs.next();
  }
  HONE_INLINE void finish(u8 *tile) const {
    runs.each(0, 1, [&](int e, const u8 *, bool) {
      *reinterpret_cast<Words<16> *>(runs.place(tile, e)) = value[e];
    });
  }
};
