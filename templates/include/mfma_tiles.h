// The tiles of a block on matrix cores by MFMA: those of x and w pass through shared memory, the next
// ones on their way in registers while these are multiplied.
#pragma once
#include "gemm_tiles.h"

constexpr int kDown = kRowTile / 16, kAcross = kColumnTile / 16;  // sums of 16 x 16 of a wave
using Sum4 = decltype([] {
  if constexpr (sizeof(x_t) == 1) return i32x4{};
  else return f32x4{};
}());

// T: what the tiles in shared memory hold. next_x, next_w: bring them as Carried does.
template <typename T, typename CarriedX, typename CarriedW>
HONE_INLINE void multiply_tiles(const Args &a, const Tile &tile, const Part &part, CarriedX next_x,
                                CarriedW next_w) {
  const int first_row = wave_index() / static_cast<int>(WN) * kRowTile;
  const int first_column = wave_index() % static_cast<int>(WN) * kColumnTile;
  u8 *shared = dynamic_shared();
  const auto start = [&] {
    next_x.start();
    next_w.start();
  };
  const auto finish = [&](int step) {
    u8 *to = shared + step % stages * kStageBytes;
    next_x.finish(to);
    next_w.finish(to + kBM * kDepth);
  };
  Sum4 sum[kDown][kAcross] = {};
  if (part.begin < part.end) {
    start();
    finish(part.begin);
  }
  barrier();
  const int row = lane_index() % 16, group = lane_index() / 16;
  for (int step = part.begin; step < part.end; ++step) {
    const bool more = step + 1 < part.end;
    if (more) start();
    const u8 *xs = shared + step % stages * kStageBytes, *ws = xs + kBM * kDepth;
#pragma unroll
    for (int run = 0; run < kRuns; run += 4) {
      Words<16> left[kDown], right[kAcross];
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        left[i] = *reinterpret_cast<const Words<16> *>(
            xs + run_place(first_row + i * 16 + row, run + group));
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
        right[j] = *reinterpret_cast<const Words<16> *>(
            ws + run_place(first_column + j * 16 + row, run + group));
      // w first: a lane then has four neighbouring columns of one row of y.
#pragma unroll
      for (int i = 0; i < kDown; ++i)
#pragma unroll
        for (int j = 0; j < kAcross; ++j) multiply_add(T{}, sum[i][j], right[j], left[i]);
    }
    if constexpr (stages == 1) barrier();
    if (more) finish(step + 1);
    barrier();
  }
#pragma unroll
  for (int i = 0; i < kDown; ++i)
#pragma unroll
    for (int j = 0; j < kAcross; ++j) {
      f32 value[4];
#pragma unroll
      for (int c = 0; c < 4; ++c) value[c] = static_cast<f32>(sum[i][j][c]);
      put_sums(a, tile.row + first_row + i * 16 + row,
               tile.column + first_column + j * 16 + group * 4, value);
    }
}
