// The weight as it lies in a checkpoint: y is dot products along k. A tile of MR rows of x by NC
// rows of w keeps one vector of partial sums per pair and adds its lanes up at the end. Block
// formats become f32 on the way; bf16 pairs and s8 use their dot products.
//! serves        cpu
//! fixed         n k
//! param         MR 1 2 4 6
//! param         NC 1 2 3 4 6 8
//! param         unroll 1 2 4
//! param         ahead 0 256 512 1024 2048
//! launch_param  tiles 4 16 4096
//! launch_param  groups 4 16 64 256
//! launch_param  threads 1 2 4 8 16 32 64 units
//! let           pairs = x == bf16 && w == bf16
//! let           part = vector_bytes / (x == s8 ? 1 : pairs ? 2 : 4)
//! let           block = quantised ? 32 : part
//! require       threads <= units
//! require       MR * NC + NC + (quantised ? 2 : 1) <= registers && NC <= vector_bytes / 4
//! require       groups == 4 || groups * NC < 2 * n
//! launch        main ceil_div(n, NC * groups) ceil_div(m, MR * tiles) 1 threads
//! start         MR=registers>=32?4:2,NC=registers>=32?4:3,unroll=1,ahead=512,tiles=16,\
//!               groups=16,threads=units
#include "dot.h"
#include "gemm.h"

// Part `i` of what begins at p, in a register: f32, pairs of bf16, or quadruples of s8, which wait
// for their dot product.
inline vec load_part(const f32 *p, i64 i) { return vload(p + i * part); }
inline vec load_part(const f16 *p, i64 i) { return vload(p + i * part); }
inline vec load_part(const bf16 *p, i64 i) {
  return pairs ? vload(reinterpret_cast<const f32 *>(p + i * part)) : vload(p + i * part);
}
inline vec load_part(const i8 *p, i64 i) {
  return vload(reinterpret_cast<const f32 *>(p + i * part));
}
inline vec load_part(const q8_0 *b, i64 i) {
  return to_vec(load_i8(b->values + i * part)) * to_f32(b->scale);
}
inline ivec load_nibbles(const u8 *values, i64 i) {
  const ivec bytes = load_u8(values + i * part % 16);
  return i * part < 16 ? bytes & 15 : bytes >> 4;
}
inline vec load_part(const q4_0 *b, i64 i) {
  return to_vec(load_nibbles(b->values, i) - 8) * to_f32(b->scale);
}
inline vec load_part(const q4_1 *b, i64 i) {
  return to_vec(load_nibbles(b->values, i)) * to_f32(b->scale) + to_f32(b->minimum);
}

// `count` elements, zeros behind; reads nothing else.
template <typename T>
__attribute__((noinline)) vec load_tail(const T *p, i64 count) {
  T padded[part] = {};
#pragma GCC unroll 1
  for (i64 i = 0; i < count; ++i) padded[i] = p[i];
  return load_part(padded, 0);
}

inline vec add_product(vec sum, vec a, vec b) {
  if constexpr (x == word::s8) {
    return as_vec(dot_s8(as_ivec(sum), as_ivec(a), as_ivec(b)));
  } else if constexpr (pairs) {
    return dot_bf16(sum, as_ivec(a), as_ivec(b));
  } else {
    return a * b + sum;
  }
}

// Not inlined, and so compiled once for all sizes of tile.
__attribute__((noinline)) void finish_sums(const Args &a, i64 row, i64 rows, i64 column,
                                           i64 columns, const vec *sums) {
  for (i64 r = 0; r < rows; ++r) {
    f32 line[lanes] = {};
    for (i64 c = 0; c < columns; ++c) {
      const vec sum = *sums++;
      line[c] = x == word::s8 ? static_cast<f32>(reduce_add(as_ivec(sum))) : reduce_add(sum);
    }
    finish_vector(a, row + r, column, columns, vload(line));
  }
}

template <int R, int C>
inline void tile(const Args &a, i64 row, i64 column) {
  constexpr i64 stride = quantised ? k / 32 : k;  // of w, in elements of its type
  const x_t *xs = a.x + row * k;
  const w_t *ws = a.w + column * stride;
  vec sum[R][C] = {};
  const auto multiply = [&](const vec(&weight)[C], const auto &load_x)
      __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const vec value = load_x(r);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sum[r][c] = add_product(sum[r][c], weight[c], value);
    }
  };
#pragma GCC unroll unroll
  for (i64 i = 0; i < k / block; ++i) {
    const w_t *at = ws + i * (quantised ? 1 : block);
    if constexpr (ahead > 0) {
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) prefetch(reinterpret_cast<const u8 *>(at + c * stride) + ahead);
    }
#pragma GCC unroll 8
    for (i64 p = 0; p < block / part; ++p) {
      vec weight[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) weight[c] = load_part(at + c * stride, p);
      multiply(weight, [&](int r) { return load_part(xs + r * k + i * block, p); });
    }
  }
  if constexpr (k % block != 0) {
    constexpr i64 done = k / block * block;
    vec weight[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) weight[c] = load_tail(ws + c * stride + done, k - done);
    multiply(weight, [&](int r) { return load_tail(xs + r * k + done, k - done); });
  }
  vec sums[R * C];  // `sum` itself stays in registers: nothing takes its address
#pragma GCC unroll 64
  for (int i = 0; i < R * C; ++i) sums[i] = sum[i / C][i % C];
  finish_sums(a, row, R, column, C, sums);
}

HONE_KERNEL(main) {
  const i64 first_row = b.y * a.tiles * MR, last_row = min(a.m, first_row + a.tiles * MR);
  const i64 first_column = b.x * a.groups * NC, last_column = min(n, first_column + a.groups * NC);
  const auto strip = [&]<int C>(i64 column) {
    i64 row = first_row;
    for (; row + MR <= last_row; row += MR) tile<MR, C>(a, row, column);
    if constexpr (MR > 1)
      for (; row < last_row; ++row) tile<1, C>(a, row, column);
  };
  i64 column = first_column;
  for (; column + NC <= last_column; column += NC) strip.template operator()<NC>(column);
  if constexpr (n % NC != 0)
    for (; column < last_column; ++column) strip.template operator()<1>(column);
}
