// Which lanes run next. Lanes at the same place form a fragment; the one that is deepest in calls
// and lowest in the text runs first, so that lanes meet again where their paths do.
#include <algorithm>
#include <bit>

#include "runtime/simulator/races.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

// Warp instructions that a fragment runs before another gets its turn.
constexpr std::uint64_t kSlice = 4096, kShortSlice = 64;
// Ordered accesses in a row after which a block is taken to wait for another.
constexpr std::uint32_t kSpins = 2048;

bool has_effect(Kind kind) {
  switch (kind) {
    case Kind::kLoad:
    case Kind::kStore:
    case Kind::kAtomic:
    case Kind::kAsync:
    case Kind::kMatrix:
    case Kind::kMatrixLoad:
    case Kind::kShuffle:
    case Kind::kWarpSync:
    case Kind::kBarrier:
      return true;
    default:
      return false;
  }
}

bool same_place(const Fragment& a, const Fragment& b) {
  return a.function == b.function && a.pc == b.pc && a.stack == b.stack;
}

// Lanes that wait at the same place already go on together with these; otherwise these wait.
void wait_for_members(Warp& w, std::size_t index) {
  Fragment& own = w.fragments[index];
  for (Fragment& other : w.fragments) {
    if (&other == &own || other.state != Fragment::State::kMembers || !same_place(other, own))
      continue;
    other.mask |= own.mask;
    other.state = Fragment::State::kReady;
    w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(index));
    return;
  }
  own.state = Fragment::State::kMembers;
}

void merge_taint(Warp& w, const Instruction& in, std::uint32_t mask, std::uint32_t guard_lanes) {
  std::uint32_t undefined = guard_lanes & mask, origin = 0;
  const std::uint32_t count = std::uint32_t{in.destinations} + in.sources;
  for (std::uint32_t k = in.destinations; k < count; ++k) {
    const std::uint32_t lanes = w.undefined[in.t[k]] & mask;
    if (lanes != 0) origin = w.origin[in.t[k]];
    undefined |= lanes;
  }
  for (std::uint32_t k = 0; k < in.destinations; ++k) {
    std::uint32_t& to = w.undefined[in.t[k]];
    to = (to & ~mask) | undefined;
    if (undefined != 0) w.origin[in.t[k]] = origin;
  }
}

void bind(Warp& w, const Function& function) {
  Region& region = region_of(w, function);
  w.rows = region.rows;
  w.predicates = region.predicates;
  w.undefined = region.undefined;
  w.origin = region.origin;
  w.function = &function;
}

// The fragment to run; -1: all wait. Ready fragments at the same place become one.
int choose(Warp& w) {
  auto& list = w.fragments;
  bool any_fresh = false;
  for (const Fragment& f : list) any_fresh |= f.state == Fragment::State::kReady && !f.yielded;
  int best = -1;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Fragment& f = list[i];
    if (f.state != Fragment::State::kReady) continue;
    if (!any_fresh) f.yielded = false;
    if (f.yielded) continue;
    if (best < 0) {
      best = static_cast<int>(i);
      continue;
    }
    const Fragment& b = list[static_cast<std::size_t>(best)];
    if (f.stack.size() != b.stack.size() ? f.stack.size() > b.stack.size() : f.pc < b.pc)
      best = static_cast<int>(i);
  }
  if (best < 0 || list.size() == 1) return best;
  for (std::size_t i = list.size(); i-- > 0;) {
    if (static_cast<int>(i) == best || list[i].state != Fragment::State::kReady) continue;
    if (!same_place(list[i], list[static_cast<std::size_t>(best)])) continue;
    list[static_cast<std::size_t>(best)].mask |= list[i].mask;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    if (static_cast<int>(i) < best) --best;
  }
  return best;
}

std::uint32_t meeting_point(const Warp& w, std::size_t chosen) {
  const Fragment& f = w.fragments[chosen];
  std::uint32_t stop = ~0u;
  for (std::size_t i = 0; i < w.fragments.size(); ++i) {
    const Fragment& other = w.fragments[i];
    if (i == chosen || other.state != Fragment::State::kReady || other.yielded ||
        other.function != f.function || other.stack.size() != f.stack.size())
      continue;
    if (other.pc > f.pc) stop = std::min(stop, other.pc);
  }
  return stop;
}

