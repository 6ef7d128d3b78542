// bar and barrier: counts, named barriers, and threads that went another way.
#include <fmt/format.h>

#include <bit>

#include "runtime/simulator/races.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

std::uint32_t exited_threads(const Block& block) {
  std::uint32_t count = 0;
  for (const auto& w : block.warps) count += static_cast<std::uint32_t>(std::popcount(w->exited));
  return count;
}

std::uint32_t all_threads(const Block& block) {
  std::uint32_t count = 0;
  for (const auto& w : block.warps) count += static_cast<std::uint32_t>(std::popcount(w->present));
  return count;
}

void check_meeting(Block& block, const Barrier& barrier) {
  const Barrier::Arrival& first = barrier.arrivals.front();
  for (const Barrier::Arrival& arrival : barrier.arrivals) {
    const Barrier::Arrival *behind = nullptr, *ahead = nullptr;
    if (past(first.function, first.pc, arrival.function, arrival.pc)) {
      behind = &first;
      ahead = &arrival;
    } else if (past(arrival.function, arrival.pc, first.function, first.pc)) {
      behind = &arrival;
      ahead = &first;
    } else {
      continue;
    }
    if (!barrier.arrivals.front().waits || !arrival.waits) continue;
    Warp& w = *block.warps[static_cast<std::size_t>(behind->warp)];
    w.function = behind->function;
    w.pc = behind->pc;
    report(w, behind->function->code[behind->pc], Finding::Kind::kBarrier,
           std::countr_zero(behind->mask), Space::kNone, 0,
           fmt::format(
               "divergent barrier: warp {} passed it by and waits at the barrier of ptx line {}",
               ahead->warp, ahead->function->code[ahead->pc].line));
    return;
  }
}

void complete(Block& block, Barrier& barrier) {
  check_meeting(block, barrier);
  Run& run = *block.run;
  std::uint32_t sum = 0;
  bool all = true, any = false;
  for (const Barrier::Arrival& arrival : barrier.arrivals) {
    sum += static_cast<std::uint32_t>(std::popcount(arrival.predicate & arrival.mask));
    all = all && (arrival.predicate & arrival.mask) == arrival.mask;
    any = any || (arrival.predicate & arrival.mask) != 0;
  }
  if (run.races) {
    for (const Barrier::Arrival& to : barrier.arrivals) {
      if (!to.waits) continue;
      for (const Barrier::Arrival& from : barrier.arrivals)
        block.clocks->acquire(to.warp, to.mask, from.clocks);
      block.clocks->join_lanes(to.warp, to.mask, /*memory=*/true);
    }
  }
  for (const Barrier::Arrival& arrival : barrier.arrivals) {
    if (!arrival.waits) continue;
    Warp& w = *block.warps[static_cast<std::size_t>(arrival.warp)];
    for (Fragment& f : w.fragments) {
      if (f.state != Fragment::State::kBarrier || f.function != arrival.function ||
          f.pc != arrival.pc || f.mask != arrival.mask)
        continue;
      const Instruction& in = arrival.function->code[arrival.pc];
      if ((in.aux & kBarrierReduces) != 0) {
        Region& region = region_of(w, *arrival.function);
        if ((in.aux & kBarrierPopc) != 0) {
          std::uint32_t* row = region.rows + static_cast<std::size_t>(in.o[0]) * kLanes;
          for (std::size_t i = 0; i < kLanes; ++i) {
            if ((f.mask >> i & 1) != 0) row[i] = sum;
          }
        } else {
          const bool value = (in.aux & kBarrierAnd) != 0 ? all : any;
          region.predicates[in.o[0]] =
              (region.predicates[in.o[0]] & ~f.mask) | (value ? f.mask : 0);
        }
        region.undefined[in.t[0]] &= ~f.mask;
      }
      f.state = Fragment::State::kReady;
      f.pc += 1;
      break;
    }
  }
  barrier = {};
}

}  // namespace

bool past(const Function* from_function, std::uint32_t from, const Function* at_function,
          std::uint32_t at) {
  return from_function == at_function && from_function != nullptr &&
         from_function->reaches(from, at) && !from_function->reaches(at, from);
}

