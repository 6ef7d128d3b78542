#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r) {
    i64 best = 0;
    for (i64 c = 1; c < a.cols; ++c) {
      const double v = load(a.x, r * a.cols + c), w = load(a.x, r * a.cols + best);
      if (v > w || (v != v && w == w)) best = c;
    }
    a.index[r] = double(best);
  }
}
