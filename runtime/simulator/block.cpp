#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "runtime/simulator/races.h"
#include "runtime/simulator/specials.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

constexpr std::size_t kCacheLine = 64;

template <class T>
std::unique_ptr<T, AlignedDelete> allocate(std::size_t count) {
  const std::size_t bytes = (count * sizeof(T) + kCacheLine - 1) / kCacheLine * kCacheLine;
  void* memory = std::aligned_alloc(kCacheLine, std::max(bytes, kCacheLine));
  if (memory == nullptr) throw std::bad_alloc();
  return std::unique_ptr<T, AlignedDelete>(static_cast<T*>(memory));
}

std::uint64_t special_value(const Warp& w, Special which, int lane) {
  const Run& run = *w.run;
  const auto thread = thread_of(w, lane);
  const auto& grid = run.launch.grid;
  const auto& block = run.launch.block;
  const std::uint32_t bit = 1u << lane;
  switch (which) {
    case Special::kTidX:
      return thread[0];
    case Special::kTidY:
      return thread[1];
    case Special::kTidZ:
      return thread[2];
    case Special::kNtidX:
      return block[0];
    case Special::kNtidY:
      return block[1];
    case Special::kNtidZ:
      return block[2];
    case Special::kCtaidX:
      return w.block->index[0];
    case Special::kCtaidY:
      return w.block->index[1];
    case Special::kCtaidZ:
      return w.block->index[2];
    case Special::kNctaidX:
      return grid[0];
    case Special::kNctaidY:
      return grid[1];
    case Special::kNctaidZ:
      return grid[2];
    case Special::kLaneid:
      return static_cast<std::uint64_t>(lane);
    case Special::kWarpid:
      return static_cast<std::uint64_t>(w.index);
    case Special::kNwarpid:
      return static_cast<std::uint64_t>(run.gpu.threads_per_unit / kLanes);
    case Special::kSmid:
      return w.block->number % static_cast<std::uint64_t>(run.gpu.units);
    case Special::kNsmid:
      return static_cast<std::uint64_t>(run.gpu.units);
    case Special::kGridid:
      return 1;
    case Special::kLanemaskEq:
      return bit;
    case Special::kLanemaskLe:
      return bit | (bit - 1);
    case Special::kLanemaskLt:
      return bit - 1;
    case Special::kLanemaskGe:
      return ~(bit - 1);
    case Special::kLanemaskGt:
      return ~(bit | (bit - 1));
    case Special::kDynamicSharedSize:
      return run.launch.dynamic_shared_bytes;
    case Special::kTotalSharedSize:
      return run.shared_bytes;
    case Special::kDynamicSharedBase:
      return run.dynamic_base;
    case Special::kReservedSharedBase:
      return run.reserved_base;
    case Special::kEnvreg1:
      return run.grid_workspace >> 32;
    case Special::kEnvreg2:
      return run.grid_workspace & 0xffffffffu;
    case Special::kOne:
      return 1;
    default:
      return 0;
  }
}

}  // namespace

std::array<std::uint32_t, 3> thread_of(const Warp& w, int lane) {
  const auto& size = w.run->launch.block;
  const auto linear = static_cast<std::uint32_t>(w.index * kLanes + lane);
  return {linear % size[0], linear / size[0] % size[1], linear / (size[0] * size[1])};
}

