// What runs: a launch, its resident blocks, their warps.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/block_clocks.h"
#include "runtime/simulator/program.h"

namespace hone::sim {

struct Block;
struct Run;
class Clocks;
class SharedRaces;
class GlobalRaces;

struct AlignedDelete {
  void operator()(void* p) const { std::free(p); }
};

// The rows of one function in one warp.
struct Region {
  std::unique_ptr<std::uint32_t, AlignedDelete> memory;
  std::uint32_t* rows = nullptr;
  std::uint32_t* predicates = nullptr;
  std::uint32_t* undefined =
      nullptr;  // lanes that nobody wrote, of each row and then of each predicate
  std::uint32_t* origin =
      nullptr;  // the instruction (+1) that read memory nobody wrote; 0: never written
  std::uint64_t generation = 0;  // of the block that it is ready for
};

struct ReturnPoint {
  const Function* function = nullptr;
  std::uint32_t pc = 0;
  std::uint32_t call = 0;
  std::vector<std::uint32_t> saved;  // a recursive call's rows
  std::vector<std::byte> saved_frame;
  bool operator==(const ReturnPoint& other) const {
    return function == other.function && pc == other.pc;
  }
};

// Lanes that are at the same place.
struct Fragment {
  const Function* function = nullptr;
  std::uint32_t pc = 0;
  std::uint32_t mask = 0;
  enum class State : std::uint8_t { kReady, kMembers, kBarrier } state = State::kReady;
  bool yielded = false;  // gives way to the others for a while
  // The last place where it did something that others can see.
  const Function* effect_function = nullptr;
  std::uint32_t effect_pc = 0;
  std::vector<ReturnPoint> stack;
};

// A cp.async whose bytes haven't arrived.
struct PendingCopy {
  std::uint32_t mask = 0;
  std::uint32_t bytes = 0;
  std::uint32_t group = 0;
  std::uint64_t sequence = 0;
  const Function* function = nullptr;
  std::uint32_t pc = 0;
  std::array<std::uint32_t, kLanes> to;
  std::array<std::uint32_t, kLanes> from_bytes;
  std::array<const std::byte*, kLanes> from;
  std::array<const std::uint8_t*, kLanes> written;
};

// What an mbarrier waits for besides threads: a bulk copy's bytes or, without any, the thread's
// cp.async before `sequence`.
struct Transfer {
  std::uint64_t barrier = 0;  // its address
  int warp = 0, lane = 0;
  const Function* function = nullptr;
  std::uint32_t pc = 0;
  std::uint32_t to = 0, bytes = 0;
  const std::byte* from = nullptr;
  const std::uint8_t* written = nullptr;
  std::uint64_t sequence = 0;
};

// A wgmma that nobody has waited for.
struct Product {
  const Function* function = nullptr;
  std::uint32_t pc = 0;
  std::uint32_t group = 0;
  std::array<std::uint64_t, 2> descriptors{};
};

struct Warp {
  // Of the function that runs.
  std::uint32_t* rows = nullptr;
  std::uint32_t* predicates = nullptr;
  std::uint32_t* undefined = nullptr;
  std::uint32_t* origin = nullptr;
  const Function* function = nullptr;
  std::uint32_t pc = 0;

  Block* block = nullptr;
  Run* run = nullptr;
  int index = 0;
  std::uint32_t present = 0;  // lanes that are threads
  std::uint32_t exited = 0;
  bool checked = false, races = false;
  bool stop = false;  // a fault: leave the loop
  std::vector<Fragment> fragments;
  std::vector<Region> regions;  // by function
  std::byte* local = nullptr;   // kLanes x Body::local_bytes
  std::uint8_t* local_written = nullptr;
  std::unique_ptr<std::byte, AlignedDelete> local_memory;
  std::unique_ptr<std::uint8_t, AlignedDelete> local_written_memory;

  std::vector<PendingCopy> copies;
  std::uint64_t copy_sequence = 0;  // cp.async so far
  std::array<std::uint32_t, kLanes> committed{};
  std::uint32_t carry = 0;  // the condition code of add.cc
  std::vector<Product> products;
  std::uint32_t product_groups = 0;  // committed
  // Of sums under way: lanes that will be undefined, by place.
  std::unordered_map<std::uint32_t, std::uint32_t> sums_taint;

