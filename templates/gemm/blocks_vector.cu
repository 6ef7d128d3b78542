// Few rows of x times weights in block formats by integer dot products. A block quantises its rows
// of x to s8 in blocks of 32 with one f32 scale each, as the CPU does; then teams of 32 lanes run
// along k, `at_once` tiles of w at once, each lane with 8 elements of 4 rows.
// Of a block of x with infinities only those count; one with a NaN gives NaN.
//! serves       cuda hip
//! when         quantised
//! fixed        n k
//! param        bands 1 2 4                     // of 32 rows of w, of a block
//! param        teams 1 2 4 8 16                // that share a band's k
//! param        at_once 1 2 4 8
//! param        MR 1 2 4 8                      // rows of x
//! launch_param splits 1 2 4 8                  // of k
//! let          threads = bands * teams * 32
//! let          tile_bytes = w == q8_0 ? 1088 : w == q4_0 ? 576 : 640
//! let          panel = min(k / 32, MR > 4 ? 64 : 128)  // blocks of x in shared memory
//! let          shared_bytes = MR * max(panel * 64, threads * 4)
//! require      threads % wave == 0 && threads >= 64 && threads <= 512
//! let          held = (w == q8_0 ? 12 : 8) * at_once + 6 * MR
//! require      held <= 80 && (held + 56) * threads <= registers
//! require      MR == 1 || MR < 2 * m
//! require      splits == 1 || splits * teams * 64 <= k
//! pack         w bands ceil_div(n, 32) * (k / 32) * tile_bytes
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(n, 32 * bands) * ceil_div(m, MR) splits 1 threads shared shared_bytes
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        bands=1,teams=k>=2048?8:4,at_once=4,MR=m>=4?4:1,splits=1
#include "gemm_blocks.h"
#include "gemm_dots.h"
#include "gemm_gpu.h"

constexpr int kThreads = static_cast<int>(threads), kTeams = static_cast<int>(teams);
constexpr int kRows = static_cast<int>(MR), kAtOnce = static_cast<int>(at_once);
constexpr int kPanel = static_cast<int>(panel), kParts8 = kBlock / kLaneDepth;

HONE_GPU_KERNEL(main, threads, 1) {
  // Blocks that share rows of w follow one another: the later ones find them in L2.
  const i64 down = ceil_div(a.m, kRows);
  const i64 row = block_x() % down * kRows, first_band = block_x() / down * bands;
  const Part part = part_of(static_cast<int>(kBlocks), block_y(), a.splits);
  const int lane = thread_index() % kTileLanes, team = thread_index() / kTileLanes % kTeams;
  const int band = thread_index() / kTileLanes / kTeams;
  const bool there = kBands % bands == 0 || first_band + band < kBands;
  const u8 *tiles = a.w + (first_band + band) * kBlocks * kTileBytes;
  XPart *xs = reinterpret_cast<XPart *>(dynamic_shared());  // [row][block][part]

  int block = part.begin + team;
  f32 sum[kRows][kLaneRows] = {};
  for (int start = part.begin; start < part.end; start += kPanel) {
    const int end = smaller(part.end, start + kPanel), parts = (end - start) * kParts8;
    if (start > part.begin) barrier();
#pragma unroll
    for (int r = 0; r < kRows; ++r)
      for (int at = thread_index(); at < round_up(parts, kThreads); at += kThreads) {
        f32 value[kLaneDepth] = {};
        load_part(value, a.x + (row + r) * k + start * kBlock + at * kLaneDepth,
                  row + r < a.m && at < parts);
        const XPart quantised_part = quantise(value);
        if (at < parts) xs[r * kPanel * kParts8 + at] = quantised_part;
      }
    barrier();
    if (!there) continue;
    const auto run = [&]<int count>(Quants(&quants)[count]) {
      const u8 *from = tiles + block * static_cast<i64>(kTileBytes);
#pragma unroll
      for (int i = 0; i < count; ++i) quants[i].load(from + i * kTeams * kTileBytes, lane);
      const XPart *parts_of_x = xs + (block - start) * kParts8 + lane % kParts8;
#pragma unroll
      for (int i = 0; i < count; ++i)
#pragma unroll
        for (int r = 0; r < kRows; ++r)
          add_dots(sum[r], quants[i], parts_of_x[(r * kPanel + i * kTeams) * kParts8]);
      block += count * kTeams;
    };
    Quants several[kAtOnce], one[1];
    while (block + (kAtOnce - 1) * kTeams < end) run(several);
    if constexpr (kAtOnce > 1)
      while (block < end) run(one);
  }
  // The sums of four lanes, then those of the teams; then a lane has one column.
  barrier();
  f32 *shared = reinterpret_cast<f32 *>(dynamic_shared());
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    f32 mine = 0;
#pragma unroll
    for (int c = 0; c < kLaneRows; ++c) {
      const f32 all = reduce_lanes<kParts8>(sum[r][c], [](f32 p, f32 q) { return p + q; });
      if (lane % kParts8 == c) mine = all;
    }
    shared[r * kThreads + thread_index()] = mine;
  }
  barrier();
  if (team > 0) return;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    f32 value[1] = {0};
#pragma unroll
    for (int t = 0; t < kTeams; ++t)
      value[0] += shared[r * kThreads + thread_index() + t * kTileLanes];
    put_sums(a, row + r, (first_band + band) * kBand + lane, value);
  }
}
