// A gather: each row from anywhere in a table larger than the caches, so the next row's lines are asked for while this one is converted.
//! serves       cpu
//! fixed        cols vocab
//! param        unroll 1 2 4
//! param        ahead 0 1                       // fetch the next row
//! param        store cached stream
//! launch_param block 1 8 64                    // tokens
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= tokens
//! require      store == cached || table != q8_0 && table != q4_0 && table != q4_1
//! launch       main ceil_div(tokens, block) 1 1 threads
//! start        unroll=2,ahead=1,store=cached,block=1,threads=1
#include "rows.h"

// `lanes` bytes as f32. Widened in two steps: compilers take a step of four apart into scalars.
inline vec widen(const i8 *p) {
  typedef i8 narrow_t __attribute__((vector_size(HONE_SIMD_BYTES / 4)));
  typedef i16 wide_t __attribute__((vector_size(HONE_SIMD_BYTES / 2)));
  narrow_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return to_vec(__builtin_convertvector(__builtin_convertvector(v, wide_t), ivec));
}
// Low nibbles, or with shift 4 the high ones.
inline vec nibbles(const u8 *p, int shift) {
  typedef u8 narrow_t __attribute__((vector_size(HONE_SIMD_BYTES / 4)));
  narrow_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return to_vec((__builtin_convertvector(__builtin_convertvector(v, uvec16), ivec) >> shift) & 15);
}

constexpr i64 row_bytes = (sizeof(table_t) <= 4 ? cols : cols / 32) * i64(sizeof(table_t));

// f(column, value, count) for a row of plain elements, or of blocks of 32.
template <typename T, typename F>
HONE_BODY inline void values(const T *row, const y_t *y, F f) {
  sweep_output<unroll, store == word::stream>(y, cols, [&](i64 c, int, auto n) HONE_BODY { f(c, vload(row + c, n), n); });
}
template <typename F>
HONE_BODY inline void values(const q8_0 *row, const y_t *, F f) {
  for (i64 k = 0; k < cols / 32; ++k) {
    const f32 scale = to_f32(row[k].scale);
#pragma GCC unroll 8
    for (i64 i = 0; i < 32; i += lanes) f(k * 32 + i, widen(row[k].values + i) * scale, Whole{});
  }
}
template <typename T, typename F>
HONE_BODY inline void nibble_values(const T *row, f32 (*minimum)(const T &), F f) {
  for (i64 k = 0; k < cols / 32; ++k) {
    const f32 scale = to_f32(row[k].scale), low = minimum(row[k]);
#pragma GCC unroll 8
    for (i64 i = 0; i < 32; i += lanes) f(k * 32 + i, nibbles(row[k].values + i % 16, i < 16 ? 0 : 4) * scale + low, Whole{});
  }
}
template <typename F>
HONE_BODY inline void values(const q4_0 *row, const y_t *, F f) {
  nibble_values<q4_0>(row, [](const q4_0 &block) HONE_BODY { return to_f32(block.scale) * -8; }, f);
}
template <typename F>
HONE_BODY inline void values(const q4_1 *row, const y_t *, F f) {
  nibble_values<q4_1>(row, [](const q4_1 &block) HONE_BODY { return to_f32(block.minimum); }, f);
}

HONE_KERNEL(main) {
  const u8 *rows = reinterpret_cast<const u8 *>(a.table);
  auto known = [&](i64 t) HONE_BODY { return a.ids[t] >= 0 && a.ids[t] < vocab; };
  const i64 end = min(a.tokens, (b.x + 1) * a.block);
  for (i64 t = b.x * a.block; t < end; ++t) {
    y_t *y = a.y + t * cols;
    auto put = [&](i64 c, vec v, auto n) HONE_BODY {
      v *= a.scale;
      if constexpr (plus == word::add) v += vload(a.add + t * cols + c, n);
      emit<store == word::stream>(y + c, v, n);
    };
    if (ahead && t + 1 < a.tokens && known(t + 1))
      for (i64 i = 0; i < row_bytes; i += 64) prefetch(rows + a.ids[t + 1] * row_bytes + i);
    if (known(t)) {
      values(reinterpret_cast<const table_t *>(rows + a.ids[t] * row_bytes), y, put);
    } else {
      sweep<1>(cols, [&](i64 c, int, auto n) HONE_BODY {
        vec v{};
        if constexpr (plus == word::add) v = vload(a.add + t * cols + c, n);
        vstore(y + c, v, n);
      });
    }
  }
  if constexpr (store == word::stream) _mm_sfence();
}
