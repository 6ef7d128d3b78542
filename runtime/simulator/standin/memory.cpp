// The entry points that allocate memory, and tell of it.
#include <cstdlib>
#include <cstring>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr std::size_t kPitch = 512;
constexpr std::size_t kHostAlignment = 4096;

DevicePointer allocate(Driver& driver, std::size_t bytes) {
  Context& context = driver.current();
  driver.forbid_in_capture();
  require(bytes > 0, kInvalidValue);
  require(++driver.allocation_count != driver.faults.out_of_memory, kOutOfMemory);
  const DevicePointer address = driver.memory().allocate(bytes);
  require(address != 0, kOutOfMemory);
  context.allocations.insert(address);
  return address;
}

void release(Driver& driver, DevicePointer address) {
  driver.current();
  driver.forbid_in_capture();
  if (address == 0) return;
  const auto managed = driver.pinned.find(reinterpret_cast<void*>(address));
  if (managed != driver.pinned.end()) {
    for (const Device& device : driver.devices) device.memory->release(address);
    std::free(managed->first);
    driver.pinned.erase(managed);
    return;
  }
  require(driver.memory().release(address), kInvalidValue);
  for (const auto& [handle, context] : driver.contexts) context->allocations.erase(address);
}

// Memory of the host that kernels see at its own address.
void* allocate_host(Driver& driver, std::size_t bytes) {
  driver.current();
  driver.forbid_in_capture();
  require(bytes > 0, kInvalidValue);
  const std::size_t rounded = (bytes + kHostAlignment - 1) / kHostAlignment * kHostAlignment;
  void* memory = std::aligned_alloc(kHostAlignment, rounded);
  require(memory != nullptr, kOutOfMemory);
  std::memset(memory, 0, rounded);
  for (const Device& device : driver.devices) device.memory->attach(memory, bytes);
  driver.pinned[memory] = bytes;
  return memory;
}

}  // namespace

HONE_DRIVER Status cuMemGetInfo_v2(std::size_t* unused, std::size_t* total) {
  return call([&](Driver& driver) {
    driver.current();
    if (unused != nullptr) *unused = driver.memory().limit() - driver.memory().used();
    if (total != nullptr) *total = driver.memory().limit();
  });
}

HONE_DRIVER Status cuMemAlloc_v2(DevicePointer* address, std::size_t bytes) {
  return call([&](Driver& driver) {
    require(address != nullptr, kInvalidValue);
    *address = allocate(driver, bytes);
  });
}

HONE_DRIVER Status cuMemAllocPitch_v2(DevicePointer* address, std::size_t* pitch, std::size_t width,
                                      std::size_t height, unsigned element) {
  return call([&](Driver& driver) {
    require(address != nullptr && pitch != nullptr && width > 0 && height > 0, kInvalidValue);
    require(element == 4 || element == 8 || element == 16, kInvalidValue);
    *pitch = (width + kPitch - 1) / kPitch * kPitch;
    *address = allocate(driver, *pitch * height);
  });
}

HONE_DRIVER Status cuMemFree_v2(DevicePointer address) {
  return call([&](Driver& driver) { release(driver, address); });
}

// A pool: what is freed in a stream's order may be used again at once.
HONE_DRIVER Status cuMemAllocAsync(DevicePointer* address, std::size_t bytes, void* stream) {
  return call([&](Driver& driver) {
    require(address != nullptr, kInvalidValue);
    driver.stream(stream);
    *address = allocate(driver, bytes);
  });
}
HONE_DRIVER Status cuMemFreeAsync(DevicePointer address, void* stream) {
  return call([&](Driver& driver) {
    driver.stream(stream);
    release(driver, address);
  });
}
HONE_DRIVER Status cuMemAllocFromPoolAsync(DevicePointer* address, std::size_t bytes, void*,
                                           void* stream) {
  return cuMemAllocAsync(address, bytes, stream);
}

namespace {
int default_pool;
}
HONE_DRIVER Status cuDeviceGetDefaultMemPool(void** pool, int device) {
  return call([&](Driver& driver) {
    require(pool != nullptr, kInvalidValue);
    driver.device(device);
    *pool = &default_pool;
  });
}
HONE_DRIVER Status cuDeviceGetMemPool(void** pool, int device) {
  return cuDeviceGetDefaultMemPool(pool, device);
}
HONE_DRIVER Status cuMemPoolSetAttribute(void*, int, void*) {
  return call([](Driver&) {});
}
HONE_DRIVER Status cuMemPoolTrimTo(void*, std::size_t) {
  return call([](Driver&) {});
}

