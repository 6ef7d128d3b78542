#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 t = begin; t < end; ++t) {
    const i64 id = i64(a.ids[t]);
    for (i64 c = 0; c < a.cols; ++c) {
      double y = id >= 0 && id < a.vocab ? double(a.scale) * load(a.table, id * a.cols + c) : 0;
      if constexpr (plus == word::add) y += load(a.add, t * a.cols + c);
      a.y[t * a.cols + c] = y;
    }
  }
}
