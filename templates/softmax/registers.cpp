// Short rows: a row lives in registers from its load to its store, several rows at once so that their reductions overlap.
//! serves       cpu
//! when         cols <= 4 * vector_bytes
//! fixed        cols
//! param        degree 3 4 5 6                  // of the polynomial for 2^t
//! param        together 1 2 4
//! launch_param block 8 32 128 512              // rows
//! launch_param threads 1 2 4 8 units
//! let          vectors = ceil_div(cols, vector_bytes / 4)
//! require      x == bf16 ? degree <= 4 : degree >= 5
//! require      together == 1 || together * vectors <= registers - 8
//! require      threads <= units && (block == 8 || block <= rows)
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        degree=x==bf16?4:5,together=1,block=8,threads=1
#include "rows.h"

constexpr bool simple = mask == word::none && softcap == word::no;
constexpr bool plain = form == word::plain;

template <i64 count>
inline void soften(const Args &a, i64 r) {
  // As in rows.cpp: scores are `slope` times what is in v.
  const f32 slope = simple ? a.scale : 1;
  const f32 slope2 = slope * 1.44269504f;
  const i32 flip = slope < 0 ? static_cast<i32>(0x80000000u) : 0;
  const i64 q = a.rows / a.heads;
  vec v[count][vectors], top[count];
  f32 most[count], sum[count];
  i64 seen[count];
  auto columns = [&](auto f) HONE_BODY {
#pragma GCC unroll 16
    for (int i = 0; i < cols / lanes; ++i) f(i * lanes, i, Whole{});
    if constexpr (cols % lanes != 0) f(cols / lanes * lanes, cols / lanes, cols % lanes);
  };
  auto rows = [&](auto f) HONE_BODY {
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) f(k);
  };
  auto shown = [&](int k, vec s, i64 c, auto n, f32 fill) HONE_BODY {
    if constexpr (causal == word::yes)
      return select(iota() < static_cast<i32>(min<i64>(seen[k] - c, lanes)), s, broadcast(fill));
    else return pad(s, n, fill);
  };
  // Step by step for all rows, so that one row's reduction runs while another's exponentials do.
  rows([&](int k) HONE_BODY {
    seen[k] = causal == word::yes ? max<i64>(0, cols - q + (r + k) % q + 1) : cols;
    top[k] = broadcast(-__builtin_inff());
    columns([&](i64 c, int i, auto n) HONE_BODY {
      vec s = vload(a.x + (r + k) * cols + c, n);
      if constexpr (softcap == word::yes) s = vtanh(s * (a.scale / a.cap)) * a.cap;
      else if constexpr (!simple) s *= a.scale;
      if constexpr (mask == word::row) s += vload(a.m + c, n);
      if constexpr (mask == word::full) s += vload(a.m + (r + k) * cols + c, n);
      v[k][i] = s;
      if constexpr (simple) s = as_vec(as_ivec(s) ^ flip);
      top[k] = vmax(shown(k, s, c, n, -__builtin_inff()), top[k]);
    });
  });
  rows([&](int k) HONE_BODY { most[k] = reduce_max(top[k]) * (flip != 0 ? -1.0f : 1.0f); });
  rows([&](int k) HONE_BODY {
    top[k] = vec{};
    columns([&](i64 c, int i, auto n) HONE_BODY {
      const vec e = shown(k, exp2_down<degree>((v[k][i] - most[k]) * slope2), c, n, 0);
      if constexpr (plain) v[k][i] = e;
      top[k] += e;
    });
  });
  rows([&](int k) HONE_BODY { sum[k] = reduce_add(top[k]); });
  rows([&](int k) HONE_BODY {
    const f32 factor = 1 / sum[k], log_sum = plain ? 0 : vlog(broadcast(sum[k]))[0];
    columns([&](i64 c, int i, auto n) HONE_BODY {
      vec s = v[k][i];
      if constexpr (plain) s *= factor;
      else s = shown(k, (s - most[k]) * slope - log_sum, c, n, -__builtin_inff() - log_sum);
      vstore(a.y + (r + k) * cols + c, s, n);
    });
  });
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  i64 r = b.x * a.block;
  for (; r + together <= end; r += together) soften<together>(a, r);
  for (; r < end; ++r) soften<1>(a, r);
}
