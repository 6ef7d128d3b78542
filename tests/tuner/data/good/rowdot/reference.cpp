#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 row = begin; row < end; ++row)
    for (i64 column = 0; column < a.n; ++column) {
      f64 sum = 0;
      for (i64 i = 0; i < a.k; ++i) sum += load(a.x, row * a.k + i) * load(a.w, column * a.k + i);
      a.y[row * a.n + column] = sum;
    }
}
