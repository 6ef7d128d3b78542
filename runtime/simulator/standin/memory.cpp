// The entry points about memory.
#include <cstdlib>
#include <cstring>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr std::size_t kPitch = 512;
constexpr std::size_t kHostAlignment = 4096;
constexpr double kHostBandwidth = 25e9;  // bytes per second over PCIe

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
  require(bytes > 0, kInvalidValue);
  const std::size_t rounded = (bytes + kHostAlignment - 1) / kHostAlignment * kHostAlignment;
  void* memory = std::aligned_alloc(kHostAlignment, rounded);
  require(memory != nullptr, kOutOfMemory);
  std::memset(memory, 0, rounded);
  for (const Device& device : driver.devices) device.memory->attach(memory, bytes);
  driver.pinned[memory] = bytes;
  return memory;
}

bool on_device(Driver& driver, std::uint64_t address) {
  return driver.memory().find(address).has_value();
}

// Copies of one call, in the stream's order.
template <typename Work>
Status enqueue_copy(void* stream, std::size_t bytes, bool device_only, Work work) {
  return call([&](Driver& driver) {
    Stream& target = driver.stream(stream);
    constexpr int kMemcpyNode = 1;
    enqueue(driver, target, kMemcpyNode, [&driver, bytes, device_only, work](Stream& at) {
      work(driver);
      at.time += copy_seconds(driver, bytes, device_only);
    });
  });
}

Status copy_in(DevicePointer to, const void* from, std::size_t bytes, void* stream, bool at_once) {
  if (bytes == 0) return call([](Driver& driver) { driver.current(); });
  if (at_once)
    return call([&](Driver& driver) {
      driver.current();
      driver.forbid_in_capture();
      require(from != nullptr && driver.memory().write(to, from, bytes), kInvalidValue);
      driver.current().null_stream.time += copy_seconds(driver, bytes, false);
    });
  return enqueue_copy(stream, bytes, false, [=](Driver& driver) {
    require(from != nullptr && driver.memory().write(to, from, bytes), kInvalidValue);
  });
}

Status copy_out(void* to, DevicePointer from, std::size_t bytes, void* stream, bool at_once) {
  if (bytes == 0) return call([](Driver& driver) { driver.current(); });
  if (at_once)
    return call([&](Driver& driver) {
      driver.current();
      driver.forbid_in_capture();
      require(to != nullptr && driver.memory().read(from, to, bytes), kInvalidValue);
      driver.current().null_stream.time += copy_seconds(driver, bytes, false);
    });
  return enqueue_copy(stream, bytes, false, [=](Driver& driver) {
    require(to != nullptr && driver.memory().read(from, to, bytes), kInvalidValue);
  });
}

Status copy_between(DevicePointer to, DevicePointer from, std::size_t bytes, void* stream) {
  if (bytes == 0) return call([](Driver& driver) { driver.current(); });
  return enqueue_copy(stream, bytes, true, [=](Driver& driver) {
    require(driver.memory().copy(to, from, bytes), kInvalidValue);
  });
}

Status copy_unified(std::uint64_t to, std::uint64_t from, std::size_t bytes, void* stream) {
  if (bytes == 0) return call([](Driver& driver) { driver.current(); });
  return enqueue_copy(stream, bytes, false,
                      [=](Driver& driver) { copy_any(driver, to, from, bytes); });
}

Status set(DevicePointer to, std::size_t pitch, unsigned value, unsigned element, std::size_t width,
           std::size_t height, void* stream) {
  return call([&](Driver& driver) {
    Stream& target = driver.stream(stream);
    require(to % element == 0, kInvalidValue);
    constexpr int kMemsetNode = 2;
    enqueue(driver, target, kMemsetNode, [=, &driver](Stream& at) {
      set_memory(driver, to, pitch, value, element, width, height);
      at.time += static_cast<double>(width * height * element) / driver.gpu().bandwidth;
    });
  });
}

// One side of a copy: where a row begins.
std::uint64_t side(MemoryType type, const void* host, DevicePointer device, std::size_t offset) {
  require(type == kHostMemory || type == kDeviceMemory || type == kUnifiedMemory, kNotSupported);
  return (type == kHostMemory ? reinterpret_cast<std::uintptr_t>(host) : device) + offset;
}

}  // namespace

double copy_seconds(Driver& driver, std::size_t bytes, bool device_only) {
  const auto amount = static_cast<double>(bytes);
  return device_only ? 2 * amount / driver.gpu().bandwidth : amount / kHostBandwidth;
}

