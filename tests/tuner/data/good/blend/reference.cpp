#include "numeric.h"

extern "C" void hone_reference(const Args &a, i64 begin, i64 end) {
  for (i64 i = begin; i < end; ++i) a.y[i] = 2 * load(a.a, i) + load(a.b, i);
}
