#include "runtime/backends/gpu_launch.h"

#include <fmt/format.h>

#include "codegen/error.h"

namespace hone {
namespace {

std::string report_of(const GpuDriver& driver) {
  if (driver.simulator_report == nullptr) return "";
  std::string text(driver.simulator_report(nullptr, 0), '\0');
  driver.simulator_report(text.data(), text.size());
  text.resize(std::min(text.find('\0'), text.size()));
  return text.empty() ? "" : "\n" + text;
}

// The context of a device, current while it lives.
class Context {
 public:
  Context(const GpuDriver& driver, int device) : driver_(driver), device_(device) {
    if (const int result = driver.retain_context(&context_, device); result != 0)
      throw Error(Code::kDevice, driver.error_text(result));
    driver.current_context(&before_);
    driver.set_current_context(context_);
  }
  ~Context() {
    driver_.set_current_context(before_);
    driver_.release_context(device_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 private:
  const GpuDriver& driver_;
  int device_;
  GpuDriver::Context context_ = nullptr, before_ = nullptr;
};

class Loaded {
 public:
  Loaded(const GpuDriver& driver, const std::string& image) : driver_(driver) {
    std::string log;
    if (const int result = driver.load_module(&module_, image.c_str(), &log); result != 0)
      throw Error(Code::kDevice,
                  fmt::format("can't load the code: {}; {}", driver.error_text(result), log));
  }
  ~Loaded() { driver_.unload_module(module_); }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  GpuDriver::Function function(const std::string& name) const {
    GpuDriver::Function found = nullptr;
    if (driver_.module_function(&found, module_, name.c_str()) != 0)
      throw Error(Code::kDevice, fmt::format("the code has no entry '{}'; C++ names are mangled: "
                                             "declare the kernel extern \"C\"",
                                             name));
    return found;
  }

 private:
  const GpuDriver& driver_;
  GpuDriver::Module module_ = nullptr;
};

}  // namespace

void launch_kernel(const GpuDriver& driver, int device, const std::string& image,
                   const KernelLaunch& launch) {
  const Context context(driver, device);
  const Loaded loaded(driver, image);
  const GpuDriver::Function function = loaded.function(launch.kernel);
  constexpr std::uint32_t kWithoutAsking = 48 << 10;
  if (launch.shared_bytes > kWithoutAsking)
    driver.allow_dynamic_shared(function, launch.shared_bytes);
  std::vector<std::uint64_t> values = launch.parameters;
  std::vector<void*> parameters;
  for (std::uint64_t& value : values) parameters.push_back(&value);
  // A kernel may take more than it was given: it then reads zeros, not what happens to lie there.
  std::uint64_t zeros[8] = {};
  constexpr std::size_t kMostParameters = 64;
  parameters.resize(std::max(kMostParameters, parameters.size()), zeros);
  int result = driver.launch(function, launch.grid[0], launch.grid[1], launch.grid[2],
                             launch.block[0], launch.block[1], launch.block[2], launch.shared_bytes,
                             nullptr, parameters.data(), nullptr);
  if (result == 0) result = driver.synchronize();
  if (result != 0) throw Error(Code::kDevice, driver.error_text(result) + report_of(driver));
}

}  // namespace hone
