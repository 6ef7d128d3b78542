#include "runtime/backends/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include "codegen/error.h"
#include "runtime/own_files.h"

namespace hone {
namespace {

constexpr const char* kUsual = "libcuda.so.1";
constexpr const char* kStandin = "standin";
constexpr const char* kHow =
    "install NVIDIA's driver, set HONE_CUDA_DRIVER to the path of a libcuda.so.1, or set "
    "HONE_CUDA_DRIVER=standin to simulate a GPU";

std::string wanted_path() {
  const char* chosen = std::getenv("HONE_CUDA_DRIVER");
  if (chosen == nullptr || *chosen == '\0') return kUsual;
  if (std::string_view(chosen) != kStandin) return chosen;
  if (const auto own = find_own_file("standin/libcuda.so.1")) return own->string();
  throw Error(Code::kNotFound,
              "the stand-in driver standin/libcuda.so.1 isn't beside Hone; build or install it");
}

class Loader {
 public:
  explicit Loader(const std::string& path)
      : path_(path), library_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr)
      throw Error(Code::kNotFound, fmt::format("no CUDA driver: {}; {}", ::dlerror(), kHow));
  }
  template <typename Function>
  void operator()(Function& function, const char* name) const {
    optional(function, name);
    if (function == nullptr)
      throw Error(Code::kNotFound,
                  fmt::format("{} has no {}: too old a driver, or none; {}", path_, name, kHow));
  }
  template <typename Function>
  void optional(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
  }

 private:
  std::string path_;
  void* library_;  // stays loaded: drivers don't take being unloaded
};

std::shared_ptr<const CudaDriver> load(const std::string& path) {
  const Loader find(path);
  auto driver = std::make_shared<CudaDriver>();
  driver->path = path;
  find(driver->init, "cuInit");
  find(driver->driver_version, "cuDriverGetVersion");
  find(driver->error_name, "cuGetErrorName");
  find(driver->error_string, "cuGetErrorString");
  find(driver->device_count, "cuDeviceGetCount");
  find(driver->device_get, "cuDeviceGet");
  find(driver->device_name, "cuDeviceGetName");
  find(driver->device_memory, "cuDeviceTotalMem_v2");
  find(driver->device_attribute, "cuDeviceGetAttribute");
  find(driver->device_bus, "cuDeviceGetPCIBusId");
  find(driver->retain_context, "cuDevicePrimaryCtxRetain");
  find(driver->release_context, "cuDevicePrimaryCtxRelease_v2");
  find(driver->current_context, "cuCtxGetCurrent");
  find(driver->set_current_context, "cuCtxSetCurrent");
  find(driver->synchronize, "cuCtxSynchronize");
  find(driver->load_module, "cuModuleLoadDataEx");
  find(driver->unload_module, "cuModuleUnload");
  find(driver->module_function, "cuModuleGetFunction");
  find(driver->set_function_attribute, "cuFuncSetAttribute");
  find(driver->function_attribute, "cuFuncGetAttribute");
  find(driver->allocate, "cuMemAlloc_v2");
  find(driver->release, "cuMemFree_v2");
  find(driver->copy_in, "cuMemcpyHtoD_v2");
  find(driver->copy_out, "cuMemcpyDtoH_v2");
  find(driver->copy, "cuMemcpyDtoDAsync_v2");
  find(driver->launch, "cuLaunchKernel");
  find(driver->create_event, "cuEventCreate");
  find(driver->destroy_event, "cuEventDestroy_v2");
  find(driver->record_event, "cuEventRecord");
  find(driver->synchronize_event, "cuEventSynchronize");
  find(driver->elapsed, "cuEventElapsedTime");
  find.optional(driver->simulator_counters, "hone_standin_counters");
  find.optional(driver->simulator_ceilings, "hone_standin_ceilings");
  find.optional(driver->simulator_report, "hone_standin_report");
  if (const int result = driver->init(0); result != 0)
    throw Error(Code::kNotFound, fmt::format("the CUDA driver {} finds no device: {}; {}", path,
                                             driver->error_text(result), kHow));
  return driver;
}

}  // namespace

std::string CudaDriver::error_text(Result result) const {
  const char *name = nullptr, *text = nullptr;
  error_name(result, &name);
  error_string(result, &text);
  return fmt::format("{}: {}", name == nullptr ? fmt::format("CUDA error {}", result) : name,
                     text == nullptr ? "unknown" : text);
}

std::shared_ptr<const CudaDriver> load_cuda_driver() {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const CudaDriver>> known;
  const std::string path = wanted_path();
  const std::lock_guard lock(mutex);
  std::shared_ptr<const CudaDriver>& driver = known[path];
  if (driver == nullptr) driver = load(path);
  return driver;
}

}  // namespace hone
