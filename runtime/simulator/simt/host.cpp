#include "runtime/simulator/simt/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <numeric>
#include <random>
#include <set>

#include "codegen/error.h"
#include "runtime/simulator/simt/fibre.h"
#include "runtime/simulator/simt/requests.h"

namespace hone::sim {
namespace {

constexpr std::uint32_t kMostThreads = 1024;
constexpr std::uint64_t kLookAtClock = 1 << 20;  // accesses between two looks
constexpr std::uint64_t kPatience = 1 << 22;     // accesses after which a thread lets others run
constexpr std::size_t kMostTracked = 64
                                     << 20;  // bytes of an allocation that races are looked for in

enum class State : std::uint8_t { kReady, kBarrier, kExchange, kDone };

struct Thread {
  HoneSimtThread self{};
  void* context = nullptr;
  State state = State::kReady;
  const void* site = nullptr;
  std::uint32_t brought_bytes = 0;
  std::array<unsigned char, kHoneSimtMost> brought;
};

// What stands in shared memory: a note for each byte.
struct SharedByte {
  std::uint32_t write_epoch = 0, read_epoch = 0;  // 0: in no epoch of this block
  std::uint32_t write_wave_epoch = 0, read_wave_epoch = 0;
  std::uint32_t write_site = 0, read_site = 0;
  std::uint16_t writer = 0, reader = 0;
  bool written = false, atomic = false, compare = false;
};

struct Wave {
  std::uint32_t first = 0, count = 0;  // threads
  std::uint32_t epoch = 1;             // of wave_barrier()
  unsigned parity = 0;
  HoneSimtWave shown[2]{};
  std::vector<unsigned char> results[2];
};

std::uint32_t last_epoch = 0;

std::vector<SharedByte>& shared_notes() {
  static std::vector<SharedByte> notes;
  return notes;
}
FibreStacks& stacks() {
  static FibreStacks made;
  return made;
}

class Run {
 public:
  Run(SimtMemory& memory, const SimtModule& module, const SimtLaunch& launch,
      const Options& options)
      : memory_(memory),
        module_(module),
        launch_(launch),
        options_(options),
        random_(options.seed),
        began_(std::chrono::steady_clock::now()) {
    shared_begin_ = reinterpret_cast<std::uintptr_t>(module.memory().static_begin);
    shared_end_ = reinterpret_cast<std::uintptr_t>(module.memory().static_end);
    dynamic_begin_ = reinterpret_cast<std::uintptr_t>(module.memory().dynamic_begin);
    dynamic_end_ = dynamic_begin_ + module.memory().dynamic_most + kHoneSimtSlack;
  }

  Result go();

  void access(const void* address, std::size_t bytes, unsigned kind, const void* site);
  void wait(State state, const void* site);
  const HoneSimtWave* exchange(const void* mine, unsigned bytes, const void* site);
  void wave_barrier(const void* site);
  void absent(unsigned lane, const void* site);
  // From a thread: the launch is over. Doesn't come back, but isn't marked so: the address
  // sanitizer would take the fibre's stack for a broken one.
  void stop();
  void trap(const char* why, const void* site);
  void matrix(std::uint64_t flops) {
    ++result_.counters.matrix;
    result_.counters.matrix_flops += flops;
  }
  void thread_main();

  HoneSimtHost host{};

 private:
  void start_block(std::uint32_t number);
  void run_block();
  bool run_wave(Wave& wave);
  void resume(Thread& thread);
  bool serve_exchange(Wave& wave);
  void meet_at_barrier();
  void touch_shared(std::uintptr_t address, std::size_t bytes, unsigned kind, const void* site);
  void touch_global(SimtMemory::Block& block, std::uintptr_t address, std::size_t bytes,
                    unsigned kind, const void* site);
  void look_for_races(SimtMemory::Block& block, std::uintptr_t address, std::size_t bytes,
                      unsigned kind, const void* site);
  void check_clock();
  Finding finding(Finding::Kind kind, const HoneSimtThread& thread, const void* site,
                  std::string text) const;
  void other_side(Finding* finding, std::uint32_t site) const;
  void add(Finding finding, const void* site);
  std::string thread_text(std::uint32_t linear) const;
  std::uint32_t linear(const HoneSimtThread& self) const {
    return self.thread[0] + launch_.block[0] * (self.thread[1] + launch_.block[1] * self.thread[2]);
  }
  HoneSimtThread& self() { return *host.current; }

