#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// cp.async: bytes arrive only when their group is waited for. mbarrier, as far as threads arrive
// and wait.
namespace hone::sim {
namespace {

constexpr std::uint32_t kHasSize = 1, kHasIgnore = 2;

// o: [to], [from], {bytes to read or predicate}; imm: offset of `to`, and of `from` in aux.
void copy(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access to;
  if (w.checked) {
    check_address(w, in, 0, mask);
    if ((in.aux2 & (kHasSize | kHasIgnore)) != 0 && (w.undefined[in.t[2]] & mask) != 0) {
      report_undefined(w, in, 2, w.undefined[in.t[2]] & mask, "is the size of a copy");
    }
  }
  gather_addresses(w, in, 0, to);
  if (!resolve(w, in, Space::kShared, mask, in.bytes, Use::kWrite, to)) return;

  PendingCopy pending;
  pending.mask = mask;
  pending.bytes = in.bytes;
  pending.function = w.function;
  pending.pc = w.pc;
  std::uint32_t reads = 0;
  const std::uint32_t ignore = (in.aux2 & kHasIgnore) != 0 ? w.predicate(in.o[2]) : 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    pending.to[i] = static_cast<std::uint32_t>(to.address[i]);
    std::uint32_t size = in.bytes;
    if ((in.aux2 & kHasSize) != 0) size = std::min(size, w.row<std::uint32_t>(in.o[2])[i]);
    if ((ignore >> i & 1) != 0) size = 0;
    pending.from_bytes[i] = size;
    pending.from[i] = nullptr;
    pending.written[i] = nullptr;
    if ((mask >> i & 1) != 0 && size != 0) reads |= 1u << i;
  }
  // Copies of nothing may carry wild addresses.
  if (reads != 0) {
    if (w.checked) check_address(w, in, 1, reads);
    Access from;
    const auto* base = w.row<std::uint64_t>(in.o[1]);
    for (std::size_t i = 0; i < kLanes; ++i)
      from.address[i] = base[i] + static_cast<std::uint64_t>(static_cast<std::int32_t>(in.aux));
    std::uint32_t rest = reads;
    while (rest != 0) {
      // Lanes that read fewer bytes than the others may stand at the very end of an allocation.
      const std::uint32_t size =
          pending.from_bytes[static_cast<std::size_t>(std::countr_zero(rest))];
      std::uint32_t lanes = 0;
      for (std::uint32_t k = rest; k != 0; k &= k - 1) {
        const auto lane = static_cast<std::size_t>(std::countr_zero(k));
        if (pending.from_bytes[lane] == size) lanes |= 1u << lane;
      }
      rest &= ~lanes;
      for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
        const auto lane = static_cast<std::size_t>(std::countr_zero(k));
        if (from.address[lane] % in.bytes != 0) {
          report(w, in, Finding::Kind::kMisaligned, static_cast<int>(lane), Space::kGlobal,
                 from.address[lane],
                 fmt::format("a copy of {} bytes from an address that isn't a multiple of it",
                             in.bytes));
          w.stop = true;
          return;
        }
      }
      if (!resolve_global_bytes(w, in, lanes, size, from)) return;
      note_access(w, in, from, Use::kRead);
      for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
        const auto lane = static_cast<std::size_t>(std::countr_zero(k));
        pending.from[lane] = from.data[lane];
        pending.written[lane] = from.written[lane];
      }
    }
  }
  count_shared(*w.run, to);
  if (w.checked) check_pending(w, in, to);
  if (w.races) w.block->shared_races->access(w, in, to, Use::kWrite);
  if (w.checked) {
    for (std::uint32_t k = mask; k != 0; k &= k - 1) {
      std::memset(
          w.block->shared_pending.get() + pending.to[static_cast<std::size_t>(std::countr_zero(k))],
          1, in.bytes);
    }
  }
  // Lanes that committed as often belong to one group.
  std::uint32_t rest = mask;
  while (rest != 0) {
    pending.group = w.committed[static_cast<std::size_t>(std::countr_zero(rest))];
    pending.mask = 0;
    for (std::uint32_t k = rest; k != 0; k &= k - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(k));
      if (w.committed[lane] == pending.group) pending.mask |= 1u << lane;
    }
    rest &= ~pending.mask;
    w.copies.push_back(pending);
  }
}

void commit(Warp& w, const Instruction&, std::uint32_t mask) {
  for (std::uint32_t k = mask; k != 0; k &= k - 1)
    ++w.committed[static_cast<std::size_t>(std::countr_zero(k))];
}
void wait(Warp& w, const Instruction& in, std::uint32_t mask) {
  complete_copies(w, mask, in.aux, in.aux2 != 0);
}

