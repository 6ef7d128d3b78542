// A few long rows (logits) on several threads: each part of a row finds its own largest score and sum, then every part rescales itself
// once all are known.
//! serves       cpu
//! when         cols >= 4096 && units > 1
//! fixed        cols
//! param        degree 3 4 5 6                  // of the polynomial for 2^t
//! param        stage output none               // where exponentials wait; none: they are computed twice
//! param        unroll 1 2 4 8
//! launch_param parts 2 4 8 16                  // of a row
//! launch_param threads 2 4 8 units
//! require      x == bf16 ? degree <= 4 : degree >= 5
//! require      x == f32 || stage != output
//! require      form == plain || stage == none
//! require      threads <= units && parts >= threads && (rows < threads || parts == 2)
//! workspace    rows * parts * 8
//! launch       gather parts rows 1 threads
//! launch       main parts rows 1 threads
//! start        degree=x==bf16?4:5,stage=none,unroll=4,parts=units,threads=units
#include "softmax.h"

constexpr bool staged = stage == word::output;

struct Part {
  f32 largest, sum;
};

inline i64 part_width(const Args &a) { return round_up(ceil_div(cols, a.parts), 64); }

HONE_KERNEL(gather) {
  const Row row(a, b.y);
  const i64 width = part_width(a);
  Part &part = reinterpret_cast<Part *>(a.workspace)[b.y * a.parts + b.x];
  gather<unroll>(
      row, b.x * width, max<i64>(0, min(width, row.seen - b.x * width)), false, &part.largest, &part.sum,
      [](i64, vec, auto) HONE_BODY {}, [&](i64 c, auto n) HONE_BODY { return row.score(c, n); },
      [&](i64 c, vec e, auto n) HONE_BODY {
        if constexpr (staged) vstore(row.y + c, e, n);
      });
}

HONE_KERNEL(main) {
  const Row row(a, b.y);
  const i64 width = part_width(a), begin = min(cols, b.x * width), end = min(cols, begin + width);
  const Part *part = reinterpret_cast<const Part *>(a.workspace) + b.y * a.parts;
  f32 most = row.nothing, sum = 0;
  for (i64 k = 0; k < a.parts; ++k) most = row.larger(most, part[k].largest);
  for (i64 k = 0; k < a.parts; ++k) sum += part[k].sum * exp2_down((part[k].largest - most) * row.slope2);
  const f32 log_sum = plain ? 0 : log_of(sum), slope = row.slope, slope2 = row.slope2;
  const f32 factor = (staged ? exp2_down((part[b.x].largest - most) * slope2) : 1) / sum;
  const i64 seen = max(begin, min(end, row.seen));
  x_t *y = row.y;
  sweep<unroll>(seen - begin, [&](i64 c, int, auto n) HONE_BODY {
    vec v;
    if constexpr (staged) v = vload(y + begin + c, n) * factor;
    else if constexpr (plain) v = exp2_down<degree>((row.score(begin + c, n) - most) * slope2) * factor;
    else v = (row.score(begin + c, n) - most) * slope - log_sum;
    vstore(y + begin + c, v, n);
  });
  const f32 unseen = plain ? 0 / sum : -__builtin_inff() - log_sum;
  sweep<1>(end - seen, [&](i64 c, int, auto n) HONE_BODY { vstore(y + seen + c, broadcast(unseen), n); });
}
