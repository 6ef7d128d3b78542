#include "runtime/backends/gpu_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "codegen/error.h"
#include "runtime/own_files.h"

namespace hone {

DriverLibrary::DriverLibrary(std::string path, std::string how)
    : path_(std::move(path)),
      how_(std::move(how)),
      library_(::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (library_ == nullptr) throw Error(Code::kNotFound, fmt::format("{}; {}", ::dlerror(), how_));
}

void* DriverLibrary::symbol(const char* name, bool must) const {
  void* found = ::dlsym(library_, name);
  if (found == nullptr && must)
    throw Error(Code::kNotFound,
                fmt::format("{} has no {}: too old a driver, or none; {}", path_, name, how_));
  return found;
}

std::string driver_path(const char* variable, const char* own) {
  const char* chosen = std::getenv(variable);
  if (chosen == nullptr || *chosen == '\0') return "";
  if (std::string_view(chosen) != "standin") return chosen;
  if (const auto path = find_own_file(own)) return path->string();
  throw Error(Code::kNotFound,
              fmt::format("the stand-in {} isn't beside Hone; build or install it", own));
}

DeviceIdentity gpu_identity(const GpuDriver& driver, int index, const char* vendor,
                            const std::string& arch, std::int64_t units, const std::string& version,
                            const std::string& product) {
  DeviceIdentity identity;
  identity.backend = driver.backend;
  identity.arch = arch;
  identity.units = units;
  std::size_t bytes = 0;
  driver.device_memory(&bytes, index);
  identity.memory_bytes = static_cast<std::int64_t>(bytes);
  char name[128] = "";
  driver.device_name(name, sizeof name, index);
  identity.name = name;
  identity.driver = (driver.simulated() ? "Hone's stand-in for " : "") + version;
  identity.vendor = driver.simulated() ? kSimulated : vendor;
  identity.model = driver.simulated() ? identity.name.substr(0, identity.name.find(" (")) : product;
  if (identity.model.empty()) identity.model = identity.name;
  for (char& c : identity.model)
    if (c == ' ' || c == '/') c = '-';
  return identity;
}

std::string pci_device(const GpuDriver& driver, int index) {
  char bus[32] = "";
  if (driver.device_bus(bus, sizeof bus, index) != 0) return "";
  std::string address = bus;
  std::transform(address.begin(), address.end(), address.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::ifstream file("/sys/bus/pci/devices/" + address + "/device");
  std::string id;
  file >> id;
  return id.starts_with("0x") ? id.substr(2) : id;
}

}  // namespace hone
