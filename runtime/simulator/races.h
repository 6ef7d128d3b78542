// Who may have seen what: accesses to the same bytes that no synchronisation orders.
//
// Every warp has a vector clock over the warps of its block, and of other blocks' warps where it
// knows any; barriers join them. Inside a warp, lanes are ordered by __syncwarp; shuffles, votes
// and matrix instructions wait for lanes without making their writes seen. Warps of different
// blocks are ordered only by a fence and an atomic or volatile write on one side, an atomic or
// volatile read of the same place on the other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/warp.h"

namespace hone::sim {

// Which lanes of each warp are ordered.
class LaneOrder {
 public:
  explicit LaneOrder(int warps)
      : together_(static_cast<std::size_t>(warps), 0), pairs_(static_cast<std::size_t>(warps)) {}
  void reset(std::uint32_t clock);
  // The lanes of `mask` met at `clock`.
  void join(int warp, std::uint32_t mask, std::uint32_t clock);
  // The lanes of `mask` know what all lanes did up to `clock`.
  void learn(int warp, std::uint32_t mask, std::uint32_t clock);
  // Whether what lane `other` did at `clock` is before what `lane` does now.
  bool ordered(int warp, int lane, int other, std::uint32_t clock) const {
    return clock <= together_[static_cast<std::size_t>(warp)] || clock <= pair(warp, lane, other);
  }

 private:
  using Pairs = std::array<std::array<std::uint32_t, kLanes>, kLanes>;
  Pairs& pairs_of(int warp);
  std::uint32_t pair(int warp, int lane, int other) const;
  std::vector<std::uint32_t> together_;        // all lanes of the warp met at this clock
  std::vector<std::unique_ptr<Pairs>> pairs_;  // of warps whose lanes meet in parts
};

// Clocks of one block. They only grow, over all blocks that use this object: what an earlier block
// did is before everything.
class Clocks {
 public:
  explicit Clocks(int warps);
  void reset();
  std::uint32_t now(int warp) const { return at(warp, warp); }
  const std::uint32_t* known(int warp) const {
    return clocks_.data() + static_cast<std::size_t>(warp) * warps_;
  }
  // What the warp did so far; what it does next is later.
  Snapshot release(int warp);
  // A fence for the whole GPU, in block `own`.
  void fence(int warp, std::uint64_t own);
  // What such fences cover that the warp knows of: its own, and those of threads that it met at a
  // barrier since. nullptr: nothing.
  const std::shared_ptr<const BlockClocks>& fenced(int warp) const {
    return fenced_[static_cast<std::size_t>(warp)];
  }
  // The lanes of `mask` know the snapshot, of a warp of this block.
  void acquire(int warp, std::uint32_t mask, const Snapshot& snapshot);
  // The same of any blocks; `own` is the number of this one.
  void acquire_blocks(int warp, std::uint32_t mask, const std::shared_ptr<const BlockClocks>& from,
                      std::uint64_t own);
  // Whether the warp knows what a warp of another block did at `clock`.
  bool knows(int warp, std::uint64_t block, int other, std::uint32_t clock) const;
  // The lanes of `mask` met; `memory`: each sees what the others wrote.
  void join_lanes(int warp, std::uint32_t mask, bool memory);
  // Whether what another lane of the warp wrote, or read, at `clock` is before what `lane` does
  // now.
  bool write_ordered(int warp, int lane, int other, std::uint32_t clock) const {
    return seen_.ordered(warp, lane, other, clock);
  }
  bool read_ordered(int warp, int lane, int other, std::uint32_t clock) const {
    return met_.ordered(warp, lane, other, clock);
  }

 private:
  std::uint32_t at(int warp, int other) const {
    return clocks_[static_cast<std::size_t>(warp) * warps_ + static_cast<std::size_t>(other)];
  }
  std::size_t warps_;
  std::vector<std::uint32_t> clocks_;                                // [warp][other]
  std::vector<std::shared_ptr<const BlockClocks>> blocks_, fenced_;  // by warp
  LaneOrder seen_, met_;
};

class SharedRaces {
 public:
  SharedRaces(Clocks& clocks, int warps, std::size_t bytes, int granule);
  void access(Warp& w, const Instruction& in, const Access& access, Use use);
  // `wide`: for the whole GPU or system.
  void fence(const Warp& w, bool wide);
  // A lane's volatile or atomic access: what a fence covered before a write of a flag is before
  // what follows its read.
  void flag(int warp, int lane, std::uint64_t place, bool writes);
  void start_block();
  // A cp.async's bytes arrive: written by this lane now.
  void arrived(const Warp& w, int lane, std::uint64_t address, std::uint32_t bytes,
               std::uint32_t id);

 private:
  struct Write {
    std::uint32_t clock = 0;
    std::uint32_t id = 0;  // of the instruction
    std::uint8_t warp = 0, lane = 0;
    bool ordered = false;    // atomic or volatile
    bool compares = false;   // a compare-and-swap: it may have been read plainly before
    bool exchanges = false;  // volatile, to a place of the lane's own
  };
  struct Read {
    std::uint32_t clock = 0, lanes = 0;
  };
  Clocks& clocks_;
  std::vector<Snapshot> fenced_;                       // by warp
  std::unordered_map<std::uint64_t, Snapshot> flags_;  // by place
  std::size_t warps_;
  int shift_;
  // The last plain write, and the last one that was volatile or atomic since.
  struct Writes {
    Write plain, ordered;
  };
  std::vector<Writes> writes_;           // by granule
  std::vector<Read> reads_;              // by granule and warp
  std::vector<std::uint32_t> read_ids_;  // the latest, by granule
};

class GlobalRaces {
 public:
  explicit GlobalRaces(int granule);
  ~GlobalRaces();
  void access(Warp& w, const Instruction& in, const Access& access, Use use);
  // The allocation is about to go.
  void forget(const Memory::Block& block);

 private:
  struct Cell;
  Cell* cells(Memory::Block& block);
  int shift_;
  std::unordered_map<const Memory::Block*, std::pair<Cell*, std::size_t>> cells_;  // mapped bytes
  const Memory::Block* last_block_ = nullptr;
  Cell* last_cells_ = nullptr;
  std::unordered_map<std::uint64_t, std::shared_ptr<const BlockClocks>> places_;  // by address
};

// Numbers instructions over all functions of a module.
std::uint32_t instruction_id(const Function& function, std::uint32_t pc);
const Instruction* find_instruction(const Module::Body& body, std::uint32_t id);

}  // namespace hone::sim
