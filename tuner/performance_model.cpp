#include "tuner/performance_model.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace hone {
namespace {

constexpr double kLaunchSeconds = 3e-6;
// How times that pass at once join: between their maximum and their sum.
constexpr double kExponent = 3;
constexpr double kCacheBytesPerCycle = 32;  // of one multiprocessor, from the second-level cache
constexpr int kQuarters = 4;  // of a multiprocessor, each issues one instruction a cycle
// What may be worked out per launch, in instructions of a warp; warps that are run to see how
// blocks differ.
constexpr std::int64_t kEffort = 20000;
constexpr int kComparedWarps = 2;

// Cycles of a quarter that a warp's instruction takes of its unit.
struct Costs {
  int sm;
  double fma, half, special, fp64;
  // Cycles of a multiprocessor's memory pipe: the least per request, per pass through the banks,
  // per line; how much dearer a load through the read-only path is.
  double request, wavefront, line, constant;
};
constexpr std::array kCosts = {
    Costs{75, 2, 2, 8, 64, 2, 1, 0.5, 1.45}, Costs{80, 2, 1, 8, 4, 1, 1.9, 1.15, 2.3},
    Costs{86, 1, 1, 8, 64, 2, 1, 0.5, 1.45}, Costs{90, 1, 1, 8, 2, 1, 1, 0.5, 1.45},
    Costs{100, 1, 1, 8, 2, 1, 1, 0.5, 1.45}, Costs{120, 1, 1, 8, 64, 2, 1, 0.5, 1.45},
};
constexpr double kMultiply = 2, kInteger = 2, kBranch = 2;

const Costs& costs_of(int sm) {
  const Costs* best = &kCosts.front();
  for (const Costs& one : kCosts)
    if (one.sm <= sm) best = &one;
  return *best;
}

// A load that nobody writes to meanwhile, as __ldg() and __restrict__ make them.
bool read_only(const MachineInstruction& instruction, int sm) {
  return instruction.bits(77, 3) == (sm < 80 ? 3u : 4u);
}

// What a warp takes of each unit, in cycles of a quarter.
struct Demand {
  double issue = 0, fma = 0, alu = 0, branch = 0, special = 0, fp64 = 0, half = 0, tensor = 0,
         lsu = 0;

  // What a warp takes of all units together, and the busiest: units that are busy at once get in
  // each other's way, as the parts of a wave do.
  std::pair<double, std::string_view> joined() const {
    const std::pair<double, std::string_view> all[] = {
        {issue, "issue"}, {fma, "fma"},   {alu, "alu"},       {branch, "branch"}, {special, "xu"},
        {fp64, "fp64"},   {half, "half"}, {tensor, "tensor"}, {lsu, "lsu"}};
    double sum = 0;
    for (const auto& [cycles, name] : all) sum += std::pow(cycles, kExponent);
    return {std::pow(sum, 1 / kExponent), std::max_element(std::begin(all), std::end(all))->second};
  }
};

double memory_cycles(const MachineInstruction& one, Pipe pipe, const AccessFigures& access,
                     const Costs& costs, int sm) {
  switch (pipe) {
    case Pipe::kSharedLoad:
    case Pipe::kSharedStore:
      return std::max(costs.request, costs.wavefront * access.wavefronts);
    case Pipe::kMatrixLoad:
      return std::max(1.0, access.wavefronts);
    case Pipe::kGlobalLoad:
      return std::max(costs.request, costs.line * access.lines) *
             (read_only(one, sm) ? costs.constant : 1);
    case Pipe::kGlobalStore:
      return std::max(costs.request, access.sectors / 4);
    case Pipe::kAsyncCopy:
      return std::max({1.0, costs.line * access.lines, access.wavefronts});
    default:
      return costs.request;
  }
}

Demand demand_of(const MachineKernel& kernel, int sm, const BlockFigures& block,
                 double tensor_scale) {
  const Costs& costs = costs_of(sm);
  Demand demand;
  for (std::size_t at = 0; at < kernel.code.size(); ++at) {
    const double count = block.executions[at];
    if (count == 0) continue;
    const MachineInstruction& one = kernel.code[at];
    const Pipe pipe = pipe_of(one, sm);
    demand.issue += count;
    switch (pipe) {
      case Pipe::kFloat:
        demand.fma += costs.fma * count;
        break;
      case Pipe::kMultiply:
      case Pipe::kWideMultiply:
        demand.fma += kMultiply * count;
        break;
      case Pipe::kInteger:
        demand.alu += kInteger * count;
        break;
      case Pipe::kHalf:
        demand.half += costs.half * count;
        break;
      case Pipe::kDouble:
        demand.fp64 += costs.fp64 * count;
        break;
      case Pipe::kSpecial: {
        constexpr int kReadsSystemRegister = 0x119, kToUniform = 0x1c3;
        if (one.opcode() != kReadsSystemRegister && one.opcode() != kToUniform)
          demand.special += costs.special * count;
        break;
      }
      case Pipe::kTensor:
      case Pipe::kWarpgroup:
        demand.tensor += tensor_scale * tensor_cycles(one, sm) * count;
        break;
      case Pipe::kBranch:
        demand.branch += kBranch * count;
        break;
      case Pipe::kShuffle:
        demand.lsu += kQuarters * costs.request * count;
        break;
      case Pipe::kSharedLoad:
      case Pipe::kSharedStore:
      case Pipe::kMatrixLoad:
      case Pipe::kGlobalLoad:
      case Pipe::kGlobalStore:
      case Pipe::kAsyncCopy:
      case Pipe::kLocal:
      case Pipe::kAtomic: {
        const AccessFigures& access = block.access[at];
        demand.lsu += kQuarters * memory_cycles(one, pipe, access, costs, sm) * access.executions;
        break;
      }
      default:
        break;
    }
  }
  return demand;
}

// How much blocks at other places of the grid have to do, as a factor on what the middle one does:
// along each dimension the first, the middle and the last are looked at. Where only an end differs
// it is an edge; where both do, work grows along the grid.
double share_of_work(MachineRun& run, const ModelledLaunch& launch, int sm, double tensor_scale,
                     const std::array<std::uint32_t, 3>& middle, const BlockFigures& known) {
  const auto work = [&](const std::array<std::uint32_t, 3>& at) {
    BlockFigures figures = run.count(at, kComparedWarps);
    for (std::size_t i = 0; i < figures.access.size(); ++i) {
      AccessFigures access = known.access[i];
      access.executions = figures.access[i].executions;
      figures.access[i] = access;
    }
    return demand_of(*launch.kernel, sm, figures, tensor_scale).joined().first;
  };
  double share = 1, whole = 0;
  for (std::size_t d = 0; d < 3; ++d) {
    const std::uint32_t count = launch.launch.grid[d];
    if (count < 2) continue;
    if (whole == 0) whole = work(middle);
    if (whole <= 0) return 1;
    std::array<std::uint32_t, 3> first = middle, last = middle;
    first[d] = 0;
    last[d] = count - 1;
    const double low = work(first) / whole;
    const double high = middle[d] == count - 1 ? 1 : work(last) / whole;
    constexpr double kSame = 0.02;
    if (count > 2 && std::abs(low - 1) > kSame && std::abs(high - 1) > kSame)
      share *= (low + 4 + high) / 6;
    else
      share *= (count - 2.0 + low + high) / count;
  }
  return share;
}

}  // namespace

