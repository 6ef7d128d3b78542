// What the tests of the hip backend share: kernels in HIP text, run on the stand-in in this
// process.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codegen/error.h"
#include "codegen/hash.h"
#include "runtime/backend.h"
#include "tests/runtime/cpu_test.h"

namespace hone {

inline Source hip_source(const std::string& text, std::vector<std::string> entries) {
  Source source;
  source.text = text;
  source.entries = std::move(entries);
  source.hash = hash_of(normalised(text));
  return source;
}

// A simulated GPU on a machine with nothing of AMD's. One architecture per process: the stand-in
// reads the environment once.
class SimulatedHip {
 public:
  explicit SimulatedHip(const std::string& arch = "gfx90a")
      : cache_("HONE_CACHE", (folder_.path() / "cache").string()),
        compiler_("HONE_HIPRTC", "/nowhere/libhiprtc.so"),
        runtime_("HONE_HIP_RUNTIME", "standin"),
        device_name_("HONE_SIM_DEVICE", arch),
        backend_(*find_backend("hip")),
        device_(backend_.open(0)) {}

  Device& device() { return *device_; }
  Backend& backend() { return backend_; }

  std::unique_ptr<Module> load(const std::string& text,
                               std::vector<std::string> entries = {"main"}) {
    const Source source = hip_source(text, entries);
    return device_->load(backend_.compile(source, device_->target(), std::chrono::seconds(60)),
                         entries);
  }

  // Runs `main` of a text on one struct of slots; "" or the error with the simulator's report.
  std::string run(const std::string& text, std::vector<std::uint64_t> slots, std::int64_t blocks,
                  std::int64_t threads, std::int64_t shared_bytes = 0) {
    const std::unique_ptr<Module> module = load(text);
    Dispatch dispatch;
    dispatch.slots = slots.data();
    dispatch.slot_count = static_cast<int>(slots.size());
    dispatch.grid[0] = blocks;
    dispatch.threads = threads;
    dispatch.shared_bytes = shared_bytes;
    if (!module->run(dispatch, nullptr)) return device_->last_error();
    device_->synchronize();
    return "";
  }

 private:
  TemporaryFolder folder_;
  Variable cache_, compiler_, runtime_, device_name_;
  Backend& backend_;
  std::unique_ptr<Device> device_;
};

// Device memory with a vector's content.
template <typename T>
class DeviceVector {
 public:
  DeviceVector(Device& device, std::vector<T> values)
      : device_(device), values_(std::move(values)), memory_(device.allocate(bytes())) {
    device_.copy_in(memory_, values_.data(), bytes());
  }
  // Nothing is written to it.
  DeviceVector(Device& device, std::size_t count)
      : device_(device), values_(count), memory_(device.allocate(bytes())) {}
  ~DeviceVector() { device_.release(memory_); }
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;

  std::uint64_t slot() const { return reinterpret_cast<std::uintptr_t>(memory_); }
  const std::vector<T>& read() {
    device_.copy_out(values_.data(), memory_, bytes());
    return values_;
  }

 private:
  std::size_t bytes() const { return values_.size() * sizeof(T); }
  Device& device_;
  std::vector<T> values_;
  void* memory_;
};

}  // namespace hone
