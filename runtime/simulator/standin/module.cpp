// The entry points about code: modules, functions, libraries, the linker.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "codegen/error.h"
#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

// The part of a PTX text's head that decides whether a driver takes it.
struct Head {
  int sm = 0;
  bool specific = false;  // an `a`: for that architecture only
};

std::optional<Head> head_of(std::string_view ptx) {
  constexpr std::string_view kTarget = ".target";
  for (std::size_t at = 0; at < ptx.size();) {
    const std::size_t end = std::min(ptx.find('\n', at), ptx.size());
    std::string_view line = ptx.substr(at, end - at);
    at = end + 1;
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (!line.starts_with(kTarget)) continue;
    const std::size_t name = line.find("sm_");
    if (name == std::string_view::npos) return std::nullopt;
    Head head;
    const char* begin = line.data() + name + 3;
    const auto [rest, error] = std::from_chars(begin, line.data() + line.size(), head.sm);
    if (error != std::errc()) return std::nullopt;
    head.specific = rest != line.data() + line.size() && *rest == 'a';
    return head;
  }
  return std::nullopt;
}

Status load(void** handle, const std::function<std::string(Driver&, std::string*)>& ptx_of,
            unsigned option_count, const int* options, void** values) {
  std::string log;
  const Status status = call([&](Driver& driver) {
    require(handle != nullptr, kInvalidValue);
    driver.current();
    driver.forbid_in_capture();
    if (driver.faults.architecture) {
      log = "a fault was injected (HONE_SIM_FAULT=arch)";
      fail(kNoBinaryForGpu);
    }
    *handle = load_module(driver, ptx_of(driver, &log), &log);
  });
  if (status != kSuccess && !log.empty()) fmt::print(stderr, "hone simulator: {}\n", log);
  give_log(option_count, options, values, log, status != kSuccess);
  return status;
}

// Programs link one text to have it compiled with options; more aren't put together here.
struct Linker {
  std::string ptx;
};
Handles<Linker>& linkers() {
  static Handles<Linker>& all = *new Handles<Linker>;
  return all;
}

std::string file_content(const char* path) {
  std::ifstream in(path, std::ios::binary);
  require(in.is_open(), kFileNotFound);
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

}  // namespace

Module* load_module(Driver& driver, const std::string& ptx, std::string* log) {
  const auto head = head_of(ptx);
  if (!head) {
    *log = "this is no PTX text: it has no .target line";
    fail(kInvalidImage);
  }
  const bool fits = head->specific ? head->sm == driver.gpu().sm : head->sm <= driver.gpu().sm;
  if (!fits) {
    *log = fmt::format("PTX for sm_{}{} does not run on {} (sm_{}{})", head->sm,
                       head->specific ? "a" : "", driver.gpu().label, driver.gpu().sm,
                       driver.gpu().specific ? "a" : "");
    fail(kInvalidPtx);
  }
  auto module = std::make_unique<Module>();
  module->context = &driver.current();
  try {
    module->code = std::make_unique<sim::Module>(ptx, driver.gpu(), driver.memory());
  } catch (const Error& error) {
    *log = error.what();
    fail(error.code() == Code::kUnsupported ? kNotSupported : kInvalidPtx);
  }
  for (const sim::Module::Kernel* kernel : module->code->kernels()) {
    auto function = std::make_unique<Function>();
    function->module = module.get();
    function->kernel = kernel;
    const std::size_t fixed = kernel->info.static_shared_bytes;
    function->dynamic_shared_limit =
        driver.gpu().shared_per_block > fixed ? driver.gpu().shared_per_block - fixed : 0;
    module->order.push_back(function.get());
    module->functions[kernel->info.name] = std::move(function);
  }
  return driver.modules.add(std::move(module));
}

void give_log(unsigned count, const int* options, void** values, const std::string& log,
              bool failed) {
  char* buffer = nullptr;
  for (unsigned i = 0; i < count && options != nullptr && values != nullptr; ++i)
    if (options[i] == (failed ? kErrorLog : kInfoLog)) buffer = static_cast<char*>(values[i]);
  for (unsigned i = 0; i < count && options != nullptr && values != nullptr; ++i) {
    if (options[i] != (failed ? kErrorLogBytes : kInfoLogBytes)) continue;
    const auto room = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(values[i]));
    if (buffer == nullptr || room == 0) continue;
    const std::size_t size = std::min<std::size_t>(log.size(), room - 1);
    std::memcpy(buffer, log.data(), size);
    buffer[size] = '\0';
    values[i] = reinterpret_cast<void*>(static_cast<std::uintptr_t>(size));
  }
}

// Modules.

