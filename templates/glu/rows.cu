// A thread has `vec` neighbouring columns of a row; blocks stand side by side along a row.
//! serves   cuda hip
//! fixed    cols
//! param    threads 64 128 256 512
//! param    vec 1 2 4 8                         // columns in one access
//! param    each 1 2 4                          // vectors of a thread, a block's width apart
//! require  threads <= max_threads && threads % wave == 0
//! require  cols % vec == 0 && size(x, vec) <= 16
//! require  each == 1 || threads * vec * (each / 2) < cols
//! launch   main rows ceil_div(cols, threads * vec * each) 1 threads
//! start    threads=256,vec=cols%4==0?4:1,each=1
#include "activation_gpu.h"

constexpr int kVec = static_cast<int>(vec), kThreads = static_cast<int>(threads);

HONE_INLINE f32 activate(f32 v) {
  if constexpr (act == word::silu) return sigmoid_times(v);
  if constexpr (act == word::gelu) return gelu(v);
  if constexpr (act == word::gelu_tanh) return gelu_tanh(v);
  return relu(v);
}

HONE_GPU_KERNEL(main, threads) {
  const i64 row = block_x();
  const x_t *gate = a.x + row * width;
#pragma unroll
  for (int j = 0; j < each; ++j) {
    const i64 column = ((block_y() * each + j) * kThreads + thread_index()) * kVec;
    if (column >= cols) break;
    f32 value[kVec], up[kVec];
    load_vector(value, gate + column);
    if constexpr (form == word::fused) load_vector(up, gate + cols + column);
    if constexpr (form == word::two) load_vector(up, a.up + row * cols + column);
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      value[i] = activate(value[i]);
      if constexpr (form != word::plain) value[i] *= up[i];
    }
    store_vector(a.y + row * cols + column, value);
  }
}
