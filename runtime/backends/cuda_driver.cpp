#include "runtime/backends/cuda_driver.h"

#include <fmt/format.h>

#include <map>
#include <mutex>

#include "codegen/error.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/gpu_ceilings.h"

namespace hone {
namespace {

using Result = GpuDriver::Result;

constexpr const char* kUsual = "libcuda.so.1";
constexpr const char* kHowToGetCuda =
    "install NVIDIA's driver, set HONE_CUDA_DRIVER to the path of a libcuda.so.1, or set "
    "HONE_CUDA_DRIVER=standin to simulate a GPU";
constexpr int kMaxDynamicShared = 8;              // a function attribute
constexpr int kErrorLog = 5, kErrorLogBytes = 6;  // options of just-in-time compilation
constexpr std::size_t kLogBytes = 8192;

std::shared_ptr<const GpuDriver> load_library(const std::string& path) {
  const DriverLibrary find(path, kHowToGetCuda);
  auto driver = std::make_shared<GpuDriver>();
  driver->backend = "cuda";
  driver->path = path;
  driver->max_shared_attribute = cuda_attribute::kSharedOptIn;
  driver->l2_attribute = cuda_attribute::kL2Bytes;
  find(driver->init, "cuInit");
  find(driver->driver_version, "cuDriverGetVersion");
  find(driver->device_count, "cuDeviceGetCount");
  find(driver->device_get, "cuDeviceGet");
  find(driver->device_name, "cuDeviceGetName");
  find(driver->device_memory, "cuDeviceTotalMem_v2");
  find(driver->device_attribute, "cuDeviceGetAttribute");
  find(driver->device_bus, "cuDeviceGetPCIBusId");
  find(driver->synchronize, "cuCtxSynchronize");
  find(driver->unload_module, "cuModuleUnload");
  find(driver->module_function, "cuModuleGetFunction");
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

  // The primary context is the one that programs on the CUDA runtime have too.
  Result (*retain)(GpuDriver::Context*, GpuDriver::Device);
  Result (*release)(GpuDriver::Device);
  Result (*current)(GpuDriver::Context*);
  Result (*set_current)(GpuDriver::Context);
  Result (*load_module)(GpuDriver::Module*, const void*, unsigned, int*, void**);
  Result (*set_attribute)(GpuDriver::Function, int, int);
  Result (*error_name)(Result, const char**);
  Result (*error_string)(Result, const char**);
  find(retain, "cuDevicePrimaryCtxRetain");
  find(release, "cuDevicePrimaryCtxRelease_v2");
  find(current, "cuCtxGetCurrent");
  find(set_current, "cuCtxSetCurrent");
  find(load_module, "cuModuleLoadDataEx");
  find(set_attribute, "cuFuncSetAttribute");
  find(error_name, "cuGetErrorName");
  find(error_string, "cuGetErrorString");
  driver->retain_context = retain;
  driver->release_context = release;
  driver->current_context = current;
  driver->set_current_context = set_current;
  driver->load_module = [load_module](GpuDriver::Module* module, const char* image,
                                      std::string* log) {
    log->assign(kLogBytes, '\0');
    int options[] = {kErrorLog, kErrorLogBytes};
    void* values[] = {log->data(), reinterpret_cast<void*>(log->size())};
    const Result result = load_module(module, image, 2, options, values);
    log->resize(std::min(log->find('\0'), log->size()));
    return result;
  };
  driver->allow_dynamic_shared = [set_attribute](GpuDriver::Function function, std::int64_t bytes) {
    return set_attribute(function, kMaxDynamicShared, static_cast<int>(bytes));
  };
  driver->error_text = [error_name, error_string](Result result) {
    const char *name = nullptr, *text = nullptr;
    error_name(result, &name);
    error_string(result, &text);
    return fmt::format("{}: {}", name == nullptr ? fmt::format("CUDA error {}", result) : name,
                       text == nullptr ? "unknown" : text);
  };
  // The stand-in runs the text, and complains of anything else.
  driver->images = [simulated = driver->simulated()](const GpuCode& code) {
    return simulated ? std::vector<std::string_view>{code.ptx}
                     : std::vector<std::string_view>{code.code, code.ptx};
  };
  driver->measure_ceilings = measure_gpu_ceilings;
  if (const Result result = driver->init(0); result != 0)
    throw Error(Code::kNotFound, fmt::format("the CUDA driver {} finds no device: {}; {}", path,
                                             driver->error_text(result), kHowToGetCuda));
  return driver;
}

// The product's number: from the driver where it tells, else from the bus.
std::string product_of(const GpuDriver& driver, int index) {
  if (const int id = driver.attribute(cuda_attribute::kPciDevice, index); id > 0)
    return fmt::format("{:04x}", (static_cast<unsigned>(id) >> 16) & 0xFFFF);
  return pci_device(driver, index);
}

}  // namespace

std::shared_ptr<const GpuDriver> load_cuda_driver() {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const GpuDriver>> known;
  std::string path = driver_path("HONE_CUDA_DRIVER", "standin/libcuda.so.1");
  if (path.empty()) path = kUsual;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const GpuDriver>& driver = known[path];
  if (driver == nullptr) driver = load_library(path);
  return driver;
}

DeviceIdentity cuda_identity(const GpuDriver& driver, int index) {
  const int major = driver.attribute(cuda_attribute::kMajor, index);
  const int minor = driver.attribute(cuda_attribute::kMinor, index);
  const GpuArch* arch = nvidia_arch(major, minor);
  int version = 0;
  driver.driver_version(&version);
  return gpu_identity(driver, index, "NVIDIA",
                      arch == nullptr ? fmt::format("sm_{}{}", major, minor) : arch->name,
                      driver.attribute(cuda_attribute::kUnits, index),
                      fmt::format("CUDA {}.{}, {} MHz", version / 1000, version % 1000 / 10,
                                  driver.attribute(cuda_attribute::kClockKhz, index) / 1000),
                      product_of(driver, index));
}

}  // namespace hone
