// Modules and launches.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "codegen/error.h"
#include "runtime/simulator/standin_hip/runtime.h"

namespace hone::standin {
namespace {

constexpr double kLaunchS = 2.5e-6;
constexpr std::uint32_t kMostGridYz = 65535;

// On paper, of what the SIMT host counts: bytes that threads ask for, and matrix instructions.
// Never compared with a GPU.
double modelled_seconds(const AmdGpu& gpu, const sim::Counters& counters) {
  const auto real = [](std::uint64_t count) { return static_cast<double>(count); };
  const double memory =
      real(counters.global_load_bytes + counters.global_store_bytes) / gpu.bandwidth;
  const double matrix = real(counters.matrix_flops) / gpu.matrix16_flops;
  // An access to memory goes with a few operations.
  constexpr double kOperations = 4;
  const double vector = kOperations * real(counters.thread_instructions) / gpu.f32_flops;
  return kLaunchS + std::max({memory, matrix, vector});
}

// Of what the SIMT host counts.
// What the SIMT host counts, as it is told.
constexpr std::pair<const char*, std::uint64_t sim::Counters::*> kCounts[] = {
    {"thread_accesses", &sim::Counters::thread_instructions},
    {"global_loads", &sim::Counters::global_loads},
    {"global_stores", &sim::Counters::global_stores},
    {"global_atomics", &sim::Counters::global_atomics},
    {"global_load_bytes", &sim::Counters::global_load_bytes},
    {"global_store_bytes", &sim::Counters::global_store_bytes},
    {"global_load_sectors", &sim::Counters::global_load_sectors},
    {"global_store_sectors", &sim::Counters::global_store_sectors},
    {"global_load_sectors_ideal", &sim::Counters::global_load_sectors_ideal},
    {"global_store_sectors_ideal", &sim::Counters::global_store_sectors_ideal},
    {"unique_sectors_read", &sim::Counters::unique_sectors_read},
    {"unique_sectors_written", &sim::Counters::unique_sectors_written},
    {"shared_loads", &sim::Counters::shared_loads},
    {"shared_stores", &sim::Counters::shared_stores},
    {"shared_atomics", &sim::Counters::shared_atomics},
    {"shared_wavefronts", &sim::Counters::shared_wavefronts},
    {"shared_wavefronts_ideal", &sim::Counters::shared_wavefronts_ideal},
    {"matrix", &sim::Counters::matrix},
    {"matrix_flops", &sim::Counters::matrix_flops},
    {"barriers", &sim::Counters::barriers},
    {"shuffles", &sim::Counters::shuffles},
    {"blocks", &sim::Counters::blocks},
    {"warps", &sim::Counters::warps}};

void add(sim::Counters& to, const sim::Counters& more) {
  for (const auto& [name, count] : kCounts) to.*count += more.*count;
}

Status status_of(sim::Finding::Kind kind) {
  switch (kind) {
    case sim::Finding::Kind::kOutOfBounds:
    case sim::Finding::Kind::kMisaligned:
      return kIllegalAddress;
    case sim::Finding::Kind::kHang:
      return kLaunchTimeout;
    default:
      return kLaunchFailed;
  }
}

void report(HipRuntime& runtime, const sim::Result& result) {
  runtime.last_report.clear();
  for (const sim::Finding& finding : result.findings) {
    runtime.last_report += finding.report();
    if (runtime.report_file.empty()) continue;
    std::ofstream out(runtime.report_file, std::ios::app);
    out << finding.json() << '\n';
    if (!out.flush()) fmt::print(stderr, "hone simulator: can't write {}\n", runtime.report_file);
  }
  std::fwrite(runtime.last_report.data(), 1, runtime.last_report.size(), stderr);
  std::fflush(stderr);
  runtime.sticky = status_of(result.findings.front().kind);
}

std::vector<unsigned char> arguments_of(const sim::SimtModule::Kernel& kernel, void** parameters,
                                        void** extra) {
  void* const kBuffer = reinterpret_cast<void*>(1);
  void* const kBytes = reinterpret_cast<void*>(2);
  std::vector<unsigned char> bytes(std::max<std::size_t>(kernel.argument_bytes, 1));
  if (parameters != nullptr) {
    for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
      hip_require(parameters[i] != nullptr, kInvalidValue);
      std::memcpy(bytes.data() + kernel.arguments[i].offset, parameters[i],
                  kernel.arguments[i].bytes);
    }
    return bytes;
  }
  const void* buffer = nullptr;
  std::size_t size = 0;
  for (; extra != nullptr && extra[0] != reinterpret_cast<void*>(3); extra += 2) {
    if (extra[0] == kBuffer) buffer = extra[1];
    if (extra[0] == kBytes) std::memcpy(&size, extra[1], sizeof size);
  }
  hip_require(kernel.arguments.empty() || (buffer != nullptr && size >= kernel.argument_bytes),
              kInvalidValue);
  if (buffer != nullptr) std::memcpy(bytes.data(), buffer, std::min(size, bytes.size()));
  return bytes;
}

void copy_text(const std::string& from, char* text, std::size_t bytes) {
  if (text != nullptr && bytes > from.size()) std::memcpy(text, from.c_str(), from.size() + 1);
}

}  // namespace