void remove_lanes(Warp& w, std::size_t index, std::uint32_t lanes) {
  Fragment& f = w.fragments[index];
  f.mask &= ~lanes;
  if (f.mask == 0) w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(index));
}

void leave(Warp& w, std::size_t index, std::uint32_t lanes) {
  check_pending_copies(w, lanes);
  check_products(w);
  check_left_behind(w, w.fragments[index], lanes);
  w.exited |= lanes;
  Fragment& f = w.fragments[index];
  f.pc += 1;  // of those that stay
  remove_lanes(w, index, lanes);
  for (Fragment& other : w.fragments) {
    if (other.state == Fragment::State::kMembers) other.state = Fragment::State::kReady;
  }
  settle_barriers(*w.block);
}

// Lanes that an instruction with members waits for.
std::uint32_t members(Warp& w, const Instruction& in, std::uint32_t mask) {
  if (in.flow == Flow::kAligned) return w.present & ~w.exited;
  const auto* wanted = w.row<std::uint32_t>(in.o[in.destinations + in.sources - 1]);
  std::uint32_t all = 0;
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    all |= wanted[lane];
    if ((wanted[lane] >> lane & 1) == 0) {
      report(w, in, Finding::Kind::kMask, lane, Space::kNone, 0,
             "a lane calls with a mask that doesn't name itself");
      return mask;
    }
  }
  return all & w.present & ~w.exited;
}

// Lanes with the same mask met.
void join_members(Warp& w, const Instruction& in, std::uint32_t mask, std::uint32_t needed) {
  const bool memory = in.kind == Kind::kWarpSync;
  if (in.flow == Flow::kAligned) {
    w.block->clocks->join_lanes(w.index, needed | mask, memory);
    return;
  }
  const auto* wanted = w.row<std::uint32_t>(in.o[in.destinations + in.sources - 1]);
  for (std::uint32_t rest = mask; rest != 0;) {
    const std::uint32_t all = wanted[std::countr_zero(rest)];
    std::uint32_t same = 0;
    for (std::uint32_t k = rest; k != 0; k &= k - 1) {
      if (wanted[std::countr_zero(k)] == all) same |= k & -k;
    }
    rest &= ~same;
    w.block->clocks->join_lanes(w.index, (all & needed) | same, memory);
  }
}

// Whether lanes that stand at other __syncwarp's complete this one.
bool meet_elsewhere(Warp& w, std::size_t index, std::uint32_t needed, const Instruction& in,
                    std::uint32_t mask) {
  if (!in.meets_anywhere) return false;
  std::uint32_t there = mask;
  for (std::size_t i = 0; i < w.fragments.size(); ++i) {
    const Fragment& f = w.fragments[i];
    if (i == index || f.state != Fragment::State::kMembers) continue;
    if (f.function->code[f.pc].run == in.run) there |= f.mask;
  }
  if ((needed & ~there) != 0) return false;
  for (std::size_t i = 0; i < w.fragments.size(); ++i) {
    Fragment& f = w.fragments[i];
    if (i == index || f.state != Fragment::State::kMembers || f.function->code[f.pc].run != in.run)
      continue;
    if ((f.mask & needed) == 0) continue;
    f.state = Fragment::State::kReady;
    f.pc += 1;
  }
  return true;
}

void split_off(Warp& w, std::size_t index, std::uint32_t lanes, std::uint32_t pc) {
  Fragment other = w.fragments[index];
  other.mask = lanes;
  other.pc = pc;
  w.fragments[index].mask &= ~lanes;
  w.fragments.push_back(std::move(other));
}