Region& region_of(Warp& w, const Function& function) {
  Region& region = w.regions[static_cast<std::size_t>(function.index)];
  if (region.generation == w.block->generation) return region;
  const std::size_t words = static_cast<std::size_t>(function.rows) * kLanes,
                    flags = function.rows + function.predicates;
  const bool first = region.memory == nullptr;
  if (first) {
    region.memory = allocate<std::uint32_t>(words + function.predicates + 2 * flags);
    region.rows = region.memory.get();
    region.predicates = region.rows + words;
    region.undefined = region.predicates + function.predicates;
    region.origin = region.undefined + flags;
    for (const Function::Constant& constant : function.constants) {
      for (int lane = 0; lane < kLanes; ++lane) {
        if (constant.wide) {
          reinterpret_cast<std::uint64_t*>(region.rows + static_cast<std::size_t>(constant.row) *
                                                             kLanes)[lane] = constant.value;
        } else {
          region.rows[constant.row * kLanes + static_cast<std::uint32_t>(lane)] =
              static_cast<std::uint32_t>(constant.value);
        }
      }
    }
  }
  region.generation = w.block->generation;
  for (const Function::SpecialRow& special : function.specials) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const std::uint64_t value = special_value(w, static_cast<Special>(special.which), lane);
      if (special.wide) {
        reinterpret_cast<std::uint64_t*>(region.rows + static_cast<std::size_t>(special.row) *
                                                           kLanes)[lane] = value;
      } else {
        region.rows[special.row * kLanes + static_cast<std::uint32_t>(lane)] =
            static_cast<std::uint32_t>(value);
      }
    }
  }
  const std::size_t from = static_cast<std::size_t>(function.first_register_row) * kLanes;
  if (first || w.checked)
    std::memset(region.rows + from, kPoison, (words - from) * sizeof(std::uint32_t));
  std::memset(region.predicates, 0, function.predicates * sizeof(std::uint32_t));
  region.predicates[0] = kAllLanes;
  std::memset(region.undefined, 0, flags * sizeof(std::uint32_t));
  std::memset(region.origin, 0, flags * sizeof(std::uint32_t));
  if (w.checked) {
    for (std::uint32_t r = function.first_register_row; r < function.rows; ++r)
      region.undefined[r] = kAllLanes;
    for (std::uint32_t p = 2; p < function.predicates; ++p)
      region.undefined[function.rows + p] = kAllLanes;
  }
  return region;
}

void start_block(Run& run, Block& block, std::uint64_t number) {
  const auto& grid = run.launch.grid;
  block.run = &run;
  block.number = number;
  ++block.generation;
  block.index = {
      static_cast<std::uint32_t>(number % grid[0]),
      static_cast<std::uint32_t>(number / grid[0] % grid[1]),
      static_cast<std::uint32_t>(number / (static_cast<std::uint64_t>(grid[0]) * grid[1]))};
  block.shared_bytes = run.shared_bytes;
  if (block.shared == nullptr) {
    block.shared = allocate<std::byte>(run.shared_bytes);
    if (run.checked) {
      block.shared_written = allocate<std::uint8_t>(run.shared_bytes);
      block.shared_pending = allocate<std::uint8_t>(run.shared_bytes);
    }
    if (run.races) {
      block.clocks = std::make_shared<Clocks>(run.warps_per_block);
      block.shared_races = std::make_shared<SharedRaces>(*block.clocks, run.warps_per_block,
                                                         run.shared_bytes, run.shared_granule);
    }
  } else if (run.races) {
    block.clocks->reset();
    block.shared_races->start_block();
  }
  std::memset(block.shared.get(), kPoison, run.shared_bytes);
  if (run.checked) {
    std::memset(block.shared_written.get(), 0, run.shared_bytes);
    std::memset(block.shared_pending.get(), 0, run.shared_bytes);
    // The scratch of cooperative groups is theirs to use as it is.
    if (run.reserved_bytes != 0)
      std::memset(block.shared_written.get() + run.reserved_base, 1, run.reserved_bytes);
  }
  for (Barrier& barrier : block.barriers) barrier = {};
  block.spins = 0;
  block.mbarriers.clear();
  block.transfers.clear();
  block.turn = 0;
  const std::size_t local = run.body.local_bytes;
  for (int i = 0; i < run.warps_per_block; ++i) {
    if (block.warps.size() <= static_cast<std::size_t>(i)) {
      auto fresh = std::make_unique<Warp>();
      fresh->regions.resize(run.body.functions.size());
      if (local != 0) {
        fresh->local_memory = allocate<std::byte>(local * kLanes);
        if (run.checked) fresh->local_written_memory = allocate<std::uint8_t>(local * kLanes);
      }
      block.warps.push_back(std::move(fresh));
    }
    Warp& w = *block.warps[static_cast<std::size_t>(i)];
    w.block = &block;
    w.run = &run;
    w.index = i;
    w.checked = run.checked;
    w.races = run.races;
    w.stop = false;
    const int lanes = std::min(run.threads - i * kLanes, kLanes);
    w.present = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    w.exited = 0;
    w.local = w.local_memory.get();
    w.local_written = w.local_written_memory.get();
    if (local != 0) std::memset(w.local, kPoison, local * kLanes);
    if (w.local_written != nullptr) std::memset(w.local_written, 0, local * kLanes);
    w.copies.clear();
    w.committed.fill(0);
    w.products.clear();
    w.product_groups = 0;
    w.sums_taint.clear();
    w.carry = 0;
    w.fragments.clear();
    Fragment f;
    f.function = run.launch.kernel->code;
    f.mask = w.present;
    w.fragments.push_back(std::move(f));
  }
  ++run.result.counters.blocks;
  run.result.counters.warps += static_cast<std::uint64_t>(run.warps_per_block);
}

