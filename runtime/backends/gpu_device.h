// A GPU behind a GpuDriver.
#pragma once

#include <memory>

#include "runtime/backends/gpu_driver.h"

namespace hone {

// Throws Error(kDevice) when the device can't be used.
std::unique_ptr<Device> open_gpu_device(std::shared_ptr<const GpuDriver> driver, int index,
                                        DeviceIdentity identity, Target target);

}  // namespace hone
