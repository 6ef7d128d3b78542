#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// cp.async: bytes arrive only when their group is waited for.
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
  pending.sequence = w.copy_sequence++;
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

void complete_copies_before(Warp& w, std::uint32_t mask, std::uint64_t sequence) {
  for (PendingCopy& copy : w.copies) {
    if (copy.sequence < sequence && (copy.mask & mask) != 0) finish_copy(w, copy, copy.mask & mask);
  }
  std::erase_if(w.copies, [](const PendingCopy& copy) { return copy.mask == 0; });
}

void check_pending_copies(Warp& w, std::uint32_t mask) {
  settle_arrivals(w, mask);
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
    for (const Transfer& transfer : w.block->transfers) {
      if (transfer.to >= access.address[lane] + access.bytes ||
          access.address[lane] >= transfer.to + transfer.bytes)
        continue;
      report_pair(w, in, &transfer.function->code[transfer.pc], Finding::Kind::kAsyncCopy,
                  static_cast<int>(lane), Space::kShared, access.address[lane],
                  "an access to bytes whose bulk copy nobody has waited for");
      return;
    }
    return;
  }
}

bool select_async(Selector& s) {
  const std::string_view root = s.root();
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
  if (root != "cp" || s.has("bulk") || s.has("mbarrier")) return false;
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
