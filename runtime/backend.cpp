#include "runtime/backend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "codegen/error.h"

namespace hone {
namespace {

// Filled before main, in any order: a function's static is there when the first backend comes.
std::vector<std::unique_ptr<Backend>>& registry() {
  static std::vector<std::unique_ptr<Backend>> backends;
  return backends;
}

}  // namespace

std::string Backend::simulate(const std::string& arch) {
  throw Error(Code::kUnsupported,
              fmt::format("nothing stands in for {}/{}; use a device", name(), arch));
}

RegisterBackend::RegisterBackend(std::unique_ptr<Backend> backend) {
  registry().push_back(std::move(backend));
}

std::vector<Backend*> backends() {
  std::vector<Backend*> result;
  for (const auto& backend : registry()) result.push_back(backend.get());
  return result;
}

Backend* find_backend(const std::string& name) {
  for (const auto& backend : registry()) {
    if (backend->name() == name) return backend.get();
  }
  return nullptr;
}

DeviceName parse_device(const std::string& name) {
  const std::size_t colon = name.find(':');
  int index = 0;
  if (colon != std::string::npos) {
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + colon + 1, end, index);
    if (error != std::errc() || rest != end || index < 0) {
      throw Error(Code::kUsage,
                  fmt::format("'{}' is no device; write backend:index, such as cpu:0", name));
    }
  }
  Backend* const backend = find_backend(name.substr(0, colon));
  if (backend == nullptr) {
    std::vector<std::string> known;
    for (const Backend* other : backends()) known.push_back(other->name());
    throw Error(Code::kNotFound, fmt::format("no backend for the device '{}'; there are: {}", name,
                                             fmt::join(known, " ")));
  }
  return {backend, index};
}

std::unique_ptr<Device> open_device(const std::string& name) {
  const DeviceName parsed = parse_device(name);
  return parsed.backend->open(parsed.index);
}

}  // namespace hone
