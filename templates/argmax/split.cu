// `splits` blocks a row, each with its own part of the columns; `combine` joins them. A candidate
// is a value and its column.
//! serves       cuda hip
//! fixed        cols
//! param        threads 64 128 256 512 1024
//! param        vec 1 2 4 8                     // columns in one access
//! launch_param splits 1 2 4 8 16 32 64
//! require      threads <= max_threads && threads % wave == 0
//! require      cols % vec == 0 && size(x, vec) <= 16
//! require      splits == 1 || splits * threads * vec <= cols
//! workspace    splits > 1 ? rows * splits * 8 : 0
//! launch       main rows splits 1 threads
//! launch       combine ceil_div(rows, 128) 1 1 128 if splits > 1
//! start        threads=256,vec=cols%4==0?4:1,splits=1
#include "numeric_gpu.h"

constexpr int kVec = static_cast<int>(vec), kThreads = static_cast<int>(threads);

struct Candidate {
  f32 value;
  i32 column;
};

// NaN before all, then the larger value, then the lower column.
HONE_INLINE bool before(const Candidate &p, const Candidate &q) {
  const bool nan_p = p.value != p.value, nan_q = q.value != q.value;
  if (nan_p != nan_q) return nan_p;
  if (!nan_p && p.value != q.value) return p.value > q.value;
  return p.column < q.column;
}

HONE_GPU_KERNEL(main, threads) {
  const i64 row = block_x(), split = block_y();
  const i64 vectors = cols / kVec, part = ceil_div(vectors, a.splits);
  const i64 end = smaller((split + 1) * part, vectors);
  Candidate best = {-kInfinity, 0x7fffffff};  // after every other
  for (i64 j = split * part + thread_index(); j < end; j += kThreads) {
    f32 value[kVec];
    load_vector(value, a.x + row * cols + j * kVec);
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      const Candidate next = {value[i], static_cast<i32>(j * kVec) + i};
      if (before(next, best)) best = next;
    }
  }
#pragma unroll
  for (int mask = kWave / 2; mask > 0; mask /= 2) {
    const f32 column = shuffle_xor(__builtin_bit_cast(f32, best.column), mask);
    const Candidate other = {shuffle_xor(best.value, mask), __builtin_bit_cast(i32, column)};
    if (before(other, best)) best = other;
  }
  __shared__ Candidate waves[kThreads / kWave];
  if (lane_index() == 0) waves[wave_index()] = best;
  barrier();
  if (thread_index() != 0) return;
  for (int i = 1; i < kThreads / kWave; ++i)
    if (before(waves[i], best)) best = waves[i];
  if (a.splits == 1)
    a.index[row] = best.column;
  else
    reinterpret_cast<Candidate *>(a.workspace)[row * a.splits + split] = best;
}

HONE_GPU_KERNEL(combine, 128) {
  const i64 row = block_x() * 128 + thread_index();
  if (row >= a.rows) return;
  const Candidate *parts = reinterpret_cast<const Candidate *>(a.workspace) + row * a.splits;
  Candidate best = parts[0];
  for (i64 split = 1; split < a.splits; ++split)
    if (before(parts[split], best)) best = parts[split];
  a.index[row] = best.column;
}
