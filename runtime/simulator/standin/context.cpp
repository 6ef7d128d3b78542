// The entry points about contexts.
#include <array>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

Status create_context(void** handle, unsigned flags, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(handle != nullptr, kInvalidValue);
    auto context = std::make_unique<Context>();
    context->device = device;
    context->flags = flags;
    context->null_stream.context = context->thread_stream.context = context.get();
    *handle = driver.contexts.add(std::move(context));
    context_stack().push_back(static_cast<Context*>(*handle));
  });
}

Context& context_at(Driver& driver, void* handle) {
  Context* context = driver.contexts.find(handle);
  require(context != nullptr, kInvalidContext);
  return *context;
}

}  // namespace

HONE_DRIVER Status cuCtxCreate_v2(void** context, unsigned flags, int device) {
  return create_context(context, flags, device);
}
HONE_DRIVER Status cuCtxCreate(void** context, unsigned flags, int device) {
  return create_context(context, flags, device);
}
HONE_DRIVER Status cuCtxCreate_v3(void** context, void*, int, unsigned flags, int device) {
  return create_context(context, flags, device);
}
HONE_DRIVER Status cuCtxCreate_v4(void** context, void*, unsigned flags, int device) {
  return create_context(context, flags, device);
}

HONE_DRIVER Status cuCtxDestroy_v2(void* handle) {
  return call([&](Driver& driver) {
    Context& context = context_at(driver, handle);
    require(!context.primary, kInvalidContext);
    std::vector<Context*>& stack = context_stack();
    if (!stack.empty() && stack.back() == &context) stack.pop_back();
    driver.destroy(&context);
  });
}
HONE_DRIVER Status cuCtxDestroy(void* handle) { return cuCtxDestroy_v2(handle); }
HONE_DRIVER Status cuCtxDetach(void* handle) { return cuCtxDestroy_v2(handle); }

HONE_DRIVER Status cuCtxPushCurrent_v2(void* handle) {
  return call([&](Driver& driver) { context_stack().push_back(&context_at(driver, handle)); });
}
HONE_DRIVER Status cuCtxPushCurrent(void* handle) { return cuCtxPushCurrent_v2(handle); }

HONE_DRIVER Status cuCtxPopCurrent_v2(void** handle) {
  return call([&](Driver&) {
    std::vector<Context*>& stack = context_stack();
    require(!stack.empty(), kInvalidContext);
    if (handle != nullptr) *handle = stack.back();
    stack.pop_back();
  });
}
HONE_DRIVER Status cuCtxPopCurrent(void** handle) { return cuCtxPopCurrent_v2(handle); }

HONE_DRIVER Status cuCtxSetCurrent(void* handle) {
  return call([&](Driver& driver) {
    std::vector<Context*>& stack = context_stack();
    Context* context = handle == nullptr ? nullptr : &context_at(driver, handle);
    if (!stack.empty()) stack.pop_back();
    if (context != nullptr) stack.push_back(context);
  });
}

HONE_DRIVER Status cuCtxGetCurrent(void** handle) {
  return call([&](Driver&) {
    require(handle != nullptr, kInvalidValue);
    *handle = context_stack().empty() ? nullptr : context_stack().back();
  });
}

HONE_DRIVER Status cuCtxGetDevice(int* device) {
  return call([&](Driver& driver) {
    require(device != nullptr, kInvalidValue);
    *device = driver.current().device;
  });
}
HONE_DRIVER Status cuCtxGetDevice_v2(int* device, void* handle) {
  if (handle == nullptr) return cuCtxGetDevice(device);
  return call([&](Driver& driver) {
    require(device != nullptr, kInvalidValue);
    *device = context_at(driver, handle).device;
  });
}

HONE_DRIVER Status cuCtxGetFlags(unsigned* flags) {
  return call([&](Driver& driver) {
    require(flags != nullptr, kInvalidValue);
    *flags = driver.current().flags;
  });
}

HONE_DRIVER Status cuCtxSetFlags(unsigned flags) {
  return call([&](Driver& driver) { driver.current().flags = flags; });
}

HONE_DRIVER Status cuCtxGetId(void* handle, unsigned long long* id) {
  return call([&](Driver& driver) {
    require(id != nullptr, kInvalidValue);
    *id = reinterpret_cast<std::uintptr_t>(handle == nullptr ? &driver.current()
                                                             : &context_at(driver, handle));
  });
}

