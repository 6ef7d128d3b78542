// The weight lies in panels of NR columns, k-major, so that one step of k reads NR neighbours. A
// tile of MR rows by NR columns stays in registers over the whole of k: each step broadcasts one
// word of x per row against NV vectors of the panel. bf16 weights keep two steps of k in a 32-bit
// word per column: against bf16 x one dot product of pairs, against f32 x two FMAs after a shift
// and a mask. x is read as it is, or first brought into tiles of MR lines of 64 bytes, which are
// contiguous, and f32 unless x and w are both bf16.
//! serves        cpu
//! when          x != s8 && !quantised
//! fixed         n k
//! param         MR 1 2 4 6 8 12 14 16
//! param         NV 1 2 3 4
//! param         pack_x 0 1
//! param         unroll 1 2 4
//! param         ahead 0 1024 2048 4096
//! launch_param  tiles 4 16 4096
//! launch_param  panels 1 4 16 64
//! launch_param  threads 1 2 4 8 16 32 64 units
//! let           pairs = x == bf16 && w == bf16
//! let           NR = NV * vector_bytes / 4
//! let           chunk = pairs ? 32 : 16
//! require       threads <= units
//! require       MR * NV + NV + 1 <= registers
//! require       pack_x == 1 || pairs || x == f32
//! require       panels == 1 || panels * NR < 2 * n
//! pack          w panel(NR) ceil_div(n, NR) * NR * round_up(k, w == bf16 ? 2 : 1) * size(w, 1)
//! workspace     pack_x * round_up(m, MR) * ceil_div(k, chunk) * 64
//! launch        prepare ceil_div(m, MR) 1 1 threads if pack_x == 1
//! launch        main ceil_div(n, NR * panels) ceil_div(m, MR * tiles) 1 threads
//! start         MR=registers>=32?12:4,NV=2,pack_x=x==f32||pairs?0:1,unroll=1,ahead=1024,\
//!               tiles=4096,panels=4,threads=units
#include "dot.h"
#include "gemm.h"

constexpr i64 kLine = 64;  // bytes of one row in a chunk of x
constexpr i64 kRowStride =
    pack_x ? kLine : k * i64(sizeof(x_t));  // bytes from a row's word to the next row's
constexpr i64 kChunkStride = pack_x ? MR * kLine : kLine;
constexpr i64 kDepth = w == word::bf16 ? 2 : 1;            // steps of k in a row of a panel
constexpr i64 kStepBytes = kDepth == 2 && !pairs ? 8 : 4;  // of x that meet it
constexpr i64 kPanelRow = NR * kDepth * i64(sizeof(w_t));  // bytes
constexpr i64 kPanelBytes = ceil_div(k, kDepth) * kPanelRow;

inline vec broadcast_word(const u8 *p) {
  f32 value;
  __builtin_memcpy(&value, p, sizeof value);
  return broadcast(value);
}
inline vec broadcast_half_word(const u8 *p) {
  u16 bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return as_vec(broadcast(static_cast<i32>(bits)));
}

