#include "tests/simulator/support/direct.h"

#include <fmt/format.h>

#include <stdexcept>

namespace hone::test {

Direct::Direct(std::string_view gpu, sim::Options options)
    : gpu_(*sim::find_gpu(gpu)),
      options_(options),
      memory_(gpu_.memory_bytes, options.checks != sim::Checks::kNone) {}

void Direct::load(const std::string& ptx) {
  module_ = std::make_unique<sim::Module>(ptx, gpu_, memory_);
}

Pointer Direct::allocate(std::size_t bytes) { return memory_.allocate(bytes); }

void Direct::write(Pointer to, const void* from, std::size_t bytes) {
  if (!memory_.write(to, from, bytes))
    throw std::runtime_error(fmt::format("write of {} bytes outside the memory", bytes));
}

void Direct::read(Pointer from, void* to, std::size_t bytes) {
  if (!memory_.read(from, to, bytes))
    throw std::runtime_error(fmt::format("read of {} bytes outside the memory", bytes));
}

std::pair<Pointer, std::size_t> Direct::variable(const std::string& name) {
  const sim::Module::Variable* variable = module_->variable(name);
  if (variable == nullptr) throw std::runtime_error("no variable " + name);
  return {variable->address, variable->bytes};
}

std::string Direct::launch(const std::string& name, const Geometry& geometry,
                           const std::vector<std::vector<std::byte>>& arguments) {
  const sim::Module::Kernel* kernel = module_->kernel(name);
  if (kernel == nullptr) throw std::runtime_error("no kernel " + name);
  if (kernel->info.parameters.size() != arguments.size())
    throw std::runtime_error(fmt::format("{} takes {} arguments, not {}", name,
                                         kernel->info.parameters.size(), arguments.size()));
  sim::Launch launch{.kernel = kernel,
                     .grid = geometry.grid,
                     .block = geometry.block,
                     .dynamic_shared_bytes = geometry.shared,
                     .parameters = std::vector<std::byte>(kernel->info.parameter_bytes),
                     .cooperative = geometry.cooperative};
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    const sim::KernelInfo::Parameter& parameter = kernel->info.parameters[k];
    if (parameter.bytes != arguments[k].size())
      throw std::runtime_error(fmt::format("argument {} of {} has {} bytes, not {}", k, name,
                                           parameter.bytes, arguments[k].size()));
    std::memcpy(launch.parameters.data() + parameter.offset, arguments[k].data(), parameter.bytes);
  }
  result_ = sim::run(memory_, *module_, launch, options_);
  std::string report;
  for (const sim::Finding& finding : result_.findings) report += finding.report() + "\n";
  return report;
}

}  // namespace hone::test