HONE_DRIVER Status cuCtxSynchronize() {
  return call([&](Driver& driver) { driver.forbid_in_capture(); });
}
HONE_DRIVER Status cuCtxSynchronize_v2(void*) { return cuCtxSynchronize(); }

HONE_DRIVER Status cuCtxGetApiVersion(void* handle, unsigned* version) {
  return call([&](Driver& driver) {
    require(version != nullptr, kInvalidValue);
    *version = (handle == nullptr ? driver.current() : context_at(driver, handle)).version;
  });
}

HONE_DRIVER Status cuCtxGetLimit(std::size_t* value, int limit) {
  return call([&](Driver& driver) {
    require(value != nullptr, kInvalidValue);
    require(limit >= 0 && limit <= 9, kUnsupportedLimit);
    constexpr std::array<std::size_t, 10> kDefaults = {1024, 1 << 20, 8 << 20, 2, 2048,
                                                       64,   0,       0,       0, 0};
    const auto& limits = driver.current().limits;
    const auto found = limits.find(limit);
    *value = found != limits.end() ? found->second : kDefaults[static_cast<std::size_t>(limit)];
  });
}

HONE_DRIVER Status cuCtxSetLimit(int limit, std::size_t value) {
  return call([&](Driver& driver) {
    require(limit >= 0 && limit <= 9, kUnsupportedLimit);
    driver.current().limits[limit] = value;
    constexpr int kHeapBytes = 2;
    if (limit == kHeapBytes) driver.memory().set_heap_limit(value);
  });
}

HONE_DRIVER Status cuCtxGetCacheConfig(int* config) {
  return call([&](Driver& driver) {
    driver.current();
    require(config != nullptr, kInvalidValue);
    *config = 0;
  });
}
HONE_DRIVER Status cuCtxSetCacheConfig(int) {
  return call([&](Driver& driver) { driver.current(); });
}
HONE_DRIVER Status cuCtxGetSharedMemConfig(int* config) { return cuCtxGetCacheConfig(config); }
HONE_DRIVER Status cuCtxSetSharedMemConfig(int) { return cuCtxSetCacheConfig(0); }

HONE_DRIVER Status cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call([&](Driver& driver) {
    driver.current();
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
  });
}

HONE_DRIVER Status cuCtxResetPersistingL2Cache() {
  return call([&](Driver& driver) { driver.current(); });
}

HONE_DRIVER Status cuDevicePrimaryCtxRetain(void** handle, int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(handle != nullptr, kInvalidValue);
    if (driver.device(device).primary != nullptr) {
      ++driver.device(device).primary->uses;
    } else {
      auto context = std::make_unique<Context>();
      context->primary = true;
      context->device = device;
      context->null_stream.context = context->thread_stream.context = context.get();
      driver.device(device).primary = driver.contexts.add(std::move(context));
    }
    *handle = driver.device(device).primary;
  });
}

HONE_DRIVER Status cuDevicePrimaryCtxRelease_v2(int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(driver.device(device).primary != nullptr, kInvalidContext);
    if (--driver.device(device).primary->uses == 0) driver.destroy(driver.device(device).primary);
  });
}
HONE_DRIVER Status cuDevicePrimaryCtxRelease(int device) {
  return cuDevicePrimaryCtxRelease_v2(device);
}

HONE_DRIVER Status cuDevicePrimaryCtxReset_v2(int device) {
  return call([&](Driver& driver) {
    driver.device(device);
    if (driver.device(device).primary != nullptr) driver.destroy(driver.device(device).primary);
  });
}
HONE_DRIVER Status cuDevicePrimaryCtxReset(int device) {
  return cuDevicePrimaryCtxReset_v2(device);
}

HONE_DRIVER Status cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  return call([&](Driver& driver) {
    driver.device(device);
    if (driver.device(device).primary != nullptr) driver.device(device).primary->flags = flags;
  });
}
HONE_DRIVER Status cuDevicePrimaryCtxSetFlags(int device, unsigned flags) {
  return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

HONE_DRIVER Status cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
  return call([&](Driver& driver) {
    driver.device(device);
    require(flags != nullptr && active != nullptr, kInvalidValue);
    *active = driver.device(device).primary != nullptr;
    *flags = driver.device(device).primary != nullptr ? driver.device(device).primary->flags : 0;
  });
}

}  // namespace hone::standin
