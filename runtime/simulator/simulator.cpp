#include "runtime/simulator/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "codegen/error.h"
#include "runtime/simulator/counters.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/specials.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

// Warp instructions of a block before another has its turn, and rounds in which all blocks only
// waited for each other before it counts as a deadlock.
constexpr std::uint64_t kBudget = 1u << 20;
constexpr std::uint64_t kIdleRounds = 2000;
constexpr std::size_t kGridWorkspace = 64;
// Of the kibibyte that a block keeps for itself, what cooperative groups count on.
constexpr std::uint32_t kReservedShared = 288;

[[noreturn]] void refuse(const Launch& launch, const std::string& why) {
  throw Error(Code::kUsage,
              fmt::format("launch of '{}': {}",
                          launch.kernel == nullptr ? "" : launch.kernel->info.name, why));
}

void check_launch(const Gpu& gpu, const Launch& launch) {
  if (launch.kernel == nullptr) refuse(launch, "no kernel");
  const KernelInfo& info = launch.kernel->info;
  if (!launch.kernel->unsupported.empty())
    throw Error(Code::kUnsupported, launch.kernel->unsupported);
  std::uint64_t threads = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    if (launch.grid[i] == 0 || launch.block[i] == 0)
      refuse(launch, "a grid and a block have at least one of each");
    threads *= launch.block[i];
  }
  if (launch.block[0] > 1024 || launch.block[1] > 1024 || launch.block[2] > 64 || threads > 1024)
    refuse(launch, fmt::format("{} threads in a block", threads));
  if (launch.grid[0] > 0x7fffffffu || launch.grid[1] > 65535 || launch.grid[2] > 65535)
    refuse(launch, "the grid is too large");
  if (threads > static_cast<std::uint64_t>(info.max_threads))
    refuse(launch,
           fmt::format("{} threads in a block; the kernel allows {}", threads, info.max_threads));
  for (std::size_t i = 0; i < 3; ++i) {
    if (info.required_threads[0] != 0 &&
        launch.block[i] != static_cast<std::uint32_t>(std::max(info.required_threads[i], 1))) {
      refuse(launch, "the kernel requires another block size");
    }
  }
  if (info.static_shared_bytes + launch.dynamic_shared_bytes > gpu.shared_opt_in) {
    refuse(launch, fmt::format("{} bytes of shared memory; {} has {}",
                               info.static_shared_bytes + launch.dynamic_shared_bytes, gpu.name,
                               gpu.shared_opt_in));
  }
  if (launch.parameters.size() != info.parameter_bytes) {
    refuse(launch, fmt::format("{} bytes of parameters; the kernel takes {}",
                               launch.parameters.size(), info.parameter_bytes));
  }
}

std::vector<std::uint64_t> block_order(std::uint64_t count, Run& run) {
  std::vector<std::uint64_t> order(count);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (run.options.seed != 0) std::shuffle(order.begin(), order.end(), run.random);
  return order;
}

bool uses(const Function& function, Special which) {
  return std::any_of(function.specials.begin(), function.specials.end(),
                     [&](const auto& special) { return special.which == static_cast<int>(which); });
}

void execute(Run& run) {
  const auto& grid = run.launch.grid;
  const std::uint64_t count = static_cast<std::uint64_t>(grid[0]) * grid[1] * grid[2];
  const int per_unit = std::max(
      occupancy(run.gpu, run.launch.kernel->info, run.threads, run.launch.dynamic_shared_bytes), 1);
  const auto most =
      static_cast<std::uint64_t>(per_unit) * static_cast<std::uint64_t>(run.gpu.units);
  if (run.launch.cooperative && count > most)
    refuse(run.launch, fmt::format("{} blocks can't be resident together; {} can", count, most));
  constexpr std::uint64_t kMostShuffled = 1u << 24;
  const bool ordered = count > kMostShuffled;
  const std::vector<std::uint64_t> order =
      ordered ? std::vector<std::uint64_t>{} : block_order(count, run);
  std::uint64_t next = 0;
  std::vector<std::unique_ptr<Block>> resident, spare;
  const auto start = [&] {
    std::unique_ptr<Block> block;
    if (spare.empty()) {
      block = std::make_unique<Block>();
    } else {
      block = std::move(spare.back());
      spare.pop_back();
    }
    start_block(run, *block, ordered ? next : order[next]);
    ++next;
    resident.push_back(std::move(block));
  };
  const auto began = std::chrono::steady_clock::now();
  std::size_t turn = 0;
  std::uint64_t idle = 0, progress_before = 0;
  while (!run.stop && (next < count || !resident.empty())) {
    if (resident.empty()) start();
    turn = std::min(turn, resident.size() - 1);
    Block& block = *resident[turn];
    const Progress progress = run_block(run, block, kBudget);
    if (run.stop) break;
    switch (progress) {
      case Progress::kFinished:
        check_transfers(block);
        spare.push_back(std::move(resident[turn]));
        resident.erase(resident.begin() + static_cast<std::ptrdiff_t>(turn));
        idle = 0;
        break;
      case Progress::kStalled:
        report_stall(run, block);
        break;
      case Progress::kBudget:
        idle = 0;
        break;
      case Progress::kSpins:
        // It waits for another: let that one start, or have its turn.
        if (next < count && resident.size() < most) {
          start();
          turn = resident.size() - 1;
        } else {
          turn = (turn + 1) % resident.size();
        }
        idle = run.progress == progress_before ? idle + 1 : 0;
        progress_before = run.progress;
        break;
    }
    if (resident.empty() && next == count) break;
    // One that ended stands for a launch of many short blocks.
    Block& shown =
        resident.empty() ? *spare.back() : *resident[std::min(turn, resident.size() - 1)];
    if (run.options.instruction_limit != 0 && run.executed > run.options.instruction_limit) {
      report_hang(run, shown,
                  fmt::format("more than {} warp instructions", run.options.instruction_limit));
      break;
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (run.options.time_limit > 0 && seconds > run.options.time_limit) {
      report_hang(run, shown, fmt::format("more than {} seconds", run.options.time_limit));
      break;
    }
    if (idle > kIdleRounds * (resident.size() + 1) && next >= std::min(count, most)) {
      report_hang(run, shown, "deadlock: every block that runs only waits for another");
      break;
    }
  }
}

}  // namespace

