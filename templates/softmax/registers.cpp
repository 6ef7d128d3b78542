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
#include "softmax.h"

template <i64 count>
inline void soften(const Args &a, i64 r) {
  Row row[count];
  vec v[count][vectors], top[count];
  f32 most[count], sum[count];
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
      return select(iota() < static_cast<i32>(min<i64>(row[k].seen - c, lanes)), s, broadcast(fill));
    else return pad(s, n, fill);
  };
  // Step by step for all rows, so that one row's reduction runs while another's exponentials do.
  rows([&](int k) HONE_BODY {
    row[k] = Row(a, r + k);
    top[k] = broadcast(-__builtin_inff());
    columns([&](i64 c, int i, auto n) HONE_BODY {
      v[k][i] = row[k].score(c, n);
      top[k] = vmax(shown(k, row[k].ordered(v[k][i]), c, n, -__builtin_inff()), top[k]);
    });
  });
  rows([&](int k) HONE_BODY { most[k] = row[k].largest(top[k]); });
  rows([&](int k) HONE_BODY {
    top[k] = vec{};
    columns([&](i64 c, int i, auto n) HONE_BODY {
      const vec e = shown(k, exp2_down<degree>((v[k][i] - most[k]) * row[k].slope2), c, n, 0);
      if constexpr (plain) v[k][i] = e;
      top[k] += e;
    });
  });
  rows([&](int k) HONE_BODY { sum[k] = reduce_add(top[k]); });
  rows([&](int k) HONE_BODY {
    const f32 factor = 1 / sum[k], log_sum = plain ? 0 : log_of(sum[k]);
    columns([&](i64 c, int i, auto n) HONE_BODY {
      vec s = v[k][i];
      if constexpr (plain) s *= factor;
      else s = shown(k, (s - most[k]) * row[k].slope - log_sum, c, n, -__builtin_inff() - log_sum);
      vstore(row[k].y + c, s, n);
    });
  });
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  i64 r = b.x * a.block;
  for (; r + together <= end; r += together) soften<together>(a, r);
  for (; r < end; ++r) soften<1>(a, r);
}
