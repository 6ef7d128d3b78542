// The CUDA driver's entry points, found at run time.
#pragma once

#include <memory>

#include "runtime/backends/gpu_driver.h"

namespace hone {

// Device attributes, by their number in the driver's interface.
namespace cuda_attribute {
inline constexpr int kClockKhz = 13, kUnits = 16, kL2Bytes = 38, kMajor = 75, kMinor = 76,
                     kSharedOptIn = 97, kPciDevice = 139;
}

// $HONE_CUDA_DRIVER, else libcuda.so.1 where the system's loader finds it. "standin" means the
// stand-in that comes with Hone. Loaded and initialised once per path and process. Throws
// Error(kNotFound) that says what is missing and how to get it.
std::shared_ptr<const GpuDriver> load_cuda_driver();

// Who the device is; its vendor is kSimulated where the driver is Hone's stand-in.
DeviceIdentity cuda_identity(const GpuDriver& driver, int index);

}  // namespace hone
