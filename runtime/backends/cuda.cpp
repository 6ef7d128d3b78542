// The cuda backend: CUDA C++ compiled by NVRTC in child processes, run through the driver.
#include "runtime/backends/cuda_driver.h"
#include "runtime/backends/gpu_backend.h"
#include "runtime/backends/rtc.h"

namespace hone {
namespace {

constexpr const char* kNvrtc = "nvrtc";

// Line information costs nothing at run time and lets checks name the source's line.
std::vector<std::string> nvrtc_options(const Target& target) {
  return {"--gpu-architecture=" + target.arch,   "--std=c++20",        "-lineinfo",
          "--device-as-default-execution-space", "--ptxas-options=-v", "--disable-warnings"};
}

class CudaBackend final : public GpuBackend {
 public:
  CudaBackend()
      : GpuBackend(
            {"cuda", kNvrtc, "HONE_CUDA_DRIVER", load_cuda_driver, cuda_identity, nvrtc_options}) {}

  std::string toolchain() override { return find_rtc(kNvrtc).toolchain(); }

 private:
  GpuCode compile_code(const Source& source, const Target& target,
                       std::chrono::duration<double> limit) override {
    RtcOutput made = run_rtc(find_rtc(kNvrtc), source.text, nvrtc_options(target), limit);
    GpuCode code;
    code.code = std::move(made.code);
    code.ptx = std::move(made.ptx);
    code.entries = resources_of_ptxas(made.log);
    return code;
  }
};

const RegisterBackend kCudaRegistered(std::make_unique<CudaBackend>());

}  // namespace
}  // namespace hone
