#include "runtime/simulator/races.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

namespace hone::sim {
namespace {

int shift_of(int granule) {
  return std::countr_zero(static_cast<unsigned>(std::clamp(granule, 1, 16)));
}

// What a lane is about to store at `offset` of its access; false: not known from the operands.
bool stored_bytes(const Warp& w, const Instruction& in, int lane, std::uint32_t offset,
                  std::uint32_t bytes, std::byte* to) {
  if (in.kind != Kind::kStore || in.bytes == 0 || in.flow != Flow::kNext) return false;
  const std::uint32_t count = in.aux & 0xff;
  for (std::uint32_t b = 0; b < bytes; ++b) {
    const std::uint32_t k = (offset + b) / in.bytes;
    if (k >= count) return false;
    const std::uint64_t value = lane_value(w, in, 1 + k, (in.aux2 >> k & 1) != 0, lane);
    to[b] = static_cast<std::byte>(value >> (8 * ((offset + b) % in.bytes)));
  }
  return true;
}

// Whether the lane stores what the bytes from `start` of its access hold already, or what lane
// `other` of the same instruction stores there (-1: none): the same value twice hurts nobody.
bool same_value(const Warp& w, const Instruction& in, const Access& access, int lane, int other,
                std::uint64_t start, std::uint32_t granule) {
  const auto l = static_cast<std::size_t>(lane);
  const auto offset = static_cast<std::uint32_t>(start - access.address[l]);
  const std::uint32_t bytes = std::min(granule, access.bytes - offset);
  std::byte mine[16], its[16];
  if (!stored_bytes(w, in, lane, offset, bytes, mine)) return false;
  if (other < 0) return std::memcmp(mine, access.data[l] + offset, bytes) == 0;
  const std::uint64_t theirs = access.address[static_cast<std::size_t>(other)];
  return theirs <= start && start + bytes <= theirs + access.bytes &&
         stored_bytes(w, in, other, static_cast<std::uint32_t>(start - theirs), bytes, its) &&
         std::memcmp(mine, its, bytes) == 0;
}

bool is_ordered(const Instruction& in, Use use) {
  return use == Use::kAtomic || (in.aux & kOrderedAccess) != 0;
}

std::string thread_text(const Warp& w, int warp, int lane) {
  const auto& size = w.run->launch.block;
  const auto linear = static_cast<std::uint32_t>(warp * kLanes + lane);
  return fmt::format("thread ({},{},{})", linear % size[0], linear / size[0] % size[1],
                     linear / (size[0] * size[1]));
}

// Volatile accesses by which lanes exchange values: each has a place of its own, as a flag hasn't.
bool scattered(const Access& access) {
  if (std::popcount(access.mask) < 2) return false;
  const std::uint64_t first =
      access.address[static_cast<std::size_t>(std::countr_zero(access.mask))];
  for (std::uint32_t k = access.mask & (access.mask - 1); k != 0; k &= k - 1) {
    if (access.address[static_cast<std::size_t>(std::countr_zero(k))] == first) return false;
  }
  return true;
}

// `old = *p; while (!cas(p, old, ...))` reads plainly; the swap tells when that was out of date.
bool compares(const Instruction& in) { return in.kind == Kind::kAtomic && in.compares; }

const char* verb(Use use) {
  return use == Use::kRead ? "reads" : use == Use::kWrite ? "writes" : "updates";
}

}  // namespace

std::uint32_t instruction_id(const Function& function, std::uint32_t pc) {
  return function.first_id + pc;
}

const Instruction* find_instruction(const Module::Body& body, std::uint32_t id) {
  for (const auto& function : body.functions) {
    if (id >= function->first_id && id - function->first_id < function->code.size())
      return &function->code[id - function->first_id];
  }
  return nullptr;
}

void Snapshot::merge(const Snapshot& other) {
  if (warps.size() < other.warps.size()) warps.resize(other.warps.size());
  for (std::size_t i = 0; i < other.warps.size(); ++i)
    warps[i] = std::max(warps[i], other.warps[i]);
  blocks = BlockClocks::merge(blocks, other.blocks);
  fenced = BlockClocks::merge(fenced, other.fenced);
}

LaneOrder::Pairs& LaneOrder::pairs_of(int warp) {
  const auto w = static_cast<std::size_t>(warp);
  if (pairs_[w] == nullptr) {
    pairs_[w] = std::make_unique<Pairs>();
    for (auto& row : *pairs_[w]) row.fill(together_[w]);
  }
  return *pairs_[w];
}

std::uint32_t LaneOrder::pair(int warp, int lane, int other) const {
  const auto& pairs = pairs_[static_cast<std::size_t>(warp)];
  return pairs == nullptr
             ? 0
             : (*pairs)[static_cast<std::size_t>(lane)][static_cast<std::size_t>(other)];
}

void LaneOrder::reset(std::uint32_t clock) {
  std::fill(together_.begin(), together_.end(), clock);
  for (auto& pairs : pairs_) pairs.reset();
}

void LaneOrder::join(int warp, std::uint32_t mask, std::uint32_t clock) {
  if (mask == kAllLanes) {
    together_[static_cast<std::size_t>(warp)] = clock;
    return;
  }
  Pairs& pairs = pairs_of(warp);
  std::array<std::uint32_t, kLanes> merged{};
  for (std::uint32_t k = mask; k != 0; k &= k - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(k));
    for (std::size_t i = 0; i < kLanes; ++i) merged[i] = std::max(merged[i], pairs[lane][i]);
  }
  for (std::uint32_t k = mask; k != 0; k &= k - 1)
    merged[static_cast<std::size_t>(std::countr_zero(k))] = clock;
  for (std::uint32_t k = mask; k != 0; k &= k - 1)
    pairs[static_cast<std::size_t>(std::countr_zero(k))] = merged;
}

