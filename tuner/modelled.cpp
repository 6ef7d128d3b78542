#include "tuner/modelled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codegen/error.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/kernel.h"
#include "tuner/performance_model.h"

namespace hone {
namespace {

// Keeps what a kernel would launch.
class Launches final : public Module {
 public:
  struct One {
    Dispatch dispatch;
    std::vector<std::uint64_t> slots;
  };

  bool run(const Dispatch& dispatch, Stream) noexcept override {
    all_.push_back({dispatch, std::vector(dispatch.slots, dispatch.slots + dispatch.slot_count)});
    return true;
  }
  bool pack(int, const std::uint64_t*, int, const void*, void*, std::int64_t,
            Stream) noexcept override {
    return false;
  }
  const std::vector<One>& all() const { return all_; }

 private:
  std::vector<One> all_;
};

// Where arguments lie: far apart, and aligned as an allocation is.
constexpr std::uint64_t kFirstArgument = std::uint64_t{1} << 40;
constexpr std::uint64_t kBetweenArguments = std::uint64_t{1} << 36;

std::string refusal(const GpuArch& arch, const EntryResources& entry, std::int64_t shared,
                    std::int64_t threads) {
  if (threads > 1024) return fmt::format("{} threads in a block", threads);
  if (shared > arch.max_shared)
    return fmt::format("{} bytes of shared memory; a block may have {}", shared, arch.max_shared);
  return fmt::format("{} registers for each of {} threads; a multiprocessor has {}",
                     entry.registers, threads, arch.registers_per_unit);
}

}  // namespace

Modelled model_call(const Catalog& catalog, Backend& backend, const Template& variant,
                    const Problem& problem, const Config& config, const Target& target,
                    const Binary& binary, const sim::Gpu& gpu) {
  const Op& op = catalog.op(problem.op);
  const Values scope = op.scope(problem);
  const auto launches = std::make_shared<Launches>();
  const Kernel kernel(catalog, variant, problem, config, target, launches);
  std::vector<void*> arguments;
  for (const Argument* argument : op.present(scope)) {
    const std::uint64_t at = kFirstArgument + arguments.size() * kBetweenArguments;
    arguments.push_back(argument->kind == Argument::Kind::kScalar ? nullptr
                                                                  : reinterpret_cast<void*>(at));
  }
  std::vector<std::int64_t> dims;
  for (const std::string& name : op.dynamic_dims()) dims.push_back(scope.integer(name));
  const std::uint64_t workspace = kFirstArgument + arguments.size() * kBetweenArguments;
  if (!kernel.launch(arguments.data(), dims.data(), reinterpret_cast<void*>(workspace), nullptr))
    throw Error(Code::kTemplate,
                fmt::format("{}: a launch line has no value for {}", variant.file, problem.text()));

  const GpuArch& arch = *find_gpu_arch(target.backend, target.arch);
  const std::optional<MachineCode> code = parse_cubin(unpack_gpu_code(binary.code).code);
  const std::vector<EntryResources> resources = backend.resources(binary);
  std::vector<std::string> entries;  // as the kernel numbers them
  for (const Launch& launch : variant.launches)
    if (std::find(entries.begin(), entries.end(), launch.entry) == entries.end())
      entries.push_back(launch.entry);
  Modelled total;
  double longest = 0;
  for (const auto& [dispatch, slots] : launches->all()) {
    const std::string& name = entries.at(static_cast<std::size_t>(dispatch.entry));
    const auto entry = std::find_if(resources.begin(), resources.end(),
                                    [&](const EntryResources& one) { return one.entry == name; });
    const MachineKernel* machine = code ? code->kernel("hone_" + name) : nullptr;
    if (entry == resources.end() || machine == nullptr)
      throw Error(Code::kDevice,
                  fmt::format("the binary of {} has no machine code of '{}'", variant.file, name));
    const std::int64_t threads = dispatch.threads * dispatch.threads_y * dispatch.threads_z;
    const double share =
        backend.occupancy(target, *entry, dispatch.shared_bytes, threads).value_or(1);
    if (share <= 0) {
      total.refused = refusal(arch, *entry, entry->shared_bytes + dispatch.shared_bytes, threads);
      return total;
    }
    const std::int64_t warps = (threads + arch.wave - 1) / arch.wave;
    ModelledLaunch launch;
    launch.kernel = machine;
    for (std::size_t i = 0; i < 3; ++i)
      launch.launch.grid[i] = static_cast<std::uint32_t>(dispatch.grid[i]);
    launch.launch.block = {static_cast<std::uint32_t>(dispatch.threads),
                           static_cast<std::uint32_t>(dispatch.threads_y),
                           static_cast<std::uint32_t>(dispatch.threads_z)};
    launch.launch.parameters.assign(reinterpret_cast<const char*>(slots.data()),
                                    slots.size() * sizeof slots[0]);
    launch.shared_bytes = entry->shared_bytes + dispatch.shared_bytes;
    launch.resident_blocks =
        std::llround(share * static_cast<double>(arch.threads_per_unit)) / (warps * arch.wave);
    const ModelledTime time = model_launch(launch, gpu);
    total.seconds += time.seconds;
    total.throughput_s += time.throughput;
    total.latency_s += time.latency;
    total.cache_s += time.cache;
    total.complete = total.complete && time.complete;
    if (time.seconds > longest) total.unit = time.unit;
    longest = std::max(longest, time.seconds);
  }
  total.memory_s = static_cast<double>(op.cost_bytes(scope)) / gpu.bandwidth;
  if (total.memory_s > total.seconds) {
    total.seconds = total.memory_s;
    total.unit = "memory";
  }
  return total;
}

Figures modelled_figures(const Modelled& modelled, const sim::Gpu& gpu) {
  const auto ns = [](double seconds) { return std::llround(seconds * 1e9); };
  return {{"modelled_ns", ns(modelled.seconds)},
          {"modelled",
           {{"gpu", gpu.name},
            {"unit", modelled.unit},
            {"throughput_ns", ns(modelled.throughput_s)},
            {"latency_ns", ns(modelled.latency_s)},
            {"cache_ns", ns(modelled.cache_s)},
            {"memory_ns", ns(modelled.memory_s)},
            {"complete", modelled.complete}}}};
}

}  // namespace hone