HONE_DRIVER Status hipModuleLoadData(void** module, const void* image) {
  return hip_call([&](HipRuntime& runtime) {
    const std::size_t bytes = image == nullptr ? 0 : sim::simt_bytes(image);
    hip_require(bytes > 0, kInvalidImage);
    auto made = std::make_unique<HipModule>();
    try {
      made->code = std::make_unique<sim::SimtModule>(
          std::string_view(static_cast<const char*>(image), bytes));
    } catch (const Error& error) {
      runtime.last_report = error.what();
      fmt::print(stderr, "hone simulator: {}\n", error.what());
      throw HipFailure{kInvalidImage};
    }
    *module = made.get();
    runtime.modules[*module] = std::move(made);
  });
}
HONE_DRIVER Status hipModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
  return hipModuleLoadData(module, image);
}
HONE_DRIVER Status hipModuleUnload(void* module) {
  return hip_call([&](HipRuntime& runtime) {
    const auto found = runtime.modules.find(module);
    hip_require(found != runtime.modules.end(), kInvalidHandle);
    for (const auto& [name, function] : found->second->functions)
      runtime.functions.erase(function.get());
    runtime.modules.erase(found);
  });
}
HONE_DRIVER Status hipModuleGetFunction(void** function, void* module, const char* name) {
  return hip_call([&](HipRuntime& runtime) {
    const auto found = runtime.modules.find(module);
    hip_require(found != runtime.modules.end(), kInvalidHandle);
    auto& made = found->second->functions[name];
    if (!made) {
      const auto* kernel = found->second->code->kernel(name);
      hip_require(kernel != nullptr, kNotFound);
      made = std::make_unique<HipFunction>(HipFunction{found->second->code.get(), kernel});
      runtime.functions[made.get()] = made.get();
    }
    *function = made.get();
  });
}
HONE_DRIVER Status hipFuncGetAttribute(int* value, int number, void* function) {
  return hip_call([&](HipRuntime& runtime) {
    const auto found = runtime.functions.find(function);
    hip_require(found != runtime.functions.end(), kInvalidHandle);
    *value =
        number == kSharedBytes ? static_cast<int>(found->second->module->static_shared_bytes()) : 0;
  });
}
HONE_DRIVER Status hipFuncSetAttribute(const void*, int, int) { return kSuccess; }

