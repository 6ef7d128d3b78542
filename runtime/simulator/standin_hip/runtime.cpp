#include "runtime/simulator/standin_hip/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hone::standin {
namespace {

constexpr const char* kDefaultGpu = "mi250x";
constexpr std::uint64_t kTimeLimitS = 120;  // a kernel that runs longer counts as hung
constexpr std::size_t kGiB = std::size_t{1} << 30, kMiB = std::size_t{1} << 20;
constexpr double kTera = 1e12, kGiga = 1e9;
constexpr int kMostThreads = 1024, kSharedBytes = 64 << 10;

// The vector units' rates are units x lanes x 2 x the boost clock.
constexpr std::array kGpus = {
    AmdGpu{"mi60", "Instinct MI60", "gfx906", 64, 64, 2560, 32 * kGiB, 4 * kMiB, 1024 * kGiga,
           14.7 * kTera, 29.5 * kTera, 59 * kTera, 1800000},
    AmdGpu{"mi100", "Instinct MI100", "gfx908", 120, 64, 2560, 32 * kGiB, 8 * kMiB, 1228 * kGiga,
           23.1 * kTera, 184.6 * kTera, 184.6 * kTera, 1502000},
    AmdGpu{"mi250x", "Instinct MI250X", "gfx90a", 110, 64, 2048, 64 * kGiB, 8 * kMiB, 1638 * kGiga,
           23.9 * kTera, 191.5 * kTera, 191.5 * kTera, 1700000},
    AmdGpu{"mi210", "Instinct MI210", "gfx90a", 104, 64, 2048, 64 * kGiB, 8 * kMiB, 1638 * kGiga,
           22.6 * kTera, 181 * kTera, 181 * kTera, 1700000},
    AmdGpu{"mi300x", "Instinct MI300X", "gfx942", 304, 64, 2048, 192 * kGiB, 32 * kMiB,
           5300 * kGiga, 163.4 * kTera, 1307 * kTera, 2615 * kTera, 2100000},
    AmdGpu{"rx6900xt", "Radeon RX 6900 XT", "gfx1030", 80, 32, 1024, 16 * kGiB, 4 * kMiB,
           512 * kGiga, 23 * kTera, 46.1 * kTera, 92.2 * kTera, 2250000},
    AmdGpu{"rx7900xtx", "Radeon RX 7900 XTX", "gfx1100", 96, 32, 1024, 24 * kGiB, 6 * kMiB,
           960 * kGiga, 61.4 * kTera, 122.8 * kTera, 122.8 * kTera, 2500000},
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::uint64_t number_in(const char* name, std::uint64_t otherwise, std::string* problem) {
  const std::string text = variable(name);
  if (text.empty()) return otherwise;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  *problem = fmt::format("{}={}: expected a number", name, text);
  return otherwise;
}

sim::Checks parse_checks(const std::string& text, std::string* problem) {
  if (text.empty() || text == "all") return sim::Checks::kAll;
  if (text == "memory") return sim::Checks::kMemory;
  if (text != "none")
    *problem = fmt::format("HONE_SIM_CHECKS={}: expected all, memory or none", text);
  return sim::Checks::kNone;
}

// Device attributes that programs ask for, by HIP's numbers.
int attribute(const AmdGpu& gpu, int number) {
  switch (number) {
    case 5:
      return gpu.clock_khz;
    case 19:
      return static_cast<int>(gpu.l2_bytes);
    case 23:
      return std::atoi(gpu.arch + 3) / 100;
    case 26:
    case 27:
    case 28:
      return kMostThreads;
    case 29:
      return 2147483647;
    case 30:
    case 31:
      return 65535;
    case 56:
      return kMostThreads;
    case 57:
      return gpu.threads_per_unit;
    case 61:
      return 0;
    case 63:
      return gpu.units;
    case 67:
      return 1;
    case 74:
    case 10002:
      return kSharedBytes;
    case 87:
      return gpu.wave;
    default:
      return 0;
  }
}

// How hipDeviceProp_t begins and where the architecture stands in it, in HIP 5 and in HIP 6.
constexpr std::size_t kNameBytes = 256;
void fill_properties(const AmdGpu& gpu, void* properties, std::size_t bytes, std::size_t arch_at) {
  std::memset(properties, 0, bytes);
  char* text = static_cast<char*>(properties);
  std::snprintf(text, kNameBytes, "%s", gpu.label);
  std::snprintf(text + arch_at, kNameBytes, "%s", gpu.arch);
}

}  // namespace

const AmdGpu* find_amd_gpu(std::string_view wanted) {
  std::string name;
  for (const char c : wanted)
    if (c != '-' && c != ' ')
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto found = std::find_if(kGpus.begin(), kGpus.end(), [&](const AmdGpu& gpu) {
    return name == gpu.name || name == gpu.arch;
  });
  return found == kGpus.end() ? nullptr : &*found;
}

std::string amd_gpu_names() {
  std::string names;
  for (const AmdGpu& gpu : kGpus) names += fmt::format(" {}", gpu.name);
  return names;
}

HipRuntime::HipRuntime() {
  std::string name = variable("HONE_SIM_DEVICE");
  if (name.empty()) name = kDefaultGpu;
  gpu = find_amd_gpu(name);
  if (gpu == nullptr)
    problem = fmt::format("HONE_SIM_DEVICE: '{}' is no AMD GPU that can be simulated; there are:{}",
                          name, amd_gpu_names());
  options.checks = parse_checks(variable("HONE_SIM_CHECKS"), &problem);
  options.seed = number_in("HONE_SIM_SEED", 0, &problem);
  options.time_limit = static_cast<double>(number_in("HONE_SIM_TIMEOUT", kTimeLimitS, &problem));
  const std::size_t bytes = number_in("HONE_SIM_MEMORY", 0, &problem);
  report_file = variable("HONE_SIM_REPORT");
  memory =
      std::make_unique<sim::SimtMemory>(bytes > 0 || gpu == nullptr ? bytes : gpu->memory_bytes);
}

// Never destroyed: programs call in from their own static destructors.
HipRuntime& hip_runtime() {
  static HipRuntime& only = *new HipRuntime;
  return only;
}

Status& hip_last_error() {
  thread_local Status last = kSuccess;
  return last;
}

HONE_DRIVER Status hipInit(unsigned) {
  return hip_call([](HipRuntime&) {});
}
HONE_DRIVER Status hipRuntimeGetVersion(int* version) {
  *version = 50221153;
  return kSuccess;
}
HONE_DRIVER Status hipDriverGetVersion(int* version) { return hipRuntimeGetVersion(version); }
HONE_DRIVER Status hipGetDeviceCount(int* count) {
  *count = 0;
  return hip_call([&](HipRuntime&) { *count = 1; });
}
HONE_DRIVER Status hipDeviceGet(int* device, int index) {
  return hip_call([&](HipRuntime&) {
    hip_require(index == 0, kInvalidDevice);
    *device = index;
  });
}
HONE_DRIVER Status hipSetDevice(int device) {
  return hip_call([&](HipRuntime&) { hip_require(device == 0, kInvalidDevice); });
}
HONE_DRIVER Status hipGetDevice(int* device) {
  return hip_call([&](HipRuntime&) { *device = 0; });
}
HONE_DRIVER Status hipDeviceGetName(char* name, int bytes, int device) {
  return hip_call([&](HipRuntime& runtime) {
    hip_require(device == 0, kInvalidDevice);
    std::snprintf(name, static_cast<std::size_t>(bytes), "%s (simulated)", runtime.gpu->label);
  });
}
HONE_DRIVER Status hipDeviceTotalMem(std::size_t* bytes, int device) {
  return hip_call([&](HipRuntime& runtime) {
    hip_require(device == 0, kInvalidDevice);
    *bytes = runtime.memory->limit();
  });
}
HONE_DRIVER Status hipDeviceGetAttribute(int* value, int number, int device) {
  return hip_call([&](HipRuntime& runtime) {
    hip_require(device == 0, kInvalidDevice);
    *value = attribute(*runtime.gpu, number);
  });
}
HONE_DRIVER Status hipDeviceGetPCIBusId(char* text, int bytes, int device) {
  return hip_call([&](HipRuntime&) {
    hip_require(device == 0, kInvalidDevice);
    std::snprintf(text, static_cast<std::size_t>(bytes), "0000:01:00.0");
  });
}
HONE_DRIVER Status hipGetDeviceProperties(void* properties, int device) {
  constexpr std::size_t kBytes = 792, kArchAt = 396;
  return hip_call([&](HipRuntime& runtime) {
    hip_require(device == 0, kInvalidDevice);
    fill_properties(*runtime.gpu, properties, kBytes, kArchAt);
  });
}
HONE_DRIVER const char* hipGetErrorName(Status status) {
  switch (status) {
    case kSuccess:
      return "hipSuccess";
    case kInvalidValue:
      return "hipErrorInvalidValue";
    case kOutOfMemory:
      return "hipErrorOutOfMemory";
    case kNoDevice:
      return "hipErrorNoDevice";
    case kInvalidDevice:
      return "hipErrorInvalidDevice";
    case kInvalidImage:
      return "hipErrorInvalidImage";
    case kNoBinaryForGpu:
      return "hipErrorNoBinaryForGpu";
    case kInvalidHandle:
      return "hipErrorInvalidHandle";
    case kNotFound:
      return "hipErrorNotFound";
    case kNotReady:
      return "hipErrorNotReady";
    case kIllegalAddress:
      return "hipErrorIllegalAddress";
    case kLaunchTimeout:
      return "hipErrorLaunchTimeOut";
    case kLaunchFailed:
      return "hipErrorLaunchFailure";
    default:
      return "hipErrorUnknown";
  }
}
HONE_DRIVER const char* hipGetErrorString(Status status) {
  switch (status) {
    case kSuccess:
      return "no error";
    case kInvalidValue:
      return "invalid argument";
    case kOutOfMemory:
      return "out of memory";
    case kNoDevice:
      return hip_runtime().problem.c_str();
    case kInvalidImage:
      return "no image that the SIMT host can run; compile with this stand-in in place";
    case kIllegalAddress:
      return "an illegal memory access was encountered";
    case kLaunchTimeout:
      return "the launch timed out and was terminated";
    case kLaunchFailed:
      return "unspecified launch failure";
    default:
      return "see the error's name";
  }
}
HONE_DRIVER Status hipGetLastError() {
  const Status last = hip_last_error();
  hip_last_error() = kSuccess;
  return last;
}

// Memory. Addresses are the host's own, but belong to the device.
HONE_DRIVER Status hipMalloc(void** memory, std::size_t bytes) {
  return hip_call([&](HipRuntime& runtime) {
    *memory = bytes == 0 ? nullptr : runtime.memory->allocate(bytes);
    hip_require(bytes == 0 || *memory != nullptr, kOutOfMemory);
  });
}
HONE_DRIVER Status hipFree(void* memory) {
  return hip_call([&](HipRuntime& runtime) {
    hip_require(memory == nullptr || runtime.memory->release(memory), kInvalidValue);
  });
}
HONE_DRIVER Status hipMemGetInfo(std::size_t* left, std::size_t* all) {
  return hip_call([&](HipRuntime& runtime) {
    *all = runtime.memory->limit();
    *left = *all - runtime.memory->used();
  });
}
HONE_DRIVER Status hipMemcpy(void* to, const void* from, std::size_t bytes, int kind) {
  constexpr int kToDevice = 1, kToHost = 2, kOnDevice = 3;
  return hip_call([&](HipRuntime& runtime) {
    const bool to_device = kind == kToDevice || kind == kOnDevice;
    const bool from_device = kind == kToHost || kind == kOnDevice;
    hip_require(bytes == 0 || !to_device || runtime.memory->contains(to, bytes), kInvalidValue);
    hip_require(bytes == 0 || !from_device || runtime.memory->contains(from, bytes), kInvalidValue);
    std::memmove(to, from, bytes);
    if (to_device && bytes > 0) runtime.memory->mark_written(to, bytes);
    runtime.time += static_cast<double>(bytes) / runtime.gpu->bandwidth;
  });
}
HONE_DRIVER Status hipMemcpyAsync(void* to, const void* from, std::size_t bytes, int kind, void*) {
  return hipMemcpy(to, from, bytes, kind);
}
HONE_DRIVER Status hipMemcpyHtoD(void* to, void* from, std::size_t bytes) {
  return hipMemcpy(to, from, bytes, 1);
}
HONE_DRIVER Status hipMemcpyDtoH(void* to, void* from, std::size_t bytes) {
  return hipMemcpy(to, from, bytes, 2);
}
HONE_DRIVER Status hipMemcpyDtoD(void* to, void* from, std::size_t bytes) {
  return hipMemcpy(to, from, bytes, 3);
}
HONE_DRIVER Status hipMemcpyDtoDAsync(void* to, void* from, std::size_t bytes, void*) {
  return hipMemcpy(to, from, bytes, 3);
}
HONE_DRIVER Status hipMemset(void* to, int value, std::size_t bytes) {
  return hip_call([&](HipRuntime& runtime) {
    if (bytes == 0) return;
    hip_require(runtime.memory->contains(to, bytes), kInvalidValue);
    std::memset(to, value, bytes);
    runtime.memory->mark_written(to, bytes);
  });
}
HONE_DRIVER Status hipMemsetAsync(void* to, int value, std::size_t bytes, void*) {
  return hipMemset(to, value, bytes);
}

// Streams and events: everything is done in the order in which it is asked for.
HONE_DRIVER Status hipDeviceSynchronize() {
  return hip_call([](HipRuntime&) {});
}
HONE_DRIVER Status hipStreamCreate(void** stream) {
  return hip_call([&](HipRuntime& runtime) {
    auto made = std::make_unique<char>();
    *stream = made.get();
    runtime.streams[*stream] = std::move(made);
  });
}
HONE_DRIVER Status hipStreamDestroy(void* stream) {
  return hip_call(
      [&](HipRuntime& runtime) { hip_require(runtime.streams.erase(stream) > 0, kInvalidHandle); });
}
HONE_DRIVER Status hipStreamSynchronize(void*) { return hipDeviceSynchronize(); }
HONE_DRIVER Status hipEventCreateWithFlags(void** event, unsigned) {
  return hip_call([&](HipRuntime& runtime) {
    auto made = std::make_unique<HipEvent>();
    *event = made.get();
    runtime.events[*event] = std::move(made);
  });
}
HONE_DRIVER Status hipEventDestroy(void* event) {
  return hip_call(
      [&](HipRuntime& runtime) { hip_require(runtime.events.erase(event) > 0, kInvalidHandle); });
}
HONE_DRIVER Status hipEventRecord(void* event, void*) {
  return hip_call([&](HipRuntime& runtime) {
    const auto found = runtime.events.find(event);
    hip_require(found != runtime.events.end(), kInvalidHandle);
    *found->second = {runtime.time, true};
  });
}
HONE_DRIVER Status hipEventSynchronize(void*) { return hipDeviceSynchronize(); }
HONE_DRIVER Status hipEventElapsedTime(float* milliseconds, void* from, void* to) {
  return hip_call([&](HipRuntime& runtime) {
    const auto begin = runtime.events.find(from), end = runtime.events.find(to);
    hip_require(begin != runtime.events.end() && end != runtime.events.end() &&
                    begin->second->recorded && end->second->recorded,
                kInvalidHandle);
    *milliseconds = static_cast<float>((end->second->time - begin->second->time) * 1e3);
  });
}

}  // namespace hone::standin
