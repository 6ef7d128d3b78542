// The packed form of w in block formats that the GPU variants share, `bands`: bands of 32 rows of w
// (those beyond n are zero), a tile of 32 elements of k after the other. In a tile, lane l of 32 has
// rows 4 * (l / 4) + j, j < 4, of which elements 8 * (l % 4) and on: in 16 bytes the four rows of
// four-bit quants, in twice 16 bytes, 512 apart, two rows each of q8_0. That is what a lane
// multiplies at once in a vector kernel, and its part of two 16 x 16 matrices for tensor cores. The
// factors of the 32 rows follow: scales, or for q4_1 pairs of scale and minimum.
#pragma once
#include "numeric_gpu.h"

constexpr int kBand = 32, kBlock = 32;  // rows, elements of k
constexpr int kTileLanes = 32, kLaneRows = 4, kLaneDepth = 8;
constexpr int kRowWords = w == word::q8_0 ? 2 : 1;  // 32-bit words of a row of a lane
constexpr int kPartBytes = kTileLanes * 16, kParts = kRowWords;
constexpr int kFactorBytes = kBand * (w == word::q4_1 ? 4 : 2);
constexpr int kTileBytes = kParts * kPartBytes + kFactorBytes;
constexpr i64 kBands = ceil_div(n, kBand), kBlocks = k / kBlock;

// A lane's part of a tile, as it lies there.
struct Quants {
  static constexpr int kFactors = kFactorBytes / (kBand / kLaneRows);  // bytes
  Words<16> part[kParts];
  Words<kFactors> factors;

  HONE_INLINE void load(const u8 *tile, int lane) {
#pragma unroll
    for (int i = 0; i < kParts; ++i)
      part[i] = reinterpret_cast<const Words<16> *>(tile + i * kPartBytes)[lane];
    factors = reinterpret_cast<const Words<kFactors> *>(
        tile + kParts * kPartBytes)[lane / (kTileLanes * kLaneRows / kBand)];
  }
};

// A row's part of a tile. Byte quants get an offset of 128, and elements 1 and 2 of four change
// places: the halves of a word are then neighbours, as they are in words of four-bit ones.
template <typename T>
HONE_INLINE void pack_row(const T &block, int row, u8 *tile) {
#pragma unroll
  for (int part = 0; part < kBlock / kLaneDepth; ++part) {
    u32 words[kRowWords] = {};
    const int lane = row / kLaneRows * (kTileLanes * kLaneRows / kBand) + part;
    const int first = part * kLaneDepth;
    u8 *to = tile + lane * 16;
    if constexpr (w == word::q8_0) {
      constexpr int order[4] = {0, 2, 1, 3};
#pragma unroll
      for (int i = 0; i < kLaneDepth; ++i)
        words[i / 4] |= static_cast<u32>(block.values[first + i / 4 * 4 + order[i % 4]] + 128)
                        << i % 4 * 8;
      to += row % kLaneRows / 2 * kPartBytes + row % 2 * 8;
    } else {
#pragma unroll
      for (int i = 0; i < kLaneDepth; ++i)
        words[0] |= static_cast<u32>(nibble(block.values, first + i)) << (i % 2 * 16 + i / 2 * 4);
      to += row % kLaneRows * 4;
    }
#pragma unroll
    for (int i = 0; i < kRowWords; ++i) reinterpret_cast<u32 *>(to)[i] = words[i];
  }
  f16 *factors = reinterpret_cast<f16 *>(tile + kParts * kPartBytes);
  if constexpr (w == word::q4_1) {
    factors[2 * row] = block.scale;
    factors[2 * row + 1] = block.minimum;
  } else {
    factors[row] = block.scale;
  }
}

HONE_GPU_PACK(w) {
  const w_t *blocks = reinterpret_cast<const w_t *>(from);
  const i64 all = kBands * kBlocks * kBand, stride = grid_x() * kPackThreads;
  for (i64 at = block_x() * kPackThreads + thread_index(); at < all; at += stride) {
    const i64 tile = at / kBand, row = tile / kBlocks * kBand + at % kBand;
    w_t block{};
    if (row < n) block = blocks[row * kBlocks + tile % kBlocks];
    pack_row(block, static_cast<int>(at % kBand), to + tile * kTileBytes);
  }
}
