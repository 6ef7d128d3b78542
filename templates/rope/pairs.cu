// A thread has `vec` pairs of a token, computes their sines and cosines once and turns them in
// `each` heads. Neighbouring threads have neighbouring pairs, then the next heads, then the next
// token.
//! serves   cuda hip
//! fixed    heads d rot
//! param    threads 64 128 256 512
//! param    vec 1 2 4                           // pairs
//! param    each 1 2 4 8 16 32                  // heads
//! let      slices = ceil_div(heads, each)
//! let      groups = rot / 2 / vec + ceil_div(d - rot, 2 * vec)   // the rest of a head is copied
//! require  threads <= max_threads && threads % wave == 0
//! require  rot / 2 % vec == 0 && d % vec == 0
//! require  each == 1 || each < 2 * heads
//! launch   main ceil_div(tokens * slices * groups, threads) 1 1 threads
//! start    threads=128,vec=1,each=heads>=4?4:1
#include "numeric_gpu.h"
#include "turns.h"

constexpr int kVec = static_cast<int>(vec);
constexpr i64 kHalf = rot / 2, kTurned = kHalf / vec;  // groups that are turned

HONE_INLINE void sine_cosine(f64 angle, f32 *sine, f32 *cosine) {
  const f64 turns = (angle * kQuartersPerRadian + kRounder) - kRounder;
  const f32 rest = static_cast<f32>(angle - turns * kRadiansPerQuarter);
  const i32 quarter = static_cast<i32>(turns);
  const f32 s = sine_near_zero(rest), c = cosine_near_zero(rest);
  const f32 up = quarter & 1 ? c : s, along = quarter & 1 ? s : c;
  *sine = quarter & 2 ? -up : up;
  *cosine = quarter + 1 & 2 ? -along : along;
}

HONE_GPU_KERNEL(main, threads) {
  const i64 item = block_x() * threads + thread_index();
  const i64 token = item / (slices * groups), group = item % groups;
  if (token >= a.tokens) return;
  const i64 first = item / groups % slices * each, last = smaller(first + each, heads);
  if (group >= kTurned) {
    const i64 begin = rot + (group - kTurned) * 2 * kVec, end = smaller(begin + 2 * kVec, d);
    for (i64 head = first; head < last; ++head)
      for (i64 i = begin; i < end; ++i) {
        const i64 at = (token * heads + head) * d + i;
        a.y[at] = a.x[at];
      }
    return;
  }
  f32 sine[kVec], cosine[kVec];
#pragma unroll
  for (int i = 0; i < kVec; ++i) {
    const f64 angle = static_cast<f64>(a.positions[token]) * a.inv_freq[group * kVec + i];
    sine_cosine(angle, &sine[i], &cosine[i]);
    sine[i] *= a.scale;
    cosine[i] *= a.scale;
  }
  // Where the two halves of the pairs lie: `vec` together each, or pair by pair.
  constexpr bool kApart = style == word::neox;
  constexpr bool kAligned = kApart || d % (2 * kVec) == 0;
  for (i64 head = first; head < last; ++head) {
    const i64 start = (token * heads + head) * d + group * kVec * (kApart ? 1 : 2);
    f32 both[2 * kVec];  // neox: firsts, then seconds
    if constexpr (kApart) {
      f32 half[kVec];
      load_vector(half, a.x + start);
#pragma unroll
      for (int i = 0; i < kVec; ++i) both[i] = half[i];
      load_vector(half, a.x + start + kHalf);
#pragma unroll
      for (int i = 0; i < kVec; ++i) both[kVec + i] = half[i];
    } else if constexpr (kAligned) {
      load_vector(both, a.x + start);
    } else {
#pragma unroll
      for (int i = 0; i < 2 * kVec; ++i) both[i] = to_f32(a.x[start + i]);
    }
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      f32 &p = both[kApart ? i : 2 * i], &q = both[kApart ? kVec + i : 2 * i + 1];
      const f32 turned = p * cosine[i] - q * sine[i];
      q = p * sine[i] + q * cosine[i];
      p = turned;
    }
    if constexpr (kApart) {
      f32 half[kVec];
#pragma unroll
      for (int i = 0; i < kVec; ++i) half[i] = both[i];
      store_vector(a.y + start, half);
#pragma unroll
      for (int i = 0; i < kVec; ++i) half[i] = both[kVec + i];
      store_vector(a.y + start + kHalf, half);
    } else if constexpr (kAligned) {
      store_vector(a.y + start, both);
    } else {
#pragma unroll
      for (int i = 0; i < 2 * kVec; ++i) a.y[start + i] = from_f32<x_t>(both[i]);
    }
  }
}