  template <class T>
  [[gnu::always_inline]] T* row(std::uint32_t r) const {
    return reinterpret_cast<T*>(
        __builtin_assume_aligned(rows + static_cast<std::size_t>(r) * kLanes, 64));
  }
  [[gnu::always_inline]] std::uint32_t predicate(std::uint32_t operand) const {
    return predicates[operand >> 1] ^ (0u - (operand & 1));
  }
  void set_predicate(std::uint32_t index_in, std::uint32_t value, std::uint32_t mask) const {
    predicates[index_in] = (predicates[index_in] & ~mask) | (value & mask);
  }
  void set_undefined(std::uint32_t place, std::uint32_t lanes, std::uint32_t mask) const {
    undefined[place] = (undefined[place] & ~mask) | (lanes & mask);
    if ((lanes & mask) != 0) origin[place] = pc + 1;
  }
};

// Reads by lane, of a row of either width.
inline std::uint64_t lane_value(const Warp& w, const Instruction& in, std::size_t operand,
                                bool wide, int lane) {
  return wide ? w.row<std::uint64_t>(in.o[operand])[lane]
              : w.row<std::uint32_t>(in.o[operand])[lane];
}

// Where the lanes of an access lead on the host.
struct Access {
  Space space = Space::kNone;  // of all lanes, or kGeneric when they differ
  std::uint32_t mask = 0;
  std::uint32_t bytes = 0;
  std::array<std::uint64_t, kLanes> address;  // in its space; global addresses are the device's
  std::array<std::byte*, kLanes> data;
  std::array<std::uint8_t*, kLanes> written;  // nullptr: not tracked
  Memory::Block* block = nullptr;             // global: of all lanes, when it is one
  bool tracked = false;
};

enum class Use : std::uint8_t { kRead, kWrite, kAtomic };

// Checks bounds and alignment of `bytes` at each lane's address in `access.address`; lanes of a
// generic access lie in one window. false: a finding was made and the warp stops.
bool resolve(Warp& w, const Instruction& in, Space space, std::uint32_t mask, std::uint32_t bytes,
             Use use, Access& access);
// The same in global memory, of any number of bytes and without regard to alignment.
bool resolve_global_bytes(Warp& w, const Instruction& in, std::uint32_t mask, std::uint32_t bytes,
                          Access& access);
// Fills access.address, of all lanes, from the operand and the offset.
void gather_addresses(const Warp& w, const Instruction& in, std::size_t operand, Access& access);
// The lanes of `mask` whose generic addresses lie in the window of the first one.
std::uint32_t same_window(const Access& access, std::uint32_t mask);
// Reports an address that depends on an undefined value.
void check_address(Warp& w, const Instruction& in, std::size_t operand, std::uint32_t mask);
// Races, pending copies, and counters of one access.
void note_access(Warp& w, const Instruction& in, const Access& access, Use use);
void count_global(Run& run, const Access& access, bool write);
void count_shared(Run& run, const Access& access);

// Lanes that read at least one byte that nobody wrote; `bytes` of them from `offset`.
std::uint32_t undefined_lanes(const Access& access, std::uint32_t offset, std::uint32_t bytes);

// Findings.
void report(Warp& w, const Instruction& in, Finding::Kind kind, int lane, Space space,
            std::uint64_t address, const std::string& text);
// The same with the other side of a race, or the origin of a value.
void report_pair(Warp& w, const Instruction& in, const Instruction* other, Finding::Kind kind,
                 int lane, Space space, std::uint64_t address, const std::string& text);
void report_undefined(Warp& w, const Instruction& in, std::size_t operand, std::uint32_t lanes,
                      const std::string& what);

void report_undefined_guard(Warp& w, const Instruction& in, std::uint32_t lanes);

// What a warp did and knew at one moment: clocks of its block's warps, of other blocks', and what
// of all that is behind a fence for the whole GPU.
struct Snapshot {
  std::vector<std::uint32_t> warps;
  std::shared_ptr<const BlockClocks> blocks, fenced;
  void merge(const Snapshot& other);
};

struct Barrier {
  std::uint32_t arrived = 0;   // threads
  std::uint32_t expected = 0;  // 0: all that live
  bool counted = false;        // `expected` was given
  struct Arrival {
    int warp = 0;
    std::uint32_t mask = 0;
    const Function* function = nullptr;
    std::uint32_t pc = 0;
    bool waits = false;
    std::uint32_t predicate = 0;  // bar.red: lanes whose predicate holds
    Snapshot clocks;              // what the warp did before
  };
  std::vector<Arrival> arrivals;
};

struct Block {
  Run* run = nullptr;
  std::uint64_t number = 0;  // linear
  std::uint64_t generation = 0;
  std::array<std::uint32_t, 3> index{};
  std::vector<std::unique_ptr<Warp>> warps;
  std::unique_ptr<std::byte, AlignedDelete> shared;
  std::unique_ptr<std::uint8_t, AlignedDelete> shared_written;
  std::unique_ptr<std::uint8_t, AlignedDelete> shared_pending;  // cp.async on the way to this byte
  std::size_t shared_bytes = 0;
  std::array<Barrier, 16> barriers;
  std::shared_ptr<Clocks> clocks;
  std::shared_ptr<SharedRaces> shared_races;
  struct MbarrierClocks {
    Snapshot arriving;
    std::array<Snapshot, 2> complete;  // by the phase's parity
  };
  std::unordered_map<std::uint64_t, MbarrierClocks> mbarriers;  // by address, for the race detector
  std::vector<Transfer> transfers;
  std::size_t turn = 0;     // whose turn it is, without a seed
  std::uint32_t spins = 0;  // ordered loads and atomics since somebody here did something else
};

struct FunctionCounts {
  std::vector<std::uint64_t> warps, threads, taken, divergent;
};

struct Run {
  Memory& memory;
  const Module::Body& body;
  const Launch& launch;
  const Options& options;
  const Gpu& gpu;
  Result result;
  bool stop = false;
  bool checked = false, races = false;
  int threads = 0;
  int warps_per_block = 0;
  std::uint32_t dynamic_base = 0, reserved_base = 0, reserved_bytes = 0;
  std::size_t shared_bytes = 0;
  int shared_granule = 4;
  std::vector<FunctionCounts> counts;  // by function
  std::uint64_t executed = 0;
  std::uint64_t progress = 0;  // things done that a waiting block may wait for
  Address grid_workspace = 0;  // of cooperative groups; 0: none
  std::mt19937_64 random;
  std::shared_ptr<GlobalRaces> global_races;
  std::unordered_map<std::uint64_t, std::size_t> seen;  // finding's key -> its place
  using SectorMaps =
      std::pair<std::vector<std::uint64_t>, std::vector<std::uint64_t>>;  // read, written
  std::unordered_map<const Memory::Block*, SectorMaps> sectors;
  const Memory::Block* sector_block = nullptr;
  SectorMaps* sector_maps = nullptr;

