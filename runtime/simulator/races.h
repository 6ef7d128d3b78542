// Who may have seen what: accesses to the same bytes that no synchronisation orders.
//
// Every warp has a vector clock over the warps of its block; barriers join them. Inside a warp,
// lanes are ordered by
// __syncwarp and other operations that wait for lanes. Blocks are ordered only by a fence and an
// atomic or volatile write on one side, an atomic or volatile read of the same place on the other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/warp.h"

namespace hone::sim {

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
  std::vector<std::uint32_t> release(int warp);
  void acquire(int warp, std::span<const std::uint32_t> snapshot);
  void join_lanes(int warp, std::uint32_t mask);
  // Whether what `other` lane of the same warp did at `clock` is before what `lane` does now.
  bool lanes_ordered(int warp, int lane, int other, std::uint32_t clock) const {
    return clock <= together_[static_cast<std::size_t>(warp)] || clock <= pair(warp, lane, other);
  }

 private:
  std::uint32_t at(int warp, int other) const {
    return clocks_[static_cast<std::size_t>(warp) * warps_ + static_cast<std::size_t>(other)];
  }
  std::uint32_t pair(int warp, int lane, int other) const;
  std::size_t warps_;
  std::vector<std::uint32_t> clocks_;    // [warp][other]
  std::vector<std::uint32_t> together_;  // all lanes of the warp met at this clock
  using Pairs = std::array<std::array<std::uint32_t, kLanes>, kLanes>;
  std::vector<std::unique_ptr<Pairs>> pairs_;  // of warps whose lanes meet in parts
};

class SharedRaces {
 public:
  SharedRaces(Clocks& clocks, int warps, std::size_t bytes, int granule);
  void access(Warp& w, const Instruction& in, const Access& access, Use use);
  void fence(int warp);
  // A volatile or atomic access: what a fence covered before a write of a flag is before what
  // follows its read.
  void flag(int warp, std::uint64_t place, bool writes);
  void start_block();
  // A cp.async's bytes arrive: written by this lane now.
  void arrived(const Warp& w, int lane, std::uint64_t address, std::uint32_t bytes,
               std::uint32_t id);

 private:
  struct Write {
    std::uint32_t clock = 0;
    std::uint32_t id = 0;  // of the instruction
    std::uint8_t warp = 0, lane = 0;
    bool ordered = false;   // atomic or volatile
    bool compares = false;  // a compare-and-swap: it may have been read plainly before
  };
  struct Read {
    std::uint32_t clock = 0, lanes = 0;
  };
  Clocks& clocks_;
  std::vector<std::vector<std::uint32_t>> fenced_;                       // by warp
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> flags_;  // by place
  std::size_t warps_;
  int shift_;
  std::vector<Write> writes_;            // by granule
  std::vector<Read> reads_;              // by granule and warp
  std::vector<std::uint32_t> read_ids_;  // the latest, by granule
};

class GlobalRaces {
 public:
  explicit GlobalRaces(int granule);
  ~GlobalRaces();
  void access(Warp& w, const Instruction& in, const Access& access, Use use);
  // A fence for the whole GPU or system.
  void fence(const Warp& w);

 private:
  struct Cell;
  struct Known {
    std::uint32_t epoch = 1;                                // of what the block does now
    std::uint32_t released = 0;                             // what its fences cover
    std::unordered_map<std::uint64_t, std::uint32_t> seen;  // block -> epoch
  };
  Cell* cells(Memory::Block& block);
  int shift_;
  std::unordered_map<const Memory::Block*, std::pair<Cell*, std::size_t>> cells_;  // mapped bytes
  const Memory::Block* last_block_ = nullptr;
  Cell* last_cells_ = nullptr;
  std::unordered_map<std::uint64_t, Known> blocks_;
  std::unordered_map<std::uint64_t, std::unordered_map<std::uint64_t, std::uint32_t>>
      places_;  // address -> block -> epoch
};

// Numbers instructions over all functions of a module.
std::uint32_t instruction_id(const Function& function, std::uint32_t pc);
const Instruction* find_instruction(const Module::Body& body, std::uint32_t id);

}  // namespace hone::sim
