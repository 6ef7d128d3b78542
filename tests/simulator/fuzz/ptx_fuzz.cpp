// libFuzzer's entry for the simulator: any bytes are PTX. Built with clang by -DHONE_FUZZ=ON;
// tests/simulator/fuzz/README.md says how to run it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/simulator/support/survive.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)hone::test::survive(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
