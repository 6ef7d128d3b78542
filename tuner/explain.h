// Why the runtime takes which row of the database for a problem.
#pragma once

#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/target.h"
#include "tuning_db/layers.h"

namespace hone {

enum class Standing {
  kChosen,    // the best of all layouts
  kOfLayout,  // the best of its layout: taken when a weight is packed that way
  kSlower,
  kFailed,    // not ok
  kStale,     // its variant is unknown here or has another text now
  kIllegal,   // its config is no legal one any more
  kReplaced,  // a row of the system's database of which the user's has a newer version
};

struct Considered {
  Trial trial;
  bool system = false;  // from which layer
  Standing standing = Standing::kSlower;
  std::string reason;  // one line
};

// A best row of another shape or device that could stand in.
struct StandIn {
  Best row;
  std::string relation;  // as a match level: "bucket", "near", "sibling"
  double distance = 0;   // of the static dims, in doublings
};

struct Explanation {
  std::vector<Considered> rows;     // winners first, then by time; failures last
  std::vector<std::string> unread;  // rows that can't be believed, a line each
  std::vector<StandIn> stand_ins;   // nearest first
};

// `problem`: canonical and complete. `target`: of the device, when it is here; without it configs
// aren't checked.
Explanation explain(const Layers& layers, const Catalog& catalog, const DeviceIdentity& device,
                    const Target* target, const Problem& problem);

}  // namespace hone
