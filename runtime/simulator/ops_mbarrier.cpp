#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// mbarrier, and the copies that arrive at one: whole rows by cp.async.bulk, and a thread's
// cp.async. They arrive only when somebody looks at the mbarrier. Every block is a cluster of its
// own.
namespace hone::sim {
namespace {

// mbarrier in 64 bits: arrivals that are missing (20 bits), arrivals of a phase (20 bits), phases
// that are over (3 bits), bytes that are expected and not there (21 bits, signed).
constexpr std::uint64_t kCount = 0xfffff, kPhases = 7;
struct Phase {
  std::uint64_t missing, expected, phase;
  std::int64_t bytes;
};
Phase unpack_phase(std::uint64_t bits) {
  return {bits & kCount, bits >> 20 & kCount, bits >> 40 & kPhases,
          static_cast<std::int64_t>(bits) >> 43};
}
std::uint64_t pack_phase(const Phase& p) {
  return p.missing | p.expected << 20 | p.phase << 40 | static_cast<std::uint64_t>(p.bytes) << 43;
}

// A phase that lacks nothing is over.
void finish_phase(Block& block, std::uint64_t address, Phase& p) {
  if (p.missing != 0 || p.bytes != 0) return;
  p.missing = p.expected;
  p.phase = (p.phase + 1) & kPhases;
  if (block.run->races) {
    // What is before a phase is before the next one.
    auto& state = block.mbarriers[address];
    Snapshot& complete = state.complete[(p.phase - 1) & 1];
    complete = state.complete[p.phase & 1];
    complete.merge(state.arriving);
    state.arriving = {};
  }
  block.spins = 0;
}

// For the race detector: what the warp did comes before what is done after the phase.
void note_arrival(const Warp& w, std::uint64_t address) {
  w.block->mbarriers[address].arriving.merge(w.block->clocks->release(w.index));
}

void arrive(Block& block, const Transfer& transfer) {
  Warp& w = *block.warps[static_cast<std::size_t>(transfer.warp)];
  std::byte* at = block.shared.get() + transfer.barrier;
  if (transfer.bytes == 0) {
    complete_copies_before(w, 1u << transfer.lane, transfer.sequence);
  } else {
    std::memcpy(block.shared.get() + transfer.to, transfer.from, transfer.bytes);
    if (w.checked) {
      std::uint8_t* written = block.shared_written.get() + transfer.to;
      std::memset(written, 1, transfer.bytes);
      if (transfer.written != nullptr) std::memcpy(written, transfer.written, transfer.bytes);
      std::memset(block.shared_pending.get() + transfer.to, 0, transfer.bytes);
    }
    if (w.races)
      block.shared_races->arrived(w, transfer.lane, transfer.to, transfer.bytes,
                                  instruction_id(*transfer.function, transfer.pc));
  }
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, 8);
  Phase p = unpack_phase(bits);
  if (w.races) note_arrival(w, transfer.barrier);
  p.bytes -= transfer.bytes;
  if (transfer.bytes == 0 && p.missing != 0) --p.missing;
  finish_phase(block, transfer.barrier, p);
  bits = pack_phase(p);
  std::memcpy(at, &bits, 8);
}

template <class Which>
void settle(Block& block, Which which) {
  for (std::size_t i = 0; i < block.transfers.size();) {
    if (!which(block.transfers[i])) {
      ++i;
      continue;
    }
    const Transfer transfer = block.transfers[i];
    block.transfers.erase(block.transfers.begin() + static_cast<std::ptrdiff_t>(i));
    arrive(block, transfer);
  }
}

enum class Mbarrier : std::uint32_t {
  kInit,
  kInval,
  kArrive,
  kExpect,
  kComplete,
  kTest,
  kTestParity
};
constexpr std::uint32_t kReturnsState = 1, kHasCount = 2, kExpects = 4, kDrops = 8;

void mbarrier(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto op = static_cast<Mbarrier>(in.aux & 0xff);
  const std::uint32_t flags = in.aux2;
  const std::size_t base = in.destinations;
  ++w.block->spins;
  Access access;
  std::uint32_t rest = mask;
  while (rest != 0 && !w.stop) {
    gather_addresses(w, in, base, access);
    const std::uint32_t lanes = in.space == Space::kShared ? rest : same_window(access, rest);
    rest &= ~lanes;
    if (!resolve(w, in, in.space == Space::kShared ? Space::kShared : Space::kGeneric, lanes, 8,
                 Use::kAtomic, access))
      return;
    if (access.space != Space::kShared) {
      report(w, in, Finding::Kind::kOther, std::countr_zero(lanes), access.space,
             access.address[static_cast<std::size_t>(std::countr_zero(lanes))],
             "an mbarrier outside shared memory");
      w.stop = true;
      return;
    }
    // libcu++ has the last of the leaving lanes invalidate what the others only waited at.
    if (w.races && op != Mbarrier::kInval) {
      w.block->shared_races->access(w, in, access,
                                    (in.aux & kOrderedAccess) != 0 ? Use::kAtomic : Use::kWrite);
    }
    for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      const auto l = static_cast<std::size_t>(lane);
      std::uint64_t bits = 0;
      if (op == Mbarrier::kTest || op == Mbarrier::kTestParity)
        settle(*w.block, [&](const Transfer& t) { return t.barrier == access.address[l]; });
      std::memcpy(&bits, access.data[l], 8);
      Phase p = unpack_phase(bits);
      if (w.checked && access.written[l] != nullptr) {
        if (op != Mbarrier::kInit && *access.written[l] == 0) {
          report(w, in, Finding::Kind::kUninitialised, lane, Space::kShared, access.address[l],
                 "an mbarrier that nobody initialised");
        }
        std::memset(access.written[l], 1, 8);
      }
      switch (op) {
        case Mbarrier::kInit: {
          const std::uint64_t count = w.row<std::uint32_t>(in.o[base + 1])[lane] & kCount;
          p = {count, count, 0, 0};
          break;
        }
        case Mbarrier::kInval:
          p = {0, 0, 0, 0};
          break;
        case Mbarrier::kExpect:
          p.bytes += w.row<std::uint32_t>(in.o[base + 1])[lane];
          break;
        case Mbarrier::kComplete:
          p.bytes -= w.row<std::uint32_t>(in.o[base + 1])[lane];
          finish_phase(*w.block, access.address[l], p);
          break;
        case Mbarrier::kArrive: {
          const std::uint64_t given =
              (flags & kHasCount) != 0 ? w.row<std::uint32_t>(in.o[base + 1])[lane] : 1;
          const std::uint64_t count = (flags & kExpects) != 0 ? 1 : given;
          if ((flags & kExpects) != 0) p.bytes += static_cast<std::int64_t>(given);
          if ((flags & kDrops) != 0) p.expected -= std::min(count, p.expected);
          if ((flags & kReturnsState) != 0) {
            w.row<std::uint64_t>(in.o[0])[lane] = bits;
            if (w.checked) w.undefined[in.t[0]] &= ~(1u << lane);
          }
          if (w.races) note_arrival(w, access.address[l]);
          if (count > p.missing) {
            report(w, in, Finding::Kind::kBarrier, lane, Space::kShared, access.address[l],
                   fmt::format("an arrival of {} where {} are missing", count, p.missing));
            w.stop = true;
            return;
          }
          p.missing -= count;
          finish_phase(*w.block, access.address[l], p);
          break;
        }
        case Mbarrier::kTest:
        case Mbarrier::kTestParity: {
          const std::uint64_t waited =
              op == Mbarrier::kTest ? unpack_phase(w.row<std::uint64_t>(in.o[base + 1])[lane]).phase
                                    : (w.row<std::uint32_t>(in.o[base + 1])[lane] & 1);
          const bool done =
              op == Mbarrier::kTest ? waited != p.phase : (p.phase & 1) != (waited & 1);
          w.set_predicate(in.o[0], done ? kAllLanes : 0, 1u << lane);
          if (w.checked) w.undefined[in.t[0]] &= ~(1u << lane);
          if (done && w.races) {
            w.block->clocks->acquire(w.index, 1u << lane,
                                     w.block->mbarriers[access.address[l]].complete[waited & 1]);
          }
          break;
        }
      }
      bits = pack_phase(p);
      std::memcpy(access.data[l], &bits, 8);
    }
  }
}