void LaneOrder::learn(int warp, std::uint32_t mask, std::uint32_t clock) {
  std::uint32_t& together = together_[static_cast<std::size_t>(warp)];
  if (clock <= together) return;
  if (mask == kAllLanes) {
    together = clock;
    return;
  }
  Pairs& pairs = pairs_of(warp);
  for (std::uint32_t k = mask; k != 0; k &= k - 1) {
    for (std::uint32_t& known : pairs[static_cast<std::size_t>(std::countr_zero(k))])
      known = std::max(known, clock);
  }
}

Clocks::Clocks(int warps)
    : warps_(static_cast<std::size_t>(warps)),
      clocks_(warps_ * warps_, 0),
      blocks_(warps_),
      fenced_(warps_),
      seen_(warps),
      met_(warps) {
  for (std::size_t w = 0; w < warps_; ++w) clocks_[w * warps_ + w] = 1;
}

void Clocks::reset() {
  const std::uint32_t most = *std::max_element(clocks_.begin(), clocks_.end());
  std::fill(clocks_.begin(), clocks_.end(), most);
  for (std::size_t w = 0; w < warps_; ++w) clocks_[w * warps_ + w] = most + 1;
  std::fill(blocks_.begin(), blocks_.end(), nullptr);
  std::fill(fenced_.begin(), fenced_.end(), nullptr);
  seen_.reset(most);
  met_.reset(most);
}

Snapshot Clocks::release(int warp) {
  const auto w = static_cast<std::size_t>(warp);
  std::uint32_t* own = clocks_.data() + w * warps_;
  Snapshot snapshot{{own, own + warps_}, blocks_[w], fenced_[w]};
  ++own[w];
  return snapshot;
}

void Clocks::fence(int warp, std::uint64_t own) {
  const auto w = static_cast<std::size_t>(warp);
  const auto here = std::make_shared<const BlockClocks>(own, known(warp), warps_);
  fenced_[w] = BlockClocks::merge(BlockClocks::merge(fenced_[w], blocks_[w]), here);
}

void Clocks::acquire(int warp, std::uint32_t mask, const Snapshot& snapshot) {
  const auto w = static_cast<std::size_t>(warp);
  std::uint32_t* own = clocks_.data() + w * warps_;
  for (std::size_t i = 0; i < std::min(warps_, snapshot.warps.size()); ++i) {
    if (i != w) {
      own[i] = std::max(own[i], snapshot.warps[i]);
    } else {
      seen_.learn(warp, mask, snapshot.warps[i]);
      met_.learn(warp, mask, snapshot.warps[i]);
    }
  }
  blocks_[w] = BlockClocks::merge(blocks_[w], snapshot.blocks);
  fenced_[w] = BlockClocks::merge(fenced_[w], snapshot.fenced);
}

