#include "tests/simulator/support/survive.h"

#include <cstring>
#include <vector>

#include "codegen/error.h"
#include "runtime/simulator/simulator.h"

namespace hone::test {

bool survive(const std::string& ptx, std::string_view gpu_name) {
  const sim::Gpu& gpu = *sim::find_gpu(gpu_name);
  sim::Memory memory(std::size_t{64} << 20, true);
  try {
    const sim::Module module(ptx, gpu, memory);
    const sim::Address buffer = memory.allocate(4096);
    for (const sim::Module::Kernel* kernel : module.kernels()) {
      sim::Launch launch;
      launch.kernel = kernel;
      launch.grid = {2, 1, 1};
      launch.block = {40, 1, 1};
      launch.dynamic_shared_bytes = 1024;
      launch.parameters.resize(kernel->info.parameter_bytes);
      for (const sim::KernelInfo::Parameter& parameter : kernel->info.parameters)
        if (parameter.bytes == sizeof buffer)
          std::memcpy(launch.parameters.data() + parameter.offset, &buffer, sizeof buffer);
      sim::Options options;
      options.seed = 1;
      options.instruction_limit = 3000;
      options.time_limit = 1;
      try {
        const sim::Result result = sim::run(memory, module, launch, options);
        for (const sim::Finding& finding : result.findings) {
          (void)finding.report();
          (void)finding.json();
        }
        (void)result.counters.json();
      } catch (const Error&) {
        continue;  // an unsupported instruction or an illegal launch
      }
    }
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace hone::test