void arrive(Warp& w, Fragment& fragment, const Instruction& in, std::uint32_t mask) {
  Block& block = *w.block;
  const int lane = std::countr_zero(mask);
  const std::size_t first = in.destinations;
  const std::uint32_t id = w.row<std::uint32_t>(in.o[first])[lane];
  if (id >= block.barriers.size()) {
    report(w, in, Finding::Kind::kBarrier, lane, Space::kNone, 0,
           fmt::format("barrier {}: there are 16", id));
    w.stop = true;
    return;
  }
  Barrier& barrier = block.barriers[id];
  const bool counted = (in.aux & kBarrierCounted) != 0, aligned = (in.aux & kBarrierAligned) != 0;
  const std::uint32_t count = counted ? w.row<std::uint32_t>(in.o[first + 1])[lane] : 0;
  if (counted && (count == 0 || count % kLanes != 0)) {
    report(w, in, Finding::Kind::kBarrier, lane, Space::kNone, 0,
           fmt::format("a barrier of {} threads: it must be a multiple of 32", count));
    w.stop = true;
    return;
  }
  if (barrier.arrived != 0 && counted && barrier.counted && barrier.expected != count) {
    report(w, in, Finding::Kind::kBarrier, lane, Space::kNone, 0,
           fmt::format("barrier {} is used with {} and with {} threads at once", id,
                       barrier.expected, count));
    w.stop = true;
    return;
  }
  Barrier::Arrival arrival;
  arrival.warp = w.index;
  arrival.mask = mask;
  arrival.function = fragment.function;
  arrival.pc = fragment.pc;
  arrival.waits = (in.aux & kBarrierArrive) == 0;
  if ((in.aux & kBarrierReduces) != 0)
    arrival.predicate = w.predicate(in.o[first + (counted ? 2 : 1)]);
  if (w.races) arrival.clocks = block.clocks->release(w.index);
  barrier.arrivals.push_back(std::move(arrival));
  barrier.arrived += counted && aligned ? kLanes : static_cast<std::uint32_t>(std::popcount(mask));
  barrier.counted = barrier.counted || counted;
  if (counted) barrier.expected = count;
  if ((in.aux & kBarrierArrive) == 0) {
    fragment.state = Fragment::State::kBarrier;
  } else {
    fragment.pc += 1;
  }
  settle_barriers(block);
}

void settle_barriers(Block& block) {
  for (Barrier& barrier : block.barriers) {
    if (barrier.arrived == 0) continue;
    const bool full = barrier.counted
                          ? barrier.arrived >= barrier.expected
                          : barrier.arrived + exited_threads(block) >= all_threads(block);
    if (full) complete(block, barrier);
  }
}

void check_left_behind(Warp& w, const Fragment& fragment, std::uint32_t mask) {
  if (!w.checked || fragment.effect_function == nullptr) return;
  const auto complain = [&](Warp& waiting, const Fragment& f, Finding::Kind kind) {
    waiting.function = f.function;
    const std::uint32_t pc = waiting.pc;
    waiting.pc = f.pc;
    report(waiting, f.function->code[f.pc], kind, std::countr_zero(f.mask), Space::kNone, 0,
           fmt::format("lanes {:#010x} of warp {} passed this by and left; their last doing was at "
                       "ptx line {}",
                       mask, w.index, fragment.effect_function->code[fragment.effect_pc].line));
    waiting.pc = pc;
  };
  for (const Fragment& f : w.fragments) {
    if (&f == &fragment || f.state != Fragment::State::kMembers) continue;
    if (!past(f.function, f.pc, fragment.effect_function, fragment.effect_pc)) continue;
    const Instruction& in = f.function->code[f.pc];
    if (in.flow == Flow::kMembers) {
      const auto* wanted =
          region_of(w, *f.function).rows +
          static_cast<std::size_t>(in.o[in.destinations + in.sources - 1]) * kLanes;
      if ((wanted[std::countr_zero(f.mask)] & mask) == 0) continue;
    }
    complain(w, f, in.flow == Flow::kBarrier ? Finding::Kind::kBarrier : Finding::Kind::kMask);
  }
  for (auto& other : w.block->warps) {
    for (const Fragment& f : other->fragments) {
      if (f.state != Fragment::State::kBarrier || f.function->code[f.pc].aux & kBarrierCounted)
        continue;
      if (other.get() == &w && &f == &fragment) continue;
      if (past(f.function, f.pc, fragment.effect_function, fragment.effect_pc))
        complain(*other, f, Finding::Kind::kBarrier);
    }
  }
}

}  // namespace hone::sim
