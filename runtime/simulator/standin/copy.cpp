// The entry points that copy and fill memory.
#include <cstring>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr double kHostBandwidth = 25e9;  // bytes per second over PCIe

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