HONE_DRIVER Status cuModuleLoadDataEx(void** handle, const void* image, unsigned count,
                                      int* options, void** values) {
  if (image == nullptr) return kInvalidValue;
  return load(
      handle,
      [&](Driver& driver, std::string* log) { return ptx_of_image(image, driver.gpu(), log); },
      count, options, values);
}
HONE_DRIVER Status cuModuleLoadData(void** handle, const void* image) {
  return cuModuleLoadDataEx(handle, image, 0, nullptr, nullptr);
}
HONE_DRIVER Status cuModuleLoadFatBinary(void** handle, const void* image) {
  return cuModuleLoadData(handle, image);
}
HONE_DRIVER Status cuModuleLoad(void** handle, const char* path) {
  if (path == nullptr) return kInvalidValue;
  return load(
      handle,
      [&](Driver& driver, std::string* log) {
        return ptx_of_image(std::string_view(file_content(path)), driver.gpu(), log);
      },
      0, nullptr, nullptr);
}
HONE_DRIVER Status cuModuleUnload(void* handle) {
  return call([&](Driver& driver) {
    driver.current();
    require(driver.modules.erase(handle), kInvalidHandle);
  });
}
HONE_DRIVER Status cuModuleGetLoadingMode(int* mode) {
  if (mode == nullptr) return kInvalidValue;
  constexpr int kEager = 1;
  *mode = kEager;
  return kSuccess;
}
HONE_DRIVER Status cuModuleGetFunction(void** function, void* handle, const char* name) {
  return call([&](Driver& driver) {
    require(function != nullptr && name != nullptr, kInvalidValue);
    const Module& module = driver.module(handle);
    const auto found = module.functions.find(std::string_view(name));
    require(found != module.functions.end(), kNotFound);
    *function = found->second.get();
  });
}
HONE_DRIVER Status cuModuleGetFunctionCount(unsigned* count, void* handle) {
  return call([&](Driver& driver) {
    require(count != nullptr, kInvalidValue);
    *count = static_cast<unsigned>(driver.module(handle).order.size());
  });
}
HONE_DRIVER Status cuModuleEnumerateFunctions(void** functions, unsigned count, void* handle) {
  return call([&](Driver& driver) {
    require(functions != nullptr, kInvalidValue);
    const Module& module = driver.module(handle);
    for (unsigned i = 0; i < std::min<std::size_t>(count, module.order.size()); ++i)
      functions[i] = module.order[i];
  });
}
HONE_DRIVER Status cuModuleGetGlobal_v2(DevicePointer* address, std::size_t* bytes, void* handle,
                                        const char* name) {
  return call([&](Driver& driver) {
    require(name != nullptr, kInvalidValue);
    const auto* variable = driver.module(handle).code->variable(name);
    require(variable != nullptr, kNotFound);
    if (address != nullptr) *address = variable->address;
    if (bytes != nullptr) *bytes = variable->bytes;
  });
}

// Functions.

HONE_DRIVER Status cuFuncGetAttribute(int* value, int attribute, void* handle) {
  return call([&](Driver& driver) {
    require(value != nullptr, kInvalidValue);
    const Function& function = driver.function(handle);
    const sim::KernelInfo& info = function.kernel->info;
    switch (attribute) {
      case kMaxThreadsPerBlock: {
        // As many whole warps as there are registers for.
        constexpr int kWarp = 32;
        const int by_registers =
            driver.gpu().registers_per_unit / std::max(info.registers, 1) / kWarp * kWarp;
        *value = std::min({info.max_threads, by_registers, 1024});
        return;
      }
      case kSharedBytes:
        *value = static_cast<int>(info.static_shared_bytes);
        return;
      case kConstantBytes:
        *value = static_cast<int>(info.constant_bytes);
        return;
      case kLocalBytes:
        *value = static_cast<int>(info.local_bytes);
        return;
      case kRegisters:
        *value = info.registers;
        return;
      case kPtxVersion:
        *value = info.target_sm;
        return;
      case kBinaryVersion:
        *value = driver.gpu().sm;
        return;
      case kMaxDynamicShared:
        *value = static_cast<int>(function.dynamic_shared_limit);
        return;
      case kPreferredCarveout:
        *value = function.carveout;
        return;
      default:
        require(attribute >= 0 && attribute <= kLastFunctionAttribute, kInvalidValue);
        *value = 0;
    }
  });
}

HONE_DRIVER Status cuFuncSetAttribute(void* handle, int attribute, int value) {
  return call([&](Driver& driver) {
    Function& function = driver.function(handle);
    if (attribute == kMaxDynamicShared) {
      const std::size_t fixed = function.kernel->info.static_shared_bytes;
      require(value >= 0 && static_cast<std::size_t>(value) + fixed <= driver.gpu().shared_opt_in,
              kInvalidValue);
      function.dynamic_shared_limit = static_cast<std::size_t>(value);
    } else if (attribute == kPreferredCarveout) {
      require(value >= -1 && value <= 100, kInvalidValue);
      function.carveout = value;
    } else {
      require(attribute > kPreferredCarveout && attribute <= kLastFunctionAttribute, kInvalidValue);
    }
  });
}

