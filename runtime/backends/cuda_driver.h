// The CUDA driver's entry points that Hone uses, found at run time. No SDK is needed to build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace hone {

struct CudaDriver {
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
  Result (*error_name)(Result, const char**);
  Result (*error_string)(Result, const char**);
  Result (*device_count)(int*);
  Result (*device_get)(Device*, int);
  Result (*device_name)(char*, int, Device);
  Result (*device_memory)(std::size_t*, Device);
  Result (*device_attribute)(int*, int, Device);
  Result (*device_bus)(char*, int, Device);
  Result (*retain_context)(Context*, Device);
  Result (*release_context)(Device);
  Result (*current_context)(Context*);
  Result (*set_current_context)(Context);
  Result (*synchronize)();
  Result (*load_module)(Module*, const void*, unsigned, int*, void**);
  Result (*unload_module)(Module);
  Result (*module_function)(Function*, Module, const char*);
  Result (*set_function_attribute)(Function, int, int);
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

  // Only of Hone's stand-in; null in a real driver.
  std::size_t (*simulator_counters)(char*, std::size_t) = nullptr;
  std::size_t (*simulator_ceilings)(char*, std::size_t, int) = nullptr;
  std::size_t (*simulator_report)(char*, std::size_t) = nullptr;
  bool simulated() const { return simulator_counters != nullptr; }

  std::string path;
  std::string error_text(Result result) const;  // "CUDA_ERROR_OUT_OF_MEMORY: out of memory"
};

// Device attributes, by their number in the driver's interface.
namespace cuda_attribute {
inline constexpr int kClockKhz = 13, kUnits = 16, kL2Bytes = 38, kMajor = 75, kMinor = 76,
                     kSharedOptIn = 97, kPciDevice = 139;
}

// $HONE_CUDA_DRIVER, else libcuda.so.1 where the system's loader finds it. "standin" means the
// stand-in that comes with Hone. Loaded and initialised once per path and process. Throws
// Error(kNotFound) that says what is missing and how to get it.
std::shared_ptr<const CudaDriver> load_cuda_driver();

}  // namespace hone
