// What of a kernel's machine code decides its control flow and the addresses of its accesses.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "runtime/machine_step.h"

namespace hone {

bool is_float(Act act);

// Which instructions of a kernel have to be worked out.
struct MachineAnalysis {
  std::vector<bool> needed;  // by instruction
  std::vector<bool> read;    // by instruction: an access whose result is needed
  int floats = 0;
  bool reads_shared = false;
  std::set<std::int64_t> read_slots;  // of the warp's own memory, by distance from its stack
  bool reads_anywhere = false;        // of the warp's own memory, at places that aren't known

  bool keeps(const Step& store) const;  // somebody may read what it stores
};

// A backward walk over the flow. `next`: where each basic block may go on. `follow_floats`: through
// arithmetic on floats, too. `control_only`: what control flow depends on, not addresses.
MachineAnalysis analyse(const std::vector<Step>& steps, const CodeFlow& flow,
                        const std::vector<std::vector<int>>& next, bool follow_floats,
                        bool control_only);

}  // namespace hone
