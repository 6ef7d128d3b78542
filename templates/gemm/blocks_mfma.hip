// Weights in block formats on matrix cores by MFMA, as in mfma.hip: they are packed as for blocks.cu
// and become 16-bit numbers on their way from registers to shared memory, of x's type or, with x = f32,
// bf16, to which x is rounded then too.
//! serves       hip
//! when         has_mfma && quantised
//! fixed        n k
//! param        BM 16 32 64 128 256
//! param        BN 32 64 128 256
//! param        depth 64 128                    // bytes of k in a tile
//! param        WM 1 2 4
//! param        WN 1 2 4
//! param        stages 1 2
//! launch_param raster 1 4 8 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = WM * WN * 64
//! let          tile_bytes = w == q8_0 ? 1088 : w == q4_0 ? 576 : 640
//! let          shared_bytes = stages * (BM + BN) * depth
//! require      BM % (16 * WM) == 0 && BN % (16 * WN) == 0
//! require      BM * BN <= 64 * threads && BM * BN >= 4 * threads
//! require      BM * depth <= 128 * threads && BN * depth <= 128 * threads
//! require      shared_bytes <= max_shared
//! require      BM == 16 || BM < 2 * m
//! require      splits == 1 || splits * depth * 2 <= k
//! pack         w bands ceil_div(n, 32) * (k / 32) * tile_bytes
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=16,BN=64,depth=64,WM=1,WN=4,stages=2,raster=1,splits=1
#include "gemm_halves.h"
#include "mfma_tiles.h"

using Half = decltype([] {
  if constexpr (x == word::f16) return f16{};
  else return bf16{};
}());
constexpr int kDeep = kDepth / 64;  // blocks of k in a tile

// The runs of the tiles of x that a thread carries, eight elements each.
struct CarriedX {
  static constexpr int kAll = kBM * kRuns, kEach = (kAll + kThreads - 1) / kThreads;
  static constexpr int kParts = static_cast<int>(sizeof(x_t)) / 2;  // of 16 bytes
  const x_t *rows;
  i64 left;  // rows from the first on
  int step;
  Words<16> value[kEach][kParts];

  HONE_INLINE void start() {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads, row = at / kRuns;
      const i64 first = static_cast<i64>(step) * (kDepth / 2) + at % kRuns * 8;
      const bool there = (kAll % kThreads == 0 || at < kAll) && row < left && first < k;
#pragma unroll
      for (int i = 0; i < kParts; ++i)
        value[e][i] =
            there ? reinterpret_cast<const Words<16> *>(rows + row * k + first)[i] : Words<16>{};
    }
    ++step;
  }
  HONE_INLINE void finish(u8 *to) const {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads;
      if (kAll % kThreads != 0 && at >= kAll) break;
      Words<16> words = value[e][0];
      if constexpr (kParts == 2) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const u32 *pair = value[e][i / 2].word + i % 2 * 2;
          words.word[i] = pair_of(bf16{}, __builtin_bit_cast(f32, pair[0]),
                                  __builtin_bit_cast(f32, pair[1]));
        }
      }
      *reinterpret_cast<Words<16> *>(to + run_place(at / kRuns, at % kRuns)) = words;
    }
  }
};

// The lanes' parts of the tiles of w that a thread carries: four rows, a run of each.
struct CarriedBands {
  static constexpr int kAll = kBN * kDeep;
  static constexpr int kEach = (kAll + kThreads - 1) / kThreads;
  const u8 *packed;
  i64 first_band;
  int step;
  Quants value[kEach];

  HONE_INLINE void start() {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads, tile = at / kTileLanes;
      const i64 band = first_band + tile / kDeep, block = step * kDeep + tile % kDeep;
      value[e] = {};
      if ((kAll % kThreads == 0 || at < kAll) && band < kBands && block < kBlocks)
        value[e].load(packed + (band * kBlocks + block) * kTileBytes, at % kTileLanes);
    }
    ++step;
  }
  HONE_INLINE void finish(u8 *to) const {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int at = thread_index() + e * kThreads, tile = at / kTileLanes, lane = at % kTileLanes;
      if (kAll % kThreads != 0 && at >= kAll) break;
      const int row = tile / kDeep * kBand + lane / 4 * kLaneRows, run = tile % kDeep * 4 + lane % 4;
      put<0>(to + run_place(row, run), value[e]);
      put<1>(to + run_place(row + 1, run), value[e]);
      put<2>(to + run_place(row + 2, run), value[e]);
      put<3>(to + run_place(row + 3, run), value[e]);
    }
  }

 private:
  template <int row>
  HONE_INLINE static void put(u8 *to, const Quants &from) {
    Words<16> words;
    weights_of_row<Half, row>(words.word, from);
    *reinterpret_cast<Words<16> *>(to) = words;
  }
};

HONE_GPU_KERNEL(main, threads) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(static_cast<int>(ceil_div(kBlocks, kDeep)), block_y(), a.splits);
  multiply_tiles<Half>(a, tile, part, CarriedX{a.x + tile.row * k, a.m - tile.row, part.begin, {}},
                       CarriedBands{a.w, tile.column / kBand, part.begin, {}});
}