HONE_DRIVER Status hipModuleLaunchKernel(void* function, unsigned grid_x, unsigned grid_y,
                                         unsigned grid_z, unsigned block_x, unsigned block_y,
                                         unsigned block_z, unsigned shared_bytes, void*,
                                         void** parameters, void** extra) {
  return hip_call([&](HipRuntime& runtime) {
    const auto found = runtime.functions.find(function);
    hip_require(found != runtime.functions.end(), kInvalidHandle);
    const HipFunction& called = *found->second;
    constexpr std::uint64_t kMostThreads = 1024;
    const std::uint64_t threads = std::uint64_t{block_x} * block_y * block_z;
    hip_require(grid_x > 0 && grid_y > 0 && grid_z > 0 && threads > 0 && threads <= kMostThreads &&
                    grid_y <= kMostGridYz && grid_z <= kMostGridYz,
                kInvalidValue);
    hip_require(
        shared_bytes + called.module->static_shared_bytes() <= called.module->memory().dynamic_most,
        kInvalidValue);
    sim::SimtLaunch launch;
    launch.kernel = called.kernel;
    launch.grid = {grid_x, grid_y, grid_z};
    launch.block = {block_x, block_y, block_z};
    launch.dynamic_shared_bytes = shared_bytes;
    launch.arguments = arguments_of(*called.kernel, parameters, extra);
    launch.wave = static_cast<unsigned>(runtime.gpu->wave);
    sim::Result result;
    try {
      result = sim::run_simt(*runtime.memory, *called.module, launch, runtime.options);
    } catch (const Error& error) {
      runtime.last_report = error.what();
      throw HipFailure{kInvalidValue};
    }
    const double seconds = modelled_seconds(*runtime.gpu, result.counters);
    runtime.time += seconds;
    runtime.modelled_s += seconds;
    add(runtime.counters, result.counters);
    ++runtime.launches;
    if (result.ok()) return;
    report(runtime, result);
    throw HipFailure{runtime.sticky};
  });
}

HONE_DRIVER int hone_standin_version() { return 1; }

// As of the CUDA stand-in.
HONE_DRIVER std::size_t hone_standin_counters(char* text, std::size_t bytes) {
  HipRuntime& runtime = hip_runtime();
  const std::lock_guard lock(runtime.mutex);
  const sim::Counters& counters = runtime.counters;
  std::string counted;
  for (const auto& [name, count] : kCounts)
    counted += fmt::format("{}\"{}\":{}", counted.empty() ? "" : ",", name, counters.*count);
  const std::string json =
      fmt::format("{{\"launches\":{},\"modelled_ns\":{:.0f},\"counters\":{{{}}}}}",
                  runtime.launches, runtime.modelled_s * 1e9, counted);
  copy_text(json, text, bytes);
  if (text != nullptr && bytes > json.size()) {
    runtime.counters = {};
    runtime.modelled_s = 0;
    runtime.launches = 0;
  }
  return json.size() + 1;
}

HONE_DRIVER std::size_t hone_standin_ceilings(char* text, std::size_t bytes, int) {
  HipRuntime& runtime = hip_runtime();
  const std::lock_guard lock(runtime.mutex);
  if (runtime.gpu == nullptr) return 0;
  const AmdGpu& gpu = *runtime.gpu;
  constexpr double kGiga = 1e9;
  const std::string json = fmt::format(
      "{{\"read_gbps\":{},\"copy_gbps\":{},\"f32_gflops\":{},\"f16_gflops\":{},\"bf16_gflops\":{},"
      "\"s8_gflops\":{},\"launch_ns\":{}}}",
      gpu.bandwidth / kGiga, gpu.bandwidth / kGiga, gpu.f32_flops / kGiga,
      gpu.matrix16_flops / kGiga, gpu.matrix16_flops / kGiga, gpu.matrix8_ops / kGiga,
      kLaunchS * kGiga);
  copy_text(json, text, bytes);
  return json.size() + 1;
}

HONE_DRIVER std::size_t hone_standin_report(char* text, std::size_t bytes) {
  HipRuntime& runtime = hip_runtime();
  const std::lock_guard lock(runtime.mutex);
  copy_text(runtime.last_report, text, bytes);
  return runtime.last_report.size() + 1;
}

}  // namespace hone::standin
