// The HIP runtime's entry points, found at run time.
#pragma once

#include <memory>

#include "runtime/backends/gpu_driver.h"

namespace hone {

// Device attributes, by their number in HIP's interface (5 and 6).
namespace hip_attribute {
inline constexpr int kClockKhz = 5, kL2Bytes = 19, kUnits = 63, kMaxShared = 74;
}

// $HONE_HIP_RUNTIME, else libamdhip64.so where the system's loader or /opt/rocm has it. "standin"
// means the stand-in that comes with Hone. Loaded and initialised once per path and process. Throws
// Error(kNotFound) that says what is missing and how to get it.
std::shared_ptr<const GpuDriver> load_hip_runtime();

// $HONE_HIP_RUNTIME names a stand-in: what is compiled shall run there too.
bool simulating_hip();

// Who the device is; its vendor is kSimulated where the runtime is Hone's stand-in.
DeviceIdentity hip_identity(const GpuDriver& driver, int index);

}  // namespace hone