HONE_DRIVER Status cuMemGetAddressRange_v2(DevicePointer* start, std::size_t* bytes,
                                           DevicePointer address) {
  return call([&](Driver& driver) {
    driver.current();
    const auto range = driver.memory().find(address);
    require(range.has_value(), kNotFound);
    if (start != nullptr) *start = range->start;
    if (bytes != nullptr) *bytes = range->bytes;
  });
}

HONE_DRIVER Status cuMemHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return call([&](Driver& driver) {
    require(memory != nullptr, kInvalidValue);
    *memory = allocate_host(driver, bytes);
  });
}
HONE_DRIVER Status cuMemAllocHost_v2(void** memory, std::size_t bytes) {
  return cuMemHostAlloc(memory, bytes, 0);
}
HONE_DRIVER Status cuMemFreeHost(void* memory) {
  return call([&](Driver& driver) {
    driver.current();
    if (memory == nullptr) return;
    require(driver.pinned.count(memory) > 0, kInvalidValue);
    release(driver, reinterpret_cast<std::uintptr_t>(memory));
  });
}
HONE_DRIVER Status cuMemAllocManaged(DevicePointer* address, std::size_t bytes, unsigned) {
  return call([&](Driver& driver) {
    require(address != nullptr, kInvalidValue);
    *address = reinterpret_cast<std::uintptr_t>(allocate_host(driver, bytes));
  });
}
HONE_DRIVER Status cuMemHostGetDevicePointer_v2(DevicePointer* address, void* memory, unsigned) {
  return call([&](Driver& driver) {
    driver.current();
    require(address != nullptr, kInvalidValue);
    *address = reinterpret_cast<std::uintptr_t>(memory);
    require(driver.memory().find(*address).has_value(), kInvalidValue);
  });
}
HONE_DRIVER Status cuMemHostGetFlags(unsigned* flags, void* memory) {
  return call([&](Driver& driver) {
    driver.current();
    require(flags != nullptr && driver.pinned.count(memory) > 0, kInvalidValue);
    *flags = 0;
  });
}
HONE_DRIVER Status cuMemHostRegister_v2(void* memory, std::size_t bytes, unsigned) {
  return call([&](Driver& driver) {
    driver.current();
    driver.forbid_in_capture();
    require(memory != nullptr && bytes > 0, kInvalidValue);
    require(!driver.memory().find(reinterpret_cast<std::uintptr_t>(memory)),
            kHostMemoryAlreadyRegistered);
    for (const Device& device : driver.devices) device.memory->attach(memory, bytes);
    driver.registered.insert(memory);
  });
}
HONE_DRIVER Status cuMemHostUnregister(void* memory) {
  return call([&](Driver& driver) {
    driver.current();
    require(driver.registered.erase(memory) > 0, kHostMemoryNotRegistered);
    for (const Device& device : driver.devices)
      device.memory->release(reinterpret_cast<std::uintptr_t>(memory));
  });
}

HONE_DRIVER Status cuMemPrefetchAsync(DevicePointer, std::size_t, int, void* stream) {
  return call([&](Driver& driver) { driver.stream(stream); });
}
HONE_DRIVER Status cuMemAdvise(DevicePointer, std::size_t, int, int) {
  return call([](Driver& driver) { driver.current(); });
}

namespace {
struct Location {
  int type, id;
};
}  // namespace
HONE_DRIVER Status cuMemPrefetchAsync_v2(DevicePointer, std::size_t, Location, unsigned,
                                         void* stream) {
  return call([&](Driver& driver) { driver.stream(stream); });
}
HONE_DRIVER Status cuMemAdvise_v2(DevicePointer, std::size_t, int, Location) {
  return call([](Driver& driver) { driver.current(); });
}

HONE_DRIVER Status cuPointerGetAttribute(void* data, int attribute, DevicePointer address) {
  return call([&](Driver& driver) {
    Context& context = driver.current();
    require(data != nullptr, kInvalidValue);
    const auto range = driver.memory().find(address);
    require(range.has_value(), kInvalidValue);
    const bool host = range->start < sim::kDeviceBase;
    const auto put = [&](auto value) { std::memcpy(data, &value, sizeof value); };
    switch (attribute) {
      case 1:
        return put(&context);
      case 2:
        return put(static_cast<unsigned>(host ? kHostMemory : kDeviceMemory));
      case 3:
        return put(address);
      case 4:
        require(host, kInvalidValue);
        return put(address);
      case 7:
        return put(static_cast<unsigned long long>(range->start));
      case 8:
        return put(static_cast<unsigned>(0));
      case 9:
        return put(context.device);
      case 11:
        return put(range->start);
      case 12:
        return put(range->bytes);
      case 13:
        return put(true);
      default:
        fail(kNotSupported);
    }
  });
}

}  // namespace hone::standin