HONE_DRIVER Status cuFuncSetCacheConfig(void* handle, int) {
  return call([&](Driver& driver) { driver.function(handle); });
}
HONE_DRIVER Status cuFuncSetSharedMemConfig(void* handle, int) {
  return cuFuncSetCacheConfig(handle, 0);
}
HONE_DRIVER Status cuFuncGetModule(void** module, void* handle) {
  return call([&](Driver& driver) {
    require(module != nullptr, kInvalidValue);
    *module = driver.function(handle).module;
  });
}
HONE_DRIVER Status cuFuncGetName(const char** name, void* handle) {
  return call([&](Driver& driver) {
    require(name != nullptr, kInvalidValue);
    *name = driver.function(handle).kernel->info.name.c_str();
  });
}
HONE_DRIVER Status cuFuncGetParamInfo(void* handle, std::size_t index, std::size_t* offset,
                                      std::size_t* bytes) {
  return call([&](Driver& driver) {
    const auto& parameters = driver.function(handle).kernel->info.parameters;
    require(index < parameters.size() && offset != nullptr, kInvalidValue);
    *offset = parameters[index].offset;
    if (bytes != nullptr) *bytes = parameters[index].bytes;
  });
}
HONE_DRIVER Status cuFuncIsLoaded(int* loaded, void* handle) {
  return call([&](Driver& driver) {
    require(loaded != nullptr, kInvalidValue);
    driver.function(handle);
    *loaded = 1;
  });
}
HONE_DRIVER Status cuFuncLoad(void* handle) { return cuFuncSetCacheConfig(handle, 0); }

// Occupancy.

HONE_DRIVER Status cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle,
                                                               int threads, std::size_t shared) {
  return call([&](Driver& driver) {
    require(blocks != nullptr && threads > 0, kInvalidValue);
    *blocks = sim::occupancy(driver.gpu(), driver.function(handle).kernel->info, threads, shared);
  });
}
HONE_DRIVER Status cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* handle,
                                                                        int threads,
                                                                        std::size_t shared,
                                                                        unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, shared);
}
HONE_DRIVER Status cuOccupancyMaxPotentialBlockSize(int* grid, int* threads, void* handle,
                                                    std::size_t (*shared_of)(int),
                                                    std::size_t shared, int limit) {
  return call([&](Driver& driver) {
    require(grid != nullptr && threads != nullptr, kInvalidValue);
    const sim::KernelInfo& info = driver.function(handle).kernel->info;
    constexpr int kWarp = 32;
    const int most = std::min(limit > 0 ? limit : 1024, info.max_threads) / kWarp * kWarp;
    int best = 0;
    *threads = *grid = 0;
    for (int count = most; count >= kWarp; count -= kWarp) {
      const int blocks = sim::occupancy(driver.gpu(), info, count,
                                        shared_of != nullptr ? shared_of(count) : shared);
      if (blocks * count <= best) continue;
      best = blocks * count;
      *threads = count;
      *grid = blocks * driver.gpu().units;
    }
  });
}
HONE_DRIVER Status cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* threads, void* handle,
                                                             std::size_t (*shared_of)(int),
                                                             std::size_t shared, int limit,
                                                             unsigned) {
  return cuOccupancyMaxPotentialBlockSize(grid, threads, handle, shared_of, shared, limit);
}
HONE_DRIVER Status cuOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, void* handle,
                                                           int blocks, int threads) {
  return call([&](Driver& driver) {
    require(bytes != nullptr && blocks > 0 && threads > 0, kInvalidValue);
    const sim::KernelInfo& info = driver.function(handle).kernel->info;
    std::size_t low = 0, high = driver.gpu().shared_opt_in;
    while (low < high) {
      const std::size_t middle = (low + high + 1) / 2;
      if (sim::occupancy(driver.gpu(), info, threads, middle) >= blocks)
        low = middle;
      else
        high = middle - 1;
    }
    *bytes = low;
  });
}

// Libraries: modules that no context owns. Here a library is its module, a kernel its function.