void enter(Warp& w, std::size_t index, const Function& callee, std::uint32_t call,
           std::uint32_t mask) {
  Fragment& f = w.fragments[index];
  ReturnPoint point{f.function, f.pc + 1, call, {}, {}};
  const bool recursive = f.function == &callee ||
                         std::any_of(f.stack.begin(), f.stack.end(),
                                     [&](const ReturnPoint& p) { return p.function == &callee; });
  const Function::CallSite& site = f.function->calls[call];
  // Arguments are taken before a recursive call's frame is saved: they may lie in it.
  std::vector<std::byte> arguments;
  const std::size_t stride = w.run->body.local_bytes;
  const auto each = [&](auto visit) {
    for (std::size_t k = 0; k < site.arguments.size() && k < callee.parameters.size(); ++k) {
      const std::uint32_t bytes = std::min(site.arguments[k].bytes, callee.parameters[k].bytes);
      for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
        visit(static_cast<std::size_t>(std::countr_zero(rest)), k, bytes);
    }
  };
  std::vector<std::uint8_t> marks;
  each([&](std::size_t lane, std::size_t k, std::uint32_t bytes) {
    const std::size_t from = lane * stride + site.arguments[k].offset;
    arguments.insert(arguments.end(), w.local + from, w.local + from + bytes);
    if (w.local_written != nullptr)
      marks.insert(marks.end(), w.local_written + from, w.local_written + from + bytes);
  });
  Region& region = region_of(w, callee);
  if (recursive) {
    point.saved.assign(region.rows, region.rows + static_cast<std::size_t>(callee.rows) * kLanes);
    point.saved.insert(point.saved.end(), region.predicates, region.predicates + callee.predicates);
    point.saved.insert(point.saved.end(), region.undefined,
                       region.undefined + callee.rows + callee.predicates);
    point.saved_frame.resize(static_cast<std::size_t>(callee.frame_bytes) * kLanes);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::memcpy(point.saved_frame.data() + lane * callee.frame_bytes,
                  w.local + lane * stride + callee.frame_offset, callee.frame_bytes);
    }
  }
  if (w.local_written != nullptr) {
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
      std::memset(w.local_written + lane * stride + callee.frame_offset, 0, callee.frame_bytes);
    }
    for (std::uint32_t k = 0; k < callee.rows + callee.predicates; ++k) {
      if (k >= callee.first_register_row && k != callee.rows && k != callee.rows + 1) {
        region.undefined[k] |= mask;
        region.origin[k] = 0;
      }
    }
  }
  std::size_t at = 0;
  each([&](std::size_t lane, std::size_t k, std::uint32_t bytes) {
    const std::size_t to = lane * stride + callee.parameters[k].offset;
    std::memcpy(w.local + to, arguments.data() + at, bytes);
    if (w.local_written != nullptr) std::memcpy(w.local_written + to, marks.data() + at, bytes);
    at += bytes;
  });
  f.stack.push_back(std::move(point));
  f.function = &callee;
  f.pc = 0;
}

