// A row lies with a team of neighbouring threads, from eight to a whole block. `keep` tells where
// its scores wait between the passes: in registers, in shared memory, or nowhere (they are computed
// again). `passes` 2: the largest score and the sum come from one pass, each sum rescaled when the
// largest grows.
//! serves   cuda hip
//! fixed    cols heads
//! param    team 8 16 32 64 128 256 512 1024
//! param    threads 64 128 256 512 1024
//! param    vec 1 2 4 8                        // columns in one access
//! param    keep own shared none
//! param    passes 2 3
//! let      each = ceil_div(cols, team * vec)
//! let      kept_bytes = keep == shared ? threads * each * vec * 4 : 0
//! require  threads <= max_threads && threads % wave == 0 && threads % team == 0
//! require  team <= 8 || team * vec < 2 * cols
//! require  cols % vec == 0 && size(x, vec) <= 16
//! require  keep == own ? each * vec <= 64 : each * vec >= 8
//! require  kept_bytes + 1024 <= max_shared
//! launch   main ceil_div(rows, threads / team) 1 1 threads shared kept_bytes
//! start    team=cols<=64?8:cols<=1024?32:256,threads=256,vec=cols%4==0?4:1,\
//!          keep=cols<=8192?own:none,passes=3
#include "softmax_gpu.h"
#include "team.h"

HONE_GPU_KERNEL(main, threads) {
  const i64 row = block_x() * kTeams + thread_index() / kTeam;
  const bool live = row < a.rows;
  const i64 start = row * cols;
  const i64 seen = columns_seen(a, row);
  Wait wait;
  const auto compute = [&](i64 column, f32(&score)[kVec]) {
    load_scores(score, a, start, column, seen);
  };
  const auto score_at = [&](int j, i64 column, f32(&score)[kVec]) {
    wait.get(j, score, [&](f32(&again)[kVec]) { compute(column, again); });
  };

  Part mine;
  for_columns(live, [&](int j, i64 column) {
    f32 score[kVec];
    compute(column, score);
    wait.put(j, score);
    if constexpr (passes == 2)
      mine.add(score);
    else
      mine.raise(score);
  });
  const f32 largest = reduce_team<0>(mine.largest, largest_of);
  f32 sum = 0;
  if constexpr (passes == 2) {
    sum = mine.sum * shrink(mine.largest, largest);
  } else {
    for_columns(live, [&](int j, i64 column) {
      f32 score[kVec];
      score_at(j, column, score);
#pragma unroll
      for (int i = 0; i < kVec; ++i) {
        const f32 e = exp2f((score[i] - largest) * kLog2e);
        sum += e;
        if constexpr (form == word::plain) score[i] = e;
      }
      if constexpr (form == word::plain) wait.put(j, score);
    });
  }
  sum = reduce_team<1>(sum, [](f32 p, f32 q) { return p + q; });
  const f32 factor = 1.0f / sum, log_sum = logf(sum);
  for_columns(live, [&](int j, i64 column) {
    f32 score[kVec];
    score_at(j, column, score);
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      if constexpr (form == word::log)
        score[i] = score[i] - largest - log_sum;
      else if constexpr (passes == 3 && keep != word::none)
        score[i] *= factor;
      else
        score[i] = exp2f((score[i] - largest) * kLog2e) * factor;
    }
    store_vector(a.y + start + column, score);
  });
}
