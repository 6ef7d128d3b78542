// What the machine's ceilings allow for one call.
#pragma once

#include "codegen/op.h"
#include "tuning_db/record.h"

namespace hone {

struct Roofline {
  // The least time of one call under the measuring policy: operations over the peak of the
  // operator's compute type, cold bytes over main memory's speed, hot bytes over the speed of the
  // level of cache that they fit in, whichever is longest. 0 when the ceilings that it takes were
  // never measured.
  double bound_s = 0;
  // Below this no honest measurement can be: only what holds whatever types a kernel computes in
  // and wherever its data lies, with room for ceilings that were measured in a slow moment.
  double floor_s = 0;
};

// `scope`: dims, words and lets of a complete problem. `limits`: the target's.
Roofline roofline(const Op& op, const Values& scope, const Values& limits,
                  const Ceilings& ceilings);

}  // namespace hone
