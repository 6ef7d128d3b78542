// Each row is read for its moments while the one before it is written: reads and writes of memory go on side by side, as in a copy.
//! serves       cpu
//! when         rows > 1
//! fixed        cols
//! param        unroll 1 2 4 8
//! param        store cached stream             // stream: past the caches, for outputs that nobody reads soon
//! launch_param block 4 16 64 256               // rows
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && (block == 4 || block <= rows)
//! launch       main ceil_div(rows, block) 1 1 threads
//! start        unroll=4,store=cached,block=16,threads=1
#include "norm.h"

HONE_KERNEL(main) {
  constexpr bool stream = store == word::stream;
  const i64 first = b.x * a.block, end = min(a.rows, first + a.block);
  Gather<centred> gather(a, first);
  sweep<unroll>(cols, [&](i64 c, int u, auto n) HONE_BODY { gather.put(gather.take(c, n), c, u, n); });
  const weight_t *weight = a.weight, *bias = a.bias;
  for (i64 r = first; r < end; ++r) {
    const Scale scale = gather.scale(a.eps);
    const x_t *v = gather.values();
    x_t *y = a.y + r * cols;
    if (r + 1 == end) {
      sweep_output<unroll, stream>(y, cols, [&](i64 c, int, auto n) HONE_BODY {
        emit<stream>(y + c, output(vload(v + c, n), scale, weight, bias, c, n), n);
      });
      break;
    }
    gather = Gather<centred>(a, r + 1);
    sweep_output<unroll, stream>(y, cols, [&](i64 c, int u, auto n) HONE_BODY {
      // The load before the store: their addresses often agree in the low bits, and a load waits for such a store.
      const vec next = gather.take(c, n);
      emit<stream>(y + c, output(vload(v + c, n), scale, weight, bias, c, n), n);
      gather.put(next, c, u, n);
    });
  }
  if constexpr (stream) _mm_sfence();
}