void copy_any(Driver& driver, std::uint64_t to, std::uint64_t from, std::size_t bytes) {
  const bool to_device = on_device(driver, to), from_device = on_device(driver, from);
  // An address of the device that belongs to no allocation isn't the host's either.
  require((to_device || to < sim::kDeviceBase) && (from_device || from < sim::kDeviceBase) &&
              to != 0 && from != 0,
          kInvalidValue);
  if (to_device && from_device)
    require(driver.memory().copy(to, from, bytes), kInvalidValue);
  else if (to_device)
    require(driver.memory().write(to, reinterpret_cast<const void*>(from), bytes), kInvalidValue);
  else if (from_device)
    require(driver.memory().read(from, reinterpret_cast<void*>(to), bytes), kInvalidValue);
  else
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
}

void copy_2d(Driver& driver, const Copy2D& copy) {
  require(copy.width <= copy.from_pitch || copy.height <= 1 || copy.from_pitch == 0, kInvalidValue);
  const std::size_t from_pitch = copy.from_pitch == 0 ? copy.width : copy.from_pitch;
  const std::size_t to_pitch = copy.to_pitch == 0 ? copy.width : copy.to_pitch;
  for (std::size_t y = 0; y < copy.height && copy.width > 0; ++y)
    copy_any(
        driver,
        side(copy.to_type, copy.to_host, copy.to_device, (copy.to_y + y) * to_pitch + copy.to_x),
        side(copy.from_type, copy.from_host, copy.from_device,
             (copy.from_y + y) * from_pitch + copy.from_x),
        copy.width);
}

void copy_3d(Driver& driver, const Copy3D& copy) {
  const std::size_t from_pitch = copy.from_pitch == 0 ? copy.width : copy.from_pitch;
  const std::size_t to_pitch = copy.to_pitch == 0 ? copy.width : copy.to_pitch;
  const std::size_t from_height = copy.from_height == 0 ? copy.height : copy.from_height;
  const std::size_t to_height = copy.to_height == 0 ? copy.height : copy.to_height;
  for (std::size_t z = 0; z < copy.depth; ++z)
    for (std::size_t y = 0; y < copy.height && copy.width > 0; ++y)
      copy_any(driver,
               side(copy.to_type, copy.to_host, copy.to_device,
                    ((copy.to_z + z) * to_height + copy.to_y + y) * to_pitch + copy.to_x),
               side(copy.from_type, copy.from_host, copy.from_device,
                    ((copy.from_z + z) * from_height + copy.from_y + y) * from_pitch + copy.from_x),
               copy.width);
}

void set_memory(Driver& driver, DevicePointer to, std::size_t pitch, unsigned value,
                unsigned element_bytes, std::size_t width, std::size_t height) {
  require(element_bytes == 1 || element_bytes == 2 || element_bytes == 4, kInvalidValue);
  for (std::size_t y = 0; y < height && width > 0; ++y)
    require(driver.memory().fill(to + y * pitch, &value, element_bytes, width), kInvalidValue);
}

// Allocation.

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
    require(on_device(driver, *address), kInvalidValue);
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
    require(memory != nullptr && bytes > 0, kInvalidValue);
    require(!on_device(driver, reinterpret_cast<std::uintptr_t>(memory)),
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

// Copies.

HONE_DRIVER Status cuMemcpyHtoD_v2(DevicePointer to, const void* from, std::size_t bytes) {
  return copy_in(to, from, bytes, nullptr, true);
}
HONE_DRIVER Status cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, std::size_t bytes,
                                        void* stream) {
  return copy_in(to, from, bytes, stream, false);
}
HONE_DRIVER Status cuMemcpyDtoH_v2(void* to, DevicePointer from, std::size_t bytes) {
  return copy_out(to, from, bytes, nullptr, true);
}
HONE_DRIVER Status cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, std::size_t bytes,
                                        void* stream) {
  return copy_out(to, from, bytes, stream, false);
}
HONE_DRIVER Status cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, std::size_t bytes) {
  return copy_between(to, from, bytes, nullptr);
}
HONE_DRIVER Status cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, std::size_t bytes,
                                        void* stream) {
  return copy_between(to, from, bytes, stream);
}
HONE_DRIVER Status cuMemcpy(DevicePointer to, DevicePointer from, std::size_t bytes) {
  return copy_unified(to, from, bytes, nullptr);
}
HONE_DRIVER Status cuMemcpyAsync(DevicePointer to, DevicePointer from, std::size_t bytes,
                                 void* stream) {
  return copy_unified(to, from, bytes, stream);
}
HONE_DRIVER Status cuMemcpyPeer(DevicePointer to, void*, DevicePointer from, void*,
                                std::size_t bytes) {
  return copy_between(to, from, bytes, nullptr);
}
HONE_DRIVER Status cuMemcpyPeerAsync(DevicePointer to, void*, DevicePointer from, void*,
                                     std::size_t bytes, void* stream) {
  return copy_between(to, from, bytes, stream);
}

