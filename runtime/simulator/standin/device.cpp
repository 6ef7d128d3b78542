// The entry points about the driver and its devices.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr int kDriverVersion = 13000;

struct StatusText {
  Status status;
  const char* name;
  const char* text;
};
constexpr std::array kStatusTexts = {
    StatusText{kSuccess, "CUDA_SUCCESS", "no error"},
    StatusText{kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    StatusText{kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    StatusText{kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    StatusText{kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    StatusText{kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    StatusText{kInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    StatusText{kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    StatusText{kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
               "no kernel image is available for execution on the device"},
    StatusText{kUnsupportedLimit, "CUDA_ERROR_UNSUPPORTED_LIMIT",
               "limit is not supported on this architecture"},
    StatusText{kInvalidPtx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    StatusText{kUnsupportedPtxVersion, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
               "the provided PTX was compiled with an unsupported toolchain."},
    StatusText{kFileNotFound, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    StatusText{kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    StatusText{kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    StatusText{kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    StatusText{kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS",
               "an illegal memory access was encountered"},
    StatusText{kLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
               "too many resources requested for launch"},
    StatusText{kLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT",
               "the launch timed out and was terminated"},
    StatusText{kPrimaryContextActive, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE",
               "cannot set while device is active in this process"},
    StatusText{kContextIsDestroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    StatusText{kAssert, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    StatusText{kHostMemoryAlreadyRegistered, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
               "part or all of the requested memory range is already mapped"},
    StatusText{kHostMemoryNotRegistered, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
               "pointer does not correspond to a registered memory region"},
    StatusText{kIllegalInstruction, "CUDA_ERROR_ILLEGAL_INSTRUCTION",
               "an illegal instruction was encountered"},
    StatusText{kMisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    StatusText{kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    StatusText{kCooperativeLaunchTooLarge, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
               "too many blocks in cooperative launch"},
    StatusText{kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    StatusText{kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
               "operation not permitted when stream is capturing"},
    StatusText{kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
               "operation failed due to a previous error during capture"},
    StatusText{kCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
               "capture was not initiated in this stream"},
    StatusText{kCaptureImplicit, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
               "operation would make the legacy stream depend on a capturing blocking stream"},
    StatusText{kCaptureWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
               "attempt to terminate a thread-local capture sequence from another thread"},
    StatusText{kUnknown, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const StatusText* text_of(Status status) {
  const auto found = std::find_if(kStatusTexts.begin(), kStatusTexts.end(),
                                  [&](const StatusText& one) { return one.status == status; });
  return found == kStatusTexts.end() ? nullptr : &*found;
}

int integer(double value) { return static_cast<int>(std::min(value, 2147483647.0)); }

// The bus width with which `memory clock x 2 x width / 8` gives the GPU's bandwidth.
constexpr int kBusBits = 4096;

// CU_DEVICE_ATTRIBUTE numbers; nullopt for those that don't exist.
std::optional<int> attribute(const Device& device, int ordinal, int number) {
  const sim::Gpu& gpu = *device.gpu;
  constexpr int kLastAttribute = 147;
  switch (number) {
    case 1:
    case 2:
    case 3:
      return 1024;
    case 4:
      return 64;
    case 5:
      return 2147483647;
    case 6:
    case 7:
      return 65535;
    case 8:
      return integer(static_cast<double>(gpu.shared_per_block));
    case 9:
      return 65536;
    case 10:
      return 32;
    case 11:
      return 2147483647;
    case 12:
    case 82:
      return gpu.registers_per_unit;
    case 13:
      return integer(gpu.clock_hz / 1e3);
    case 14:
      return 512;
    case 15:
    case 19:
    case 31:
    case 41:
    case 78:
    case 79:
    case 80:
    case 83:
    case 90:
    case 95:
    case 99:
    case 115:
      return 1;
    case 16:
      return gpu.units;
    case 33:
      return ordinal + 1;
    case 36:
      return integer(gpu.bandwidth / 2 / (kBusBits / 8) / 1e3);
    case 37:
      return kBusBits;
    case 38:
      return integer(static_cast<double>(gpu.l2_bytes));
    case 39:
      return gpu.threads_per_unit;
    case 40:
      return 2;
    case 51:
      return 32;
    case 75:
      return gpu.sm / 10;
    case 76:
      return gpu.sm % 10;
    case 81:
      return integer(static_cast<double>(gpu.shared_per_unit));
    case 87:
      return gpu.sm == 80 || gpu.sm == 90 || gpu.sm == 100 ? 2 : 64;
    case 91:
      return 1;
    case 97:
      return integer(static_cast<double>(gpu.shared_opt_in));
    case 106:
      return gpu.blocks_per_unit;
    case 111:
      return gpu.sm >= 80 ? 1024 : 0;
    case 120:
      return gpu.sm >= 90 ? 1 : 0;
    case 129:
      return 1;
    default:
      break;
  }
  if (number < 1 || number > kLastAttribute) return std::nullopt;
  return 0;
}

// Of the entry points that exist in several versions, the first CUDA version that has the last one.
struct Version {
  const char* name;
  int since;
};

void* own_symbol(const std::string& name) {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void*>(&text_of), &info) == 0) return nullptr;
  static void* const self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  return self == nullptr ? nullptr : dlsym(self, name.c_str());
}

// The symbol behind an unversioned name, as a program compiled against `version` knows it.
void* find_entry(const std::string& name, int version) {
  constexpr std::array<Version, 7> kNewer = {{{"cuCtxCreate_v4", 13000},
                                              {"cuCtxCreate_v3", 11040},
                                              {"cuEventElapsedTime_v2", 12080},
                                              {"cuGetProcAddress_v2", 12000},
                                              {"cuStreamGetCaptureInfo_v3", 12030},
                                              {"cuGraphAddDependencies_v2", 12030},
                                              {"cuMemPrefetchAsync_v2", 12020}}};
  // The program knows cuCtxCreate with three parameters up to CUDA 12.
  if (name == "cuCtxCreate" && version < 13000) return own_symbol("cuCtxCreate_v2");
  if (name == "cuGraphInstantiate" && version >= 12000)
    return own_symbol("cuGraphInstantiateWithFlags");
  for (const char* suffix : {"_v4", "_v3", "_v2", ""}) {
    const std::string full = name + suffix;
    const auto newer = std::find_if(kNewer.begin(), kNewer.end(),
                                    [&](const Version& one) { return full == one.name; });
    if (newer != kNewer.end() && version < newer->since) continue;
    if (void* symbol = own_symbol(full)) return symbol;
  }
  return nullptr;
}

}  // namespace

// Errors.

HONE_DRIVER Status cuGetErrorName(Status status, const char** text) {
  if (text == nullptr) return kInvalidValue;
  const StatusText* found = text_of(status);
  *text = found == nullptr ? nullptr : found->name;
  return found == nullptr ? kInvalidValue : kSuccess;
}

HONE_DRIVER Status cuGetErrorString(Status status, const char** text) {
  if (text == nullptr) return kInvalidValue;
  const StatusText* found = text_of(status);
  *text = found == nullptr ? nullptr : found->text;
  return found == nullptr ? kInvalidValue : kSuccess;
}

// The driver.

HONE_DRIVER Status cuInit(unsigned flags) {
  return call(
      [&](Driver& driver) {
        require(flags == 0, kInvalidValue);
        if (!driver.problem.empty()) {
          fmt::print(stderr, "hone simulator: {}\n", driver.problem);
          fail(kNoDevice);
        }
        driver.initialized = true;
      },
      false);
}

HONE_DRIVER Status cuDriverGetVersion(int* version) {
  if (version == nullptr) return kInvalidValue;
  *version = kDriverVersion;
  return kSuccess;
}

HONE_DRIVER Status cuGetProcAddress_v2(const char* symbol, void** function, int version,
                                       std::uint64_t, int* found) {
  if (symbol == nullptr || function == nullptr) return kInvalidValue;
  *function = find_entry(symbol, version);
  constexpr int kSymbolFound = 0, kSymbolNotFound = 1;
  if (found != nullptr) *found = *function != nullptr ? kSymbolFound : kSymbolNotFound;
  return *function != nullptr ? kSuccess : kNotFound;
}

HONE_DRIVER Status cuGetProcAddress(const char* symbol, void** function, int version,
                                    std::uint64_t flags) {
  return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}

// The CUDA runtime's private tables. NVRTC asks too, and crashes where nobody answers.
HONE_DRIVER Status cuGetExportTable(const void** table, const void*) {
  if (table != nullptr) *table = nullptr;
  return kNotFound;
}

// The device.

HONE_DRIVER Status cuDeviceGetCount(int* count) {
  return call([&](Driver& driver) {
    require(count != nullptr, kInvalidValue);
    *count = static_cast<int>(driver.devices.size());
  });
}

HONE_DRIVER Status cuDeviceGet(int* device, int ordinal) {
  return call([&](Driver& driver) {
    require(device != nullptr, kInvalidValue);
    driver.device(ordinal);
    *device = ordinal;
  });
}

HONE_DRIVER Status cuDeviceGetName(char* name, int size, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(name != nullptr && size > 0, kInvalidValue);
    const std::string text =
        fmt::format("{} (simulated by Hone)", driver.device(device).gpu->label);
    std::snprintf(name, static_cast<std::size_t>(size), "%s", text.c_str());
  });
}

HONE_DRIVER Status cuDeviceGetUuid(unsigned char* uuid, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(uuid != nullptr, kInvalidValue);
    std::memset(uuid, 0, 16);
    std::memcpy(uuid, driver.device(device).gpu->name.data(),
                std::min<std::size_t>(16, driver.device(device).gpu->name.size()));
  });
}
HONE_DRIVER Status cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  return cuDeviceGetUuid(uuid, device);
}

HONE_DRIVER Status cuDeviceTotalMem_v2(std::size_t* bytes, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(bytes != nullptr, kInvalidValue);
    *bytes = driver.device(device).memory->limit();
  });
}
HONE_DRIVER Status cuDeviceTotalMem(std::size_t* bytes, int device) {
  return cuDeviceTotalMem_v2(bytes, device);
}

HONE_DRIVER Status cuDeviceGetAttribute(int* value, int number, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(value != nullptr, kInvalidValue);
    const auto found = attribute(driver.device(device), device, number);
    require(found.has_value(), kInvalidValue);
    *value = *found;
  });
}

HONE_DRIVER Status cuDeviceComputeCapability(int* major, int* minor, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(major != nullptr && minor != nullptr, kInvalidValue);
    *major = driver.device(device).gpu->sm / 10;
    *minor = driver.device(device).gpu->sm % 10;
  });
}

HONE_DRIVER Status cuDeviceGetPCIBusId(char* text, int size, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(text != nullptr && size > 0, kInvalidValue);
    std::snprintf(text, static_cast<std::size_t>(size), "%s",
                  fmt::format("0000:{:02x}:00.0", device + 1).c_str());
  });
}

HONE_DRIVER Status cuDeviceGetByPCIBusId(int* device, const char* text) {
  return call([&](Driver& driver) {
    require(device != nullptr && text != nullptr, kInvalidValue);
    for (std::size_t i = 0; i < driver.devices.size(); ++i) {
      if (std::strstr(text, fmt::format("{:02x}:00", i + 1).c_str()) == nullptr) continue;
      *device = static_cast<int>(i);
      return;
    }
    fail(kInvalidDevice);
  });
}

HONE_DRIVER Status cuDeviceCanAccessPeer(int* can, int one, int other) {
  return call([&](Driver& driver) {
    driver.device(one);
    driver.device(other);
    require(can != nullptr, kInvalidValue);
    *can = 0;
  });
}

}  // namespace hone::standin