void return_from(Warp& w, std::size_t index) {
  Fragment& f = w.fragments[index];
  const Function& callee = *f.function;
  ReturnPoint point = std::move(f.stack.back());
  f.stack.pop_back();
  const Function::CallSite& site = point.function->calls[point.call];
  const std::size_t stride = w.run->body.local_bytes;
  std::vector<std::byte> results;
  std::vector<std::uint8_t> marks;
  const auto each = [&](auto visit) {
    for (std::size_t k = 0; k < site.results.size() && k < callee.results.size(); ++k) {
      const std::uint32_t bytes = std::min(site.results[k].bytes, callee.results[k].bytes);
      for (std::uint32_t rest = f.mask; rest != 0; rest &= rest - 1)
        visit(static_cast<std::size_t>(std::countr_zero(rest)), k, bytes);
    }
  };
  each([&](std::size_t lane, std::size_t k, std::uint32_t bytes) {
    const std::size_t from = lane * stride + callee.results[k].offset;
    results.insert(results.end(), w.local + from, w.local + from + bytes);
    if (w.local_written != nullptr)
      marks.insert(marks.end(), w.local_written + from, w.local_written + from + bytes);
  });
  if (!point.saved.empty()) {
    Region& region = region_of(w, callee);
    const std::size_t rows = static_cast<std::size_t>(callee.rows) * kLanes;
    for (std::size_t r = callee.first_register_row; r < callee.rows; ++r) {
      const bool wide = callee.wide_rows[r];
      const std::size_t words = wide ? 2 : 1;
      for (std::uint32_t rest = f.mask; rest != 0; rest &= rest - 1) {
        const std::size_t at =
            r * kLanes + static_cast<std::size_t>(std::countr_zero(rest)) * words;
        for (std::size_t k = 0; k < words; ++k) region.rows[at + k] = point.saved[at + k];
      }
      if (wide) ++r;
    }
    for (std::size_t i = 0; i < callee.predicates; ++i) {
      region.predicates[i] = (region.predicates[i] & ~f.mask) | (point.saved[rows + i] & f.mask);
    }
    for (std::size_t i = 0; i < callee.rows + callee.predicates; ++i) {
      std::uint32_t& lanes = region.undefined[i];
      lanes = (lanes & ~f.mask) | (point.saved[rows + callee.predicates + i] & f.mask);
    }
    for (std::uint32_t rest = f.mask; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
      std::memcpy(w.local + lane * stride + callee.frame_offset,
                  point.saved_frame.data() + lane * callee.frame_bytes, callee.frame_bytes);
    }
  }
  std::size_t at = 0;
  each([&](std::size_t lane, std::size_t k, std::uint32_t bytes) {
    const std::size_t to = lane * stride + site.results[k].offset;
    std::memcpy(w.local + to, results.data() + at, bytes);
    if (w.local_written != nullptr) std::memcpy(w.local_written + to, marks.data() + at, bytes);
    at += bytes;
  });
  f.function = point.function;
  f.pc = point.pc;
}

