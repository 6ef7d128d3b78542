// Tiles of BM x BN of y, cut into TM x TN per thread; tiles of x and w of depth BK pass through
// shared memory as f32, k-major, the next one on its way in registers while this one is multiplied.
//! serves       cuda hip
//! fixed        n k
//! param        BM 16 32 64 128
//! param        BN 16 32 64 128
//! param        BK 8 16 32
//! param        TM 1 2 4 8
//! param        TN 1 2 4 8
//! param        vec 1 2 4 8                     // elements along k in one access
//! param        stages 1 2                      // tiles in shared memory
//! launch_param raster 1 4 16
//! launch_param splits 1 2 4 8 16               // of k
//! let          threads = BM / TM * (BN / TN)
//! let          shared_bytes = stages * BK * (BM + BN + 8) * 4
//! require      threads >= 64 && threads <= min(512, max_threads) && threads % wave == 0
//! require      k % vec == 0 && BK % vec == 0
//! require      size(x, vec) <= 16 && (quantised || size(w, vec) <= 16)
//! require      threads * vec <= BK * max(BM, BN) && BK * (BM + BN) <= 32 * threads
//! require      shared_bytes <= min(max_shared, 49152)
//! require      TM * TN >= 4 || BM * BN <= 1024
//! require      BM == 16 || BM < 2 * m
//! require      splits == 1 || splits * BK * 4 <= k
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(m, BM) * ceil_div(n, BN) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        BM=16,BN=64,BK=16,TM=2,TN=4,vec=k%4==0?4:1,stages=2,raster=1,splits=1
#include "gemm_gpu.h"

constexpr int kBM = static_cast<int>(BM), kBN = static_cast<int>(BN), kBK = static_cast<int>(BK);
constexpr int kTM = static_cast<int>(TM), kTN = static_cast<int>(TN);
constexpr int kVec = static_cast<int>(vec), kThreads = static_cast<int>(threads);
// Rows of a tile in shared memory are four floats longer: what a wave stores along k spreads over
// the banks.
constexpr int kPad = 4;
constexpr int kTileFloats = kBK * (kBM + kPad) + kBK * (kBN + kPad);

// A tile of x or w on its way: `extent` rows, depth kBK.
template <int extent>
struct Load {
  static constexpr int kRuns = extent * kBK / kVec;
  static constexpr int kEach = (kRuns + kThreads - 1) / kThreads;
  f32 value[kEach][kVec];

  template <typename T>
  HONE_INLINE void start(const T *from, i64 first, i64 rows, int depth) {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int run = thread_index() + e * kThreads;
      const i64 row = first + run / (kBK / kVec);
      const int at = depth + run % (kBK / kVec) * kVec;
#pragma unroll
      for (int i = 0; i < kVec; ++i) value[e][i] = 0;
      if ((kRuns % kThreads == 0 || run < kRuns) && row < rows && at < k)
        load_run(value[e], from, row * k + at);
    }
  }
  HONE_INLINE void finish(f32 *tile) const {
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int run = thread_index() + e * kThreads;
      if (kRuns % kThreads != 0 && run >= kRuns) return;
#pragma unroll
      for (int i = 0; i < kVec; ++i)
        tile[(run % (kBK / kVec) * kVec + i) * (extent + kPad) + run / (kBK / kVec)] = value[e][i];
    }
  }
};

// Of the `each` rows (or columns) of a thread in groups of up to four neighbours, the group
// `group`: groups of neighbouring threads lie side by side.
template <int each, int extent>
HONE_INLINE int place(int thread, int group) {
  constexpr int width = smaller(each, 4);
  return group * (extent / (each / width)) + thread * width;
}
template <int each, int extent>
HONE_INLINE void read_step(f32 (&to)[each], const f32 *step, int thread) {
  constexpr int width = smaller(each, 4);
#pragma unroll
  for (int group = 0; group < each / width; ++group) {
    f32 some[width];
    load_vector(some, step + place<each, extent>(thread, group));
#pragma unroll
    for (int i = 0; i < width; ++i) to[group * width + i] = some[i];
  }
}

HONE_GPU_KERNEL(main, threads) {
  const Tile tile = tile_of_block(a.m, kBM, kBN, a.raster);
  const Part part = part_of(static_cast<int>(ceil_div(k, kBK)), block_y(), a.splits);
  const int down = thread_index() / (kBN / kTN), across = thread_index() % (kBN / kTN);
  f32 *shared = reinterpret_cast<f32 *>(dynamic_shared());
  f32 sum[kTM][kTN] = {};
  Load<kBM> next_x;
  Load<kBN> next_w;
  const auto start = [&](int step) {
    next_x.start(a.x, tile.row, a.m, step * kBK);
    next_w.start(a.w, tile.column, n, step * kBK);
  };
  const auto finish = [&](int step) {
    f32 *to = shared + step % stages * kTileFloats;
    next_x.finish(to);
    next_w.finish(to + kBK * (kBM + kPad));
  };
  if (part.begin < part.end) {
    start(part.begin);
    finish(part.begin);
  }
  barrier();
  for (int step = part.begin; step < part.end; ++step) {
    const bool more = step + 1 < part.end;
    if (more) start(step + 1);
    const f32 *xs = shared + step % stages * kTileFloats, *ws = xs + kBK * (kBM + kPad);
#pragma unroll
    for (int i = 0; i < kBK; ++i) {
      f32 row[kTM], column[kTN];
      read_step<kTM, kBM>(row, xs + i * (kBM + kPad), down);
      read_step<kTN, kBN>(column, ws + i * (kBN + kPad), across);
#pragma unroll
      for (int r = 0; r < kTM; ++r)
#pragma unroll
        for (int c = 0; c < kTN; ++c) sum[r][c] += row[r] * column[c];
    }
    if constexpr (stages == 1) barrier();
    if (more) finish(step + 1);
    barrier();
  }
  constexpr int width = smaller(kTN, 4), height = smaller(kTM, 4);
#pragma unroll
  for (int r = 0; r < kTM; ++r)
#pragma unroll
    for (int group = 0; group < kTN / width; ++group) {
      f32 value[width];
#pragma unroll
      for (int c = 0; c < width; ++c) value[c] = sum[r][group * width + c];
      put_sums(a, tile.row + place<kTM, kBM>(down, r / height) + r % height,
               tile.column + place<kTN, kBN>(across, group), value);
    }
}