void Clocks::acquire_blocks(int warp, std::uint32_t mask,
                            const std::shared_ptr<const BlockClocks>& from, std::uint64_t own) {
  Snapshot snapshot{{}, from, nullptr};
  if (const std::uint32_t* here = from->find(own)) snapshot.warps.assign(here, here + warps_);
  acquire(warp, mask, snapshot);
}

bool Clocks::knows(int warp, std::uint64_t block, int other, std::uint32_t clock) const {
  const auto& blocks = blocks_[static_cast<std::size_t>(warp)];
  const std::uint32_t* clocks = blocks == nullptr ? nullptr : blocks->find(block);
  return clocks != nullptr && clocks[other] >= clock;
}

void Clocks::join_lanes(int warp, std::uint32_t mask, bool memory) {
  const auto w = static_cast<std::size_t>(warp);
  std::uint32_t& clock = clocks_[w * warps_ + w];
  met_.join(warp, mask, clock);
  if (memory) seen_.join(warp, mask, clock);
  ++clock;
}

SharedRaces::SharedRaces(Clocks& clocks, int warps, std::size_t bytes, int granule)
    : clocks_(clocks),
      fenced_(static_cast<std::size_t>(warps)),
      warps_(static_cast<std::size_t>(warps)),
      shift_(shift_of(granule)) {
  const std::size_t granules = (bytes >> shift_) + 2;
  writes_.resize(granules);
  reads_.resize(granules * warps_);
  read_ids_.resize(granules);
}

void SharedRaces::fence(const Warp& w, bool wide) {
  if (wide) clocks_.fence(w.index, w.block->number);
  fenced_[static_cast<std::size_t>(w.index)] = clocks_.release(w.index);
}

void SharedRaces::flag(int warp, int lane, std::uint64_t place, bool writes) {
  if (!flags_.empty()) {
    if (const auto found = flags_.find(place); found != flags_.end())
      clocks_.acquire(warp, 1u << lane, found->second);
  }
  const Snapshot& fenced = fenced_[static_cast<std::size_t>(warp)];
  if (writes && !fenced.warps.empty()) flags_[place].merge(fenced);
}

void SharedRaces::start_block() {
  for (Snapshot& fenced : fenced_) fenced = {};
  flags_.clear();
}

void SharedRaces::arrived(const Warp& w, int lane, std::uint64_t address, std::uint32_t bytes,
                          std::uint32_t id) {
  const std::size_t first = address >> shift_, last = (address + bytes - 1) >> shift_;
  for (std::size_t g = first; g <= last; ++g) {
    writes_[g] = {{clocks_.now(w.index), id, static_cast<std::uint8_t>(w.index),
                   static_cast<std::uint8_t>(lane), false, false, false},
                  {}};
  }
}

