// A HIP runtime that stands in for AMD's: the functions that Hone's host path and plain programs of
// its module interface call, over the SIMT host. Work is done when it is asked for. One lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "runtime/simulator/simt/host.h"
#include "runtime/simulator/standin/abi.h"

namespace hone::standin {

// Public figures of the data sheets, as shared by gpus.csv of the project's reference.
struct AmdGpu {
  const char* name;   // as HONE_SIM_DEVICE takes it
  const char* label;  // as a driver says it
  const char* arch;
  int units, wave;
  int threads_per_unit;
  std::size_t memory_bytes, l2_bytes;
  double bandwidth;  // bytes per second
  double f32_flops;  // of the vector units, per second
  double matrix16_flops, matrix8_ops;
  int clock_khz;
};
// By name or by architecture; nullptr when unknown.
const AmdGpu* find_amd_gpu(std::string_view name);
std::string amd_gpu_names();

struct HipFunction {
  sim::SimtModule* module = nullptr;
  const sim::SimtModule::Kernel* kernel = nullptr;
};
struct HipModule {
  std::unique_ptr<sim::SimtModule> code;
  std::map<std::string, std::unique_ptr<HipFunction>> functions;
};
struct HipEvent {
  double time = 0;  // modelled seconds
  bool recorded = false;
};

struct HipRuntime {
  HipRuntime();

  std::recursive_mutex mutex;
  std::string problem;  // why there is no device; "" when there is one
  const AmdGpu* gpu = nullptr;
  sim::Options options;
  std::string report_file;
  std::unique_ptr<sim::SimtMemory> memory;
  std::map<void*, std::unique_ptr<HipModule>> modules;
  std::map<void*, HipFunction*> functions;
  std::map<void*, std::unique_ptr<HipEvent>> events;
  std::map<void*, std::unique_ptr<char>> streams;
  Status sticky = kSuccess;  // what ended the device's work
  double time = 0;           // modelled seconds
  sim::Counters counters;    // since they were last asked for
  double modelled_s = 0;
  std::uint64_t launches = 0;
  std::string last_report;
};
HipRuntime& hip_runtime();

struct HipFailure {
  Status status;
};
inline void hip_require(bool holds, Status otherwise) {
  if (!holds) throw HipFailure{otherwise};
}
Status& hip_last_error();  // of this thread

template <typename Work>
Status hip_call(Work&& work) noexcept {
  try {
    HipRuntime& runtime = hip_runtime();
    const std::lock_guard lock(runtime.mutex);
    hip_require(runtime.gpu != nullptr && runtime.problem.empty(), kNoDevice);
    hip_require(runtime.sticky == kSuccess, runtime.sticky);
    work(runtime);
    return kSuccess;
  } catch (const HipFailure& failure) {
    return hip_last_error() = failure.status;
  } catch (const std::bad_alloc&) {
    return hip_last_error() = kOutOfMemory;
  } catch (...) {
    return hip_last_error() = kUnknown;
  }
}

}  // namespace hone::standin