HONE_DRIVER Status cuMemcpy2DAsync_v2(const Copy2D* copy, void* stream) {
  if (copy == nullptr) return kInvalidValue;
  return enqueue_copy(stream, copy->width * copy->height, false,
                      [made = *copy](Driver& driver) { copy_2d(driver, made); });
}
HONE_DRIVER Status cuMemcpy2D_v2(const Copy2D* copy) { return cuMemcpy2DAsync_v2(copy, nullptr); }
HONE_DRIVER Status cuMemcpy2DUnaligned_v2(const Copy2D* copy) { return cuMemcpy2D_v2(copy); }
HONE_DRIVER Status cuMemcpy3DAsync_v2(const Copy3D* copy, void* stream) {
  if (copy == nullptr) return kInvalidValue;
  return enqueue_copy(stream, copy->width * copy->height * copy->depth, false,
                      [made = *copy](Driver& driver) { copy_3d(driver, made); });
}
HONE_DRIVER Status cuMemcpy3D_v2(const Copy3D* copy) { return cuMemcpy3DAsync_v2(copy, nullptr); }

// Filling.

HONE_DRIVER Status cuMemsetD8_v2(DevicePointer to, unsigned char value, std::size_t count) {
  return set(to, 0, value, 1, count, 1, nullptr);
}
HONE_DRIVER Status cuMemsetD16_v2(DevicePointer to, unsigned short value, std::size_t count) {
  return set(to, 0, value, 2, count, 1, nullptr);
}
HONE_DRIVER Status cuMemsetD32_v2(DevicePointer to, unsigned value, std::size_t count) {
  return set(to, 0, value, 4, count, 1, nullptr);
}
HONE_DRIVER Status cuMemsetD8Async(DevicePointer to, unsigned char value, std::size_t count,
                                   void* stream) {
  return set(to, 0, value, 1, count, 1, stream);
}
HONE_DRIVER Status cuMemsetD16Async(DevicePointer to, unsigned short value, std::size_t count,
                                    void* stream) {
  return set(to, 0, value, 2, count, 1, stream);
}
HONE_DRIVER Status cuMemsetD32Async(DevicePointer to, unsigned value, std::size_t count,
                                    void* stream) {
  return set(to, 0, value, 4, count, 1, stream);
}
HONE_DRIVER Status cuMemsetD2D8_v2(DevicePointer to, std::size_t pitch, unsigned char value,
                                   std::size_t width, std::size_t height) {
  return set(to, pitch, value, 1, width, height, nullptr);
}
HONE_DRIVER Status cuMemsetD2D16_v2(DevicePointer to, std::size_t pitch, unsigned short value,
                                    std::size_t width, std::size_t height) {
  return set(to, pitch, value, 2, width, height, nullptr);
}
HONE_DRIVER Status cuMemsetD2D32_v2(DevicePointer to, std::size_t pitch, unsigned value,
                                    std::size_t width, std::size_t height) {
  return set(to, pitch, value, 4, width, height, nullptr);
}
HONE_DRIVER Status cuMemsetD2D8Async(DevicePointer to, std::size_t pitch, unsigned char value,
                                     std::size_t width, std::size_t height, void* stream) {
  return set(to, pitch, value, 1, width, height, stream);
}
HONE_DRIVER Status cuMemsetD2D16Async(DevicePointer to, std::size_t pitch, unsigned short value,
                                      std::size_t width, std::size_t height, void* stream) {
  return set(to, pitch, value, 2, width, height, stream);
}
HONE_DRIVER Status cuMemsetD2D32Async(DevicePointer to, std::size_t pitch, unsigned value,
                                      std::size_t width, std::size_t height, void* stream) {
  return set(to, pitch, value, 4, width, height, stream);
}

}  // namespace hone::standin
