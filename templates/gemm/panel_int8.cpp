// Integer dot products: s8 weights as they are, block formats against x quantised to s8 in blocks
// of 32 with one f32 scale each. The weight lies in panels of NR columns; four neighbours in k of a
// column share a 32-bit word, so that one instruction adds four products per lane to a word of x
// broadcast from its row. That instruction wants one side unsigned: weights are stored with an
// offset (q + 128, or the nibble itself), and offset * sum(x) is taken off again, per row for s8
// and per block for block formats. A block of a panel holds the quants of 32 steps of k, NR scales
// in f16 and, for q4_1, NR minima. A row of x with an infinity or a NaN has no scale: its sums are
// formed in f32 from the same panel.
//! serves        cpu
//! when          x == s8 || quantised
//! fixed         n k
//! param         MR 1 2 4 6 8 10 12
//! param         NV 1 2 4
//! param         together 1 2
//! param         pack_x 0 1
//! param         unroll 1 2 4 8
//! param         ahead 0 1024 2048 4096
//! launch_param  tiles 4 16 4096
//! launch_param  panels 1 4 16 64
//! launch_param  threads 1 2 4 8 16 32 64 units
//! let           NR = NV * vector_bytes / 4
//! let           quant_bytes = w == q8_0 ? 32 : 16
//! let           block_bytes = NR * (quant_bytes + (w == q4_1 ? 4 : 2))
//! let           panel_bytes = quantised ? k / 32 * block_bytes : NR * round_up(k, 4)
//! let           row_bytes = quantised ? k / 32 * 40 : pack_x * round_up(k, 64)
//! require       threads <= units
//! require       quantised ? pack_x == 1 && NV % together == 0 : together == 1
//! require       MR * NV + (quantised ? (MR + 1) * together + 2 : NV + 1) <= registers
//! require       panels == 1 || panels * NR < 2 * n
//! pack          w panel(NR) ceil_div(n, NR) * panel_bytes
//! workspace     round_up(m, MR) * (row_bytes + 4)
//! launch        prepare ceil_div(m, MR) 1 1 threads
//! launch        main ceil_div(n, NR * panels) ceil_div(m, MR * tiles) 1 threads
//! start         MR=registers>=32?quantised?6:12:2,NV=2,together=quantised?2:1,pack_x=1,\
//!               unroll=1,ahead=1024,tiles=4096,panels=4,threads=units
#include "dot.h"
#include "gemm.h"

constexpr i64 kLine = 64;
constexpr i64 kBlock = 32;                  // steps of k that share a scale
constexpr i64 kWord = 4;                    // bytes, and steps of k
constexpr i64 kPanelRow = NR * kWord;       // bytes
constexpr i64 kTileBytes = MR * row_bytes;  // of x as prepare() leaves it
constexpr i32 kOffset = w == word::q4_1 ? 0 : w == word::q4_0 ? 8 : 128;

// A block of a tile of quantised x.
struct XBlock {
  i8 quants[MR][kBlock];
  f32 scale[MR];
  union {
    i32 shift[MR];  // -offset * sum(quants)
    f32 sum[MR];    // scale * sum(quants), for the minima of q4_1
  };
};
static_assert(sizeof(XBlock) == MR * 40);

// Behind the tiles one number per row: of s8 x, 128 * sum; of quantised x, whether it has an
// infinity or a NaN.
inline i32 *row_notes(const Args &a) {
  return reinterpret_cast<i32 *>(a.workspace + ceil_div(a.m, MR) * kTileBytes);
}

inline ivec broadcast_word(const void *p) {
  i32 value;
  __builtin_memcpy(&value, p, sizeof value);
  return broadcast(value);
}
inline ivec load_words(const u8 *p) { return as_ivec(vload(reinterpret_cast<const f32 *>(p))); }
inline const f16 *block_scales(const u8 *block) {
  return reinterpret_cast<const f16 *>(block + NR * quant_bytes);
}

inline void prefetch_ahead(const u8 *p, i64 bytes) {
  if constexpr (ahead > 0) {
#pragma GCC unroll 64
    for (i64 i = 0; i < bytes; i += kLine) prefetch(p + ahead + i);
  }
}