bool select_mbarrier(Selector& s) {
  s.out.kind = Kind::kAtomic;
  s.out.taint = Taint::kHandler;
  const bool shared = s.take("shared") || s.take("shared::cta") || s.take("shared::cluster");
  const Space space = shared ? Space::kShared : Space::kGeneric;
  for (const std::string_view word : {"relaxed", "acquire", "release", "cta", "cluster"})
    s.take(word);
  const Type wide{'b', 64}, word{'b', 32};
  const auto finish = [&](Mbarrier op) {
    s.take("b64");
    s.out.bytes = 8;
    // What prepares an mbarrier is a plain write of it: others use it after a barrier.
    const bool plain = op == Mbarrier::kInit || op == Mbarrier::kInval;
    s.out.aux = static_cast<std::uint32_t>(op) | (plain ? 0 : kOrderedAccess);
    s.out.run = &mbarrier;
    return true;
  };
  if (s.take("init")) {
    s.need(2, 2);
    s.address(s.operand(0), space);
    s.source(1, word);
    return finish(Mbarrier::kInit);
  }
  if (s.take("inval")) {
    s.need(1, 1);
    s.address(s.operand(0), space);
    return finish(Mbarrier::kInval);
  }
  const bool drops = s.take("arrive_drop");
  if (drops || s.take("arrive")) {
    std::uint32_t flags = drops ? kDrops : 0;
    if (s.take("expect_tx")) flags |= kExpects;
    s.take("noComplete");
    s.need((flags & kExpects) != 0 ? 2 : 1, 3);
    std::size_t at = 0;
    if (s.operand(0).kind != Operand::Kind::kAddress) {
      s.destination(0, wide);
      flags |= kReturnsState;
      at = 1;
    }
    s.address(s.operand(at), space);
    if (s.count() > at + 1) {
      s.source(at + 1, word);
      flags |= kHasCount;
    }
    finish(Mbarrier::kArrive);
    s.out.aux2 = flags;
    return true;
  }
  const bool expects = s.take("expect_tx");
  if (expects || s.take("complete_tx")) {
    s.need(2, 2);
    s.address(s.operand(0), space);
    s.source(1, word);
    return finish(expects ? Mbarrier::kExpect : Mbarrier::kComplete);
  }
  if (s.take("test_wait") || s.take("try_wait")) {
    const bool parity = s.take("parity");
    s.need(3, 4);
    s.destination(0, Type{'p', 1});
    s.address(s.operand(1), space);
    s.source(2, parity ? word : wide);
    return finish(parity ? Mbarrier::kTestParity : Mbarrier::kTest);
  }
  s.unsupported("this mbarrier operation");
}

