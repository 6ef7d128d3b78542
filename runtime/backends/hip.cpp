// The hip backend: HIP text compiled by hiprtc in child processes, run through the HIP runtime.
// Where that is Hone's stand-in, the text is compiled for the SIMT host too, which needs nothing of
// AMD's.
#include <fmt/format.h>

#include <map>
#include <mutex>

#include "codegen/error.h"
#include "runtime/backends/gpu_backend.h"
#include "runtime/backends/hip_runtime.h"
#include "runtime/backends/hip_simt.h"
#include "runtime/backends/rtc.h"

namespace hone {
namespace {

constexpr const char* kHiprtc = "hiprtc";
constexpr std::chrono::seconds kProbeLimit{20};

std::vector<std::string> hiprtc_options(const Target& target) {
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
      run_rtc(rtc, "extern \"C\" __global__ void hone_nothing() {}\n", hiprtc_options(target),
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
    RtcOutput made = run_rtc(rtc, source.text, hiprtc_options(target), limit);
    std::vector<EntryResources> resources = resources_of_code_object(made.code);
    GpuCode code;
    code.code = std::move(made.code);
    code.entries = std::move(resources);
    return code;
  } catch (const Error& error) {
    if (error.code() != Code::kCompile || knows(rtc, target)) throw;
    throw Error(
        Code::kUnsupported,
        fmt::format("this toolchain ({}, {}) doesn't know {}; set HONE_HIPRTC to a newer one",
                    rtc.toolchain(), rtc.library.string(), target.arch));
  }
}

class HipBackend final : public GpuBackend {
 public:
  HipBackend()
      : GpuBackend(
            {"hip", kHiprtc, "HONE_HIP_RUNTIME", load_hip_runtime, hip_identity, hiprtc_options}) {}

  std::string toolchain() override {
    if (!simulating_hip()) return find_rtc(kHiprtc).toolchain();
    return (have_hiprtc() ? find_rtc(kHiprtc).toolchain() + ", " : "") + simt_toolchain();
  }

 private:
  GpuCode compile_code(const Source& source, const Target& target,
                       std::chrono::duration<double> limit) override {
    const bool simulated = simulating_hip();
    GpuCode code;
    try {
      code = compile_for_gpu(find_rtc(kHiprtc), source, target, limit);
    } catch (const Error& error) {
      // The SIMT host does without AMD's compiler, but not when that refuses the text.
      if (!simulated || (error.code() == Code::kCompile && have_hiprtc())) throw;
    }
    if (simulated) code.simt = compile_simt(source, target, limit);
    return code;
  }

  static bool have_hiprtc() {
    try {
      find_rtc(kHiprtc);
      return true;
    } catch (const Error&) {
      return false;
    }
  }
};

const RegisterBackend kHipRegistered(std::make_unique<HipBackend>());

}  // namespace
}  // namespace hone
