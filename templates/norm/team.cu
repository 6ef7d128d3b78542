// A row lies with a team of neighbouring threads, from eight to a whole block. `keep` tells where
// it waits between the passes: in registers, in shared memory, or nowhere (it is read again).
//! serves   cuda hip
//! fixed    cols
//! param    team 8 16 32 64 128 256 512 1024
//! param    threads 64 128 256 512 1024
//! param    vec 1 2 4 8                        // columns in one access
//! param    keep own shared none
//! let      each = ceil_div(cols, team * vec)
//! let      kept_bytes = keep == shared ? threads * each * vec * 4 : 0
//! require  threads <= max_threads && threads % wave == 0 && threads % team == 0
//! require  team <= 8 || team * vec < 2 * cols
//! require  cols % vec == 0 && size(x, vec) <= 16 && size(weight, vec) <= 32
//! require  keep == own ? each * vec <= 64 : each * vec >= 8
//! require  kept_bytes + 1024 <= max_shared
//! launch   main ceil_div(rows, threads / team) 1 1 threads shared kept_bytes
//! start    team=cols<=64?8:cols<=1024?32:256,threads=256,vec=cols%4==0?4:1,\
//!          keep=cols<=8192?own:none
#include "team.h"

constexpr bool kCentred = kind == word::layer || kind == word::layer_bias;

HONE_GPU_KERNEL(main, threads) {
  const i64 row = block_x() * kTeams + thread_index() / kTeam;
  const bool live = row < a.rows;
  const i64 start = row * cols;
  const auto add = [](f32 p, f32 q) { return p + q; };
  Wait wait;
  const auto value_at = [&](int j, i64 column, f32(&value)[kVec]) {
    wait.get(j, value, [&](f32(&again)[kVec]) {
      if constexpr (residual == word::add)
        load_vector(again, a.sum + start + column);
      else
        load_vector(again, a.x + start + column);
    });
  };

  f32 moment = 0;  // sum of the values, or of their squares
  for_columns(live, [&](int j, i64 column) {
    f32 value[kVec];
    load_vector(value, a.x + start + column);
    if constexpr (residual == word::add) {
      f32 other[kVec];
      load_vector(other, a.residual + start + column);
#pragma unroll
      for (int i = 0; i < kVec; ++i)  // the sum as written: later layers read it in this form
        value[i] = to_f32(from_f32<x_t>(value[i] + other[i]));
      store_vector(a.sum + start + column, value);
    }
    wait.put(j, value);
#pragma unroll
    for (int i = 0; i < kVec; ++i) moment += kCentred ? value[i] : value[i] * value[i];
  });
  moment = reduce_team<0>(moment, add) * (1.0f / static_cast<f32>(cols));
  f32 mean = 0;
  if constexpr (kCentred) {
    mean = moment;
    moment = 0;
    for_columns(live, [&](int j, i64 column) {
      f32 value[kVec];
      value_at(j, column, value);
#pragma unroll
      for (int i = 0; i < kVec; ++i) moment += (value[i] - mean) * (value[i] - mean);
    });
    moment = reduce_team<1>(moment, add) * (1.0f / static_cast<f32>(cols));
  }
  const f32 scale = 1.0f / sqrtf(moment + a.eps);
  for_columns(live, [&](int j, i64 column) {
    f32 value[kVec], factor[kVec], offset[kVec];
    value_at(j, column, value);
    load_vector(factor, a.weight + column);
    if constexpr (kind == word::layer_bias) load_vector(offset, a.bias + column);
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      value[i] = (value[i] - mean) * scale * (kind == word::rms1 ? factor[i] + 1.0f : factor[i]);
      if constexpr (kind == word::layer_bias) value[i] += offset[i];
    }
    store_vector(a.y + start + column, value);
  });
}
