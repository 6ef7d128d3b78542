#include "runtime/backends/hip_runtime.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <map>
#include <mutex>

#include "codegen/error.h"
#include "runtime/backends/gpu_ceilings.h"
#include "runtime/simulator/simt/image.h"

namespace hone {
namespace {

using Result = GpuDriver::Result;

constexpr std::array kUsualNames = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5",
                                    "libamdhip64.so", "/opt/rocm/lib/libamdhip64.so"};
constexpr const char* kHowToGetHip =
    "install ROCm (Debian: libamdhip64-5), set HONE_HIP_RUNTIME to the path of a libamdhip64.so, "
    "or set HONE_HIP_RUNTIME=standin to simulate a GPU";
constexpr Result kNoDevice = 100;

// HIP has a current device where CUDA has a current context: its number, plus one, stands for it.
GpuDriver::Context context_of(int device) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(device) + 1);
}
int device_of(GpuDriver::Context context) {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(context)) - 1;
}

// By what name the loader finds it.
DriverLibrary open_library(const std::string& path) {
  if (!path.empty()) return DriverLibrary(path, kHowToGetHip);
  std::string why;
  for (const char* name : kUsualNames) {
    try {
      return DriverLibrary(name, kHowToGetHip);
    } catch (const Error& error) {
      why = error.what();
    }
  }
  throw Error(Code::kNotFound, "no HIP runtime: " + why);
}

// The first "gfx" in what hipGetDeviceProperties gives: the struct's layout changes with versions,
// its architecture's name doesn't.
std::string find_arch(std::string_view properties) {
  for (std::size_t at = properties.find("gfx"); at != std::string_view::npos;
       at = properties.find("gfx", at + 1)) {
    std::size_t end = at + 3;
    while (end < properties.size() && std::isxdigit(static_cast<unsigned char>(properties[end])))
      ++end;
    if (end > at + 5) return std::string(properties.substr(at, end - at));
  }
  return "";
}

struct LoadedRuntime {
  std::shared_ptr<const GpuDriver> driver;
  Result (*properties)(void*, int) = nullptr;
};

