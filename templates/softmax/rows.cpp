// One row after another: the largest score, then exponentials and their sum, then the output. With `chunk`, the first two run chunk by
// chunk, each with its own largest, so that the row is read from memory once; each chunk is rescaled as it is written. `stage` tells where
// the exponentials wait for their sum: in y itself, in a row of workspace (then y is written once and may bypass the caches), or nowhere
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
#include "softmax.h"

constexpr bool staged = stage != word::none;
constexpr bool scores_staged = staged && softcap == word::yes;  // tanh isn't cheap
constexpr i64 step = chunk == 0 ? cols : chunk;
constexpr i64 chunks = ceil_div(cols, step);

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  for (i64 r = b.x * a.block; r < end; ++r) {
    const Row row(a, r);
    f32 *wait = stage == word::output ? reinterpret_cast<f32 *>(row.y)
                                      : reinterpret_cast<f32 *>(a.workspace) + b.thread * round_up(cols, 16);
    f32 largest[chunks], part[chunks], most = row.nothing;
    const i64 used = max<i64>(1, ceil_div(row.seen, step));
    for (i64 k = 0; k < used; ++k) {
      gather<unroll>(
          row, k * step, min(step, row.seen - k * step), chunks == 1, &largest[k], &part[k],
          [&](i64 c, vec s, auto n) HONE_BODY {
            if constexpr (scores_staged) vstore(wait + c, s, n);
          },
          [&](i64 c, auto n) HONE_BODY {
            if constexpr (scores_staged) return vload(wait + c, n);
            else return row.score(c, n);
          },
          [&](i64 c, vec e, auto n) HONE_BODY {
            if constexpr (staged && plain) vstore(wait + c, e, n);
          });
      most = row.larger(most, largest[k]);
    }
    f32 sum = 0;
    for (i64 k = 0; k < used; ++k) {
      largest[k] = chunks > 1 ? exp2_down((largest[k] - most) * row.slope2) : 1;
      sum += part[k] * largest[k];
    }
    const f32 log_sum = plain ? 0 : log_of(sum), slope = row.slope, slope2 = row.slope2;
    constexpr bool stream = store == word::stream;
    for (i64 begin = 0; begin < row.seen; begin += step) {
      const f32 factor = staged ? largest[begin / step] / sum : 1 / sum;
      sweep_output<unroll, stream>(row.y + begin, min(step, row.seen - begin), [&](i64 c, int, auto n) HONE_BODY {
        vec v;
        if constexpr (staged && (plain || scores_staged)) v = vload(wait + begin + c, n);
        else v = row.score(begin + c, n);
        if constexpr (!plain) v = (v - most) * slope - log_sum;
        else if constexpr (staged) v *= factor;
        else v = exp2_down<degree>((v - most) * slope2) * factor;
        emit<stream>(row.y + begin + c, v, n);
      });
    }
    if constexpr (causal == word::yes) {
      const f32 unseen = plain ? 0 / sum : -__builtin_inff() - log_sum;
      sweep<1>(cols - row.seen, [&](i64 c, int, auto n) HONE_BODY { vstore(row.y + row.seen + c, broadcast(unseen), n); });
    }
  }
  if constexpr (store == word::stream) _mm_sfence();
}
