#include "runtime/backends/cpu_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <system_error>

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the gaps between the launches of one token, short enough that an idle process costs
// nothing.
constexpr std::chrono::microseconds kSpin{100};
constexpr int kPausesPerLook = 32;  // `pause` instructions between looks at the clock
constexpr std::int64_t kChunksPerThread =
    8;  // leaves the faster threads work to take from the slower ones

enum State : std::uint32_t { kIdle, kOffered, kRunning, kQuit };

// Returns the first value that differs from `old`: spins for kSpin, then sleeps.
std::uint32_t wait_while(const std::atomic<std::uint32_t>& state, std::uint32_t old) {
  const Clock::time_point end = Clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (const std::uint32_t now = state.load(std::memory_order_acquire); now != old) return now;
      __builtin_ia32_pause();
    }
  } while (Clock::now() < end);
  state.wait(old);
  return state.load(std::memory_order_acquire);
}

// Sequentially consistent, so that notify can't miss a waiter that hasn't seen the new value.
void change(std::atomic<std::uint32_t>& state, std::uint32_t value) {
  state.exchange(value);
  state.notify_one();
}

void pin(const cpu_set_t* set, std::size_t bytes) {
  ::pthread_setaffinity_np(::pthread_self(), bytes, set);
}

void pin_to(int cpu) {
  const std::size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
  std::vector<unsigned char> mask(bytes);
  CPU_SET_S(static_cast<std::size_t>(cpu), bytes, reinterpret_cast<cpu_set_t*>(mask.data()));
  pin(reinterpret_cast<const cpu_set_t*>(mask.data()), bytes);
}

}  // namespace

struct alignas(64) CpuPool::Worker {
  std::atomic<std::uint32_t> state = kIdle;
  std::int64_t number = 0;  // its thread number in the present launch
  int cpu = 0;
  std::thread thread;
};

CpuPool::CpuPool(std::vector<int> cpus) : cpus_(std::move(cpus)) {}

CpuPool::~CpuPool() {
  if (::getpid() != owner_) {
    // A forked child has the workers' memory and no workers: nothing to join, and nothing that may
    // be freed.
    for (auto& worker : workers_) static_cast<void>(worker.release());
    return;
  }
  for (auto& worker : workers_) change(worker->state, kQuit);
  for (auto& worker : workers_) worker->thread.join();
}

void CpuPool::start_workers() {
  // Signals of the host program are for its own threads; faults stay where they happen.
  sigset_t blocked;
  sigset_t before;
  owner_ = ::getpid();
  ::sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP})
    ::sigdelset(&blocked, fault);
  ::pthread_sigmask(SIG_SETMASK, &blocked, &before);
  for (const int cpu : cpus_) {
    auto worker = std::make_unique<Worker>();
    worker->cpu = cpu;
    workers_.push_back(std::move(worker));
    try {
      workers_.back()->thread = std::thread(&CpuPool::serve, this, std::ref(*workers_.back()));
    } catch (const std::system_error&) {
      // The process may start no more threads: the launch goes on with those that there are.
      workers_.pop_back();
      break;
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void CpuPool::serve(Worker& worker) {
  pin_to(worker.cpu);
  for (;;) {
    std::uint32_t state = wait_while(worker.state, kIdle);
    if (state == kQuit) return;
    if (state == kOffered && worker.state.compare_exchange_strong(state, kRunning)) {
      work(worker.number);
      change(worker.state, kIdle);
    }
  }
}

void CpuPool::work(std::int64_t thread) noexcept {
  const Job job = job_;
  for (;;) {
    const std::int64_t begin = next_.fetch_add(job.chunk, std::memory_order_relaxed);
    if (begin >= job.blocks) return;
    job.entry(job.slots, job.grid, begin, std::min(begin + job.chunk, job.blocks), thread);
  }
}

void CpuPool::run_shared(CpuEntry entry, const void* slots, const std::int64_t* grid,
                         std::int64_t blocks, std::int64_t threads) noexcept {
  threads = std::min({threads, blocks, static_cast<std::int64_t>(cpus_.size())});
  if (threads <= 1 || busy_.test_and_set(std::memory_order_acquire)) {
    entry(slots, grid, 0, blocks, 0);
    return;
  }
  if (workers_.empty()) start_workers();
  job_ = {entry, slots, grid, blocks,
          std::max<std::int64_t>(1, blocks / (threads * kChunksPerThread))};
  next_.store(0, std::memory_order_relaxed);
  const int here = ::sched_getcpu();
  std::int64_t number = 1;
  for (auto& worker : workers_) {
    if (number == threads) break;
    if (worker->cpu == here) continue;
    worker->number = number++;
    change(worker->state, kOffered);
  }
  work(0);
  for (auto& worker : workers_) {
    std::uint32_t state = kOffered;
    if (worker->state.load(std::memory_order_acquire) == kIdle) continue;
    if (worker->state.compare_exchange_strong(state, kIdle)) continue;
    while (state == kRunning) state = wait_while(worker->state, kRunning);
  }
  busy_.clear(std::memory_order_release);
}

CpuPin::CpuPin() {
  // Grown until the kernel's mask fits, on machines of any size.
  for (std::size_t bytes = sizeof(cpu_set_t); bytes <= (sizeof(cpu_set_t) << 6); bytes *= 2) {
    std::vector<unsigned char> mask(bytes);
    if (::pthread_getaffinity_np(::pthread_self(), bytes,
                                 reinterpret_cast<cpu_set_t*>(mask.data())) == 0) {
      before_ = std::move(mask);
      break;
    }
  }
  if (const int here = ::sched_getcpu(); here >= 0 && !before_.empty()) pin_to(here);
}

CpuPin::~CpuPin() {
  if (!before_.empty()) pin(reinterpret_cast<const cpu_set_t*>(before_.data()), before_.size());
}

}  // namespace hone
