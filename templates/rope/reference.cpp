#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  const i64 half = a.rot / 2;
  for (i64 t = begin; t < end; ++t)
    for (i64 h = 0; h < a.heads; ++h) {
      const i64 head = (t * a.heads + h) * a.d;
      for (i64 i = a.rot; i < a.d; ++i) a.y[head + i] = load(a.x, head + i);
      for (i64 i = 0; i < half; ++i) {
        const double angle = load(a.positions, t) * load(a.inv_freq, i);
        const double c = __builtin_cos(angle) * double(a.scale), s = __builtin_sin(angle) * double(a.scale);
        const i64 first = head + (style == word::neox ? i : 2 * i);
        const i64 second = head + (style == word::neox ? i + half : 2 * i + 1);
        a.y[first] = load(a.x, first) * c - load(a.x, second) * s;
        a.y[second] = load(a.x, first) * s + load(a.x, second) * c;
      }
    }
}