// One row of a panel of s8 weights against a word of x per row; `bytes` < 4 of them lie within the
// last word.
template <int R, i64 bytes>
__attribute__((always_inline)) inline void step(ivec (&sum)[R][NV], const u8 *xs, const u8 *ws) {
  constexpr i64 row_stride = pack_x ? kLine : k;
  prefetch_ahead(ws, kPanelRow);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    ivec value;
    if constexpr (bytes == kWord) {
      value = broadcast_word(xs + r * row_stride);
    } else {
      u8 word[kWord] = {};
      for (i64 i = 0; i < bytes; ++i) word[i] = xs[r * row_stride + i];
      value = broadcast_word(word);
    }
#pragma GCC unroll 4
    for (i64 v = 0; v < NV; ++v)
      sum[r][v] = dot_u8s8(sum[r][v], load_words(ws + v * vector_bytes), value);
  }
}

template <int R>
inline void s8_tile(const Args &a, const u8 *xs, const u8 *ws, i64 row, i64 rows, i64 column) {
  ivec sum[R][NV] = {};
  for (i64 c = 0; c < k / kLine; ++c, xs += pack_x ? MR * kLine : kLine) {
#pragma GCC unroll unroll
    for (i64 i = 0; i < kLine; i += kWord, ws += kPanelRow) step<R, kWord>(sum, xs + i, ws);
  }
  if constexpr (k % kLine != 0) {
#pragma GCC unroll 1
    for (i64 i = 0; i < k % kLine / kWord; ++i, xs += kWord, ws += kPanelRow)
      step<R, kWord>(sum, xs, ws);
    if constexpr (k % kWord != 0) step<R, k % kWord>(sum, xs, ws);
  }
  vec value[R * NV];
#pragma GCC unroll 64
  for (i64 i = 0; i < R * NV; ++i)
    value[i] = to_vec(sum[i / NV][i % NV] - broadcast(row_notes(a)[row + i / NV]));
  finish(a, row, rows, column, NV, value);
}

constexpr int fewer(int rows) { return rows > 1 ? (rows + 2) / 4 : 1; }

// The rows that a tile of MR has. Packed ones are padded; others are cut into fewer, so that
// nothing beyond x is read.
template <int R>
inline void s8_tiles(const Args &a, const u8 *xs, const u8 *ws, i64 row, i64 rows, i64 column) {
  if constexpr (pack_x) {
    if (R > 1 && rows <= fewer(R))
      s8_tile<fewer(R)>(a, xs, ws, row, rows, column);
    else
      s8_tile<R>(a, xs, ws, row, rows, column);
  } else {
    for (; rows >= R; row += R, rows -= R, xs += R * k) s8_tile<R>(a, xs, ws, row, R, column);
    if constexpr (R > 1) s8_tiles<fewer(R)>(a, xs, ws, row, rows, column);
  }
}

// One block of 32 steps of k: R rows of a tile against NR columns, `together` vectors of them at a
// time.
template <int R>
__attribute__((always_inline)) inline void block_step(vec (&sum)[R][NV], const XBlock *xs,
                                                      const u8 *ws) {
  prefetch_ahead(ws, block_bytes);
#pragma GCC unroll 4
  for (i64 first = 0; first < NV; first += together) {
    // Each group broadcasts the words of x again: compilers that see that they are the same spill
    // them.
    asm("" : "+r"(xs));
    ivec dots[R][together];
    const auto dot = [&](i64 word, const ivec(&weight)[together]) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const ivec value = broadcast_word(&xs->quants[r][word * kWord]);
#pragma GCC unroll 4
        for (i64 v = 0; v < together; ++v) dots[r][v] = dot_u8s8(dots[r][v], weight[v], value);
      }
    };
#pragma GCC unroll 64
    for (i64 i = 0; i < R * together; ++i)
      dots[i / together][i % together] = kOffset != 0 ? broadcast(xs->shift[i / together]) : ivec{};
#pragma GCC unroll unroll
    for (i64 j = 0; j < quant_bytes / kWord; ++j) {
      ivec weight[together];
#pragma GCC unroll 4
      for (i64 v = 0; v < together; ++v)
        weight[v] = load_words(ws + (j * NR + (first + v) * lanes) * kWord);
      if constexpr (w == word::q8_0) {
        dot(j, weight);
      } else {
        ivec low[together];
#pragma GCC unroll 4
        for (i64 v = 0; v < together; ++v)
          low[v] = weight[v] & 0x0f0f0f0f, weight[v] = (weight[v] >> 4) & 0x0f0f0f0f;
        dot(j, low);
        dot(j + kBlock / 2 / kWord, weight);
      }
    }
