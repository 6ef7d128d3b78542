// What the tensor-core gemms share: a warp's part of the tile, kRowTile x kColumnTile, as the
// instructions of mma.h hold it.
#pragma once
#include "gemm_tiles.h"

constexpr int kDown = kRowTile / 16, kAcross = kColumnTile / 8;  // sums of 16 x 8

// What the instructions of two runs of k read.
struct Operands {
  u32 left[kDown][4], right[kAcross / 2][4];

  // Of x, 16 rows: by the lane's low four bits, second run for lanes 16 and up. Of w, 16 columns:
  // columns 0 .. 7 for lanes 0 .. 15, second run for every other eight lanes.
  HONE_INLINE void load(const u8 *stage, int first_row, int first_column, int run) {
    const int lane = lane_index();
    const u8 *xs = stage + run_place(first_row + lane % 16, run + lane / 16);
    const u8 *ws = stage + kBM * kDepth +
                   run_place(first_column + lane % 8 + lane / 16 * 8, run + lane / 8 % 2);
#pragma unroll
    for (int i = 0; i < kDown; ++i) load_matrices(left[i], xs + i * 16 * kDepth);
#pragma unroll
    for (int j = 0; j < kAcross / 2; ++j) load_matrices(right[j], ws + j * 16 * kDepth);
  }
};

struct Sums {
  Sum of[kDown][kAcross][4] = {};

  HONE_INLINE void add(const Operands &operands) {
#pragma unroll
    for (int i = 0; i < kDown; ++i)
#pragma unroll
      for (int j = 0; j < kAcross; ++j)
        multiply_add(x_t{}, of[i][j], operands.left[i], operands.right[j / 2][j % 2 * 2],
                     operands.right[j / 2][j % 2 * 2 + 1]);
  }

  // Calls f(row, column, value[4]) for four neighbours of the warp's part, 16 rows at a time through the warp's own piece of shared memory (kPiece
  // bytes), so that neighbouring lanes store neighbouring columns. The eight columns of an
  // instruction change places by the row, for the banks.
  static constexpr u32 kPiece = 16 * kColumnTile * 4, kVectors = kColumnTile / 4;
  HONE_INLINE static u32 place(u32 row, u32 columns) {  // columns: which eight
    constexpr u32 changes = smaller(kAcross, 4);
    return (row * kAcross + (columns ^ row / (4 / changes) % changes)) * 32;
  }
  template <typename F>
  HONE_INLINE void put(u8 *piece, F f) const {
    const u32 lane = static_cast<u32>(lane_index());
#pragma unroll
    for (int i = 0; i < kDown; ++i) {
#pragma unroll
      for (u32 j = 0; j < kAcross; ++j)
#pragma unroll
        for (u32 half = 0; half < 2; ++half) {
          const f32 low = static_cast<f32>(of[i][j][2 * half]),
                    high = static_cast<f32>(of[i][j][2 * half + 1]);
          *reinterpret_cast<Words<8> *>(piece + place(lane / 4 + 8 * half, j) + lane % 4 * 8) = {
              __builtin_bit_cast(u32, low), __builtin_bit_cast(u32, high)};
        }
      wave_barrier();
#pragma unroll 1
      for (u32 at = lane; at < 16 * kVectors; at += kWave) {
        const u32 row = at / kVectors, vector = at % kVectors;
        f32 value[4];
        load_vector(value, reinterpret_cast<const f32 *>(piece + place(row, vector / 2)) +
                               vector % 2 * 4);
        f(i * 16 + row, vector * 4, value);
      }
      wave_barrier();
    }
  }
  // To where they belong.
  HONE_INLINE void put(const Args &a, u8 *piece, i64 first_row, i64 first_column) const {
    put(piece, [&](u32 row, u32 column, f32 (&value)[4]) {
      put_sums(a, first_row + row, first_column + column, value);
    });
  }
};
