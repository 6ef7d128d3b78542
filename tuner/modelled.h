// A whole call of a kernel as the performance model sees it: all its launches on a GPU that needn't
// be here.
#pragma once

#include <string>

#include "codegen/catalog.h"
#include "runtime/backend.h"
#include "runtime/simulator/gpus.h"
#include "tuner/figures.h"

namespace hone {

struct Modelled {
  double seconds = 0;
  double memory_s = 0;  // what main memory takes at least; contained in `seconds`
  double throughput_s = 0, latency_s = 0, cache_s = 0;  // of all launches: see ModelledTime
  std::string unit;                                     // the busiest of the longest launch
  bool complete = true;  // false: the model couldn't follow a warp to its end
  std::string refused;   // not empty: why the GPU would refuse a launch
};

// `problem` is complete; `binary` of the cuda backend's. Nothing is allocated: arguments are
// addresses alone. Throws Error(kTemplate) when the launch lines have no value.
Modelled model_call(const Catalog& catalog, Backend& backend, const Template& variant,
                    const Problem& problem, const Config& config, const Target& target,
                    const Binary& binary, const sim::Gpu& gpu);

// {"modelled_ns", "modelled": {"gpu","unit","throughput_ns","latency_ns","cache_ns","memory_ns",
// "complete"}}
Figures modelled_figures(const Modelled& modelled, const sim::Gpu& gpu);

}  // namespace hone