// sum += one row of the panel times the words of x at xs. `half`: the row's second step of k lies
// beyond the end of x.
template <int R, bool half>
__attribute__((always_inline)) inline void step(vec (&sum)[R][NV], const u8 *xs, const u8 *ws) {
  if constexpr (ahead > 0) {
#pragma GCC unroll 16
    for (i64 i = 0; i < kPanelRow; i += kLine) prefetch(ws + ahead + i);
  }
  vec weight[NV];
#pragma GCC unroll 4
  for (i64 v = 0; v < NV; ++v) {
    if constexpr (kDepth == 2)
      weight[v] = vload(reinterpret_cast<const f32 *>(ws) + v * lanes);
    else
      weight[v] = vload(reinterpret_cast<const w_t *>(ws) + v * lanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const u8 *p = xs + r * kRowStride;
    const vec value = half && pairs ? broadcast_half_word(p) : broadcast_word(p);
#pragma GCC unroll 4
    for (i64 v = 0; v < NV; ++v) {
      if constexpr (pairs) {
        sum[r][v] = dot_bf16(sum[r][v], as_ivec(weight[v]), as_ivec(value));
      } else if constexpr (kDepth == 2) {
        sum[r][v] = value * as_vec(as_ivec(weight[v]) << 16) + sum[r][v];
        if constexpr (!half)
          sum[r][v] =
              broadcast_word(p + 4) * as_vec(as_ivec(weight[v]) & static_cast<i32>(0xffff0000u)) +
              sum[r][v];
      } else {
        sum[r][v] = value * weight[v] + sum[r][v];
      }
    }
  }
}

template <int R>
inline void tile(const Args &a, const u8 *xs, const u8 *ws, i64 row, i64 rows, i64 column) {
  constexpr i64 steps = kLine / kStepBytes;  // of a whole chunk
  vec sum[R][NV] = {};
  for (i64 c = 0; c < k / chunk; ++c, xs += kChunkStride) {
#pragma GCC unroll unroll
    for (i64 s = 0; s < steps; ++s, ws += kPanelRow) step<R, false>(sum, xs + s * kStepBytes, ws);
  }
  if constexpr (k % chunk != 0) {
#pragma GCC unroll 1
    for (i64 s = 0; s < k % chunk / kDepth; ++s, ws += kPanelRow, xs += kStepBytes)
      step<R, false>(sum, xs, ws);
    if constexpr (k % kDepth != 0) step<R, true>(sum, xs, ws);
  }
  vec finished[R * NV];  // `sum` itself stays in registers: nothing takes its address
#pragma GCC unroll 64
  for (i64 i = 0; i < R * NV; ++i) finished[i] = sum[i / NV][i % NV];
  finish(a, row, rows, column, NV, finished);
}

// The rows that a tile of MR has. Packed ones are padded; others are cut into fewer, so that
// nothing beyond x is read.
template <int R>
inline void tiles_of(const Args &a, const u8 *xs, const u8 *ws, i64 row, i64 rows, i64 column) {
  constexpr int kFewer = R > 1 ? (R + 2) / 4 : 1;
  if constexpr (pack_x) {
    if (R > 1 && rows <= kFewer)
      tile<kFewer>(a, xs, ws, row, rows, column);
    else
      tile<R>(a, xs, ws, row, rows, column);
  } else {
    for (; rows >= R; row += R, rows -= R, xs += R * kRowStride) tile<R>(a, xs, ws, row, R, column);
    if constexpr (R > 1) tiles_of<kFewer>(a, xs, ws, row, rows, column);
  }
}

HONE_KERNEL(main) {
  constexpr i64 chunks = ceil_div(k, chunk);
  const i64 last_row = min(a.m, (b.y + 1) * a.tiles * MR);
  const i64 last_column = min(n, (b.x + 1) * a.panels * NR);
  for (i64 column = b.x * a.panels * NR; column < last_column; column += NR) {
    const u8 *ws = a.w + column / NR * kPanelBytes;
    for (i64 row = b.y * a.tiles * MR; row < last_row; row += MR) {
      const u8 *xs = pack_x ? a.workspace + row * chunks * kLine
                            : reinterpret_cast<const u8 *>(a.x) + row * kRowStride;
      tiles_of<MR>(a, xs, ws, row, min(MR, last_row - row), column);
    }
  }
}

// A tile of x: for each chunk of k a line per row. What lies beyond m or k is zero.
inline void pack_tile(const Args &a, i64 first_row, u8 *to) {
  using Word = decltype([] {
    if constexpr (pairs)
      return bf16{};
    else
      return f32{};
  }());
  for (i64 c = 0; c < ceil_div(k, chunk); ++c) {
    for (i64 row = first_row; row < first_row + MR; ++row, to += kLine) {
      for (i64 i = 0; i < chunk; i += lanes) {
        const x_t *from = a.x + row * k + c * chunk + i;
        const i64 left = row < a.m ? k - c * chunk - i : 0;
        vstore(reinterpret_cast<Word *>(to) + i, left >= lanes ? vload(from)
                                                 : left > 0    ? vload(from, left)
                                                               : vec{});
      }
    }
  }
}

HONE_KERNEL(prepare) {
  if constexpr (pack_x) pack_tile(a, b.x * MR, a.workspace + b.x * MR * ceil_div(k, chunk) * kLine);
}

HONE_PACK(w) {
  const w_t *checkpoint = reinterpret_cast<const w_t *>(from);
  w_t *panel = reinterpret_cast<w_t *>(to);
  constexpr i64 depth = round_up(k, kDepth);
  constexpr i64 line = kLine / i64(sizeof(w_t));  // elements: what one column reads at a time
  constexpr i64 soon = 4 * line;                  // until it is read; strides defeat hardware
  for (i64 column = 0; column < n; column += NR, panel += depth * NR) {
    for (i64 i = 0; i < depth; i += line) {
      for (i64 c = 0; c < NR; ++c) {
        const w_t *row = checkpoint + (column + c) * k;
        const i64 end = column + c < n ? min(k, i + line) : i;
        prefetch(row + i + soon);
        i64 j = i;
        for (; j < end; ++j) panel[(j / kDepth * NR + c) * kDepth + j % kDepth] = row[j];
        for (; j < min(depth, i + line); ++j)
          panel[(j / kDepth * NR + c) * kDepth + j % kDepth] = w_t{};
      }
    }
  }
}
