#include "runtime/backends/gpu_backend.h"

#include <fmt/format.h>

#include <cstdlib>

#include "codegen/error.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/gpu_device.h"
#include "runtime/backends/rtc.h"
#include "runtime/cache.h"

namespace hone {

std::vector<DeviceIdentity> GpuBackend::devices(std::vector<std::string>* missing) {
  const auto note = [&](const Error& error) {
    if (missing != nullptr)
      missing->push_back(fmt::format("{}: {}", vendor_.backend, error.what()));
  };
  std::vector<DeviceIdentity> found;
  try {
    const auto driver = vendor_.driver();
    int count = 0;
    driver->device_count(&count);
    for (int i = 0; i < count; ++i) found.push_back(vendor_.identity(*driver, i));
  } catch (const Error& error) {
    note(error);
  }
  try {
    find_rtc(vendor_.compiler);
  } catch (const Error& error) {
    note(error);
  }
  return found;
}

std::unique_ptr<Device> GpuBackend::open(int index) {
  const auto driver = vendor_.driver();
  int count = 0;
  driver->device_count(&count);
  if (index < 0 || index >= count)
    throw Error(Code::kNotFound, fmt::format("no device {}:{}; {} shows {}", vendor_.backend, index,
                                             driver->path, count));
  const DeviceIdentity identity = vendor_.identity(*driver, index);
  const GpuArch* arch = find_gpu_arch(vendor_.backend, identity.arch);
  if (arch == nullptr)
    throw Error(Code::kUnsupported, fmt::format("{}:{} is {}, for which there is no target",
                                                vendor_.backend, index, identity.arch));
  return open_gpu_device(
      driver, index, identity,
      gpu_target(*arch, identity.units, driver->attribute(driver->l2_attribute, index)));
}

std::string GpuBackend::simulate(const std::string& arch) {
  const GpuArch* known = find_gpu_arch(vendor_.backend, arch);
  if (known == nullptr) return Backend::simulate(arch);
  ::setenv(vendor_.driver_variable, "standin", 1);
  // A GPU of that architecture that the user chose stays.
  const char* chosen = std::getenv("HONE_SIM_DEVICE");
  if (chosen == nullptr || *chosen == '\0') ::setenv("HONE_SIM_DEVICE", known->name, 1);
  return fmt::format("{}:0", vendor_.backend);
}

std::optional<Target> GpuBackend::target(const std::string& text) {
  const GpuArch* arch = find_gpu_arch(vendor_.backend, text);
  if (arch == nullptr) return std::nullopt;
  return gpu_target(*arch, arch->units, arch->l2_bytes);
}

std::vector<Backend::KnownArch> GpuBackend::known_archs() const {
  std::vector<KnownArch> known;
  for (const GpuArch& arch : gpu_archs())
    if (arch.backend == std::string_view(vendor_.backend))
      known.push_back({arch.name, arch.product});
  return known;
}

Binary GpuBackend::compile(const Source& source, const Target& target,
                           std::chrono::duration<double> limit) {
  check(target);
  const BinaryCache cache(default_cache_folder());
  const std::string key = cache_key(source.hash, target);
  if (std::optional<std::string> code = cache.find(key))
    return {source.hash, target.text(), std::move(*code)};
  GpuCode code = compile_code(source, target, limit);
  code.toolchain = toolchain();
  Binary binary = {source.hash, target.text(), pack_gpu_code(code)};
  cache.put(key, binary.code);
  return binary;
}

std::optional<Binary> GpuBackend::cached(const Hash& source, const Target& target) {
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

std::vector<EntryResources> GpuBackend::resources(const Binary& binary) {
  return unpack_gpu_code(binary.code).entries;
}

std::optional<double> GpuBackend::occupancy(const Target& target, const EntryResources& entry,
                                            std::int64_t shared_bytes, std::int64_t threads) {
  check(target);
  return gpu_occupancy(*find_gpu_arch(vendor_.backend, target.arch), entry.registers,
                       entry.shared_bytes + shared_bytes, threads);
}

void GpuBackend::check(const Target& target) const {
  if (target.backend == vendor_.backend && find_gpu_arch(vendor_.backend, target.arch) != nullptr)
    return;
  std::string known;
  for (const KnownArch& other : known_archs()) known += " " + other.arch;
  throw Error(Code::kUnsupported, fmt::format("the {} backend does not know {}; it knows:{}",
                                              vendor_.backend, target.text(), known));
}

std::string GpuBackend::cache_key(const Hash& source, const Target& target) {
  std::string key = fmt::format("{}\n{}\n{}", source.text(), target.text(), toolchain());
  for (const std::string& option : vendor_.options(target)) key += "\n" + option;
  return key;
}

}  // namespace hone