#pragma GCC unroll 4
    for (i64 v = first; v < first + together; ++v) {
      const vec scale = vload(block_scales(ws) + v * lanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
        sum[r][v] = to_vec(dots[r][v - first]) * (scale * broadcast(xs->scale[r])) + sum[r][v];
      if constexpr (w == word::q4_1) {
        const vec minimum = vload(block_scales(ws) + NR + v * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][v] = minimum * broadcast(xs->sum[r]) + sum[r][v];
      }
    }
  }
}

// The sums of one row with `lanes` columns in f32.
__attribute__((noinline, cold)) inline vec sums_in_f32(const x_t *xs, const u8 *ws, i64 v) {
  vec sum{};
  for (i64 i = 0; i < k; ++i) {
    const u8 *block = ws + i / kBlock * block_bytes;
    const i64 quant = i % kBlock % quant_bytes;
    const ivec words = load_words(block + (quant / kWord * NR + v * lanes) * kWord) >>
                       static_cast<i32>(quant % kWord * 8);
    const ivec bits =
        w == word::q8_0 ? words & 255 : (i % kBlock < quant_bytes ? words : words >> 4) & 15;
    vec weight = to_vec(bits - kOffset) * vload(block_scales(block) + v * lanes);
    if constexpr (w == word::q4_1) weight = weight + vload(block_scales(block) + NR + v * lanes);
    sum = sum + weight * load_f32(xs, i);
  }
  return sum;
}

template <int R>
inline void block_tile(const Args &a, const u8 *tile, const u8 *ws, i64 row, i64 rows, i64 column) {
  const XBlock *xs = reinterpret_cast<const XBlock *>(tile);
  vec sum[R][NV] = {};
  for (i64 i = 0; i < k / kBlock; ++i) block_step<R>(sum, xs + i, ws + i * block_bytes);
  vec value[R * NV];
#pragma GCC unroll 64
  for (i64 i = 0; i < R * NV; ++i) value[i] = sum[i / NV][i % NV];
  for (i64 r = 0; r < rows; ++r) {
    if (__builtin_expect(row_notes(a)[row + r] == 0, 1)) continue;
    for (i64 v = 0; v < NV; ++v) value[r * NV + v] = sums_in_f32(a.x + (row + r) * k, ws, v);
  }
  finish(a, row, rows, column, NV, value);
}

HONE_KERNEL(main) {
  const i64 last_row = min(a.m, (b.y + 1) * a.tiles * MR);
  const i64 last_column = min(n, (b.x + 1) * a.panels * NR);
  for (i64 column = b.x * a.panels * NR; column < last_column; column += NR) {
    const u8 *ws = a.w + column / NR * panel_bytes;
    for (i64 row = b.y * a.tiles * MR; row < last_row; row += MR) {
      const u8 *tile =
          pack_x ? a.workspace + row * row_bytes : reinterpret_cast<const u8 *>(a.x) + row * k;
      const i64 rows = min(MR, last_row - row);
      if constexpr (quantised) {
        if (MR > 1 && rows <= fewer(MR))
          block_tile<fewer(MR)>(a, tile, ws, row, rows, column);
        else
          block_tile<MR>(a, tile, ws, row, rows, column);
      } else {
        s8_tiles<MR>(a, tile, ws, row, rows, column);
      }
    }
  }
}

// 32 elements of x as quants and a scale; returns lanes that are zero if all of them are finite.
template <typename T>
inline ivec quantise(const T *from, XBlock &to, i64 r) {
  constexpr i64 parts = kBlock / lanes;
  vec value[parts], extreme{}, sum{};
  ivec strange{};
  for (i64 i = 0; i < parts; ++i) {
    value[i] = vload(from + i * lanes);
    const ivec finite = value[i] - value[i] == 0.0f;
    strange |= ~finite;
    value[i] = as_vec(as_ivec(value[i]) & finite);
    extreme = vmax(extreme, vabs(value[i]));
    sum = sum + value[i];
  }
  constexpr f32 smallest =
      0x1p-100f;  // below it a block counts as zero: its reciprocal would overflow
  const f32 top = reduce_max(extreme);
  const vec inverse = broadcast(top > smallest ? 127.0f / top : 0.0f);
  ivec total{};
  for (i64 i = 0; i < parts; ++i) {
    const ivec quants = as_ivec(value[i] * inverse + 0x1.8p23f) - 0x4b400000;  // to nearest
    total = total + quants;
    store_bytes(&to.quants[r][i * lanes], quants);
  }
  to.scale[r] = top > smallest ? top / 127.0f : 0.0f;
  if constexpr (w == word::q4_1) {
    // Of the quants, not of x: what rounding does to x then meets q * scale + minimum, not q *
    // scale alone, which is larger.
    to.sum[r] = to.scale[r] * static_cast<f32>(reduce_add(total));
  } else {
    to.shift[r] = -kOffset * reduce_add(total);
  }
  return strange;
}