constexpr std::uint32_t kChunk = 16;
// In Instruction::aux2 of bulk copies: which addresses have 64 bits, and what isn't the mbarrier's.
constexpr std::uint32_t kWideTo = 1, kWideFrom = 2, kWideBarrier = 4;

std::uint64_t address_of(const Warp& w, const Instruction& in, std::size_t operand, bool wide,
                         std::uint64_t offset, int lane) {
  return lane_value(w, in, operand, wide, lane) +
         static_cast<std::uint64_t>(static_cast<std::int32_t>(offset));
}

// One thread's copy between global and shared memory: both ends, checked and noted in `direction`.
struct Ends {
  std::byte *global = nullptr, *shared = nullptr;
  std::uint8_t *global_written = nullptr, *shared_written = nullptr;
};
bool both_ends(Warp& w, const Instruction& in, int lane, std::uint64_t global, std::uint64_t shared,
               std::uint32_t bytes, bool to_shared, Ends& ends) {
  const auto refuse = [&](Finding::Kind kind, Space space, std::uint64_t address,
                          const std::string& text) {
    report(w, in, kind, lane, space, address, text);
    w.stop = true;
    return false;
  };
  if ((global | shared | bytes) % kChunk != 0) {
    return refuse(Finding::Kind::kMisaligned, Space::kGlobal, global,
                  fmt::format("a copy of {} bytes between {:#x} and shared {:#x}: not all are "
                              "multiples of 16",
                              bytes, global, shared));
  }
  if (shared > w.block->shared_bytes || w.block->shared_bytes - shared < bytes) {
    return refuse(
        Finding::Kind::kOutOfBounds, Space::kShared, shared,
        fmt::format("a copy of {} bytes out of bounds: {} bytes of shared memory are there", bytes,
                    w.block->shared_bytes));
  }
  Memory::Block* its = w.run->memory.block(global);
  if (its == nullptr || its->bytes - (global - its->start) < bytes) {
    return refuse(
        Finding::Kind::kOutOfBounds, Space::kGlobal, global,
        fmt::format("a copy of {} bytes out of bounds: {}", bytes,
                    w.run->memory.describe(its == nullptr ? global : its->start + its->bytes)));
  }
  ends.global = its->data + (global - its->start);
  ends.shared = w.block->shared.get() + shared;
  if (its->written != nullptr) ends.global_written = its->written + (global - its->start);
  if (w.checked) ends.shared_written = w.block->shared_written.get() + shared;
  for (std::uint32_t at = 0; at < bytes; at += kChunk * kLanes) {
    Access row;
    const std::uint32_t chunks = std::min<std::uint32_t>((bytes - at) / kChunk, kLanes);
    row.space = Space::kGlobal;
    row.bytes = kChunk;
    row.block = its;
    row.mask = chunks == kLanes ? kAllLanes : (1u << chunks) - 1;
    for (std::size_t i = 0; i < kLanes; ++i) row.address[i] = global + at + i * kChunk;
    count_global(*w.run, row, !to_shared);
  }
  if (!w.checked) return true;
  Access one;
  const auto l = static_cast<std::size_t>(lane);
  one.mask = 1u << lane;
  one.bytes = kChunk;
  for (std::uint32_t at = 0; at < bytes; at += kChunk) {
    one.space = Space::kShared;
    one.address[l] = shared + at;
    check_pending(w, in, one);
    if (!w.races) continue;
    w.block->shared_races->access(w, in, one, to_shared ? Use::kWrite : Use::kRead);
    one.space = Space::kGlobal;
    one.address[l] = global + at;
    one.block = its;
    one.data[l] = ends.global + at;
    w.run->global_races->access(w, in, one, to_shared ? Use::kRead : Use::kWrite);
  }
  return true;
}

