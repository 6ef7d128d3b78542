// A gather: a thread has `vec` neighbouring columns of a token's row; blocks stand side by side
// along a row.
//! serves   cuda hip
//! fixed    cols vocab
//! param    threads 64 128 256 512
//! param    vec 1 2 4 8                         // columns in one access
//! param    each 1 2 4                          // vectors of a thread, a block's width apart
//! require  threads <= max_threads && threads % wave == 0
//! require  cols % vec == 0 && size(y, vec) <= 16
//! require  each == 1 || threads * vec * (each / 2) < cols
//! launch   main tokens ceil_div(cols, threads * vec * each) 1 threads
//! start    threads=128,vec=cols%4==0?4:1,each=1
#include "numeric_gpu.h"

constexpr int kVec = static_cast<int>(vec), kThreads = static_cast<int>(threads);

HONE_GPU_KERNEL(main, threads) {
  const i64 token = block_x();
  const i64 id = a.ids[token];
  const bool known = id >= 0 && id < vocab;
#pragma unroll
  for (int j = 0; j < each; ++j) {
    const i64 column = ((block_y() * each + j) * kThreads + thread_index()) * kVec;
    if (column >= cols) break;
    f32 value[kVec] = {}, other[kVec];
    if (known) load_run(value, a.table, id * cols + column);
    if constexpr (plus == word::add) load_vector(other, a.add + token * cols + column);
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      value[i] = known ? value[i] * a.scale : 0.0f;
      if constexpr (plus == word::add) value[i] += other[i];
    }
    store_vector(a.y + token * cols + column, value);
  }
}
