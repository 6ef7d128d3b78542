// One row after another: the largest score, then exponentials and their sum, then the output. With `chunk`, the first two run chunk by
// chunk, each with its own largest, so that the row is read from memory once; each chunk is rescaled as it is written. `stage` tells where the
// exponentials wait for their sum: in y itself, in a row of workspace (then y is written once and may bypass the caches), or nowhere
// (they are computed twice).
//! serves       cpu
//! fixed        cols
//! param        degree 3 4 5 6                  // of the polynomial for 2^t
//! param        stage output buffer none
//! param        chunk 0 512 2048 8192           // columns; 0: the whole row
//! param        unroll 1 2 4 8
//! param        store cached stream
//! launch_param block 1 4 16                    // rows
//! launch_param threads 1 2 4 8 units
//! require      x == bf16 ? degree <= 4 : degree >= 5
//! require      x == f32 || stage != output
//! require      form == plain || stage == none || softcap == yes
//! require      chunk < cols && chunk % (unroll * vector_bytes / 4) == 0
//! require      store == cached || stage != output
//! require      threads <= units && block <= rows
//! workspace    stage == buffer ? threads * round_up(cols, 16) * 4 : 0
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        degree=x==bf16?4:5,stage=buffer,chunk=0,unroll=4,store=cached,block=1,threads=1
#include "rows.h"

constexpr bool simple = mask == word::none && softcap == word::no;
constexpr bool plain = form == word::plain;
constexpr bool staged = stage != word::none;
constexpr bool scores_staged = staged && softcap == word::yes;  // tanh isn't cheap
constexpr i64 step = chunk == 0 ? cols : chunk;
constexpr i64 chunks = ceil_div(cols, step);

inline f32 exp2_down(f32 t) { return exp2_down<degree>(broadcast(t))[0]; }

HONE_KERNEL(main) {
  const i64 q = a.rows / a.heads;
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  // Scores are `slope` times what score() gives; a negative scale makes the smallest x the largest score.
  const f32 slope = simple ? a.scale : 1;
  const f32 slope2 = slope * 1.44269504f;
  const i32 flip = slope < 0 ? static_cast<i32>(0x80000000u) : 0;
  const f32 nothing = slope < 0 ? __builtin_inff() : -__builtin_inff();
  const f32 outer = a.cap, inner = softcap == word::yes ? a.scale / outer : a.scale;
  for (i64 r = b.x * a.block; r < end; ++r) {
    const x_t *x = a.x + r * cols;
    const f32 *m = mask == word::full ? a.m + r * cols : a.m;
    x_t *y = a.y + r * cols;
    const i64 seen = causal == word::yes ? max<i64>(0, min(cols, cols - q + r % q + 1)) : cols;
    f32 *row;
    if constexpr (stage == word::output) row = reinterpret_cast<f32 *>(y);
    else row = reinterpret_cast<f32 *>(a.workspace) + b.thread * round_up(cols, 16);

    auto score = [&](i64 c, auto n) HONE_BODY {
      vec s = vload(x + c, n);
      if constexpr (softcap == word::yes) s = vtanh(s * inner) * outer;
      else if constexpr (!simple) s *= inner;
      if constexpr (mask != word::none) s += vload(m + c, n);
      return s;
    };

    f32 largest[chunks], part[chunks], most = nothing;
    for (i64 k = 0; k < chunks && k * step < max<i64>(seen, 1); ++k) {
      const i64 begin = k * step, width = min(step, seen - begin);
      vec top[unroll];
      for (vec &t : top) t = broadcast(-__builtin_inff());
      sweep<unroll>(width, [&](i64 c, int u, auto n) HONE_BODY {
        vec s = score(begin + c, n);
        if constexpr (scores_staged) vstore(row + begin + c, s, n);
        if constexpr (simple) s = as_vec(as_ivec(s) ^ flip);
        top[u] = vmax(pad(s, n, -__builtin_inff()), top[u]);
      });
#pragma GCC unroll 16
      for (int u = 1; u < unroll; ++u) top[0] = vmax(top[u], top[0]);
      const f32 own = reduce_max(top[0]) * (simple && flip != 0 ? -1.0f : 1.0f);
      largest[k] = own;
      most = slope < 0 ? min(own, most) : max(own, most);

      // A chunk of -infinities adds nothing, whereas a row of them is NaN.
      const f32 base = chunks > 1 && own == nothing ? 0 : own;
      vec sum[unroll] = {};
      sweep<unroll>(width, [&](i64 c, int u, auto n) HONE_BODY {
        vec e;
        if constexpr (scores_staged) e = vload(row + begin + c, n);
        else e = score(begin + c, n);
        e = exp2_down<degree>((e - base) * slope2);
        if constexpr (staged && plain) vstore(row + begin + c, e, n);
        sum[u] += pad(e, n, 0);
      });
#pragma GCC unroll 16
      for (int u = 1; u < unroll; ++u) sum[0] += sum[u];
      part[k] = reduce_add(sum[0]);
    }

    f32 sum = 0;
    for (i64 k = 0; k < chunks && k * step < max<i64>(seen, 1); ++k) {
      largest[k] = chunks > 1 ? exp2_down((largest[k] - most) * slope2) : 1;
      sum += part[k] * largest[k];
    }
    const f32 log_sum = plain ? 0 : vlog(broadcast(sum))[0];
    const f32 unseen = plain ? 0 / sum : -__builtin_inff() - log_sum;
    constexpr bool stream = store == word::stream;
    for (i64 k = 0; k * step < seen; ++k) {
      const i64 begin = k * step, width = min(step, seen - begin);
      const f32 factor = staged ? largest[k] / sum : 1 / sum;
      sweep_output<unroll, stream>(y + begin, width, [&](i64 c, int, auto n) HONE_BODY {
        vec v;
        if constexpr (staged && (plain || scores_staged)) v = vload(row + begin + c, n);
        else v = score(begin + c, n);
        if constexpr (!plain) v = (v - most) * slope - log_sum;
        else if constexpr (staged) v *= factor;
        else v = exp2_down<degree>((v - most) * slope2) * factor;
        emit<stream>(y + begin + c, v, n);
      });
    }
    if constexpr (causal == word::yes)
      sweep<1>(cols - seen, [&](i64 c, int, auto n) HONE_BODY { vstore(y + seen + c, broadcast(unseen), n); });
  }
  if constexpr (store == word::stream) _mm_sfence();
}