// Runs one fragment until it waits, ends, diverges, meets another or has had its slice.
// `Checked`: uninitialised values are followed.
template <bool Checked>
void run_fragment(Warp& w, std::size_t index, std::uint64_t slice) {
  Run& run = *w.run;
  Fragment* f = &w.fragments[index];
  bind(w, *f->function);
  FunctionCounts* counts = &run.counts[static_cast<std::size_t>(f->function->index)];
  const Instruction* code = f->function->code.data();
  std::uint32_t stop = meeting_point(w, index);
  std::uint32_t pc = f->pc;
  const std::uint32_t mask = f->mask;
  std::uint64_t left = slice;
  const auto finish = [&] {
    run.executed += slice - left;
    w.fragments[index].pc = pc;
  };
  for (;;) {
    if (pc >= stop || left == 0) {
      finish();
      if (left == 0) w.fragments[index].yielded = w.fragments.size() > 1;
      return;
    }
    --left;
    const Instruction& in = code[pc];
    w.pc = pc;
    const std::uint32_t m = mask & w.predicate(in.guard);
    std::uint32_t guard_lanes = 0;
    if constexpr (Checked) {
      guard_lanes = in.guard < 2 ? 0 : w.undefined[f->function->rows + (in.guard >> 1)] & mask;
      if (guard_lanes != 0 && in.flow != Flow::kNext) {
        report_undefined_guard(w, in, guard_lanes);
        guard_lanes = 0;
      }
    }
    counts->warps[pc] += m != 0;
    counts->threads[pc] += static_cast<std::uint32_t>(std::popcount(m));
    if (has_effect(in.kind)) {
      f->effect_function = f->function;
      f->effect_pc = pc;
    }
    switch (in.flow) {
      case Flow::kNext:
        if (m != 0 && in.run != nullptr) {
          in.run(w, in, m);
          if constexpr (Checked) {
            if (in.taint == Taint::kMerge) {
              merge_taint(w, in, guard_lanes != 0 ? mask : m, guard_lanes);
            } else if (guard_lanes != 0) {
              report_undefined_guard(w, in, guard_lanes);
            }
          }
          if (w.stop) {
            finish();
            return;
          }
        }
        ++pc;
        break;
      case Flow::kYield:
        if (m != 0 && in.run != nullptr) in.run(w, in, m);
        ++pc;
        finish();
        w.fragments[index].yielded = true;
        w.block->spins += 64;
        return;
      case Flow::kTrap:
        if (m == 0) {
          ++pc;
          break;
        }
        finish();
        report(w, in, Finding::Kind::kTrap, std::countr_zero(m), Space::kNone, 0,
               "the kernel executed trap");
        w.stop = true;
        return;
      case Flow::kBranch: {
        if (m != 0 && m != mask) {
          ++counts->divergent[pc];
          finish();
          split_off(w, index, m, in.target);
          w.fragments[index].pc = pc + 1;
          return;
        }
        pc = m != 0 ? in.target : pc + 1;
        break;
      }
      case Flow::kTable: {
        const auto& targets = f->function->tables[in.aux];
        const auto* which = w.row<std::uint32_t>(in.o[0]);
        finish();
        std::uint32_t rest = m;
        const std::uint32_t stay = mask & ~m;
        bool first = stay == 0;
        if (!first) {
          split_off(w, index, m, pc);
          w.fragments[index].pc = pc + 1;
          index = w.fragments.size() - 1;
          first = true;
        }
        if (m == 0) return;
        std::uint32_t groups = 0;
        while (rest != 0) {
          const int lane = std::countr_zero(rest);
          std::uint32_t same = 0;
          for (std::uint32_t k = rest; k != 0; k &= k - 1) {
            const int other = std::countr_zero(k);
            if (which[other] == which[lane]) same |= 1u << other;
          }
          if (which[lane] >= targets.size()) {
            report(w, in, Finding::Kind::kOther, lane, Space::kNone, which[lane],
                   "a branch beyond its table");
            w.stop = true;
            return;
          }
          rest &= ~same;
          if (rest == 0) {
            w.fragments[index].pc = targets[which[lane]];
          } else {
            split_off(w, index, same, targets[which[lane]]);
          }
          ++groups;
        }
        if (groups > 1) ++run.counts[static_cast<std::size_t>(w.function->index)].divergent[pc];
        return;
      }
      case Flow::kCall:
      case Flow::kCallAddress: {
        finish();
        if (m == 0) {
          w.fragments[index].pc = pc + 1;
          return;
        }
        const Function::CallSite& site = f->function->calls[in.aux];
        std::uint32_t lanes = m;
        int callee = site.function;
        if (in.flow == Flow::kCallAddress) {
          const auto* address = w.row<std::uint64_t>(in.o[0]);
          const int lane = std::countr_zero(m);
          const std::uint64_t number = (address[lane] & ~kWindowMask) >> 4;
          if ((address[lane] & kWindowMask) != kCodeWindow || number >= run.body.functions.size()) {
            report(w, in, Finding::Kind::kOther, lane, Space::kNone, address[lane],
                   "a call through something that is no function");
            w.stop = true;
            return;
          }
          callee = static_cast<int>(number);
          for (std::uint32_t rest = m; rest != 0; rest &= rest - 1) {
            const int other = std::countr_zero(rest);
            if (address[other] != address[lane]) lanes &= ~(1u << other);
          }
        }
        if ((mask & ~lanes) != 0) {
          // Lanes of the guard go on; those that call something else call it next.
          const std::uint32_t others = m & ~lanes, skipped = mask & ~m;
          if (others != 0) split_off(w, index, others, pc);
          if (skipped != 0) split_off(w, index, skipped, pc + 1);
        }
        const Function& target = *run.body.functions[static_cast<std::size_t>(callee)];
        if (target.code.empty()) {
          if (!call_builtin(w, in, target.name, site, lanes)) {
            report(w, in, Finding::Kind::kOther, std::countr_zero(lanes), Space::kNone, 0,
                   target.unsupported.empty() ? "a call of '" + target.name + "', which has no body"
                                              : target.unsupported);
            w.stop = true;
          }
          w.fragments[index].pc = pc + 1;
          return;
        }
        if (w.fragments[index].stack.size() >= 256) {
          report(w, in, Finding::Kind::kOther, std::countr_zero(lanes), Space::kNone, 0,
                 "calls are nested more than 256 deep");
          w.stop = true;
          return;
        }
        enter(w, index, target, in.aux, lanes);
        return;
      }
      case Flow::kReturn:
        if (!f->stack.empty()) {
          if (m == 0) {
            ++pc;
            break;
          }
          finish();
          if (m != mask) {
            split_off(w, index, mask & ~m, pc + 1);
          }
          return_from(w, index);
          return;
        }
        [[fallthrough]];
      case Flow::kExit:
        if (m == 0) {
          ++pc;
          break;
        }
        finish();
        w.block->spins = 0;
        ++run.progress;
        leave(w, index, m);
        return;
      case Flow::kMembers:
      case Flow::kAligned: {
        if (m == 0) {
          ++pc;
          break;
        }
        if (m == mask) {
          if (in.flow == Flow::kAligned && m != kAllLanes && (w.present & ~w.exited) == m) {
            report(w, in, Finding::Kind::kMask, std::countr_zero(m), Space::kNone, 0,
                   "a matrix instruction in a warp of fewer than 32 threads");
            w.stop = true;
          }
          const std::uint32_t needed = members(w, in, m);
          if (w.stop) {
            finish();
            return;
          }
          if ((needed & ~m) == 0 || meet_elsewhere(w, index, needed, in, m)) {
            if (in.run != nullptr) in.run(w, in, m);
            if (w.races) join_members(w, in, m, needed);
            if constexpr (Checked) {
              if (in.taint == Taint::kMerge) merge_taint(w, in, m, 0);
            }
            if (w.stop) {
              finish();
              return;
            }
            ++pc;
            if (w.fragments.size() > 1) {
              finish();
              return;
            }
            break;
          }
        }
        finish();
        if (m != mask) {
          split_off(w, index, mask & ~m, pc + 1);
          return;
        }
        wait_for_members(w, index);
        return;
      }
      case Flow::kBarrier: {
        if (m == 0) {
          ++pc;
          break;
        }
        finish();
        if (m != mask) {
          split_off(w, index, mask & ~m, pc + 1);
          return;
        }
        if ((in.aux & kBarrierAligned) != 0 && ((w.present & ~w.exited) & ~m) != 0) {
          wait_for_members(w, index);
          return;
        }
        w.block->spins = 0;
        ++run.progress;
        arrive(w, w.fragments[index], in, m);
        return;
      }
    }
  }
}

}  // namespace

