// What the backends of GPUs have in common: all but the names, the compiler and its options.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/gpu_driver.h"

namespace hone {

class GpuBackend : public Backend {
 public:
  std::string name() const override { return vendor_.backend; }
  std::vector<DeviceIdentity> devices(std::vector<std::string>* missing) override;
  std::unique_ptr<Device> open(int index) override;
  std::string simulate(const std::string& arch) override;
  std::optional<Target> target(const std::string& arch) override;
  std::vector<KnownArch> known_archs() const override;
  Binary compile(const Source& source, const Target& target,
                 std::chrono::duration<double> limit) override;
  std::optional<Binary> cached(const Hash& source, const Target& target) override;
  std::vector<EntryResources> resources(const Binary& binary) override;
  std::optional<double> occupancy(const Target& target, const EntryResources& entry,
                                  std::int64_t shared_bytes, std::int64_t threads) override;

 protected:
  struct Vendor {
    const char* backend;          // cuda, hip
    const char* compiler;         // as find_rtc() knows it
    const char* driver_variable;  // of the environment: the driver's path
    std::shared_ptr<const GpuDriver> (*driver)();
    DeviceIdentity (*identity)(const GpuDriver& driver, int index);
    std::vector<std::string> (*options)(const Target& target);  // of the compiler
  };
  explicit GpuBackend(const Vendor& vendor) : vendor_(vendor) {}

 private:
  // All of a GpuCode but its toolchain.
  virtual GpuCode compile_code(const Source& source, const Target& target,
                               std::chrono::duration<double> limit) = 0;

  void check(const Target& target) const;  // throws Error(kUnsupported) for one that isn't known
  std::string cache_key(const Hash& source, const Target& target);

  Vendor vendor_;
};

}  // namespace hone