// o: [to], [from], bytes, [mbarrier]
void bulk_in(Warp& w, const Instruction& in, std::uint32_t mask) {
  for (std::uint32_t rest = mask; rest != 0 && !w.stop; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::uint64_t to =
        address_of(w, in, 0, (in.aux2 & kWideTo) != 0, in.imm, lane) & 0xffffffffu;
    const std::uint64_t from = address_of(w, in, 1, (in.aux2 & kWideFrom) != 0, in.imm >> 32, lane);
    const std::uint64_t barrier =
        address_of(w, in, 3, (in.aux2 & kWideBarrier) != 0, in.aux, lane) & 0xffffffffu;
    const std::uint32_t bytes = w.row<std::uint32_t>(in.o[2])[lane];
    Ends ends;
    if (bytes == 0) continue;
    if (!both_ends(w, in, lane, from, to, bytes, true, ends)) return;
    if (barrier % 8 != 0 || barrier + 8 > w.block->shared_bytes) {
      report(w, in, Finding::Kind::kOutOfBounds, lane, Space::kShared, barrier, "no mbarrier");
      w.stop = true;
      return;
    }
    if (w.checked) std::memset(w.block->shared_pending.get() + to, 1, bytes);
    w.block->transfers.push_back({barrier, w.index, lane, w.function, w.pc,
                                  static_cast<std::uint32_t>(to), bytes, ends.global,
                                  ends.global_written, 0});
  }
}

// o: [to], [from], bytes. The bytes go at once: nobody can tell.
void bulk_out(Warp& w, const Instruction& in, std::uint32_t mask) {
  for (std::uint32_t rest = mask; rest != 0 && !w.stop; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::uint64_t to = address_of(w, in, 0, (in.aux2 & kWideTo) != 0, in.imm, lane);
    const std::uint64_t from =
        address_of(w, in, 1, (in.aux2 & kWideFrom) != 0, in.imm >> 32, lane) & 0xffffffffu;
    const std::uint32_t bytes = w.row<std::uint32_t>(in.o[2])[lane];
    Ends ends;
    if (bytes == 0) continue;
    if (!both_ends(w, in, lane, to, from, bytes, false, ends)) return;
    std::memcpy(ends.global, ends.shared, bytes);
    if (ends.global_written == nullptr) continue;
    if (ends.shared_written != nullptr) {
      std::memcpy(ends.global_written, ends.shared_written, bytes);
    } else {
      std::memset(ends.global_written, 1, bytes);
    }
  }
}