void SharedRaces::access(Warp& w, const Instruction& in, const Access& access, Use use) {
  if (is_ordered(in, use)) {
    for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      flag(w.index, lane, access.address[static_cast<std::size_t>(lane)], use != Use::kRead);
    }
  }
  const std::uint32_t id = instruction_id(*w.function, w.pc), now = clocks_.now(w.index);
  const std::uint32_t* known = clocks_.known(w.index);
  const bool ordered = is_ordered(in, use), writes = use != Use::kRead;
  const bool exchanges =
      (in.aux & kVolatileAccess) != 0 && use != Use::kAtomic && scattered(access);
  for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
    const int lane = std::countr_zero(k);
    const std::uint64_t address = access.address[static_cast<std::size_t>(lane)];
    const std::size_t first = address >> shift_, last = (address + access.bytes - 1) >> shift_;
    for (std::size_t g = first; g <= last; ++g) {
      Writes& latest = writes_[g];
      for (const Write& write : {std::cref(latest.plain), std::cref(latest.ordered)}) {
        if (write.clock == 0 || (!writes && write.compares)) continue;
        if (ordered && write.ordered && !(exchanges && write.exchanges && write.warp == w.index))
          continue;
        const bool before = write.warp == w.index
                                ? write.lane == lane ||
                                      clocks_.write_ordered(w.index, lane, write.lane, write.clock)
                                : known[write.warp] >= write.clock;
        if (before) continue;
        const bool together = write.id == id && write.warp == w.index && write.clock == now;
        const std::uint64_t start = std::max(address, static_cast<std::uint64_t>(g) << shift_);
        if (writes &&
            same_value(w, in, access, lane, together ? write.lane : -1, start, 1u << shift_))
          continue;
        report_pair(
            w, in, find_instruction(w.run->body, write.id), Finding::Kind::kRace, lane,
            Space::kShared, address,
            fmt::format("a race in shared memory: {} what {} wrote, and nothing orders the two",
                        verb(use), thread_text(w, write.warp, write.lane)));
      }
      Read* reads = reads_.data() + g * warps_;
      if (writes) {
        for (std::size_t other = 0; other < warps_ && !compares(in); ++other) {
          const Read& read = reads[other];
          if (read.clock == 0) continue;
          int who = -1;
          if (other == static_cast<std::size_t>(w.index)) {
            for (std::uint32_t l = read.lanes & ~(1u << lane); l != 0 && who < 0; l &= l - 1) {
              const int reader = std::countr_zero(l);
              if (!clocks_.read_ordered(w.index, lane, reader, read.clock)) who = reader;
            }
          } else if (known[other] < read.clock) {
            who = std::countr_zero(read.lanes);
          }
          if (who < 0) continue;
          report_pair(
              w, in, find_instruction(w.run->body, read_ids_[g]), Finding::Kind::kRace, lane,
              Space::kShared, address,
              fmt::format("a race in shared memory: {} what {} reads, and nothing orders the two",
                          verb(use), thread_text(w, static_cast<int>(other), who)));
          break;
        }
        const Write mine{now,
                         id,
                         static_cast<std::uint8_t>(w.index),
                         static_cast<std::uint8_t>(lane),
                         ordered,
                         compares(in),
                         exchanges};
        if (ordered) {
          latest.ordered = mine;
        } else {
          latest = {mine, {}};
        }
      } else if (!ordered) {
        Read& read = reads[w.index];
        if (read.clock == now) {
          read.lanes |= 1u << lane;
        } else {
          read = {now, 1u << lane};
        }
        read_ids_[g] = id;
      }
    }
  }
}

// The last plain write of a granule, the last volatile or atomic one since, and two reads of it
// that nothing orders.
struct GlobalRaces::Cell {
  struct Side {
    std::uint32_t block = 0;  // number + 1
    std::uint32_t clock = 0;
    std::uint32_t id = 0;
    std::uint8_t warp = 0, lane = 0;
    bool ordered = false, compares = false;
    bool same_thread(const Side& other) const {
      return block == other.block && warp == other.warp && lane == other.lane;
    }
  };
  Side plain, ordered;
  std::array<Side, 2> reads;
};

GlobalRaces::GlobalRaces(int granule) : shift_(shift_of(granule)) {}

GlobalRaces::~GlobalRaces() {
  for (auto& [block, cells] : cells_) munmap(cells.first, cells.second);
}