std::optional<Checks> parse_checks(std::string_view text) {
  if (text == "all") return Checks::kAll;
  if (text == "memory") return Checks::kMemory;
  if (text == "none") return Checks::kNone;
  return std::nullopt;
}

int occupancy(const Gpu& gpu, const KernelInfo& kernel, int threads,
              std::size_t dynamic_shared_bytes) {
  if (threads <= 0 || threads > kernel.max_threads) return 0;
  const int warps = (threads + kLanes - 1) / kLanes;
  int blocks = std::min(gpu.blocks_per_unit, gpu.threads_per_unit / (warps * kLanes));
  // A block keeps a kibibyte for itself from sm_80 on; shared memory is dealt out by 128 bytes.
  std::size_t shared =
      kernel.static_shared_bytes + dynamic_shared_bytes + (gpu.sm >= 80 ? 1024 : 0);
  shared = (shared + 127) / 128 * 128;
  if (kernel.static_shared_bytes + dynamic_shared_bytes > gpu.shared_opt_in) return 0;
  if (shared != 0) blocks = std::min(blocks, static_cast<int>(gpu.shared_per_unit / shared));
  const int per_warp = (kernel.registers * kLanes + 255) / 256 * 256;
  if (per_warp != 0) blocks = std::min(blocks, gpu.registers_per_unit / per_warp / warps);
  return std::max(blocks, 0);
}

Result run(Memory& memory, const Module& module, const Launch& launch, const Options& options) {
  const Module::Body& body = module.body();
  check_launch(*body.gpu, launch);
  Run run(memory, body, launch, options);
  run.checked = options.checks != Checks::kNone;
  run.races = options.checks == Checks::kAll;
  run.threads = static_cast<int>(launch.block[0] * launch.block[1] * launch.block[2]);
  run.warps_per_block = (run.threads + kLanes - 1) / kLanes;
  const std::size_t fixed = launch.kernel->info.static_shared_bytes;
  run.dynamic_base = static_cast<std::uint32_t>((fixed + body.dynamic_align - 1) /
                                                body.dynamic_align * body.dynamic_align);
  run.shared_bytes =
      launch.dynamic_shared_bytes == 0 ? fixed : run.dynamic_base + launch.dynamic_shared_bytes;
  run.random.seed(options.seed);
  run.counts.resize(body.functions.size());
  int global_granule = 16;
  bool reserved = false;
  run.shared_granule = 16;
  for (const auto& function : body.functions) {
    FunctionCounts& counts = run.counts[static_cast<std::size_t>(function->index)];
    counts.warps.resize(function->code.size());
    counts.threads.resize(function->code.size());
    counts.divergent.resize(function->code.size());
  }
  for (const Function* function : reached_functions(body, *launch.kernel->code)) {
    run.shared_granule = std::min(run.shared_granule, function->shared_granule);
    global_granule = std::min(global_granule, function->global_granule);
    reserved |= uses(*function, Special::kReservedSharedBase);
  }
  if (reserved) {
    run.reserved_base = static_cast<std::uint32_t>((run.shared_bytes + 15) / 16 * 16);
    run.reserved_bytes = kReservedShared;
    run.shared_bytes = run.reserved_base + run.reserved_bytes;
  }
  if (run.races) run.global_races = std::make_shared<GlobalRaces>(global_granule);
  if (launch.cooperative) {
    run.grid_workspace = memory.allocate(kGridWorkspace);
    if (run.grid_workspace == 0)
      throw Error(Code::kDevice, "no memory for the workspace of a cooperative launch");
    std::memset(memory.host(run.grid_workspace, kGridWorkspace, true), 0, kGridWorkspace);
  }
  execute(run);
  if (launch.cooperative) memory.release(run.grid_workspace);
  collect_counters(run);
  return std::move(run.result);
}

}  // namespace hone::sim