ModelledTime model_launch(const ModelledLaunch& launch, const sim::Gpu& gpu) {
  const MachineKernel& kernel = *launch.kernel;
  const int sm = gpu.sm;
  MachineRun run(kernel, sm, launch.launch, MachineLatencies{}, kEffort);
  std::array<std::uint32_t, 3> middle;
  double blocks = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    middle[d] = launch.launch.grid[d] / 2;
    blocks *= launch.launch.grid[d];
  }
  ModelledTime time;
  constexpr int kEveryWarp = 64;
  const BlockFigures block = run.block(middle, kEveryWarp);
  // What the architecture's tensor cores do at most, this product may do at half that.
  constexpr double kSharedByArchitecture = 1;
  const double tensor_scale = kSharedByArchitecture;
  const Demand demand = demand_of(kernel, sm, block, tensor_scale);
  const double share = share_of_work(run, launch, sm, tensor_scale, middle, block);
  const auto [most, unit] = demand.joined();
  time.unit = unit;
  time.complete = block.complete;

  const double units = gpu.units;
  const auto resident = static_cast<double>(std::max<std::int64_t>(1, launch.resident_blocks));
  const auto wave = [&](double blocks_per_unit) {
    const double warps = blocks_per_unit * block.warps;
    const double throughput = std::max(1.0, warps / kQuarters) * most * share;
    const double cache =
        blocks_per_unit * (block.loaded_bytes + block.stored_bytes) * share / kCacheBytesPerCycle;
    const double latency = block.lone_cycles * share;
    time.throughput += throughput / gpu.clock_hz;
    time.cache += cache / gpu.clock_hz;
    time.latency += latency / gpu.clock_hz;
    return std::pow(
        std::pow(throughput, kExponent) + std::pow(latency, kExponent) + std::pow(cache, kExponent),
        1 / kExponent);
  };
  const double full = std::floor(blocks / (resident * units));
  const double rest = blocks - full * resident * units;
  double cycles = 0;
  if (full > 0) {
    cycles += full * wave(resident);
    time.throughput *= full;
    time.cache *= full;
    time.latency *= full;
  }
  if (rest > 0) cycles += wave(std::ceil(rest / units));
  time.seconds = cycles / gpu.clock_hz + kLaunchSeconds;
  return time;
}

}  // namespace hone
