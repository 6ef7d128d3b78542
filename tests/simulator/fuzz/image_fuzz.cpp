// libFuzzer's entry for the containers that code comes in: fatbins, HIP code objects, what the SIMT
// host loads, and what databases keep. Any bytes are each of them. Built with -DHONE_FUZZ=ON.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "codegen/error.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/simulator/simt/image.h"
#include "runtime/simulator/standin/driver.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const hone::sim::Gpu& gpu = *hone::sim::find_gpu("sm_90");
  try {
    std::string log;
    (void)hone::standin::ptx_of_image(bytes, gpu, &log);
  } catch (const hone::standin::Failure&) {
  }
  try {
    (void)hone::unpack_gpu_code(bytes);
  } catch (const hone::Error&) {
  }
  (void)hone::resources_of_code_object(bytes);
  hone::sim::SimtImage image;
  (void)hone::sim::unpack_simt(bytes, &image);
  return 0;
}
