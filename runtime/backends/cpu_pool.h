// Threads, one pinned to each core, that run the blocks of a launch together with the caller.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace hone {

// An entry of a compiled kernel (HONE_KERNEL of templates/include/types.h): runs blocks [begin,
// end) of the linear grid.
using CpuEntry = void (*)(const void* slots, const std::int64_t* grid, std::int64_t begin,
                          std::int64_t end, std::int64_t thread);

// The caller of run() is thread 0 of a launch; it isn't pinned, and the worker that shares its core
// is left out. The others run on workers, each pinned to its core, that spin for kSpin after a
// launch and then sleep. Workers start with the first launch that needs one. A worker that wakes
// too late to help isn't waited for. Any thread may call run(), even in a forked child, where the
// workers don't exist; while one launch has the workers, others run on their caller alone.
class CpuPool {
 public:
  explicit CpuPool(std::vector<int> cpus);
  ~CpuPool();
  CpuPool(const CpuPool&) = delete;
  CpuPool& operator=(const CpuPool&) = delete;

  int size() const { return static_cast<int>(cpus_.size()); }

  // Every block in [0, blocks) is run exactly once, on at most `threads` threads numbered from 0;
  // complete on return.
  void run(CpuEntry entry, const void* slots, const std::int64_t* grid, std::int64_t blocks,
           std::int64_t threads) noexcept {
    if (threads <= 1 || blocks <= 1) {
      entry(slots, grid, 0, blocks, 0);
    } else {
      run_shared(entry, slots, grid, blocks, threads);
    }
  }

 private:
  struct Worker;
  struct Job {
    CpuEntry entry;
    const void* slots;
    const std::int64_t* grid;
    std::int64_t blocks;
    std::int64_t chunk;
  };

  void run_shared(CpuEntry entry, const void* slots, const std::int64_t* grid, std::int64_t blocks,
                  std::int64_t threads) noexcept;
  void start_workers();
  void serve(Worker& worker);
  void work(std::int64_t thread) noexcept;

  std::vector<int> cpus_;
  std::vector<std::unique_ptr<Worker>>
      workers_;    // one per CPU, or none before the first shared launch
  int owner_ = 0;  // the process that started them
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  Job job_ = {};
  alignas(64) std::atomic<std::int64_t> next_ = 0;  // the first block that nobody has taken
};

// Pins the calling thread to the CPU that it is running on, for the life of the object.
class CpuPin {
 public:
  CpuPin();
  ~CpuPin();
  CpuPin(const CpuPin&) = delete;
  CpuPin& operator=(const CpuPin&) = delete;

 private:
  std::vector<unsigned char> before_;  // the mask to restore; empty when it couldn't be read
};

}  // namespace hone
