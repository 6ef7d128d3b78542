// The hip backend: HIP text compiled by hiprtc in child processes, run through the HIP runtime.
// Where that is Hone's stand-in, the text is compiled for the SIMT host too, which needs nothing of
// AMD's.
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/gpu_device.h"
#include "runtime/backends/hip_runtime.h"
#include "runtime/backends/hip_simt.h"
#include "runtime/backends/rtc.h"
#include "runtime/cache.h"

namespace hone {
namespace {

constexpr const char* kBackend = "hip";
constexpr std::chrono::seconds kProbeLimit{20};

std::vector<std::string> options_for(const Target& target) {
  return {"--offload-arch=" + target.arch, "-std=c++20", "-O3"};
}

// Toolchains crash on architectures that they don't know: asked with a kernel that can't be wrong.
bool knows(const Rtc& rtc, const Target& target) {
  static std::mutex mutex;
  static std::map<std::string, bool> known;
  const std::lock_guard lock(mutex);
  const auto [found, fresh] =
      known.try_emplace(fmt::format("{} {} {}", rtc.library.string(), rtc.version, target.arch));
  if (fresh) {
    try {
      run_rtc(rtc, "extern \"C\" __global__ void hone_nothing() {}\n", options_for(target),
              kProbeLimit);
      found->second = true;
    } catch (const Error&) {
    }
  }
  return found->second;
}

GpuCode compile_for_gpu(const Rtc& rtc, const Source& source, const Target& target,
                        std::chrono::duration<double> limit) {
  try {
    RtcOutput made = run_rtc(rtc, source.text, options_for(target), limit);
    std::vector<EntryResources> resources = resources_of_code_object(made.code);
    return {std::move(made.code), {}, rtc.toolchain(), std::move(resources), {}};
  } catch (const Error& error) {
    if (error.code() != Code::kCompile || knows(rtc, target)) throw;
    throw Error(
        Code::kUnsupported,
        fmt::format("this toolchain ({}, {}) doesn't know {}; set HONE_HIPRTC to a newer one",
                    rtc.toolchain(), rtc.library.string(), target.arch));
  }
}

class HipBackend final : public Backend {
 public:
  std::string name() const override { return kBackend; }

  std::vector<DeviceIdentity> devices(std::vector<std::string>* missing) override {
    const auto note = [&](const Error& error) {
      if (missing != nullptr) missing->push_back(fmt::format("hip: {}", error.what()));
    };
    std::vector<DeviceIdentity> found;
    try {
      const auto driver = load_hip_runtime();
      int count = 0;
      driver->device_count(&count);
      for (int i = 0; i < count; ++i) found.push_back(hip_identity(*driver, i));
    } catch (const Error& error) {
      note(error);
    }
    try {
      find_rtc("hiprtc");
    } catch (const Error& error) {
      note(error);
    }
    return found;
  }

  std::unique_ptr<Device> open(int index) override {
    const auto driver = load_hip_runtime();
    int count = 0;
    driver->device_count(&count);
    if (index >= count)
      throw Error(Code::kNotFound, fmt::format("no device hip:{}; the runtime {} shows {}", index,
                                               driver->path, count));
    const DeviceIdentity identity = hip_identity(*driver, index);
    const GpuArch* arch = find_gpu_arch(kBackend, identity.arch);
    if (arch == nullptr)
      throw Error(Code::kUnsupported,
                  fmt::format("hip:{} is {}, for which there is no target", index, identity.arch));
    return open_gpu_device(
        driver, index, identity,
        gpu_target(*arch, identity.units, driver->attribute(hip_attribute::kL2Bytes, index)));
  }

  std::string simulate(const std::string& arch) override {
    const GpuArch* known = find_gpu_arch(kBackend, arch);
    if (known == nullptr) return Backend::simulate(arch);
    ::setenv("HONE_HIP_RUNTIME", "standin", 1);
    // A GPU of that architecture that the user chose stays.
    const char* chosen = std::getenv("HONE_SIM_DEVICE");
    if (chosen == nullptr || *chosen == '\0') ::setenv("HONE_SIM_DEVICE", known->name, 1);
    return "hip:0";
  }

  std::optional<Target> target(const std::string& text) override {
    const GpuArch* arch = find_gpu_arch(kBackend, text);
    if (arch == nullptr) return std::nullopt;
    return gpu_target(*arch, arch->units, arch->l2_bytes);
  }

  Binary compile(const Source& source, const Target& target,
                 std::chrono::duration<double> limit) override {
    check(target);
    const BinaryCache cache(default_cache_folder());
    const std::string key = cache_key(source.hash, target);
    Binary binary = {source.hash, target.text(), {}};
    if (std::optional<std::string> code = cache.find(key)) {
      binary.code = std::move(*code);
      return binary;
    }
    const bool simulated = simulating_hip();
    GpuCode code;
    try {
      code = compile_for_gpu(find_rtc("hiprtc"), source, target, limit);
    } catch (const Error& error) {
      // The SIMT host does without AMD's compiler, but not when that refuses the text.
      if (!simulated || (error.code() == Code::kCompile && have_hiprtc())) throw;
    }
    if (simulated) code.simt = compile_simt(source, target, limit);
    code.toolchain = toolchain();
    binary.code = pack_gpu_code(code);
    cache.put(key, binary.code);
    return binary;
  }

  std::optional<Binary> cached(const Hash& source, const Target& target) override {
    check(target);
    try {
      std::optional<std::string> code =
          BinaryCache(default_cache_folder()).find(cache_key(source, target));
      if (!code) return std::nullopt;
      return Binary{source, target.text(), std::move(*code)};
    } catch (const Error&) {
      // What no compiler here would make can't have been made here.
      return std::nullopt;
    }
  }

  std::string toolchain() override {
    if (!simulating_hip()) return find_rtc("hiprtc").toolchain();
    return (have_hiprtc() ? find_rtc("hiprtc").toolchain() + ", " : "") + simt_toolchain();
  }

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
  static bool have_hiprtc() {
    try {
      find_rtc("hiprtc");
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  static void check(const Target& target) {
    if (target.backend == kBackend && find_gpu_arch(kBackend, target.arch) != nullptr) return;
    std::string known;
    for (const GpuArch& arch : gpu_archs())
      if (arch.backend == std::string_view(kBackend)) known += fmt::format(" {}", arch.name);
    throw Error(Code::kUnsupported,
                fmt::format("the hip backend does not know {}; it knows:{}", target.text(), known));
  }

  std::string cache_key(const Hash& source, const Target& target) {
    std::string key = fmt::format("{}\n{}\n{}", source.text(), target.text(), toolchain());
    for (const std::string& option : options_for(target)) key += "\n" + option;
    return key;
  }
};

const RegisterBackend kRegistered(std::make_unique<HipBackend>());

}  // namespace
}  // namespace hone
