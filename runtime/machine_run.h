// What a block of threads does with a kernel's machine code: how often each instruction issues and
// which addresses its accesses go to. Only what decides control flow and addresses is computed;
// memory holds zeros but for what the warp itself wrote, and accesses to it touch nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/machine_code.h"

namespace hone {

struct MachineLaunch {
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::string parameters;  // of the kernel, in constant memory from parameter_at on
};

// Of one memory instruction, means over those of its executions that were looked at.
struct AccessFigures {
  double executions = 0;  // per warp, with at least one lane active
  double wavefronts = 0;  // shared memory: passes that bank conflicts and width make of one
  double lines = 0;       // global memory: 128-byte lines, summed over the phases of wide accesses
  double sectors = 0;     // global memory: different sectors of 32 bytes
};

struct BlockFigures {
  std::vector<double> executions;     // by instruction: per warp, mean over the block's warps
  std::vector<AccessFigures> access;  // by instruction
  double loaded_bytes = 0;            // of different sectors that the block reads
  double stored_bytes = 0;            // of sectors, as often as they are stored
  double lone_cycles = 0;  // that one warp takes alone: issue, latencies, what it waits for
  int warps = 0;           // of the block
  bool complete = true;    // false: a warp didn't end within the limit
};

// Latencies in cycles that the walk of a lone warp counts with.
struct MachineLatencies {
  double shared = 24, special = 18, system = 20, shared_store = 12, constant = 30;
  double hit = 36;    // a global load from lines that the block has
  double line = 260;  // a global load of a new line, again and again
  double fill = 400;  // a global load of a new line, the first time
  double tensor = 24;
};

class MachineRun {
 public:
  // `kernel` outlives this. `effort`: about how many instructions may be worked out per block;
  // fewer warps are run where that doesn't suffice for all of them.
  MachineRun(const MachineKernel& kernel, int sm, MachineLaunch launch,
             const MachineLatencies& latencies, std::int64_t effort);
  ~MachineRun();
  MachineRun(const MachineRun&) = delete;
  MachineRun& operator=(const MachineRun&) = delete;

  // `most_warps`: no more warps of the block than these are run, spread over it.
  BlockFigures block(std::array<std::uint32_t, 3> index, int most_warps);
  // The same, but accesses are only counted: quicker.
  BlockFigures count(std::array<std::uint32_t, 3> index, int most_warps);

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace hone