LoadedRuntime load_runtime(const std::string& path) {
  const DriverLibrary find = open_library(path);
  auto driver = std::make_shared<GpuDriver>();
  driver->backend = "hip";
  driver->path = path.empty() ? "libamdhip64.so" : path;
  driver->max_shared_attribute = hip_attribute::kMaxShared;
  driver->l2_attribute = hip_attribute::kL2Bytes;
  find(driver->init, "hipInit");
  find(driver->driver_version, "hipRuntimeGetVersion");
  find(driver->device_count, "hipGetDeviceCount");
  find(driver->device_get, "hipDeviceGet");
  find(driver->device_name, "hipDeviceGetName");
  find(driver->device_memory, "hipDeviceTotalMem");
  find(driver->device_attribute, "hipDeviceGetAttribute");
  find(driver->device_bus, "hipDeviceGetPCIBusId");
  find(driver->synchronize, "hipDeviceSynchronize");
  find(driver->unload_module, "hipModuleUnload");
  find(driver->module_function, "hipModuleGetFunction");
  find(driver->function_attribute, "hipFuncGetAttribute");
  find(driver->allocate, "hipMalloc");
  find(driver->release, "hipFree");
  find(driver->copy_in, "hipMemcpyHtoD");
  find(driver->copy_out, "hipMemcpyDtoH");
  find(driver->copy, "hipMemcpyDtoDAsync");
  find(driver->launch, "hipModuleLaunchKernel");
  find(driver->create_event, "hipEventCreateWithFlags");
  find(driver->destroy_event, "hipEventDestroy");
  find(driver->record_event, "hipEventRecord");
  find(driver->synchronize_event, "hipEventSynchronize");
  find(driver->elapsed, "hipEventElapsedTime");
  find.optional(driver->simulator_counters, "hone_standin_counters");
  find.optional(driver->simulator_ceilings, "hone_standin_ceilings");
  find.optional(driver->simulator_report, "hone_standin_report");

  Result (*get_device)(int*);
  Result (*set_device)(int);
  Result (*load_module)(GpuDriver::Module*, const void*);
  const char* (*error_name)(Result);
  const char* (*error_string)(Result);
  find(get_device, "hipGetDevice");
  find(set_device, "hipSetDevice");
  find(load_module, "hipModuleLoadData");
  find(error_name, "hipGetErrorName");
  find(error_string, "hipGetErrorString");
  driver->retain_context = [](GpuDriver::Context* context, int device) {
    *context = context_of(device);
    return 0;
  };
  driver->release_context = [](int) { return 0; };
  driver->current_context = [get_device](GpuDriver::Context* context) {
    int device = 0;
    const Result result = get_device(&device);
    *context = context_of(device);
    return result;
  };
  driver->set_current_context = [set_device](GpuDriver::Context context) {
    return set_device(device_of(context));
  };
  driver->load_module = [load_module](GpuDriver::Module* module, const char* image, std::string*) {
    return load_module(module, image);
  };
  // All of a unit's LDS may be asked for as it is.
  driver->allow_dynamic_shared = [](GpuDriver::Function, std::int64_t) { return 0; };
  driver->error_text = [error_name, error_string](Result result) {
    const std::string name = error_name(result), text = error_string(result);
    return text.empty() || text == name ? name : fmt::format("{}: {}", name, text);
  };
  driver->images = [simulated = driver->simulated()](const GpuCode& code) {
    if (!simulated) return std::vector<std::string_view>{code.code};
    // The stand-in gets an address only, and believes what it reads there of its length.
    return std::vector<std::string_view>{sim::is_simt(code.simt) ? code.simt : std::string_view()};
  };
  driver->measure_ceilings = measure_gpu_ceilings;
  LoadedRuntime loaded;
  find.optional(loaded.properties, "hipGetDevicePropertiesR0600");
  if (loaded.properties == nullptr) find(loaded.properties, "hipGetDeviceProperties");
  if (const Result result = driver->init(0); result != 0)
    throw Error(
        Code::kNotFound,
        fmt::format(
            "the HIP runtime {} finds no device{}; {}", driver->path,
            result == kNoDevice && !driver->simulated() ? "" : ": " + driver->error_text(result),
            kHowToGetHip));
  loaded.driver = std::move(driver);
  return loaded;
}

const LoadedRuntime& loaded_runtime() {
  static std::mutex mutex;
  static std::map<std::string, LoadedRuntime> known;
  const std::string path = driver_path("HONE_HIP_RUNTIME", "standin/libamdhip64.so");
  const std::lock_guard lock(mutex);
  LoadedRuntime& loaded = known[path];
  if (loaded.driver == nullptr) loaded = load_runtime(path);
  return loaded;
}

}  // namespace

std::shared_ptr<const GpuDriver> load_hip_runtime() { return loaded_runtime().driver; }

bool simulating_hip() {
  try {
    return !driver_path("HONE_HIP_RUNTIME", "standin/libamdhip64.so").empty() &&
           loaded_runtime().driver->simulated();
  } catch (const Error&) {
    return false;
  }
}

DeviceIdentity hip_identity(const GpuDriver& driver, int index) {
  std::string properties(16 << 10, '\0');  // larger than any version's struct
  loaded_runtime().properties(properties.data(), index);
  int version = 0;
  driver.driver_version(&version);
  constexpr int kMajor = 10000000, kMinor = 100000;
  return gpu_identity(driver, index, "AMD", find_arch(properties),
                      driver.attribute(hip_attribute::kUnits, index),
                      fmt::format("HIP {}.{}, {} MHz", version / kMajor, version % kMajor / kMinor,
                                  driver.attribute(hip_attribute::kClockKhz, index) / 1000),
                      pci_device(driver, index));
}

}  // namespace hone
