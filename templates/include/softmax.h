// One row of softmax: its scores, their order, and how far it sees. For the variants of templates/softmax.
#pragma once
#include "rows.h"

constexpr bool simple = mask == word::none && softcap == word::no;
constexpr bool plain = form == word::plain;

// Scores are `slope` times what score() gives: a scale alone is left to the exponential, where it costs nothing and rounds once. A
// negative one makes the smallest x the largest score.
struct Row {
  const x_t *x;
  const f32 *m;
  x_t *y;
  i64 seen;  // columns that a causal row sees
  f32 inner, outer, slope, slope2, nothing;
  i32 flip;

  Row() = default;
  Row(const Args &a, i64 r) : x(a.x + r * cols), m(a.m), y(a.y + r * cols), seen(cols), inner(a.scale), outer(a.cap) {
    if constexpr (mask == word::full) m += r * cols;
    if constexpr (causal == word::yes) {
      const i64 q = a.rows / a.heads;
      seen = max<i64>(0, cols - q + r % q + 1);
    }
    if constexpr (softcap == word::yes) inner /= outer;
    slope = simple ? a.scale : 1;
    slope2 = slope * 1.44269504f;
    flip = slope < 0 ? static_cast<i32>(0x80000000u) : 0;
    nothing = slope < 0 ? __builtin_inff() : -__builtin_inff();
  }

  template <typename N>
  HONE_BODY vec score(i64 c, N n) const {
    vec s = vload(x + c, n);
    if constexpr (softcap == word::yes) s = vtanh(s * inner) * outer;
    else if constexpr (!simple) s *= inner;
    if constexpr (mask != word::none) s += vload(m + c, n);
    return s;
  }
  HONE_BODY vec ordered(vec s) const { return simple ? as_vec(as_ivec(s) ^ flip) : s; }
  f32 largest(vec top) const { return reduce_max(top) * (flip != 0 ? -1.0f : 1.0f); }
  f32 larger(f32 s, f32 t) const { return slope < 0 ? min(s, t) : max(s, t); }
};

// Row::seen columns from `begin`: the largest score and the sum of exponentials relative to it. store_score and store_exp keep what is
// theirs; `again` yields the score a second time.
template <i64 unroll, typename StoreScore, typename Again, typename StoreExp>
HONE_BODY inline void gather(const Row &row, i64 begin, i64 width, bool whole, f32 *largest, f32 *sum, StoreScore store_score, Again again,
                             StoreExp store_exp) {
  vec top[unroll], part[unroll] = {};
  for (vec &t : top) t = broadcast(-__builtin_inff());
  sweep<unroll>(width, [&](i64 c, int u, auto n) HONE_BODY {
    const vec s = row.score(begin + c, n);
    store_score(begin + c, s, n);
    top[u] = vmax(pad(row.ordered(s), n, -__builtin_inff()), top[u]);
  });
#pragma GCC unroll 16
  for (int u = 1; u < unroll; ++u) top[0] = vmax(top[u], top[0]);
  *largest = row.largest(top[0]);
  // A part of -infinities adds nothing, whereas a row of them is NaN.
  const f32 base = !whole && *largest == row.nothing ? 0 : *largest;
  sweep<unroll>(width, [&](i64 c, int u, auto n) HONE_BODY {
    const vec e = exp2_down<degree>((again(begin + c, n) - base) * row.slope2);
    store_exp(begin + c, e, n);
    part[u] += pad(e, n, 0);
  });
#pragma GCC unroll 16
  for (int u = 1; u < unroll; ++u) part[0] += part[u];
  *sum = reduce_add(part[0]);
}

inline f32 exp2_down(f32 t) { return exp2_down<degree>(broadcast(t))[0]; }
inline f32 log_of(f32 t) { return vlog(broadcast(t))[0]; }
