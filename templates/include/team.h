// What the row operators share: a row of `cols` columns lies with `team` neighbouring threads of a
// block, of which a block of `threads` has several. Thread t of the team has the columns
// (j * team + t) * vec + i, j < kEach, i < vec.
#pragma once
#include "team_reduce.h"

constexpr int kVec = static_cast<int>(vec), kTeams = kThreads / kTeam;
constexpr int kStep = kTeam * kVec;  // columns that a team takes at once
constexpr int kEach = static_cast<int>(ceil_div(cols, kStep));
constexpr bool kInRegisters = keep == word::own;

// Where the values of a thread wait between two passes: the j-th vector of its columns. Each thread
// reads only what it wrote. None: nowhere, `again` gives them anew.
struct Wait {
  f32 *shared = nullptr;
  f32 registers[kInRegisters ? kEach : 1][kVec];

  HONE_INLINE Wait() {
    if constexpr (keep == word::shared)
      shared = reinterpret_cast<f32 *>(dynamic_shared()) + thread_index();
  }
  HONE_INLINE void put(int j, const f32 (&value)[kVec]) {
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      if constexpr (kInRegisters) registers[j][i] = value[i];
      if constexpr (keep == word::shared) shared[(j * kVec + i) * kThreads] = value[i];
    }
  }
  template <typename F>
  HONE_INLINE void get(int j, f32 (&value)[kVec], F again) const {
    if constexpr (keep == word::none) {
      again(value);
    } else {
#pragma unroll
      for (int i = 0; i < kVec; ++i)
        value[i] = kInRegisters ? registers[j][i] : shared[(j * kVec + i) * kThreads];
    }
  }
};

// Calls f(j, column) for each vector of columns that this thread has in a row.
template <typename F>
HONE_INLINE void for_columns(bool live, F f) {
  const int first = thread_index() % kTeam * kVec;
  if constexpr (kInRegisters) {
#pragma unroll
    for (int j = 0; j < kEach; ++j)
      if (live && (cols % kStep == 0 || first + j * kStep < cols)) f(j, first + j * kStep);
  } else {
    for (int j = 0; live && first + j * kStep < cols; ++j) f(j, first + j * kStep);
  }
}
