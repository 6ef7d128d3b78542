// One row after another, in passes: the moments, then the output. LayerNorm's variance comes from a second pass over centred values, or
// from one pass over values shifted by the row's first; where that cancels badly (the first is an outlier) the second pass follows.
//! serves       cpu
//! fixed        cols
//! param        unroll 1 2 4 8
//! param        store cached stream             // stream: past the caches, for outputs that nobody reads soon
//! param        moments two shifted
//! launch_param block 1 4 16 64                 // rows
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= rows
//! require      moments == two || kind == layer || kind == layer_bias
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        unroll=4,store=cached,moments=two,block=1,threads=1
#include "norm.h"

HONE_KERNEL(main) {
  constexpr bool stream = store == word::stream;
  const i64 end = min(a.rows, (b.x + 1) * a.block);
  for (i64 r = b.x * a.block; r < end; ++r) {
    Gather<moments == word::shifted> gather(a, r);
    sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY { gather.put(gather.take(c, n), c, u, n); });
    const Scale scale = gather.scale(a.eps);
    const x_t *v = gather.values();
    x_t *y = a.y + r * cols;
    const weight_t *weight = a.weight, *bias = a.bias;
    sweep_output<unroll, stream>(y, cols, [&](i64 c, int, auto n) HONE_BODY {
      emit<stream>(y + c, output(vload(v + c, n), scale, weight, bias, c, n), n);
    });
  }
  if constexpr (stream) _mm_sfence();
}
