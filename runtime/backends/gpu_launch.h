// One launch of a kernel that isn't Hone's: any entry of any image, any parameters.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/backends/gpu_driver.h"

namespace hone {

struct KernelLaunch {
  std::string kernel;
  std::array<std::uint32_t, 3> grid{1, 1, 1}, block{1, 1, 1};
  std::uint32_t shared_bytes = 0;         // dynamic
  std::vector<std::uint64_t> parameters;  // each in the low bytes of its word
};

// Loads `image` (PTX text, or what else the driver takes) on the device whose context is current,
// launches, waits. Throws Error(kDevice) with the driver's words, and a simulator's report.
void launch_kernel(const GpuDriver& driver, int device, const std::string& image,
                   const KernelLaunch& launch);

}  // namespace hone
