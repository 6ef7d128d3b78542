// From counts of each instruction to Counters.
#pragma once

#include <vector>

#include "runtime/simulator/warp.h"

namespace hone::sim {

void collect_counters(Run& run);
// The functions that may run when `entry` does.
std::vector<const Function*> reached_functions(const Module::Body& body, const Function& entry);

}  // namespace hone::sim
