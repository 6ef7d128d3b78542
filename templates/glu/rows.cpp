// Tiles of block rows by span columns. The sigmoid of silu and gelu_tanh is 1 / (1 + 2^-|t|) or its mirror: one exponential that can't
// overflow, and a division that the processor's estimate can replace. The normal distribution of gelu is 2^-polynomial or its mirror.
//! serves       cpu
//! fixed        cols
//! param        unroll 1 2 4
//! param        degree 4 5 6                    // of the polynomial for 2^t
//! param        division exact newton
//! param        store cached stream
//! launch_param block 1 4 16                    // rows
//! launch_param span 1024 4096 cols
//! launch_param threads 1 2 4 8 units
//! require      threads <= units && block <= rows && span <= cols
//! require      act == relu ? degree == 6 : x == bf16 ? degree == 4 : degree >= 5
//! require      act == silu || act == gelu_tanh || division == exact
//! launch       main ceil_div(cols, span) ceil_div(rows, block) 1 threads
//! start        unroll=2,degree=act==relu?6:x==bf16?4:5,division=exact,store=cached,block=1,span=cols,threads=1
#include "rows.h"

// v / (1 + e^-t)
inline vec gated(vec v, vec t) {
  const vec e = exp2_down<degree>(vabs(t) * -1.44269504f);
  const vec s = e + 1.0f;
  const vec w = v * select(t < 0.0f, e, broadcast(1.0f));
  if constexpr (division == word::exact) return w / s;
  else return w * reciprocal_of_1_to_2(s);
}

// v * (1 + erf(v / sqrt(2))) / 2: a minimax polynomial for log2(erfc(|v| / sqrt(2))), within 3e-8 of |v| * erfc and falling ever after.
inline vec normal(vec v) {
  const vec a = vabs(v);
  vec t = a * -1.823733624e-6f + 2.695461705e-5f;
  t = (t * a - 0.0001251389739f) * a - 0.0002913158042f;
  t = (t * a + 0.007278829169f) * a - 0.05266106906f;
  t = (t * a - 0.4591436447f) * a - 1.151116061f;
  const vec e = exp2_down<degree>(t * a + 4.881750236e-7f) * 0.5f;
  return v * select(v < 0.0f, e, 1.0f - e);
}

inline vec activation(vec v) {
  if constexpr (act == word::silu) return gated(v, v);
  else if constexpr (act == word::gelu_tanh) return gated(v, v * (v * v * 0.0713548163f + 1.59576912f));
  else if constexpr (act == word::gelu) return normal(v);
  else return vrelu(v);
}

HONE_KERNEL(main) {
  const i64 end = min(a.rows, (b.y + 1) * a.block), first = b.x * a.span, count = min(a.span, cols - first);
  for (i64 r = b.y * a.block; r < end; ++r) {
    const x_t *v = a.x + r * width + first;
    const x_t *up = form == word::fused ? v + cols : a.up + r * cols + first;
    x_t *y = a.y + r * cols + first;
    sweep_output<unroll, store == word::stream>(y, count, [&](i64 c, int, auto n) HONE_BODY {
      vec g = activation(vload(v + c, n));
      if constexpr (form != word::plain) g *= vload(up + c, n);
      emit<store == word::stream>(y + c, g, n);
    });
  }
  if constexpr (store == word::stream) _mm_sfence();
}