  Run(Memory& memory_in, const Module::Body& body_in, const Launch& launch_in,
      const Options& options_in)
      : memory(memory_in),
        body(body_in),
        launch(launch_in),
        options(options_in),
        gpu(*body_in.gpu) {}
};

std::array<std::uint32_t, 3> thread_of(const Warp& w, int lane);

// block.cpp
void start_block(Run& run, Block& block, std::uint64_t number);
bool finished(const Block& block);
// Why nothing in the block can go on.
void report_stall(Run& run, Block& block);
void report_hang(Run& run, Block& block, const std::string& text);
// Rows of a function, made ready for the block that runs.
Region& region_of(Warp& w, const Function& function);

// scheduler.cpp: runs until the block is finished, its budget of instructions is used up, or all of
// it only waits.
enum class Progress : std::uint8_t { kFinished, kBudget, kSpins, kStalled };
Progress run_block(Run& run, Block& block, std::uint64_t budget);

// barriers.cpp
// The lanes of `fragment` reach a barrier; they wait unless it is bar.arrive. The instruction's
// operands: barrier, count, predicate.
void arrive(Warp& w, Fragment& fragment, const Instruction& in, std::uint32_t mask);
// Control is past `from`: it could have come to `at` from there, and can't go back.
bool past(const Function* from_function, std::uint32_t from, const Function* at_function,
          std::uint32_t at);
// Threads left: barriers that wait for all may be complete now.
void settle_barriers(Block& block);
void check_left_behind(Warp& w, const Fragment& fragment, std::uint32_t mask);

// In Instruction::aux of barriers.
inline constexpr std::uint32_t kBarrierArrive = 1, kBarrierAligned = 2, kBarrierCounted = 4,
                               kBarrierPopc = 8, kBarrierAnd = 16, kBarrierOr = 32;
inline constexpr std::uint32_t kBarrierReduces = kBarrierPopc | kBarrierAnd | kBarrierOr;

// async.cpp: copies of groups before `keep` committed ones arrive; all: uncommitted ones too.
void complete_copies(Warp& w, std::uint32_t mask, std::uint32_t keep, bool all);
void complete_copies_before(Warp& w, std::uint32_t mask, std::uint64_t sequence);
void check_pending_copies(Warp& w, std::uint32_t mask);

// ops_warpgroup.cpp: the warp leaves; no wgmma may be under way.
void check_products(Warp& w);

// ops_mbarrier.cpp
// Threads leave: their cp.async that an mbarrier waits for arrive.
void settle_arrivals(Warp& w, std::uint32_t mask);
// The block is finished: no copy may be on its way.
void check_transfers(Block& block);

// A shared access to bytes whose cp.async hasn't arrived.
void check_pending(Warp& w, const Instruction& in, const Access& access);

// printf.cpp
bool is_builtin(std::string_view name);
bool call_builtin(Warp& w, const Instruction& in, std::string_view name,
                  const Function::CallSite& site, std::uint32_t mask);

}  // namespace hone::sim
