// What Hone needs of a GPU's driver: CUDA's driver interface, which HIP's module interface follows
// call for call. Filled at run time by cuda_driver.cpp and hip_runtime.cpp; no SDK is needed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/backend.h"
#include "runtime/backends/gpu_code.h"

namespace hone {

struct GpuDriver {
  using Result = int;
  using Device = int;
  using Pointer = std::uint64_t;
  using Context = void*;
  using Module = void*;
  using Function = void*;
  using Stream = void*;
  using Event = void*;

  Result (*init)(unsigned);
  Result (*driver_version)(int*);
  Result (*device_count)(int*);
  Result (*device_get)(Device*, int);
  Result (*device_name)(char*, int, Device);
  Result (*device_memory)(std::size_t*, Device);
  Result (*device_attribute)(int*, int, Device);
  Result (*device_bus)(char*, int, Device);
  Result (*synchronize)();
  Result (*unload_module)(Module);
  Result (*module_function)(Function*, Module, const char*);
  Result (*function_attribute)(int*, int, Function);
  Result (*allocate)(Pointer*, std::size_t);
  Result (*release)(Pointer);
  Result (*copy_in)(Pointer, const void*, std::size_t);
  Result (*copy_out)(void*, Pointer, std::size_t);
  Result (*copy)(Pointer, Pointer, std::size_t, Stream);
  Result (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   Stream, void**, void**);
  Result (*create_event)(Event*, unsigned);
  Result (*destroy_event)(Event);
  Result (*record_event)(Event, Stream);
  Result (*synchronize_event)(Event);
  Result (*elapsed)(float*, Event, Event);

  // Where the vendors differ. A context is what a thread has current: CUDA's primary context, HIP's
  // device. None of these allocates.
  std::function<Result(Context*, Device)> retain_context;
  std::function<Result(Device)> release_context;
  std::function<Result(Context*)> current_context;
  std::function<Result(Context)> set_current_context;
  std::function<Result(Module*, const char* image, std::string* log)> load_module;
  std::function<Result(Function, std::int64_t bytes)> allow_dynamic_shared;
  std::function<std::string(Result)> error_text;  // "CUDA_ERROR_OUT_OF_MEMORY: out of memory"
  // What to load of a Binary, best first.
  std::function<std::vector<std::string_view>(const GpuCode&)> images;
  std::function<Ceilings(hone::Device&, const GpuDriver&, std::chrono::duration<double>)>
      measure_ceilings;

  // Only of Hone's stand-ins; null in a real driver.
  std::size_t (*simulator_counters)(char*, std::size_t) = nullptr;
  std::size_t (*simulator_ceilings)(char*, std::size_t, int) = nullptr;
  std::size_t (*simulator_report)(char*, std::size_t) = nullptr;
  bool simulated() const { return simulator_counters != nullptr; }

  std::string backend;  // cuda, hip
  std::string path;
  int max_shared_attribute = 0;  // the numbers of the device's attributes
  int l2_attribute = 0;

  int attribute(int number, Device device) const {
    int value = 0;
    return device_attribute(&value, number, device) == 0 ? value : 0;
  }
};

// A driver's library.
class DriverLibrary {
 public:
  // Stays loaded: drivers don't take being unloaded. `how`: to get it. Throws Error(kNotFound).
  DriverLibrary(std::string path, std::string how);
  template <typename Function>
  void operator()(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(symbol(name, true));
  }
  template <typename Function>
  void optional(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(symbol(name, false));
  }

 private:
  void* symbol(const char* name, bool must) const;
  std::string path_, how_;
  void* library_;
};

// The library of $`variable`: a path, or "standin" for `own`, which comes with Hone. Empty: not
// set.
std::string driver_path(const char* variable, const char* own);

// Fills backend, units, memory, names and driver of an identity; `version` as a person reads it.
DeviceIdentity gpu_identity(const GpuDriver& driver, int index, const char* vendor,
                            const std::string& arch, std::int64_t units, const std::string& version,
                            const std::string& product);
// The product's PCI number as sysfs has it; "" when it doesn't.
std::string pci_device(const GpuDriver& driver, int index);

}  // namespace hone
