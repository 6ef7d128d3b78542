#include "tuner/check_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/space.h"
#include "runtime/backends/cuda_driver.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/gpu_launch.h"
#include "runtime/backends/hip_runtime.h"
#include "runtime/own_files.h"
#include "tuner/command.h"
#include "tuner/launch_spec.h"
#include "tuner/numbers.h"

namespace hone {
namespace {

constexpr std::chrono::seconds kOneKernelLimit{60};
constexpr std::int64_t kShown = 8;  // of an output's elements

// "cuda/sm_80" of a text's .target line.
std::string target_of(const std::string& ptx, const std::filesystem::path& file) {
  const std::size_t at = ptx.find("\n.target");
  const std::size_t name = at == std::string::npos ? at : ptx.find("sm_", at);
  if (name == std::string::npos)
    throw Error(Code::kUsage,
                fmt::format("{}: no PTX text: it has no .target line", file.string()));
  const std::string arch = ptx.substr(name, ptx.find_first_of(", \t\r\n", name) - name);
  // Text for an architecture without a target of its own runs on the next higher one.
  Backend& backend = *find_backend("cuda");
  for (const std::string& one : {arch, arch + "a"})
    if (backend.target(one)) return "cuda/" + one;
  return "cuda/sm_80";
}

// Memory of one buffer argument.
class Buffer {
 public:
  Buffer(Device& device, const LaunchArgument& argument, Random& random)
      : device_(device), argument_(argument) {
    const auto bytes = static_cast<std::size_t>(element_bytes(argument.element, argument.count));
    memory_ = device.allocate(bytes);
    if (argument.out) return;
    std::vector<double> values(static_cast<std::size_t>(argument.count));
    const bool real = argument.element.find('f') != std::string::npos;
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = argument.fill == LaunchArgument::Fill::kIndex    ? static_cast<double>(i)
                  : argument.fill == LaunchArgument::Fill::kNumber ? argument.number
                  : real ? static_cast<double>(random() >> 40) / (1 << 23) - 1
                         : static_cast<double>(random() % 100);
    std::vector<std::byte> content(bytes);
    encode(argument.element, values, content.data());
    device.copy_in(memory_, content.data(), bytes);
  }
  ~Buffer() { device_.release(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* memory() const { return memory_; }
  bool out() const { return argument_.out; }
  std::vector<double> first() const {
    std::vector<double> values(static_cast<std::size_t>(std::min(kShown, argument_.count)));
    std::vector<std::byte> content(static_cast<std::size_t>(
        element_bytes(argument_.element, static_cast<std::int64_t>(values.size()))));
    device_.copy_out(content.data(), memory_, content.size());
    decode(argument_.element, content.data(), 0, values);
    return values;
  }

 private:
  Device& device_;
  LaunchArgument argument_;
  void* memory_ = nullptr;
};

std::uint64_t word_of(const LaunchArgument& argument) {
  std::uint64_t word = 0;
  if (argument.element == "s64") {
    const auto value = static_cast<std::int64_t>(argument.number);
    std::memcpy(&word, &value, sizeof value);
    return word;
  }
  const double value[] = {argument.number};
  encode(argument.element, value, reinterpret_cast<std::byte*>(&word));
  return word;
}

// Compiles the user's text; findings name its own lines.
std::string image_of(const std::filesystem::path& file, const std::string& text,
                     const std::string& kernel, Backend& backend, const Target& target,
                     const GpuDriver& driver) {
  Source source;
  if (target.backend == "hip") {
    source.text = fmt::format(
        "{}\n#ifdef HONE_SIMT_ENTRY  // the SIMT host's list of "
        "kernels\nHONE_SIMT_ENTRY({})\n#endif\n",
        text, kernel);
  } else {
    std::error_code ignored;
    source.text =
        fmt::format("#line 1 \"{}\"\n{}", std::filesystem::absolute(file, ignored).string(), text);
  }
  source.hash = hash_of(source.text);
  const GpuCode code = unpack_gpu_code(backend.compile(source, target, kOneKernelLimit).code);
  if (!code.ptx.empty()) return code.ptx;
  for (const std::string_view image : driver.images(code))
    if (!image.empty()) return std::string(image);
  throw Error(Code::kCompile, fmt::format("{}: the compiler made nothing of it", file.string()));
}

// Where the kernel runs, and for what its text is compiled.
struct Selection {
  Backend& backend;
  int index;
  std::optional<Target> target;  // nullopt: the device's
};

Selection select(const KernelCheck& check, const std::string& text) {
  std::string wanted = check.target;
  if (wanted.empty() && check.ptx) wanted = target_of(text, check.file);
  if (wanted.empty() && check.device.empty()) wanted = "cuda/sm_80";
  const DeviceName name = parse_device(!check.device.empty()        ? check.device
                                       : wanted.starts_with("hip/") ? "hip"
                                                                    : "cuda");
  std::optional<Target> target;
  if (!wanted.empty()) {
    if (wanted.starts_with(name.backend->name() + "/"))
      target = name.backend->target(wanted.substr(wanted.find('/') + 1));
    if (!target || (check.ptx && target->backend == "hip"))
      throw Error(Code::kUsage,
                  fmt::format("--target '{}': kernels of your own run on cuda/sm_80 and the like, "
                              "those in HIP on hip/gfx90a and the like",
                              wanted));
  }
  if (check.device.empty()) name.backend->simulate(target->arch);
  return {*name.backend, name.index, target};
}

}  // namespace

int check_kernel(const KernelCheck& check) {
  const LaunchSpec spec = parse_launch(check.launch);
  const std::optional<std::string> text = read_file(check.file);
  if (!text) throw Error(Code::kNotFound, fmt::format("can't read {}", check.file.string()));
  const Selection at = select(check, *text);
  // Before anything is compiled: the HIP text is compiled for what runs it.
  const std::unique_ptr<Device> device = at.backend.open(at.index);
  const Target target = at.target ? *at.target : device->target();
  const bool simulated = device->identity().simulated();
  const auto driver = target.backend == "hip" ? load_hip_runtime() : load_cuda_driver();
  const std::string image =
      check.ptx ? *text : image_of(check.file, *text, spec.kernel, at.backend, target, *driver);

  Random random(check.seed);
  KernelLaunch launch{spec.kernel, spec.grid, spec.block, spec.shared_bytes, {}};
  std::vector<std::unique_ptr<Buffer>> buffers;
  for (const LaunchArgument& argument : spec.arguments) {
    if (argument.buffer) {
      buffers.push_back(std::make_unique<Buffer>(*device, argument, random));
      launch.parameters.push_back(reinterpret_cast<std::uintptr_t>(buffers.back()->memory()));
    } else {
      launch.parameters.push_back(word_of(argument));
    }
  }
  device->counters();
  std::string reason;
  try {
    launch_kernel(*driver, at.index, image, launch);
  } catch (const Error& error) {
    if (error.code() != Code::kDevice) throw;
    reason = error.what();
  }
  const Counters counters = device->counters();
  Json outputs = Json::array();
  if (reason.empty())
    for (const auto& buffer : buffers)
      if (buffer->out()) outputs.push_back(buffer->first());

  if (check.json) {
    Json counted = Json::object();
    for (const auto& [name, value] : counters) counted[name] = value;
    print_json({{"kernel", spec.kernel},
                {"target", target.text()},
                {"ran_on", simulated ? "simulator" : "device"},
                {"pass", reason.empty()},
                {"reason", reason},
                {"outputs", outputs},
                {"counters", counted}});
  } else {
    fmt::print("{} {} on {}\n", reason.empty() ? "ok  " : "FAIL", check.launch,
               device->identity().name);
    if (!reason.empty()) fmt::print("{}\n", reason);
    for (const auto& output : outputs) fmt::print("  out: {} ...\n", output.dump());
    for (const auto& [name, value] : counters)
      if (value != 0) fmt::print("  {:<32}{:.0f}\n", name, value);
  }
  return reason.empty() ? 0 : 1;
}

}  // namespace hone
