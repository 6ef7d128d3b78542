// Three rows at once, one step each, column by column: the next row's largest score, this row's exponentials, the last row's output.
// Exponentials fill the multipliers and hardly touch memory; the other two are all memory and take their place in between, and no row
// waits for its own reductions. Exponentials wait in y (output) or in two rows of workspace (buffer), then y may bypass the caches.
//! serves       cpu
//! when         form == plain && causal == no && softcap == no && rows > 1
//! fixed        cols
//! param        degree 3 4 5 6                  // of the polynomial for 2^t
//! param        stage output buffer
//! param        unroll 1 2 4
//! param        store cached stream
//! launch_param block 4 16 64 256               // rows
//! launch_param threads 1 2 4 8 units
//! require      x == bf16 ? degree <= 4 : degree >= 5
//! require      x == f32 || stage != output
//! require      store == cached || stage != output
//! require      threads <= units && (block == 4 || block <= rows)
//! workspace    stage == buffer ? threads * 2 * round_up(cols, 16) * 4 : 0
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        degree=x==bf16?4:5,stage=buffer,unroll=2,store=cached,block=16,threads=1
#include "softmax.h"

constexpr bool stream = store == word::stream;

HONE_KERNEL(main) {
  const i64 first = b.x * a.block, end = min(a.rows, first + a.block);
  auto wait_of = [&](i64 r) HONE_BODY {
    if constexpr (stage == word::output) return reinterpret_cast<f32 *>(a.y + r * cols);
    else return reinterpret_cast<f32 *>(a.workspace) + (2 * b.thread + r % 2) * round_up(cols, 16);
  };
  auto join = [](const Row &row, vec (&top)[unroll]) HONE_BODY {
    for (int u = 1; u < unroll; ++u) top[0] = vmax(top[u], top[0]);
    return row.largest(top[0]);
  };
  Row row(a, first);
  vec top[unroll];
  for (vec &t : top) t = broadcast(-__builtin_inff());
  sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY {
    top[u] = vmax(pad(row.ordered(row.score(c, n)), n, -__builtin_inff()), top[u]);
  });
  f32 most = join(row, top), factor = 0;
  // The first row has no last one and the last no next: they do that step on themselves, and what it wrote is overwritten. Loads come
  // before stores, so that y may be x.
  x_t *y = row.y;
  const f32 *done = wait_of(stage == word::output ? first : first + 1);
  for (i64 r = first; r < end; ++r) {
    const Row next(a, min(r + 1, end - 1));
    f32 *wait = wait_of(r);
    vec part[unroll] = {};
    for (vec &t : top) t = broadcast(-__builtin_inff());
    sweep_output<unroll, stream>(y, cols, [&](i64 c, int u, auto n) HONE_BODY {
      const vec s = row.score(c, n), t = next.score(c, n), last = vload(done + c, n);
      emit<stream>(y + c, last * factor, n);
      const vec e = exp2_down<degree>((s - most) * row.slope2);
      vstore(wait + c, e, n);
      part[u] += pad(e, n, 0);
      top[u] = vmax(pad(next.ordered(t), n, -__builtin_inff()), top[u]);
    });
    for (int u = 1; u < unroll; ++u) part[0] += part[u];
    factor = 1 / reduce_add(part[0]);
    most = join(next, top);
    y = row.y;
    done = wait;
    row = next;
  }
  sweep_output<unroll, stream>(y, cols, [&](i64 c, int, auto n) HONE_BODY { emit<stream>(y + c, vload(done + c, n) * factor, n); });
  if constexpr (stream) _mm_sfence();
}