void finish_copy(Warp& w, PendingCopy& copy, std::uint32_t lanes) {
  Block& block = *w.block;
  for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(k));
    std::byte* to = block.shared.get() + copy.to[lane];
    const std::uint32_t size = copy.from_bytes[lane];
    if (size != 0) std::memcpy(to, copy.from[lane], size);
    std::memset(to + size, 0, copy.bytes - size);
    if (!w.checked) continue;
    std::uint8_t* written = block.shared_written.get() + copy.to[lane];
    std::memset(written, 1, copy.bytes);
    if (size != 0 && copy.written[lane] != nullptr) {
      for (std::uint32_t b = 0; b < size; ++b) written[b] = copy.written[lane][b] != 0 ? 1 : 0;
    }
    std::memset(block.shared_pending.get() + copy.to[lane], 0, copy.bytes);
    if (w.races)
      block.shared_races->arrived(w, static_cast<int>(lane), copy.to[lane], copy.bytes,
                                  instruction_id(*copy.function, copy.pc));
  }
  copy.mask &= ~lanes;
}

// mbarrier in 64 bits: arrivals that are missing (20 bits), arrivals of a phase (20 bits), phases
// that are over (20 bits).
constexpr std::uint64_t kCount = 0xfffff;
struct Phase {
  std::uint64_t missing, expected, phase;
};
Phase unpack_phase(std::uint64_t bits) {
  return {bits & kCount, bits >> 20 & kCount, bits >> 40 & kCount};
}
std::uint64_t pack_phase(const Phase& p) { return p.missing | p.expected << 20 | p.phase << 40; }

enum class Mbarrier : std::uint32_t { kInit, kInval, kArrive, kTest, kTestParity };
constexpr std::uint32_t kReturnsState = 1, kHasCount = 2;

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
    if (w.races) {
      w.block->shared_races->access(w, in, access,
                                    (in.aux & kOrderedAccess) != 0 ? Use::kAtomic : Use::kWrite);
    }
    for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      const auto l = static_cast<std::size_t>(lane);
      std::uint64_t bits = 0;
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
          p = {count, count, 0};
          break;
        }
        case Mbarrier::kInval:
          p = {0, 0, 0};
          break;
        case Mbarrier::kArrive: {
          const std::uint64_t count =
              (flags & kHasCount) != 0 ? w.row<std::uint32_t>(in.o[base + 1])[lane] : 1;
          if ((flags & kReturnsState) != 0) {
            w.row<std::uint64_t>(in.o[0])[lane] = bits;
            if (w.checked) w.undefined[in.t[0]] &= ~(1u << lane);
          }
          if (w.races) {
            w.block->mbarriers[access.address[l]].arriving.merge(w.block->clocks->release(w.index));
          }
          if (count > p.missing) {
            report(w, in, Finding::Kind::kBarrier, lane, Space::kShared, access.address[l],
                   fmt::format("an arrival of {} where {} are missing", count, p.missing));
            w.stop = true;
            return;
          }
          p.missing -= count;
          if (p.missing == 0) {
            p.missing = p.expected;
            p.phase = (p.phase + 1) & kCount;
            if (w.races) {
              // What is before a phase is before the next one.
              auto& state = w.block->mbarriers[access.address[l]];
              Snapshot& complete = state.complete[(p.phase - 1) & 1];
              complete = state.complete[p.phase & 1];
              complete.merge(state.arriving);
              state.arriving = {};
            }
            w.block->spins = 0;
          }
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
  const bool shared = s.take("shared") || s.take("shared::cta");
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
  if (s.take("arrive")) {
    if (s.has("expect_tx") || s.has("shared::cluster")) s.unsupported("transactions");
    s.take("noComplete");
    s.need(1, 3);
    std::size_t at = 0;
    std::uint32_t flags = 0;
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

}  // namespace

void complete_copies(Warp& w, std::uint32_t mask, std::uint32_t keep, bool all) {
  for (PendingCopy& copy : w.copies) {
    std::uint32_t lanes = 0;
    for (std::uint32_t k = copy.mask & mask; k != 0; k &= k - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(k));
      if (all || copy.group + keep < w.committed[lane]) lanes |= 1u << lane;
    }
    if (lanes != 0) finish_copy(w, copy, lanes);
  }
  std::erase_if(w.copies, [](const PendingCopy& copy) { return copy.mask == 0; });
}

void check_pending_copies(Warp& w, std::uint32_t mask) {
  for (PendingCopy& copy : w.copies) {
    const std::uint32_t lanes = copy.mask & mask;
    std::uint32_t real = 0;
    for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(k));
      if (copy.from_bytes[lane] != 0) real |= 1u << lane;
    }
    if (real != 0 && w.checked) {
      w.function = copy.function;
      const std::uint32_t pc = w.pc;
      w.pc = copy.pc;
      const auto lane = static_cast<std::size_t>(std::countr_zero(real));
      report(w, copy.function->code[copy.pc], Finding::Kind::kAsyncCopy, static_cast<int>(lane),
             Space::kShared, copy.to[lane],
             "the thread left with this cp.async still pending: no wait_group covers it");
      w.pc = pc;
    }
    copy.mask &= ~mask;
  }
  std::erase_if(w.copies, [](const PendingCopy& copy) { return copy.mask == 0; });
}

