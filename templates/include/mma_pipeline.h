// The loop of the tiled gemms with asynchronous copies: tiles of x and w stream through `stages`
// buffers of shared memory; warps read their parts with ldmatrix, each part while the one before is
// multiplied, from one tile to the next.
#pragma once
#include "mma_tiles.h"

constexpr int kStages = static_cast<int>(stages), kRing = kStages * kStageBytes;
constexpr int kParts = kRuns / 2 - 1;  // in which the next tiles are brought while these are read

HONE_INLINE int next_stage(int offset) {
  return offset + kStageBytes == kRing ? 0 : offset + kStageBytes;
}

HONE_INLINE int first_row_of_warp() { return wave_index() / static_cast<int>(WN) * kRowTile; }
HONE_INLINE int first_column_of_warp() {
  return wave_index() % static_cast<int>(WN) * kColumnTile;
}

// Adds what the steps of `part` give for the tile. All threads of the block; the tiles' memory is
// free after the next barrier.
HONE_INLINE void multiply_tiles(const Args &a, u8 *shared, const Tile &tile, const Part &part,
                                Sums &sums) {
  const int first_row = first_row_of_warp(), first_column = first_column_of_warp();
  RunsOfX runs_x(a.x, tile.row, a.m, part.begin);
  RunsOfW runs_w(a.w, tile.column, n, part.begin);
  int left = part.end - part.begin;  // steps
  // One of kParts parts of the tiles of the step that is `ahead` of this one.
  const auto fetch = [&](int part, int ahead, u8 *stage) {
    if (ahead < left) {
      runs_x.each(part, kParts, [&](int e, const u8 *from, bool there) {
        copy_async(runs_x.place(stage, e), from, there);
      });
      runs_w.each(part, kParts, [&](int e, const u8 *from, bool there) {
        copy_async(runs_w.place(stage + kBM * kDepth, e), from, there);
      });
    }
    if (part + 1 == kParts) {
      runs_x.next();
      runs_w.next();
      commit_copies();  // empty groups keep the count
    }
  };

#pragma unroll 1
  for (int s = 0; s < kStages - 1; ++s)
#pragma unroll
    for (int p = 0; p < kParts; ++p) fetch(p, s, shared + s * kStageBytes);
  int used = 0, unused = kRing - kStageBytes;  // offsets of the stages read and filled next
  Operands operands[2];
  if (left > 0) {
    wait_for_copies<kStages - 2>();
    barrier();
    operands[0].load(shared, first_row, first_column, 0);
  }
  for (; left > 0; --left) {
#pragma unroll
    for (int run = 0; run < kRuns; run += 2) {
      if (run + 2 == kRuns) {
        // The next step's tiles are here for all, and nobody reads this step's any more.
        wait_for_copies<kStages - 2>();
        barrier();
        unused = used;
        if (left > 1) used = next_stage(used);
      }
      operands[(run / 2 + 1) % 2].load(shared + used, first_row, first_column, (run + 2) % kRuns);
      if (run / 2 < kParts) fetch(run / 2, kStages - 1, shared + unused);
      sums.add(operands[run / 2 % 2]);
    }
  }
}
