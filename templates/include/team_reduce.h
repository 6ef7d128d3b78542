// `team` neighbouring threads of a block of `threads` bring their values together.
#pragma once
#include "numeric_gpu.h"

constexpr int kTeam = static_cast<int>(team), kThreads = static_cast<int>(threads);

// The team's values joined; every thread of the block must take part. `use` numbers the calls of a
// kernel: each has memory of its own, so that one barrier a call is enough.
template <int use, typename F>
HONE_INLINE f32 reduce_team(f32 value, F join) {
  value = reduce_lanes<smaller(kTeam, kWave)>(value, join);
  if constexpr (kTeam > kWave) {
    constexpr int waves = larger(kTeam / kWave, 1);
    __shared__ f32 partial[kThreads / kWave];
    if (lane_index() == 0) partial[wave_index()] = value;
    barrier();
    const f32 *mine = partial + wave_index() / waves * waves;
    value = mine[0];
#pragma unroll
    for (int i = 1; i < waves; ++i) value = join(value, mine[i]);
  }
  return value;
}
