// NVIDIA's GPUs through the CUDA driver.
#pragma once

#include <memory>

#include "runtime/backend.h"
#include "runtime/backends/cuda_driver.h"

namespace hone {

// Who the device is; its vendor is kSimulated where the driver is Hone's stand-in.
DeviceIdentity cuda_identity(const CudaDriver& driver, int index);

// Throws Error(kUnsupported) for a device whose architecture Hone has no target for.
std::unique_ptr<Device> open_cuda_device(std::shared_ptr<const CudaDriver> driver, int index);

}  // namespace hone
