// A few long rows (logits), each on several blocks: every part of a row finds its own largest score
// and sum, then every part scales itself once all are known.
//! serves       cuda hip
//! fixed        cols heads
//! param        threads 128 256 512 1024
//! param        vec 1 2 4 8                     // columns in one access
//! launch_param splits 2 4 8 16 32 64 128
//! let          team = threads
//! require      threads <= max_threads
//! require      cols % vec == 0 && size(x, vec) <= 16
//! require      splits == 2 || splits * threads * vec <= cols
//! workspace    rows * splits * 8
//! launch       gather rows * splits 1 1 threads
//! launch       main rows * splits 1 1 threads
//! start        threads=256,vec=cols%4==0?4:1,splits=cols>=8192?16:2
#include "softmax_gpu.h"
#include "team_reduce.h"

constexpr int kVec = static_cast<int>(vec);

// Calls f(column) for each vector of columns that this thread has in the block's part of a row.
template <typename F>
HONE_INLINE void for_part(const Args &a, F f) {
  const i64 vectors = cols / kVec, width = ceil_div(vectors, a.splits);
  const i64 begin = block_x() % a.splits * width, end = smaller(begin + width, vectors);
  for (i64 j = begin + thread_index(); j < end; j += kThreads) f(j * kVec);
}

HONE_GPU_KERNEL(gather, threads) {
  const i64 row = block_x() / a.splits, start = row * cols, seen = columns_seen(a, row);
  Part part;
  for_part(a, [&](i64 column) {
    f32 score[kVec];
    load_scores(score, a, start, column, seen);
    part.add(score);
  });
  const f32 largest = reduce_team<0>(part.largest, largest_of);
  const f32 sum = reduce_team<1>(part.sum * shrink(part.largest, largest),
                                 [](f32 p, f32 q) { return p + q; });
  if (thread_index() == 0) {
    const f32 both[2] = {largest, sum};
    store_vector(reinterpret_cast<f32 *>(a.workspace) + 2 * block_x(), both);
  }
}

HONE_GPU_KERNEL(main, threads) {
  const i64 row = block_x() / a.splits, start = row * cols, seen = columns_seen(a, row);
  const f32 *parts = reinterpret_cast<const f32 *>(a.workspace) + row * a.splits * 2;
  f32 largest = -kInfinity, sum = 0;
  for (i64 split = 0; split < a.splits; ++split) largest = largest_of(largest, parts[2 * split]);
  for (i64 split = 0; split < a.splits; ++split)
    sum += parts[2 * split + 1] * shrink(parts[2 * split], largest);
  const f32 factor = 1.0f / sum, log_sum = logf(sum);
  for_part(a, [&](i64 column) {
    f32 score[kVec];
    load_scores(score, a, start, column, seen);
#pragma unroll
    for (int i = 0; i < kVec; ++i)
      score[i] = form == word::log ? score[i] - largest - log_sum
                                   : exp2f((score[i] - largest) * kLog2e) * factor;
    store_vector(a.y + start + column, score);
  });
}
