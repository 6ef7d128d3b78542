// %tid.x and its kind: rows that hold the same for as long as a warp lives.
#pragma once

#include <string_view>

namespace hone::sim {

enum class Special : int {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kWarpid,
  kNwarpid,
  kSmid,
  kNsmid,
  kGridid,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kDynamicSharedSize,
  kTotalSharedSize,
  kZero,
  kOne,
  kEnvreg1,             // where the groups of a whole grid meet: the upper half of an address
  kEnvreg2,             // and the lower one
  kDynamicSharedBase,   // where dynamic shared memory begins: depends on the kernel that runs
  kReservedSharedBase,  // where the block's own scratch of cooperative groups begins
  kClock,               // read anew each time
};

// "%tid.x" -> special, or -1.
int find_special(std::string_view name);

}  // namespace hone::sim