void check_pending(Warp& w, const Instruction& in, const Access& access) {
  const std::uint8_t* pending = w.block->shared_pending.get();
  for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(k));
    const std::uint8_t* at = pending + access.address[lane];
    std::uint8_t any = 0;
    for (std::uint32_t b = 0; b < access.bytes; ++b) any |= at[b];
    if (any == 0) continue;
    // Whose copy it is.
    for (const auto& other : w.block->warps) {
      for (const PendingCopy& copy : other->copies) {
        for (std::uint32_t j = copy.mask; j != 0; j &= j - 1) {
          const auto from = static_cast<std::size_t>(std::countr_zero(j));
          if (copy.to[from] >= access.address[lane] + access.bytes ||
              access.address[lane] >= copy.to[from] + copy.bytes)
            continue;
          const auto thread = thread_of(*other, static_cast<int>(from));
          report_pair(
              w, in, &copy.function->code[copy.pc], Finding::Kind::kAsyncCopy,
              static_cast<int>(lane), Space::kShared, access.address[lane],
              fmt::format(
                  "an access to bytes whose cp.async (of thread {},{},{}) nobody has waited for",
                  thread[0], thread[1], thread[2]));
          return;
        }
      }
    }
    return;
  }
}

bool select_async(Selector& s) {
  const std::string_view root = s.root();
  if (root == "mbarrier") return select_mbarrier(s);
  if (root == "createpolicy") {
    while (s.modifiers_left()) s.take(s.first_left());
    s.destination(0, Type{'b', 64});
    s.out.kind = Kind::kMove;
    s.out.run = [](Warp& w, const Instruction& in, std::uint32_t mask) {
      for (std::uint32_t k = mask; k != 0; k &= k - 1)
        w.row<std::uint64_t>(in.o[0])[std::countr_zero(k)] = 0;
    };
    return true;
  }
  if (root != "cp") return false;
  if (!s.take("async")) s.unsupported("this copy");
  s.out.kind = Kind::kOther;
  s.out.taint = Taint::kNever;
  if (s.take("commit_group")) {
    s.need(0, 0);
    s.out.run = &commit;
    return true;
  }
  if (s.take("wait_all")) {
    s.need(0, 0);
    s.out.aux2 = 1;
    s.out.run = &wait;
    return true;
  }
  if (s.take("wait_group")) {
    s.need(1, 1);
    s.out.aux =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(s.integer(s.operand(0)), 1u << 30));
    s.out.run = &wait;
    return true;
  }
  if (s.has("bulk") || s.has("mbarrier")) s.unsupported("this copy");
  const bool cached = s.take("ca");
  if (!cached && !s.take("cg")) s.fail(".ca or .cg is missing");
  if (!s.take("shared") && !s.take("shared::cta")) s.fail("copies go to shared memory");
  if (!s.take("global")) s.fail("copies come from global memory");
  bool hint = false;
  for (std::string_view word = s.take_prefix("L2::"); !word.empty(); word = s.take_prefix("L2::"))
    hint = hint || word == "L2::cache_hint";
  s.need(3, 5);
  const std::uint64_t bytes = s.integer(s.operand(2));
  if (bytes != 16 && (!cached || (bytes != 4 && bytes != 8)))
    s.fail("copies are of 4, 8 or 16 bytes, with .cg of 16");
  s.address(s.operand(0), Space::kShared);
  const std::uint64_t to_offset = s.out.imm;
  const bool narrow = s.out.narrow;
  s.address(s.operand(1), Space::kGlobal);
  if (s.out.narrow != narrow && s.places.back().width != 64) s.fail("a global address has 64 bits");
  s.out.narrow = narrow;
  s.out.aux = static_cast<std::uint32_t>(s.out.imm);
  s.out.imm = to_offset;
  s.out.aux2 = 0;
  const std::size_t extra = s.count() - 3 - (hint ? 1 : 0);
  if (extra > 1) s.fail("operands");
  if (extra == 1) {
    const Operand& operand = s.operand(3);
    const bool predicate = s.is_register(operand) && s.register_type(operand).kind == 'p';
    s.source(operand, predicate ? Type{'p', 1} : Type{'u', 32});
    s.out.aux2 = predicate ? kHasIgnore : kHasSize;
  }
  s.out.bytes = static_cast<std::uint8_t>(bytes);
  s.out.space = Space::kShared;
  s.out.kind = Kind::kAsync;
  s.out.run = &copy;
  return true;
}

}  // namespace hone::sim
