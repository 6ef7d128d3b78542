// What the GPU's gemm variants share: which tile a block has, which part of k, and the way from
// finished sums to y. The parts of a k cut in `splits` meet in the workspace, [split][m][n] f32.
#pragma once
#include "activation_gpu.h"

// Tiles go over `raster` tiles of rows before they go to the next tile of columns: neighbours in
// time share a panel of w and a few panels of x in L2.
struct Tile {
  i64 row, column;  // first
};
HONE_INLINE Tile tile_at(i64 index, i64 rows, int tile_rows, int tile_columns, i64 raster) {
  const i64 down = ceil_div(rows, tile_rows), across = ceil_div(n, tile_columns);
  const i64 band = index / (raster * across), within = index % (raster * across);
  const i64 height = smaller(raster, down - band * raster);
  return {(band * raster + within % height) * tile_rows, within / height * tile_columns};
}
HONE_INLINE Tile tile_of_block(i64 rows, int tile_rows, int tile_columns, i64 raster) {
  return tile_at(block_x(), rows, tile_rows, tile_columns, raster);
}

// Steps [begin, end) of `steps` that split `split` has.
struct Part {
  int begin, end;
};
HONE_INLINE Part part_of(int steps, i64 split, i64 splits) {
  const int each = (steps + static_cast<int>(splits) - 1) / static_cast<int>(splits);
  const int begin = smaller(steps, static_cast<int>(split) * each);
  return {begin, smaller(steps, begin + each)};
}

HONE_INLINE f32 activate(f32 v) {
  if constexpr (epilogue == word::bias_relu) return relu(v);
  if constexpr (epilogue == word::bias_gelu || epilogue == word::gelu_gate) return gelu(v);
  if constexpr (epilogue == word::bias_gelu_tanh || epilogue == word::gelu_tanh_gate)
    return gelu_tanh(v);
  if constexpr (epilogue == word::silu_gate) return sigmoid_times(v);
  return v;
}

// `count` neighbouring columns of a row of y, all of them there and y + row * n + column aligned to
// them. y may be the residual itself.
template <int count>
HONE_INLINE void finish_columns(const Args &a, i64 row, i64 column, f32 (&value)[count]) {
  const i64 at = row * n + column;
  f32 other[count];
  if constexpr (x == word::s8) {
    const f32 scale = a.x_scale[row];
    load_vector(other, a.w_scale + column);
#pragma unroll
    for (int i = 0; i < count; ++i) value[i] *= scale * other[i];
  }
  if constexpr (biased) {
    load_vector(other, a.bias + column);
#pragma unroll
    for (int i = 0; i < count; ++i) value[i] += other[i];
  }
  if constexpr (gated) {
    load_vector(other, a.gate + at);
#pragma unroll
    for (int i = 0; i < count; ++i) value[i] *= activate(other[i]);
  } else {
#pragma unroll
    for (int i = 0; i < count; ++i) value[i] = activate(value[i]);
  }
  if constexpr (epilogue == word::residual || epilogue == word::bias_residual) {
    load_vector(other, a.residual + at);
#pragma unroll
    for (int i = 0; i < count; ++i) value[i] += other[i];
  }
  store_vector(a.y + at, value);
}

// `count` (a power of two up to 4) neighbouring columns of sums, of which those beyond n and rows
// beyond m don't count: to y, or to the workspace when k is split.
template <int count>
HONE_INLINE void put_sums(const Args &a, i64 row, i64 column, f32 (&value)[count]) {
  if (row >= a.m) return;
  f32 *part = reinterpret_cast<f32 *>(a.workspace) + (block_y() * a.m + row) * n + column;
  if constexpr (n % count == 0) {
    if (column >= n) return;
    if (a.splits > 1)
      store_vector(part, value);
    else
      finish_columns(a, row, column, value);
  } else {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      if (column + i >= n) return;
      f32 one[1] = {value[i]};
      if (a.splits > 1)
        part[i] = one[0];
      else
        finish_columns(a, row, column + i, one);
    }
  }
}

constexpr int kReduceThreads = 256;
HONE_GPU_KERNEL(reduce, kReduceThreads) {
  const i64 at = block_x() * kReduceThreads + thread_index();
  if (at >= a.m * n) return;
  const f32 *part = reinterpret_cast<const f32 *>(a.workspace) + at;
  f32 sum[1] = {0};
  for (i64 split = 0; split < a.splits; ++split) sum[0] += part[split * a.m * n];
  finish_columns(a, at / n, at % n, sum);
}
