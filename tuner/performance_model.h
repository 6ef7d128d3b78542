// How long a launch would take, told from its machine code, its geometry and a GPU's data sheet
// alone: modelled, never measured. What issues, which unit takes it, which addresses it goes to
// comes from runtime/machine_run.h. The constants are those of a study that held such a model
// against recorded times of an A100, an A4000 and an RTX 2080 Ti (convolution, GEMM); nothing is
// fitted here.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/machine_run.h"
#include "runtime/simulator/gpus.h"

namespace hone {

struct ModelledLaunch {
  const MachineKernel* kernel = nullptr;
  MachineLaunch launch;
  std::int64_t shared_bytes = 0;     // of a block, static and dynamic
  std::int64_t resident_blocks = 0;  // that a multiprocessor holds at once; at least 1
};

// The parts of a launch's time, in seconds of the whole launch.
struct ModelledTime {
  double seconds = 0;
  double throughput = 0;  // by the busiest unit of a multiprocessor
  double latency = 0;     // by what one warp waits for
  double cache = 0;       // by what blocks bring in from the second-level cache
  std::string unit;       // the busiest: issue, fma, alu, lsu, tensor ...
  bool complete = true;   // false: a warp was too long to be followed to its end
};

// Takes less than 5 ms on one core.
ModelledTime model_launch(const ModelledLaunch& launch, const sim::Gpu& gpu);

}  // namespace hone