GlobalRaces::Cell* GlobalRaces::cells(Memory::Block& block) {
  if (last_block_ == &block) return last_cells_;
  auto& entry = cells_[&block];
  if (entry.first == nullptr) {
    entry.second = ((block.bytes >> shift_) + 2) * sizeof(Cell);
    void* memory = mmap(nullptr, entry.second, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw Error(Code::kDevice, "no memory to follow races in; run with HONE_SIM_CHECKS=memory");
    entry.first = static_cast<Cell*>(memory);
  }
  last_block_ = &block;
  last_cells_ = entry.first;
  return last_cells_;
}

void GlobalRaces::forget(const Memory::Block& block) {
  if (last_block_ == &block) last_block_ = nullptr;
  const auto found = cells_.find(&block);
  if (found == cells_.end()) return;
  munmap(found->second.first, found->second.second);
  cells_.erase(found);
}

void GlobalRaces::access(Warp& w, const Instruction& in, const Access& access, Use use) {
  const std::uint64_t block = w.block->number;
  const bool ordered = is_ordered(in, use), writes = use != Use::kRead;
  Clocks& clocks = *w.block->clocks;
  if (ordered) {
    const std::shared_ptr<const BlockClocks> fenced = writes ? clocks.fenced(w.index) : nullptr;
    for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      const std::uint64_t address = access.address[static_cast<std::size_t>(lane)];
      w.block->shared_races->flag(w.index, lane, address, writes);
      if (const auto found = places_.find(address); found != places_.end())
        clocks.acquire_blocks(w.index, 1u << lane, found->second, block);
      if (fenced == nullptr) continue;
      std::shared_ptr<const BlockClocks>& place = places_[address];
      place = BlockClocks::merge(place, fenced);
    }
  }
  const std::uint32_t id = instruction_id(*w.function, w.pc), clock = clocks.now(w.index);
  const std::uint32_t* warps = clocks.known(w.index);
  const auto before = [&](const Cell::Side& side, int lane, bool read) {
    if (side.block == 0) return true;
    if (side.block != static_cast<std::uint32_t>(block) + 1)
      return clocks.knows(w.index, side.block - 1, side.warp, side.clock);
    if (side.warp != w.index) return warps[side.warp] >= side.clock;
    return side.lane == lane || (read ? clocks.read_ordered(w.index, lane, side.lane, side.clock)
                                      : clocks.write_ordered(w.index, lane, side.lane, side.clock));
  };
  const auto complain = [&](const Cell::Side& side, int lane, const char* did) {
    const std::uint64_t other = side.block - 1;
    const std::string where =
        other == block ? "of the same block" : fmt::format("of block {}", other);
    report_pair(w, in, find_instruction(w.run->body, side.id), Finding::Kind::kRace, lane,
                Space::kGlobal, access.address[static_cast<std::size_t>(lane)],
                fmt::format("a race in global memory: {} what {} {} {}, and nothing orders the two",
                            verb(use), thread_text(w, side.warp, side.lane), where, did));
  };
  for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
    const int lane = std::countr_zero(k);
    const auto l = static_cast<std::size_t>(lane);
    const std::uint64_t address = access.address[l];
    Memory::Block* memory = access.block != nullptr ? access.block : w.run->memory.block(address);
    if (memory == nullptr) continue;
    Cell* all = cells(*memory);
    const std::uint64_t offset = address - memory->start;
    const std::size_t first = offset >> shift_, last = (offset + access.bytes - 1) >> shift_;
    for (std::size_t g = first; g <= last; ++g) {
      Cell& cell = all[g];
      for (const Cell::Side& write : {std::cref(cell.plain), std::cref(cell.ordered)}) {
        if ((ordered && write.ordered) || (!writes && write.compares) || before(write, lane, false))
          continue;
        const bool together = write.id == id && write.warp == w.index && write.clock == clock &&
                              write.block == block + 1;
        const std::uint64_t start =
            memory->start + std::max(offset, static_cast<std::uint64_t>(g) << shift_);
        if (writes &&
            same_value(w, in, access, lane, together ? write.lane : -1, start, 1u << shift_))
          continue;
        complain(write, lane, "wrote");
      }
      const Cell::Side now{static_cast<std::uint32_t>(block) + 1,
                           clock,
                           id,
                           static_cast<std::uint8_t>(w.index),
                           static_cast<std::uint8_t>(lane),
                           ordered,
                           compares(in)};
      if (writes) {
        for (const Cell::Side& read : cell.reads) {
          if (compares(in) || before(read, lane, true)) continue;
          complain(read, lane, "reads");
          break;
        }
        if (ordered) {
          cell.ordered = now;
        } else {
          cell.plain = now;
          cell.ordered = {};
        }
      } else if (!ordered) {
        // Of different threads, and of different blocks where there are such.
        auto& [one, two] = cell.reads;
        const bool leaves_other =
            one.block == now.block && two.block != 0 && two.block != now.block;
        (one.same_thread(now) || leaves_other || before(one, lane, true) ? one : two) = now;
      }
    }
  }
}

}  // namespace hone::sim