HONE_DRIVER Status cuLibraryLoadData(void** library, const void* code, int* options, void** values,
                                     unsigned count, int*, void**, unsigned) {
  return cuModuleLoadDataEx(library, code, count, options, values);
}
HONE_DRIVER Status cuLibraryLoadFromFile(void** library, const char* path, int*, void**, unsigned,
                                         int*, void**, unsigned) {
  return cuModuleLoad(library, path);
}
HONE_DRIVER Status cuLibraryUnload(void* library) { return cuModuleUnload(library); }
HONE_DRIVER Status cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  return cuModuleGetFunction(kernel, library, name);
}
HONE_DRIVER Status cuLibraryGetKernelCount(unsigned* count, void* library) {
  return cuModuleGetFunctionCount(count, library);
}
HONE_DRIVER Status cuLibraryEnumerateKernels(void** kernels, unsigned count, void* library) {
  return cuModuleEnumerateFunctions(kernels, count, library);
}
HONE_DRIVER Status cuLibraryGetModule(void** module, void* library) {
  return call([&](Driver& driver) {
    require(module != nullptr, kInvalidValue);
    *module = &driver.module(library);
  });
}
HONE_DRIVER Status cuLibraryGetGlobal(DevicePointer* address, std::size_t* bytes, void* library,
                                      const char* name) {
  return cuModuleGetGlobal_v2(address, bytes, library, name);
}
HONE_DRIVER Status cuKernelGetFunction(void** function, void* kernel) {
  return call([&](Driver& driver) {
    require(function != nullptr, kInvalidValue);
    *function = &driver.function(kernel);
  });
}
HONE_DRIVER Status cuKernelGetAttribute(int* value, int attribute, void* kernel, int) {
  return cuFuncGetAttribute(value, attribute, kernel);
}
HONE_DRIVER Status cuKernelSetAttribute(int attribute, int value, void* kernel, int) {
  return cuFuncSetAttribute(kernel, attribute, value);
}
HONE_DRIVER Status cuKernelGetName(const char** name, void* kernel) {
  return cuFuncGetName(name, kernel);
}
HONE_DRIVER Status cuKernelGetParamInfo(void* kernel, std::size_t index, std::size_t* offset,
                                        std::size_t* bytes) {
  return cuFuncGetParamInfo(kernel, index, offset, bytes);
}

// The linker.

HONE_DRIVER Status cuLinkCreate_v2(unsigned, int*, void**, void** handle) {
  return call([&](Driver& driver) {
    driver.current();
    require(handle != nullptr, kInvalidValue);
    *handle = linkers().add(std::make_unique<Linker>());
  });
}
HONE_DRIVER Status cuLinkCreate(unsigned count, int* options, void** values, void** handle) {
  return cuLinkCreate_v2(count, options, values, handle);
}
HONE_DRIVER Status cuLinkAddData_v2(void* handle, int, void* data, std::size_t bytes, const char*,
                                    unsigned count, int* options, void** values) {
  std::string log;
  const Status status = call([&](Driver& driver) {
    Linker* linker = linkers().find(handle);
    require(linker != nullptr, kInvalidHandle);
    require(data != nullptr && bytes > 0, kInvalidValue);
    std::string ptx =
        ptx_of_image(std::string_view(static_cast<const char*>(data), bytes), driver.gpu(), &log);
    if (!linker->ptx.empty()) {
      log = "the simulator links one PTX text at a time";
      fail(kNotSupported);
    }
    linker->ptx = std::move(ptx);
  });
  if (status != kSuccess && !log.empty()) fmt::print(stderr, "hone simulator: {}\n", log);
  give_log(count, options, values, log, status != kSuccess);
  return status;
}
HONE_DRIVER Status cuLinkAddData(void* handle, int type, void* data, std::size_t bytes,
                                 const char* name, unsigned count, int* options, void** values) {
  return cuLinkAddData_v2(handle, type, data, bytes, name, count, options, values);
}
HONE_DRIVER Status cuLinkAddFile_v2(void* handle, int type, const char* path, unsigned count,
                                    int* options, void** values) {
  std::string content;
  const Status status = call([&](Driver&) {
    require(path != nullptr, kInvalidValue);
    content = file_content(path);
  });
  if (status != kSuccess) return status;
  return cuLinkAddData_v2(handle, type, content.data(), content.size(), path, count, options,
                          values);
}
// What comes out is the text itself, for cuModuleLoadData().
HONE_DRIVER Status cuLinkComplete(void* handle, void** image, std::size_t* bytes) {
  return call([&](Driver&) {
    Linker* linker = linkers().find(handle);
    require(linker != nullptr, kInvalidHandle);
    require(image != nullptr && !linker->ptx.empty(), kInvalidValue);
    *image = linker->ptx.data();
    if (bytes != nullptr) *bytes = linker->ptx.size() + 1;
  });
}
HONE_DRIVER Status cuLinkDestroy(void* handle) {
  return call([&](Driver&) { require(linkers().erase(handle), kInvalidHandle); });
}

}  // namespace hone::standin
