// The largest value of each chunk, compared and nothing else; then a search for its place in the first chunk that has it.
//! serves       cpu
//! fixed        cols
//! param        chunk 256 1024 4096             // columns
//! param        unroll 2 4 8
//! launch_param block 1 4 16                    // rows
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= rows
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        chunk=1024,unroll=4,block=1,threads=1
#include "rows.h"

// The first column of [begin, begin + count) that is NaN, or else equal to `value`.
inline i64 place(const x_t *x, i64 begin, i64 count, f32 value) {
  for (i64 c = begin; c < begin + count; ++c)
    if (const f32 v = load_f32(x, c); v == value || v != v) return c;
  return 0;
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  for (i64 r = b.x * a.block; r < end; ++r) {
    const x_t *x = a.x + r * cols;
    f32 best = -__builtin_inff();
    i64 where = 0;
    bool nan = false;
    for (i64 begin = 0; begin < cols && !nan; begin += chunk) {
      vec top[unroll];
      ivec nans[unroll] = {};
      for (vec &t : top) t = broadcast(-__builtin_inff());
      sweep<unroll>(min(chunk, cols - begin), [&](i64 c, int u, auto n) HONE_BODY {
        const vec v = pad(vload(x + begin + c, n), n, -__builtin_inff());
        top[u] = vmax(v, top[u]);
        nans[u] |= v != v;
      });
#pragma GCC unroll 16
      for (int u = 1; u < unroll; ++u) {
        top[0] = vmax(top[u], top[0]);
        nans[0] |= nans[u];
      }
      nan = reduce_add(nans[0]) != 0;
      const f32 own = reduce_max(top[0]);
      if (nan || own > best) {
        best = own;
        where = begin;
      }
    }
    if (nan) best = __builtin_nanf("");  // equals nothing
    a.index[r] = place(x, where, min(chunk, cols - where), best);
  }
}
