// For few rows of x: a team of lanes shares `columns` rows of w, which stream from memory once, and
// multiplies them with MR rows of x, `at_once` steps along k at once. Lanes next to one another read
// what lies next to one another. s8 are multiplied four by four.
//! serves       cuda hip
//! when         !quantised && (x != s8 || k % 4 == 0 && k <= 131072)
//! fixed        n k
//! param        team 8 16 32 64
//! param        threads 64 128 256
//! param        vec 1 2 4 8 16                  // elements along k in one access
//! param        at_once 1 2 4 8
//! param        columns 1 2 4                   // of y, with a team
//! param        MR 1 2 4 8
//! launch_param splits 1 2 4 8                  // of k
//! require      threads % wave == 0 && team <= wave
//! require      k % vec == 0 && size(w, vec) <= 16 && (x != s8 || vec >= 4)
//! let          held = (MR * size(x, vec) + columns * size(w, vec)) / 4 * at_once + MR * columns
//! let          values = x == s8 ? vec / 4 : vec
//! require      held <= 96 && (MR + columns) * (values + 2) + MR * columns <= 112
//! require      MR == 1 || MR < 2 * m
//! require      splits == 1 || splits * team * vec * at_once <= k
//! workspace    splits > 1 ? splits * m * n * 4 : 0
//! launch       main ceil_div(n, threads / team * columns) * ceil_div(m, MR) splits 1 threads
//! launch       reduce ceil_div(m * n, 256) 1 1 256 if splits > 1
//! start        team=32,threads=128,vec=x==s8&&k%16==0?16:w!=f32&&k%8==0?8:k%4==0?4:1,at_once=w==f32?2:4,\
//!              columns=2,MR=m>=4?4:1,splits=1
//! preset       flashdecoding++
#include "dot_gpu.h"
#include "gemm_gpu.h"

constexpr int kTeam = static_cast<int>(team), kVec = static_cast<int>(vec);
constexpr int kTeams = static_cast<int>(threads) / kTeam;
constexpr int kColumns = static_cast<int>(columns), kRows = static_cast<int>(MR);
constexpr int kStep = kTeam * kVec, kAtOnce = static_cast<int>(at_once);
constexpr int kSteps = static_cast<int>(ceil_div(k, kStep)), kWhole = static_cast<int>(k / kStep);

// What a lane holds of a row, and how it multiplies it.
using Value = decltype([] {
  if constexpr (x == word::s8) return u32{};
  else return f32{};
}());
using Sum = decltype([] {
  if constexpr (x == word::s8) return i32{};
  else return f32{};
}());
constexpr int kValues = static_cast<int>(values);
template <typename T>
HONE_INLINE void load(Value (&to)[kValues], const T *p) {
  if constexpr (x == word::s8) {
    struct All {
      u32 four[kValues];
    };
    const auto all = __builtin_bit_cast(All, *reinterpret_cast<const Words<kVec> *>(p));
#pragma unroll
    for (int i = 0; i < kValues; ++i) to[i] = all.four[i];
  } else {
    load_vector(to, p);
  }
}
HONE_INLINE f32 multiply(f32 a, f32 b, f32 sum) { return sum + a * b; }
HONE_INLINE i32 multiply(u32 a, u32 b, i32 sum) { return dot_signed(a, b, sum); }

HONE_GPU_KERNEL(main, threads, 1) {
  // Blocks that share rows of w follow one another: the later ones find them in L2. What lies beyond
  // the last row or column repeats it, and is never stored.
  const i64 down = ceil_div(a.m, kRows);
  const i64 row = block_x() % down * kRows;
  const i64 column = (block_x() / down * kTeams + thread_index() / kTeam) * kColumns;
  const int lane = thread_index() % kTeam;
  const Part part = part_of(kSteps, block_y(), a.splits);
  const x_t *xs[kRows];
  const w_t *ws[kColumns];
#pragma unroll
  for (int r = 0; r < kRows; ++r)
    xs[r] = a.x + smaller(row + r, a.m - 1) * k + part.begin * kStep + lane * kVec;
#pragma unroll
  for (int c = 0; c < kColumns; ++c)
    ws[c] = a.w + smaller(column + c, n - 1) * k + part.begin * kStep + lane * kVec;
  Sum sum[kRows][kColumns] = {};
  const auto run = [&]<int count>(Value(&left)[count][kRows][kValues],
                                  Value(&right)[count][kColumns][kValues], bool there) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c)
        if (there) load(right[i][c], ws[c] + i * kStep);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        if (there) load(left[i][r], xs[r] + i * kStep);
    }
#pragma unroll
    for (int c = 0; c < kColumns; ++c) ws[c] += count * kStep;
#pragma unroll
    for (int r = 0; r < kRows; ++r) xs[r] += count * kStep;
    if (!there) return;
#pragma unroll
    for (int i = 0; i < count; ++i)
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
#pragma unroll
          for (int e = 0; e < kValues; ++e)
            sum[r][c] = multiply(left[i][r][e], right[i][c][e], sum[r][c]);
  };
  int step = part.begin;
  for (; step + kAtOnce <= smaller(part.end, kWhole); step += kAtOnce) {
    Value left[kAtOnce][kRows][kValues], right[kAtOnce][kColumns][kValues];
    run(left, right, true);
  }
#pragma unroll 1
  for (; step < part.end; ++step) {
    Value left[1][kRows][kValues], right[1][kColumns][kValues];
    run(left, right, static_cast<i64>(step) * kStep + lane * kVec < k);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    f32 value[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      value[c] = reduce_lanes<kTeam>(static_cast<f32>(sum[r][c]),
                                     [](f32 p, f32 q) { return p + q; });
    if (lane == r) put_sums(a, row + r, column, value);
  }
}
