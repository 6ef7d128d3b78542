#include "runtime/simulator/races.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>

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

bool is_ordered(const Instruction& in, Use use) {
  return use == Use::kAtomic || (in.aux & kOrderedAccess) != 0;
}

std::string thread_text(const Warp& w, int warp, int lane) {
  const auto& size = w.run->launch.block;
  const auto linear = static_cast<std::uint32_t>(warp * kLanes + lane);
  return fmt::format("thread ({},{},{})", linear % size[0], linear / size[0] % size[1],
                     linear / (size[0] * size[1]));
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

Clocks::Clocks(int warps)
    : warps_(static_cast<std::size_t>(warps)),
      clocks_(warps_ * warps_, 0),
      together_(warps_, 0),
      pairs_(warps_) {
  for (std::size_t w = 0; w < warps_; ++w) clocks_[w * warps_ + w] = 1;
}

void Clocks::reset() {
  const std::uint32_t most = *std::max_element(clocks_.begin(), clocks_.end());
  std::fill(clocks_.begin(), clocks_.end(), most);
  std::fill(together_.begin(), together_.end(), most);
  for (std::size_t w = 0; w < warps_; ++w) clocks_[w * warps_ + w] = most + 1;
  for (auto& pairs : pairs_) pairs.reset();
}

std::uint32_t Clocks::pair(int warp, int lane, int other) const {
  const auto& pairs = pairs_[static_cast<std::size_t>(warp)];
  return pairs == nullptr
             ? 0
             : (*pairs)[static_cast<std::size_t>(lane)][static_cast<std::size_t>(other)];
}

std::vector<std::uint32_t> Clocks::release(int warp) {
  std::uint32_t* own = clocks_.data() + static_cast<std::size_t>(warp) * warps_;
  std::vector<std::uint32_t> snapshot(own, own + warps_);
  ++own[warp];
  return snapshot;
}

void Clocks::acquire(int warp, std::span<const std::uint32_t> snapshot) {
  std::uint32_t* own = clocks_.data() + static_cast<std::size_t>(warp) * warps_;
  for (std::size_t i = 0; i < std::min(warps_, snapshot.size()); ++i) {
    if (i != static_cast<std::size_t>(warp)) own[i] = std::max(own[i], snapshot[i]);
  }
}

void Clocks::join_lanes(int warp, std::uint32_t mask) {
  const auto w = static_cast<std::size_t>(warp);
  std::uint32_t& clock = clocks_[w * warps_ + w];
  if (mask == kAllLanes) {
    together_[w] = clock++;
    return;
  }
  auto& pairs = pairs_[w];
  if (pairs == nullptr) {
    pairs = std::make_unique<Pairs>();
    for (auto& row : *pairs) row.fill(together_[w]);
  }
  std::array<std::uint32_t, kLanes> merged{};
  for (std::uint32_t k = mask; k != 0; k &= k - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(k));
    for (std::size_t i = 0; i < kLanes; ++i) merged[i] = std::max(merged[i], (*pairs)[lane][i]);
  }
  for (std::uint32_t k = mask; k != 0; k &= k - 1)
    merged[static_cast<std::size_t>(std::countr_zero(k))] = clock;
  for (std::uint32_t k = mask; k != 0; k &= k - 1)
    (*pairs)[static_cast<std::size_t>(std::countr_zero(k))] = merged;
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

void SharedRaces::fence(int warp) {
  fenced_[static_cast<std::size_t>(warp)] = clocks_.release(warp);
}

void SharedRaces::flag(int warp, std::uint64_t place, bool writes) {
  if (!flags_.empty()) {
    if (const auto found = flags_.find(place); found != flags_.end())
      clocks_.acquire(warp, found->second);
  }
  const auto& fenced = fenced_[static_cast<std::size_t>(warp)];
  if (writes && !fenced.empty()) merge_clocks(flags_[place], fenced);
}

void SharedRaces::start_block() {
  for (auto& clocks : fenced_) clocks.clear();
  flags_.clear();
}

void SharedRaces::arrived(const Warp& w, int lane, std::uint64_t address, std::uint32_t bytes,
                          std::uint32_t id) {
  const std::size_t first = address >> shift_, last = (address + bytes - 1) >> shift_;
  for (std::size_t g = first; g <= last; ++g) {
    writes_[g] = {clocks_.now(w.index),
                  id,
                  static_cast<std::uint8_t>(w.index),
                  static_cast<std::uint8_t>(lane),
                  false,
                  false};
  }
}

void SharedRaces::access(Warp& w, const Instruction& in, const Access& access, Use use) {
  if (is_ordered(in, use)) {
    for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
      flag(w.index, access.address[static_cast<std::size_t>(std::countr_zero(k))],
           use != Use::kRead);
    }
  }
  const std::uint32_t id = instruction_id(*w.function, w.pc), now = clocks_.now(w.index);
  const std::uint32_t* known = clocks_.known(w.index);
  const bool ordered = is_ordered(in, use), writes = use != Use::kRead;
  for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
    const int lane = std::countr_zero(k);
    const std::uint64_t address = access.address[static_cast<std::size_t>(lane)];
    const std::size_t first = address >> shift_, last = (address + access.bytes - 1) >> shift_;
    for (std::size_t g = first; g <= last; ++g) {
      Write& write = writes_[g];
      const bool both_ordered = (ordered && write.ordered) || (!writes && write.compares);
      if (write.clock != 0 && !both_ordered) {
        const bool before = write.warp == w.index
                                ? write.lane == lane ||
                                      clocks_.lanes_ordered(w.index, lane, write.lane, write.clock)
                                : known[write.warp] >= write.clock;
        if (!before) {
          bool same = false;
          if (writes) {
            // The same value written twice hurts nobody.
            const std::uint64_t start =
                std::max<std::uint64_t>(address, static_cast<std::uint64_t>(g) << shift_);
            const auto offset = static_cast<std::uint32_t>(start - address);
            const std::uint32_t bytes =
                std::min<std::uint32_t>(1u << shift_, access.bytes - offset);
            std::byte mine[16], other[16];
            same = stored_bytes(w, in, lane, offset, bytes, mine);
            if (same && write.id == id && write.warp == w.index && write.clock == now) {
              const std::uint64_t theirs = access.address[write.lane];
              same = theirs <= start && start + bytes <= theirs + access.bytes &&
                     stored_bytes(w, in, write.lane, static_cast<std::uint32_t>(start - theirs),
                                  bytes, other) &&
                     std::memcmp(mine, other, bytes) == 0;
            } else if (same) {
              same = std::memcmp(mine, access.data[static_cast<std::size_t>(lane)] + offset,
                                 bytes) == 0;
            }
          }
          if (!same) {
            report_pair(
                w, in, find_instruction(w.run->body, write.id), Finding::Kind::kRace, lane,
                Space::kShared, address,
                fmt::format("a race in shared memory: {} what {} wrote, and nothing orders the two",
                            verb(use), thread_text(w, write.warp, write.lane)));
          }
        }
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
              if (!clocks_.lanes_ordered(w.index, lane, reader, read.clock)) who = reader;
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
        write = {now,
                 id,
                 static_cast<std::uint8_t>(w.index),
                 static_cast<std::uint8_t>(lane),
                 ordered,
                 compares(in)};
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

// The last write of a granule, its last read, and the last read by another block than that.
struct GlobalRaces::Cell {
  struct Side {
    std::uint32_t block = 0;  // number + 1
    std::uint32_t epoch = 0;
    std::uint32_t clock = 0;
    std::uint32_t id = 0;
    std::uint8_t warp = 0, lane = 0;
    bool ordered = false, compares = false;
  };
  Side write, read, foreign;
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

void GlobalRaces::fence(const Warp& w) {
  Known& known = blocks_[w.block->number];
  known.released = known.epoch++;
  w.block->shared_races->fence(w.index);
}

void GlobalRaces::access(Warp& w, const Instruction& in, const Access& access, Use use) {
  const std::uint64_t block = w.block->number;
  const bool ordered = is_ordered(in, use), writes = use != Use::kRead;
  const std::uint32_t id = instruction_id(*w.function, w.pc), clock = w.block->clocks->now(w.index);
  const std::uint32_t* warps = w.block->clocks->known(w.index);
  Known& known = blocks_[block];
  if (ordered) {
    for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
      w.block->shared_races->flag(
          w.index, access.address[static_cast<std::size_t>(std::countr_zero(k))], writes);
      auto& place = places_[access.address[static_cast<std::size_t>(std::countr_zero(k))]];
      for (const auto& [other, epoch] : place) {
        if (other == block) continue;
        std::uint32_t& seen = known.seen[other];
        seen = std::max(seen, epoch);
      }
      if (!writes) continue;
      if (known.released != 0) {
        std::uint32_t& mine = place[block];
        mine = std::max(mine, known.released);
        for (const auto& [other, epoch] : known.seen) {
          std::uint32_t& theirs = place[other];
          theirs = std::max(theirs, epoch);
        }
      }
    }
  }
  const auto before = [&](const Cell::Side& side, int lane) {
    if (side.block == 0) return true;
    if (side.block != static_cast<std::uint32_t>(block) + 1) {
      const auto found = known.seen.find(side.block - 1);
      return found != known.seen.end() && found->second >= side.epoch;
    }
    if (side.warp != w.index) return warps[side.warp] >= side.clock;
    return side.lane == lane ||
           w.block->clocks->lanes_ordered(w.index, lane, side.lane, side.clock);
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
      if (!(ordered && cell.write.ordered) && !(!writes && cell.write.compares) &&
          !before(cell.write, lane)) {
        bool same = false;
        if (writes) {
          const std::uint64_t start =
              std::max<std::uint64_t>(offset, static_cast<std::uint64_t>(g) << shift_);
          const auto at = static_cast<std::uint32_t>(start - offset);
          const std::uint32_t bytes = std::min<std::uint32_t>(1u << shift_, access.bytes - at);
          std::byte mine[16], other[16];
          same = stored_bytes(w, in, lane, at, bytes, mine);
          if (same && cell.write.id == id && cell.write.warp == w.index &&
              cell.write.clock == clock && cell.write.block == block + 1) {
            const std::uint64_t theirs = access.address[cell.write.lane] - memory->start;
            same = theirs <= start && start + bytes <= theirs + access.bytes &&
                   stored_bytes(w, in, cell.write.lane, static_cast<std::uint32_t>(start - theirs),
                                bytes, other) &&
                   std::memcmp(mine, other, bytes) == 0;
          } else if (same) {
            same = std::memcmp(mine, access.data[l] + at, bytes) == 0;
          }
        }
        if (!same) complain(cell.write, lane, "wrote");
      }
      const Cell::Side now{static_cast<std::uint32_t>(block) + 1,
                           known.epoch,
                           clock,
                           id,
                           static_cast<std::uint8_t>(w.index),
                           static_cast<std::uint8_t>(lane),
                           ordered,
                           compares(in)};
      if (writes) {
        for (const Cell::Side* read : {&cell.read, &cell.foreign}) {
          if (compares(in) || before(*read, lane)) continue;
          complain(*read, lane, "reads");
          break;
        }
        cell.write = now;
      } else if (!ordered) {
        if (cell.read.block != now.block) cell.foreign = cell.read;
        cell.read = now;
      }
    }
  }
}

}  // namespace hone::sim
