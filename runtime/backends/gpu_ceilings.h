// What a GPU can do at most, measured by small kernels.
#pragma once

#include <chrono>

#include "runtime/backend.h"
#include "runtime/backends/gpu_driver.h"

namespace hone {

// The device's context is current. Throws Error(kCompile) without a compiler.
Ceilings measure_gpu_ceilings(Device& device, const GpuDriver& driver,
                              std::chrono::duration<double> budget);

}  // namespace hone