// The thread's cp.async so far arrive, once, when they are there.
void copies_arrive(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access access;
  gather_addresses(w, in, 0, access);
  if (!resolve(w, in, Space::kShared, mask, 8, Use::kAtomic, access)) return;
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const auto l = static_cast<std::size_t>(lane);
    if (in.aux == 0) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, access.data[l], 8);
      Phase p = unpack_phase(bits);
      ++p.missing;
      bits = pack_phase(p);
      std::memcpy(access.data[l], &bits, 8);
    }
    w.block->transfers.push_back({access.address[l], w.index, lane, w.function, w.pc, 0, 0, nullptr,
                                  nullptr, w.copy_sequence});
  }
}

bool select_bulk(Selector& s) {
  s.out.kind = Kind::kAsync;
  s.out.taint = Taint::kNever;
  if (s.take("commit_group")) return true;
  if (s.take("wait_group")) {
    s.take("read");
    return true;
  }
  if (s.has("tensor")) s.unsupported("copies of tensors");
  bool hint = false;
  if (s.take("prefetch")) {
    s.take("L2");
    s.take("global");
    s.take("L2::cache_hint");
    return true;
  }
  for (const std::string_view word : {"multicast::cluster", "cp_mask"})
    if (s.has(word)) s.unsupported("this copy");
  while (!s.take_prefix("L2::").empty()) hint = true;
  const bool in = s.has("shared::cluster") || s.has("mbarrier::complete_tx::bytes");
  if (!s.take("global")) s.unsupported("copies between blocks");
  if (!s.take("shared::cluster")) s.take("shared::cta");
  s.take(in ? "mbarrier::complete_tx::bytes" : "bulk_group");
  const std::size_t operands = (in ? 4 : 3) + (hint ? 1 : 0);
  s.need(operands, operands);
  std::uint32_t wide = 0;
  const auto address = [&](std::size_t i, Space space, std::uint32_t flag) {
    s.address(s.operand(i), space);
    if (s.places.back().width == 64) wide |= flag;
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(s.out.imm));
  };
  const std::uint64_t to = address(0, in ? Space::kShared : Space::kGlobal, kWideTo);
  const std::uint64_t from = address(1, in ? Space::kGlobal : Space::kShared, kWideFrom);
  s.source(2, Type{'u', 32});
  if (in) s.out.aux = static_cast<std::uint32_t>(address(3, Space::kShared, kWideBarrier));
  s.out.imm = to | from << 32;
  s.out.aux2 = wide;
  s.out.run = in ? &bulk_in : &bulk_out;
  return true;
}

bool select_copies_arrive(Selector& s) {
  s.take("mbarrier");
  if (!s.take("arrive")) s.fail(".arrive is missing");
  s.out.kind = Kind::kAsync;
  s.out.taint = Taint::kNever;
  s.out.aux = 0;
  const bool counted = s.take("noinc");
  if (!s.take("shared")) s.take("shared::cta");
  s.take("b64");
  s.need(1, 1);
  s.address(s.operand(0), Space::kShared);
  s.out.aux = counted ? 1 : 0;
  s.out.run = &copies_arrive;
  return true;
}

}  // namespace

void settle_arrivals(Warp& w, std::uint32_t mask) {
  settle(*w.block, [&](const Transfer& t) {
    return t.bytes == 0 && t.warp == w.index && (mask >> t.lane & 1) != 0;
  });
}

void check_transfers(Block& block) {
  for (const Transfer& transfer : block.transfers) {
    Warp& w = *block.warps[static_cast<std::size_t>(transfer.warp)];
    w.function = transfer.function;
    w.pc = transfer.pc;
    if (w.checked)
      report(w, transfer.function->code[transfer.pc], Finding::Kind::kAsyncCopy, transfer.lane,
             Space::kShared, transfer.to,
             "the block ended with this copy on its way: nobody waited at its mbarrier");
  }
  block.transfers.clear();
}

bool select_mbarriers(Selector& s) {
  if (s.root() == "mbarrier") return select_mbarrier(s);
  if (s.root() != "cp" || !(s.has("bulk") || s.has("mbarrier"))) return false;
  if (!s.take("async")) s.unsupported("this copy");
  return s.take("bulk") ? select_bulk(s) : select_copies_arrive(s);
}

}  // namespace hone::sim