Progress run_block(Run& run, Block& block, std::uint64_t budget) {
  const std::uint64_t end = run.executed + budget;
  std::vector<Warp*> ready;
  const bool shuffled = run.options.seed != 0;
  while (!run.stop) {
    ready.clear();
    for (auto& w : block.warps) {
      if (std::any_of(w->fragments.begin(), w->fragments.end(),
                      [](const Fragment& f) { return f.state == Fragment::State::kReady; })) {
        ready.push_back(w.get());
      }
    }
    if (ready.empty()) return finished(block) ? Progress::kFinished : Progress::kStalled;
    Warp& w = *ready[shuffled ? run.random() % ready.size() : block.turn++ % ready.size()];
    // Most turns last until the warp waits; some are short, so that warps meet in the middle of
    // things.
    const std::uint64_t slice =
        shuffled && run.random() % 4 == 0 ? 1 + run.random() % kShortSlice : kSlice;
    const std::uint64_t until = run.executed + slice;
    while (run.executed < until && !w.stop) {
      const int chosen = choose(w);
      if (chosen < 0) break;
      const std::uint64_t before = run.executed;
      if (w.checked) {
        run_fragment<true>(w, static_cast<std::size_t>(chosen), until - run.executed);
      } else {
        run_fragment<false>(w, static_cast<std::size_t>(chosen), until - run.executed);
      }
      if (run.executed == before && !w.stop && w.fragments.size() <= 1) break;
      if (block.spins > kSpins) break;
    }
    if (w.stop) {
      run.stop = true;
      break;
    }
    if (block.spins > kSpins) {
      block.spins = 0;
      return Progress::kSpins;
    }
    if (run.executed >= end) return Progress::kBudget;
  }
  return Progress::kFinished;
}

}  // namespace hone::sim