  SimtMemory& memory_;
  const SimtModule& module_;
  const SimtLaunch& launch_;
  const Options& options_;
  std::mt19937_64 random_;
  std::chrono::steady_clock::time_point began_;
  std::uintptr_t shared_begin_, shared_end_, dynamic_begin_, dynamic_end_;
  std::vector<Thread> threads_;
  std::vector<Wave> waves_;
  // Epochs are never used twice in a process; those before `first_epoch_` are of other launches.
  const std::uint32_t first_epoch_ = ++last_epoch;
  std::uint32_t epoch_ = first_epoch_, block_ = 0;
  bool block_synchronised_ = false;  // it used an atomic on global memory
  std::uint64_t steps_ = 0, slice_ = 0;
  void* scheduler_ = nullptr;
  bool over_ = false;
  Requests requests_;  // of the wave that runs
  Result result_;
  std::map<std::tuple<Finding::Kind, std::uint32_t>, std::size_t> known_;
};

Run* running = nullptr;

// The kernel's side comes in here.
void on_access(const void* address, unsigned long bytes, unsigned kind, const void* site) {
  running->access(address, bytes, kind, site);
}
void on_barrier(const void* site) { running->wait(State::kBarrier, site); }
const HoneSimtWave* on_exchange(const void* mine, unsigned bytes, const void* site) {
  return running->exchange(mine, bytes, site);
}
void on_wave_barrier(const void* site) { running->wave_barrier(site); }
void on_absent(unsigned lane, const void* site) { running->absent(lane, site); }
void on_matrix(unsigned long flops) { running->matrix(flops); }
void on_trap(const char* why, const void* site) { running->trap(why, site); }
void start_thread() { running->thread_main(); }

void Run::thread_main() {
  launch_.kernel->call(launch_.arguments.data());
  Thread& thread = threads_[linear(self())];
  thread.state = State::kDone;
  switch_fibre(&thread.context, scheduler_);
  __builtin_unreachable();
}

void Run::stop() {
  over_ = true;
  switch_fibre(&threads_[linear(self())].context, scheduler_);
}

void Run::wait(State state, const void* site) {
  Thread& thread = threads_[linear(self())];
  thread.state = state;
  thread.site = site;
  switch_fibre(&thread.context, scheduler_);
}

const HoneSimtWave* Run::exchange(const void* mine, unsigned bytes, const void* site) {
  Thread& thread = threads_[linear(self())];
  thread.brought_bytes = std::min(bytes, kHoneSimtMost);
  std::memcpy(thread.brought.data(), mine, thread.brought_bytes);
  wait(State::kExchange, site);
  const Wave& wave = waves_[self().wave];
  return &wave.shown[wave.parity];
}

void Run::wave_barrier(const void* site) {
  const char nothing = 0;
  exchange(&nothing, 1, site);
  Wave& wave = waves_[self().wave];
  // The first lane that goes on counts for all.
  const std::uint64_t active = wave.shown[wave.parity].active;
  if (self().lane == static_cast<unsigned>(std::countr_zero(active))) ++wave.epoch;
}

void Run::resume(Thread& thread) {
  slice_ = 0;
  host.current = &thread.self;
  thread.state = State::kReady;
  switch_fibre(&scheduler_, thread.context);
}

// Of the lanes that wait to exchange, those at one place of the text that come first in the code:
// what follows a loop waits for the lanes that are still in it.
bool Run::serve_exchange(Wave& wave) {
  const Thread* first = nullptr;
  for (std::uint32_t i = 0; i < wave.count; ++i) {
    const Thread& thread = threads_[wave.first + i];
    if (thread.state == State::kExchange && (first == nullptr || thread.site < first->site))
      first = &thread;
  }
  if (first == nullptr) return false;
  // Compilers may copy a call: the same lines are the same place.
  const auto& place = module_.lines_of(module_.offset_of(first->site));
  wave.parity ^= 1;
  HoneSimtWave& shown = wave.shown[wave.parity];
  std::vector<unsigned char>& results = wave.results[wave.parity];
  results.resize(std::size_t{64} * kHoneSimtMost);
  shown = {0, results.data(), kHoneSimtMost};
  for (std::uint32_t i = 0; i < wave.count; ++i) {
    Thread& thread = threads_[wave.first + i];
    if (thread.state != State::kExchange) continue;
    if (thread.site != first->site &&
        (place.empty() || module_.lines_of(module_.offset_of(thread.site)) != place))
      continue;
    std::memcpy(results.data() + std::size_t{i} * kHoneSimtMost, thread.brought.data(),
                thread.brought_bytes);
    shown.active |= std::uint64_t{1} << i;
  }
  for (std::uint32_t i = 0; i < wave.count; ++i)
    if (shown.active >> i & 1) threads_[wave.first + i].state = State::kReady;
  ++result_.counters.shuffles;
  return true;
}

// Until all its threads are done or at a barrier. False: one of them spins and lets others run.
bool Run::run_wave(Wave& wave) {
  bool spins = false;
  do {
    for (std::uint32_t i = 0; i < wave.count && !over_; ++i) {
      Thread& thread = threads_[wave.first + i];
      if (thread.state != State::kReady) continue;
      resume(thread);
      spins |= thread.state == State::kReady;
    }
    requests_.count(result_.counters);
  } while (!over_ && !spins && serve_exchange(wave));
  return !spins;
}

void Run::meet_at_barrier() {
  const Thread* first = nullptr;
  for (const Thread& thread : threads_) {
    if (thread.state != State::kBarrier) continue;
    if (first == nullptr) first = &thread;
    if (thread.site == first->site) continue;
    const auto& here = module_.lines_of(module_.offset_of(first->site));
    const auto& there = module_.lines_of(module_.offset_of(thread.site));
    if (!here.empty() && here == there) continue;
    Finding found = finding(Finding::Kind::kBarrier, thread.self, thread.site,
                            fmt::format("threads of one block wait at different barriers: {} at "
                                        "another one",
                                        thread_text(linear(first->self))));
    other_side(&found, module_.offset_of(first->site));
    add(std::move(found), thread.site);
    over_ = true;
    return;
  }
  epoch_ = ++last_epoch;
  result_.counters.barriers += waves_.size();
  for (Thread& thread : threads_)
    if (thread.state == State::kBarrier) thread.state = State::kReady;
}

void Run::start_block(std::uint32_t number) {
  const auto& grid = launch_.grid;
  block_ = number;
  block_synchronised_ = false;
  epoch_ = ++last_epoch;
  const HoneSimtKernel& shared = module_.memory();
  // What a block finds in shared memory is what others left there: nothing to count on.
  std::memset(shared.static_begin, kSimtPoison,
              static_cast<std::size_t>(dynamic_begin_ - shared_begin_));
  std::memset(shared.dynamic_begin, kSimtPoison, launch_.dynamic_shared_bytes);
  if (shared_end_ > dynamic_end_)
    std::memset(reinterpret_cast<void*>(dynamic_end_), kSimtPoison, shared_end_ - dynamic_end_);
  if (options_.checks != Checks::kNone) {
    auto& notes = shared_notes();
    if (notes.size() < shared_end_ - shared_begin_) notes.resize(shared_end_ - shared_begin_);
    const auto clear = [&](std::uintptr_t begin, std::uintptr_t end) {
      std::fill(notes.begin() + static_cast<std::ptrdiff_t>(begin - shared_begin_),
                notes.begin() + static_cast<std::ptrdiff_t>(end - shared_begin_), SharedByte{});
    };
    clear(shared_begin_, dynamic_begin_ + launch_.dynamic_shared_bytes);
    if (shared_end_ > dynamic_end_) clear(dynamic_end_, shared_end_);
  }
  for (std::uint32_t i = 0; i < threads_.size(); ++i) {
    Thread& thread = threads_[i];
    const auto& block = launch_.block;
    thread.self = {{i % block[0], i / block[0] % block[1], i / (block[0] * block[1])},
                   {number % grid[0], number / grid[0] % grid[1], number / (grid[0] * grid[1])},
                   {block[0], block[1], block[2]},
                   {grid[0], grid[1], grid[2]},
                   i % launch_.wave,
                   i / launch_.wave,
                   launch_.wave,
                   stacks().low(i),
                   FibreStacks::kBytes};
    thread.state = State::kReady;
    thread.context = stacks().prepare(i, start_thread);
  }
  for (Wave& wave : waves_) wave.epoch = 1;
}

void Run::run_block() {
  std::vector<std::size_t> order(waves_.size());
  std::iota(order.begin(), order.end(), 0);
  while (!over_) {
    if (options_.seed != 0) std::shuffle(order.begin(), order.end(), random_);
    bool all_wait = true;
    for (const std::size_t wave : order)
      if (!over_) all_wait &= run_wave(waves_[wave]);
    if (over_) return;
    if (!all_wait) {
      check_clock();
      continue;
    }
    if (std::all_of(threads_.begin(), threads_.end(),
                    [](const Thread& thread) { return thread.state == State::kDone; }))
      return;
    meet_at_barrier();
  }
}

Result Run::go() {
  const std::uint64_t threads =
      std::uint64_t{launch_.block[0]} * launch_.block[1] * launch_.block[2];
  const std::uint64_t blocks = std::uint64_t{launch_.grid[0]} * launch_.grid[1] * launch_.grid[2];
  if (threads < 1 || threads > kMostThreads || blocks < 1 || blocks > 0xFFFFFFFFu ||
      launch_.dynamic_shared_bytes > module_.memory().dynamic_most || launch_.wave > 64 ||
      launch_.arguments.size() < launch_.kernel->argument_bytes)
    throw Error(Code::kUsage,
                fmt::format("no GPU takes a launch of {} blocks of {} threads with {} bytes of "
                            "shared memory",
                            blocks, threads, launch_.dynamic_shared_bytes));
  stacks().ensure(threads);
  threads_.resize(threads);
  for (std::uint32_t first = 0; first < threads; first += launch_.wave) {
    waves_.emplace_back();
    waves_.back().first = first;
    waves_.back().count = std::min(launch_.wave, static_cast<std::uint32_t>(threads) - first);
  }
  host = {nullptr,         on_access, on_barrier, on_exchange,
          on_wave_barrier, on_absent, on_matrix,  on_trap};
  *module_.memory().host = &host;
  running = this;
  std::vector<std::uint32_t> order;
  if (options_.seed != 0) {
    order.resize(blocks);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
  }
  for (std::uint32_t i = 0; i < blocks && !over_; ++i) {
    start_block(order.empty() ? i : order[i]);
    run_block();
    ++result_.counters.blocks;
    result_.counters.warps += waves_.size();
  }
  running = nullptr;
  return std::move(result_);
}

void Run::check_clock() {
  if (options_.time_limit <= 0) return;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began_;
  if (passed.count() < options_.time_limit || over_) return;
  add(finding(Finding::Kind::kHang, self(), nullptr,
              fmt::format("no end after {:.1f} s; blocks that wait for each other run one after "
                          "the other here",
                          passed.count())),
      nullptr);
  over_ = true;
}

void Run::access(const void* pointer, std::size_t bytes, unsigned kind, const void* site) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (++steps_ % kLookAtClock == 0) {
    check_clock();
    if (over_) return stop();
  }
  if (++slice_ > kPatience) wait(State::kReady, site);
  ++result_.counters.thread_instructions;
  if ((kind & kHoneSimtUnaligned) == 0 && address % bytes != 0) {
    Finding found = finding(Finding::Kind::kMisaligned, self(), site,
                            fmt::format("an access of {} bytes at an address that isn't a multiple "
                                        "of them",
                                        bytes));
    found.address = address;
    add(std::move(found), site);
    return stop();
  }
  if (address - shared_begin_ < shared_end_ - shared_begin_) {
    touch_shared(address, bytes, kind, site);
    return;
  }
  if (SimtMemory::Block* block = memory_.block(address);
      block != nullptr && block->contains(address, bytes)) {
    touch_global(*block, address, bytes, kind, site);
    return;
  }
  const bool writes = (kind & (kHoneSimtWrite | kHoneSimtAtomic)) != 0;
  const auto arguments = reinterpret_cast<std::uintptr_t>(launch_.arguments.data());
  if (!writes && (module_.holds(address) || address - arguments < launch_.arguments.size())) return;
  Finding found = finding(Finding::Kind::kOutOfBounds, self(), site,
                          fmt::format("{} {} bytes: {}", writes ? "writes" : "reads", bytes,
                                      memory_.describe(address)));
  found.address = address;
  found.space = "global";
  add(std::move(found), site);
  stop();
}

void Run::touch_shared(std::uintptr_t address, std::size_t bytes, unsigned kind, const void* site) {
  const bool atomic = (kind & kHoneSimtAtomic) != 0,
             writes = atomic || (kind & kHoneSimtWrite) != 0;
  ++(atomic   ? result_.counters.shared_atomics
     : writes ? result_.counters.shared_stores
              : result_.counters.shared_loads);
  if (!atomic)
    requests_.add(linear(self()) % launch_.wave, site, Requests::Kind::kShared, shared_begin_,
                  address - shared_begin_, bytes);
  const std::uintptr_t used = dynamic_begin_ + launch_.dynamic_shared_bytes;
  if (address + bytes > shared_end_ ||
      (address < dynamic_end_ && address + bytes > used && address + bytes > dynamic_begin_)) {
    Finding found =
        finding(Finding::Kind::kOutOfBounds, self(), site,
                fmt::format("{} {} bytes at byte {} of {} bytes of dynamic shared memory",
                            writes ? "writes" : "reads", bytes,
                            static_cast<std::int64_t>(address - dynamic_begin_),
                            launch_.dynamic_shared_bytes));
    found.address = address - shared_begin_;
    found.space = "shared";
    add(std::move(found), site);
    return stop();
  }
  if (options_.checks == Checks::kNone) return;
  const auto me = static_cast<std::uint16_t>(linear(self()));
  // A plain read before a compare and swap is how one is used: the swap notices what came between.
  const bool compare = (kind & kHoneSimtCompare) != 0;
  const std::uint32_t wave_epoch = waves_[self().wave].epoch;
  const bool races = options_.checks == Checks::kAll;
  const std::uint32_t here = module_.offset_of(site);
  SharedByte* note = shared_notes().data() + (address - shared_begin_);
  const auto found_at = [&](Finding::Kind what, std::string text, std::uint32_t other) {
    Finding found = finding(what, self(), site, std::move(text));
    found.address = address - shared_begin_;
    found.space = "shared";
    other_side(&found, other);
    add(std::move(found), site);
  };
  // Concurrent: another thread, the same epoch, and of the same wave also the same wave's epoch.
  const auto concurrent = [&](std::uint16_t other, std::uint32_t epoch,
                              std::uint32_t other_wave_epoch) {
    return epoch == epoch_ && other != me &&
           (other / launch_.wave != me / launch_.wave || other_wave_epoch == wave_epoch);
  };
  bool raced = false, blank = false;
  for (std::size_t i = 0; i < bytes; ++i, ++note) {
    if (!writes && !note->written && !blank) {
      blank = true;
      found_at(Finding::Kind::kUninitialised, "reads shared memory that nothing was written to", 0);
    }
    if (races && !raced && concurrent(note->writer, note->write_epoch, note->write_wave_epoch) &&
        !(atomic && note->atomic) && !(!writes && note->compare)) {
      raced = true;
      found_at(Finding::Kind::kRace,
               fmt::format("{} what {} wrote with no barrier between",
                           writes ? "overwrites" : "reads", thread_text(note->writer)),
               note->write_site);
    }
    if (writes) {
      if (races && !raced && !compare &&
          concurrent(note->reader, note->read_epoch, note->read_wave_epoch)) {
        raced = true;
        found_at(Finding::Kind::kRace,
                 fmt::format("overwrites what {} read with no barrier between",
                             thread_text(note->reader)),
                 note->read_site);
      }
      note->writer = me;
      note->write_epoch = epoch_;
      note->write_wave_epoch = wave_epoch;
      note->write_site = here;
      note->written = true;
      note->atomic = atomic;
      note->compare = compare;
    } else if (note->read_epoch != epoch_ || note->reader == me ||
               note->reader / launch_.wave == me / launch_.wave) {
      // Of several readers one of another wave than the writer-to-be is worth more; keep the first.
      note->reader = me;
      note->read_epoch = epoch_;
      note->read_wave_epoch = wave_epoch;
      note->read_site = here;
    }
  }
}

void Run::touch_global(SimtMemory::Block& block, std::uintptr_t address, std::size_t bytes,
                       unsigned kind, const void* site) {
  const bool atomic = (kind & kHoneSimtAtomic) != 0,
             writes = atomic || (kind & kHoneSimtWrite) != 0;
  Counters& counters = result_.counters;
  if (atomic) {
    ++counters.global_atomics;
    block_synchronised_ = true;
  } else if (writes) {
    ++counters.global_stores;
    counters.global_store_bytes += bytes;
  } else {
    ++counters.global_loads;
    counters.global_load_bytes += bytes;
  }
  if (!atomic)
    requests_.add(linear(self()) % launch_.wave, site,
                  writes ? Requests::Kind::kStore : Requests::Kind::kLoad, block.start, address,
                  bytes);
  if (options_.checks == Checks::kNone) return;
  std::uint8_t* written = block.written.data() + (address - block.start);
  if (!writes || atomic) {
    if (std::find(written, written + bytes, std::uint8_t{0}) != written + bytes) {
      Finding found =
          finding(Finding::Kind::kUninitialised, self(), site,
                  fmt::format("reads {} that nothing was written to", memory_.describe(address)));
      found.address = address;
      found.space = "global";
      add(std::move(found), site);
    }
  }
  if (writes) std::memset(written, 1, bytes);
  if (options_.checks == Checks::kAll && block.bytes <= kMostTracked)
    look_for_races(block, address, bytes, kind, site);
}

// The last write to and the last read of each four bytes. Blocks are concurrent; threads of one
// block are within an epoch. A block that has used an atomic may have waited for others.
void Run::look_for_races(SimtMemory::Block& block, std::uintptr_t address, std::size_t bytes,
                         unsigned kind, const void* site) {
  const bool atomic = (kind & kHoneSimtAtomic) != 0,
             writes = atomic || (kind & kHoneSimtWrite) != 0;
  const bool compare = (kind & kHoneSimtCompare) != 0;
  if (!block.cells) block.cells = std::make_unique<SimtMemory::Cell[]>(block.bytes / 4 + 1);
  const auto me = static_cast<std::uint16_t>(linear(self()));
  const std::uint32_t here = module_.offset_of(site);
  const std::uintptr_t begin = address - block.start, end = begin + bytes;
  bool raced = false;
  for (std::uintptr_t word = begin / 4; word * 4 < end; ++word) {
    SimtMemory::Cell& cell = block.cells[word];
    std::uint8_t mask = 0;
    for (unsigned i = 0; i < 4; ++i)
      if (word * 4 + i >= begin && word * 4 + i < end) mask |= static_cast<std::uint8_t>(1u << i);
    const auto concurrent = [&](const SimtMemory::Access& other) {
      if (other.epoch < first_epoch_ || (other.bytes & mask) == 0 || (other.atomic && atomic))
        return false;
      if (!writes && other.compare) return false;
      if (other.block != block_) return !block_synchronised_;
      return other.epoch == epoch_ && other.thread != me &&
             other.thread / launch_.wave != me / launch_.wave;
    };
    const auto report = [&](const SimtMemory::Access& other, const char* what) {
      raced = true;
      const auto& grid = launch_.grid;
      Finding found =
          finding(Finding::Kind::kRace, self(), site,
                  fmt::format("{} {} in block ({}, {}, {}) {} with nothing to order them",
                              writes ? "overwrites what" : "reads what", thread_text(other.thread),
                              other.block % grid[0], other.block / grid[0] % grid[1],
                              other.block / (grid[0] * grid[1]), what));
      found.address = address;
      found.space = "global";
      other_side(&found, other.site);
      add(std::move(found), site);
    };
    if (!raced && concurrent(cell.write)) report(cell.write, "wrote");
    if (!raced && writes && !compare && concurrent(cell.read)) report(cell.read, "read");
    const SimtMemory::Access mine = {block_, epoch_, here, me, mask, atomic, compare};
    if (writes)
      cell.write = mine;
    else if (cell.read.epoch != epoch_ || cell.read.block == block_)
      cell.read = mine;
  }
}

void Run::absent(unsigned lane, const void* site) {
  const Wave& wave = waves_[self().wave];
  if (lane >= wave.count) {
    add(finding(Finding::Kind::kMask, self(), site,
                fmt::format("asks lane {} of a wave of {} threads", lane, wave.count)),
        site);
    return;
  }
  const Thread& other = threads_[wave.first + lane];
  Finding found =
      finding(Finding::Kind::kMask, self(), site,
              fmt::format("asks lane {}, but lanes exchange only with those that are there: it {}",
                          lane, other.state == State::kDone ? "has ended" : "is elsewhere"));
  if (other.state != State::kDone) other_side(&found, module_.offset_of(other.site));
  add(std::move(found), site);
}

void Run::trap(const char* why, const void* site) {
  add(finding(Finding::Kind::kTrap, self(), site, why), site);
  stop();
}

std::string Run::thread_text(std::uint32_t number) const {
  const auto& block = launch_.block;
  return fmt::format("thread ({}, {}, {})", number % block[0], number / block[0] % block[1],
                     number / (block[0] * block[1]));
}

Finding Run::finding(Finding::Kind kind, const HoneSimtThread& thread, const void* site,
                     std::string text) const {
  Finding found;
  found.kind = kind;
  found.kernel = launch_.kernel->name;
  std::copy_n(thread.block, 3, found.block.begin());
  std::copy_n(thread.thread, 3, found.thread.begin());
  found.text = std::move(text);
  const auto& lines = module_.lines_of(module_.offset_of(site));
  if (lines.empty()) return found;
  found.source_file = "kernel.hip";
  found.source_line = static_cast<int>(lines.front());
  found.instruction = module_.text_of(lines.front());
  for (std::size_t i = 1; i < lines.size(); ++i)
    found.text += fmt::format("\n  called at line {}: {}", lines[i], module_.text_of(lines[i]));
  return found;
}

void Run::other_side(Finding* found, std::uint32_t site) const {
  const auto& lines = module_.lines_of(site);
  if (lines.empty()) return;
  found->other_source_file = "kernel.hip";
  found->other_source_line = static_cast<int>(lines.front());
  found->text +=
      fmt::format("\n  the other: line {}: {}", lines.front(), module_.text_of(lines.front()));
  for (std::size_t i = 1; i < lines.size(); ++i)
    found->text += fmt::format("\n    called at line {}: {}", lines[i], module_.text_of(lines[i]));
}

// The same thing at the same place is counted.
void Run::add(Finding found, const void* site) {
  const auto [known, fresh] =
      known_.try_emplace({found.kind, module_.offset_of(site)}, result_.findings.size());
  if (!fresh) {
    ++result_.findings[known->second].count;
    return;
  }
  result_.findings.push_back(std::move(found));
  if (result_.findings.size() >= options_.finding_limit) over_ = true;
}

}  // namespace

Result run_simt(SimtMemory& memory, const SimtModule& module, const SimtLaunch& launch,
                const Options& options) {
  return Run(memory, module, launch, options).go();
}

}  // namespace hone::sim
