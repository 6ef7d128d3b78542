// The cuda backend: CUDA C++ compiled by NVRTC in child processes, run through the driver.
#include <fmt/format.h>

#include <cstdlib>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/cuda_driver.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/gpu_device.h"
#include "runtime/backends/rtc.h"
#include "runtime/cache.h"

namespace hone {
namespace {

constexpr const char* kBackend = "cuda";

// Line information costs nothing at run time and lets checks name the source's line.
std::vector<std::string> options_for(const Target& target) {
  return {"--gpu-architecture=" + target.arch,   "--std=c++20",        "-lineinfo",
          "--device-as-default-execution-space", "--ptxas-options=-v", "--disable-warnings"};
}

class CudaBackend final : public Backend {
 public:
  std::string name() const override { return kBackend; }

  std::vector<DeviceIdentity> devices(std::vector<std::string>* missing) override {
    const auto note = [&](const Error& error) {
      if (missing != nullptr) missing->push_back(fmt::format("cuda: {}", error.what()));
    };
    std::vector<DeviceIdentity> found;
    try {
      const auto driver = load_cuda_driver();
      int count = 0;
      driver->device_count(&count);
      for (int i = 0; i < count; ++i) found.push_back(cuda_identity(*driver, i));
    } catch (const Error& error) {
      note(error);
    }
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      note(error);
    }
    return found;
  }

  std::unique_ptr<Device> open(int index) override {
    const auto driver = load_cuda_driver();
    int count = 0;
    driver->device_count(&count);
    if (index >= count)
      throw Error(Code::kNotFound, fmt::format("no device cuda:{}; the driver {} shows {}", index,
                                               driver->path, count));
    const int major = driver->attribute(cuda_attribute::kMajor, index);
    const int minor = driver->attribute(cuda_attribute::kMinor, index);
    const GpuArch* arch = nvidia_arch(major, minor);
    if (arch == nullptr)
      throw Error(Code::kUnsupported,
                  fmt::format("cuda:{} has compute capability {}.{}, for which there is no target",
                              index, major, minor));
    const DeviceIdentity identity = cuda_identity(*driver, index);
    return open_gpu_device(
        driver, index, identity,
        gpu_target(*arch, identity.units, driver->attribute(cuda_attribute::kL2Bytes, index)));
  }

  std::string simulate(const std::string& arch) override {
    const GpuArch* known = find_gpu_arch(kBackend, arch);
    if (known == nullptr) return Backend::simulate(arch);
    ::setenv("HONE_CUDA_DRIVER", "standin", 1);
    // A GPU of that architecture that the user chose stays.
    const char* chosen = std::getenv("HONE_SIM_DEVICE");
    if (chosen == nullptr || *chosen == '\0') ::setenv("HONE_SIM_DEVICE", known->name, 1);
    return "cuda:0";
  }

  std::optional<Target> target(const std::string& text) override {
    const GpuArch* arch = find_gpu_arch(kBackend, text);
    if (arch == nullptr) return std::nullopt;
    return gpu_target(*arch, arch->units, arch->l2_bytes);
  }

  Binary compile(const Source& source, const Target& target,
                 std::chrono::duration<double> limit) override {
    check(target);
    const Rtc rtc = find_rtc("nvrtc");
    const BinaryCache cache(default_cache_folder());
    const std::string key = cache_key(source.hash, target, rtc);
    Binary binary = {source.hash, target.text(), {}};
    if (std::optional<std::string> code = cache.find(key)) {
      binary.code = std::move(*code);
      return binary;
    }
    RtcOutput made = run_rtc(rtc, source.text, options_for(target), limit);
    GpuCode code;
    code.code = std::move(made.code);
    code.ptx = std::move(made.ptx);
    code.toolchain = rtc.toolchain();
    code.entries = resources_of_ptxas(made.log);
    binary.code = pack_gpu_code(code);
    cache.put(key, binary.code);
    return binary;
  }

  std::optional<Binary> cached(const Hash& source, const Target& target) override {
    check(target);
    try {
      std::optional<std::string> code =
          BinaryCache(default_cache_folder()).find(cache_key(source, target, find_rtc("nvrtc")));
      if (!code) return std::nullopt;
      return Binary{source, target.text(), std::move(*code)};
    } catch (const Error&) {
      // What no compiler here would make can't have been made here.
      return std::nullopt;
    }
  }

  std::string toolchain() override { return find_rtc("nvrtc").toolchain(); }

  std::vector<EntryResources> resources(const Binary& binary) override {
    return unpack_gpu_code(binary.code).entries;
  }

  std::optional<double> occupancy(const Target& target, const EntryResources& entry,
                                  std::int64_t shared_bytes, std::int64_t threads) override {
    check(target);
    return gpu_occupancy(*find_gpu_arch(kBackend, target.arch), entry.registers,
                         entry.shared_bytes + shared_bytes, threads);
  }

 private:
  static void check(const Target& target) {
    if (target.backend == kBackend && find_gpu_arch(kBackend, target.arch) != nullptr) return;
    std::string known;
    for (const GpuArch& arch : gpu_archs())
      if (arch.backend == std::string_view(kBackend)) known += fmt::format(" {}", arch.name);
    throw Error(Code::kUnsupported, fmt::format("the cuda backend does not know {}; it knows:{}",
                                                target.text(), known));
  }

  static std::string cache_key(const Hash& source, const Target& target, const Rtc& rtc) {
    std::string key = fmt::format("{}\n{}\n{}", source.text(), target.text(), rtc.toolchain());
    for (const std::string& option : options_for(target)) key += "\n" + option;
    return key;
  }
};

const RegisterBackend kRegistered(std::make_unique<CudaBackend>());

}  // namespace
}  // namespace hone