// A row of s8 x, as a line per chunk of k if it is wanted so; returns 128 * its sum.
inline i32 copy_row(const i8 *from, u8 *to) {
  ivec sum{};
  const ivec ones = broadcast(0x01010101);
  for (i64 c = 0; c < k; c += vector_bytes) {
    ivec bytes{};
    if (k - c >= vector_bytes) {
      __builtin_memcpy(&bytes, from + c, vector_bytes);
    } else {
      for (i64 i = 0; i < k - c; ++i) reinterpret_cast<i8 *>(&bytes)[i] = from[c + i];
    }
    sum = dot_u8s8(sum, ones, bytes);
    if constexpr (pack_x)
      __builtin_memcpy(to + c / kLine * MR * kLine + c % kLine, &bytes, vector_bytes);
  }
  return static_cast<i32>(128u * static_cast<u32>(reduce_add(sum)));
}

HONE_KERNEL(prepare) {
  u8 *tile = a.workspace + b.x * kTileBytes;
  for (i64 r = 0; r < MR; ++r) {
    const i64 row = b.x * MR + r;
    const x_t *from = a.x + row * k;
    i32 note = 0;
    if constexpr (quantised) {
      XBlock *blocks = reinterpret_cast<XBlock *>(tile);
      ivec strange{};
      for (i64 i = 0; i < k / kBlock; ++i) {
        if (row < a.m) {
          strange |= quantise(from + i * kBlock, blocks[i], r);
        } else {
          blocks[i].scale[r] = 0, blocks[i].sum[r] = 0;
        }
      }
      note = reduce_add(strange) != 0;
    } else if (row < a.m) {
      note = copy_row(reinterpret_cast<const i8 *>(from), tile + r * kLine);
    }
    row_notes(a)[row] = note;
  }
}

// Times products of both signs, as 32 of them are, an infinity yields NaN; times their sum it
// wouldn't.
inline f16 as_factor(f16 value) {
  const bool infinite = (value.bits & 0x7fff) == 0x7c00;
  return {static_cast<u16>(value.bits | (infinite ? 0x200 : 0))};
}

// One panel of columns from `column` on.
template <typename T>
inline void pack_panel(const T *checkpoint, i64 column, u8 *to) {
  if constexpr (quantised) {
    for (i64 i = 0; i < k / kBlock; ++i, to += block_bytes) {
      f16 *scales = const_cast<f16 *>(block_scales(to));
      for (i64 c = 0; c < NR; ++c) {
        const T block = column + c < n ? checkpoint[(column + c) * (k / kBlock) + i] : T{};
        for (i64 j = 0; j < quant_bytes / kWord; ++j) {
          u32 quants;
          __builtin_memcpy(&quants, block.values + j * kWord, kWord);
          if constexpr (w == word::q8_0) quants ^= 0x80808080u;  // q + 128, four at a time
          __builtin_memcpy(to + (j * NR + c) * kWord, &quants, kWord);
        }
        scales[c] = as_factor(block.scale);
        if constexpr (w == word::q4_1) scales[NR + c] = as_factor(block.minimum);
      }
    }
  } else {
    for (i64 i = 0; i < k; i += kWord) {
      for (i64 c = 0; c < NR; ++c) {
        for (i64 j = i; j < i + kWord; ++j)
          *to++ = static_cast<u8>((column + c < n && j < k ? checkpoint[(column + c) * k + j] : 0) ^
                                  0x80);
      }
    }
  }
}

HONE_PACK(w) {
  for (i64 column = 0; column < n; column += NR, to += panel_bytes)
    pack_panel(reinterpret_cast<const w_t *>(from), column, to);
}