bool finished(const Block& block) {
  return std::all_of(block.warps.begin(), block.warps.end(),
                     [](const auto& w) { return w->fragments.empty(); });
}

void report_stall(Run& run, Block& block) {
  // Lanes that wait for others of their own warp explain more than a barrier that misses the warp.
  for (auto& w : block.warps) {
    // Of those, the ones that the others passed by: it is there that the warp parted.
    const Fragment* waiting = nullptr;
    for (const Fragment& f : w->fragments) {
      if (f.state != Fragment::State::kMembers) continue;
      if (waiting == nullptr || past(f.function, f.pc, waiting->function, waiting->pc))
        waiting = &f;
    }
    if (waiting == nullptr) continue;
    const Fragment& f = *waiting;
    const Instruction& in = f.function->code[f.pc];
    w->function = f.function;
    w->pc = f.pc;
    const std::uint32_t others = w->present & ~w->exited & ~f.mask;
    std::string where;
    const Instruction* elsewhere = nullptr;
    for (const Fragment& other : w->fragments) {
      if (&other == &f) continue;
      const Instruction& theirs = other.function->code[other.pc];
      if (elsewhere == nullptr) elsewhere = &theirs;
      where += fmt::format("; lanes {:#010x} wait at ptx line {}", other.mask, theirs.line);
    }
    const bool barrier = in.flow == Flow::kBarrier;
    report_pair(
        *w, in, elsewhere, barrier ? Finding::Kind::kBarrier : Finding::Kind::kMask,
        std::countr_zero(f.mask), Space::kNone, 0,
        fmt::format("lanes {:#010x} wait here for lanes {:#010x} of their warp, which never come{}",
                    f.mask, others, where));
    run.stop = true;
    return;
  }
  for (std::size_t id = 0; id < block.barriers.size(); ++id) {
    const Barrier& barrier = block.barriers[id];
    for (const Barrier::Arrival& arrival : barrier.arrivals) {
      if (!arrival.waits) continue;
      Warp& w = *block.warps[static_cast<std::size_t>(arrival.warp)];
      w.function = arrival.function;
      w.pc = arrival.pc;
      const Instruction& in = arrival.function->code[arrival.pc];
      std::string others;
      for (std::size_t other = 0; other < block.barriers.size(); ++other) {
        if (other != id && block.barriers[other].arrived != 0) {
          others += fmt::format("; {} threads wait at barrier {} (ptx line {})",
                                block.barriers[other].arrived, other,
                                block.barriers[other]
                                    .arrivals[0]
                                    .function->code[block.barriers[other].arrivals[0].pc]
                                    .line);
        }
      }
      report(w, in, Finding::Kind::kBarrier, std::countr_zero(arrival.mask), Space::kNone, 0,
             fmt::format(
                 "deadlock: {} threads wait at barrier {}, {} are needed{}", barrier.arrived, id,
                 barrier.counted ? barrier.expected : static_cast<std::uint32_t>(run.threads),
                 others));
      run.stop = true;
      return;
    }
  }
  Warp& w = *block.warps[0];
  report(w, run.launch.kernel->code->code[0], Finding::Kind::kDeadlock, 0, Space::kNone, 0,
         "nothing in the block can go on");
  run.stop = true;
}

}  // namespace hone::sim
