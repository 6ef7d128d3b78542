#include "runtime/backends/cpu_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace hone {
namespace {

// More threads than cores: they share what there is, and the rules hold all the same.
std::vector<int> cpus(int count) {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> usable;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) usable.push_back(cpu);
  }
  std::vector<int> result;
  for (int i = 0; i < count; ++i)
    result.push_back(usable[static_cast<std::size_t>(i) % usable.size()]);
  return result;
}

struct Counts {
  explicit Counts(std::int64_t blocks) : runs(static_cast<std::size_t>(blocks)) {}
  std::vector<std::atomic<int>> runs;
  std::atomic<std::int64_t> highest_thread = 0;
};

void count(const void* slots, const std::int64_t*, std::int64_t begin, std::int64_t end,
           std::int64_t thread) {
  Counts& counts = **static_cast<Counts* const*>(slots);
  for (std::int64_t i = begin; i < end; ++i) counts.runs[static_cast<std::size_t>(i)]++;
  std::int64_t highest = counts.highest_thread;
  while (highest < thread && !counts.highest_thread.compare_exchange_weak(highest, thread)) {
  }
}

void expect_each_once(CpuPool& pool, std::int64_t blocks, std::int64_t threads) {
  Counts counts(blocks);
  Counts* const slots = &counts;
  const std::int64_t grid[3] = {blocks, 1, 1};
  pool.run(&count, &slots, grid, blocks, threads);
  for (std::size_t i = 0; i < counts.runs.size(); ++i) {
    ASSERT_EQ(counts.runs[i], 1) << "block " << i << " of " << blocks << " on " << threads
                                 << " threads";
  }
  ASSERT_LT(counts.highest_thread, threads);
}

TEST(CpuPool, RunsEachBlockOnceForManyGridsAndThreadCounts) {
  for (const int size : {1, 2, 5}) {
    CpuPool pool(cpus(size));
    for (const std::int64_t blocks : {1, 2, 3, 7, 16, 17, 100, 1023, 5000}) {
      for (std::int64_t threads = 1; threads <= size + 1; ++threads)
        expect_each_once(pool, blocks, threads);
    }
  }
}

TEST(CpuPool, RunsEachBlockOnceOverManyShortLaunches) {
  CpuPool pool(cpus(4));
  for (int round = 0; round < 3000; ++round) expect_each_once(pool, 1 + round % 9, 1 + round % 4);
}

TEST(CpuPool, RunsLaunchesOfSeveralThreadsAtOnce) {
  CpuPool pool(cpus(3));
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&pool] {
      for (int round = 0; round < 300; ++round) expect_each_once(pool, 40, 3);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

struct Nested {
  CpuPool* pool;
  Counts* counts;
};

void launch_again(const void* slots, const std::int64_t*, std::int64_t begin, std::int64_t end,
                  std::int64_t) {
  const Nested& nested = *static_cast<const Nested*>(slots);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t grid[3] = {5, 1, 1};
    nested.pool->run(&count, &nested.counts, grid, 5, 3);
  }
}

TEST(CpuPool, RunsALaunchInsideALaunch) {
  CpuPool pool(cpus(3));
  Counts counts(5);
  const Nested nested = {&pool, &counts};
  const std::int64_t grid[3] = {8, 1, 1};
  pool.run(&launch_again, &nested, grid, 8, 3);
  for (const auto& runs : counts.runs) EXPECT_EQ(runs, 8);
}

struct Places {
  std::atomic<int> arrived = 0;
  int expected = 0;
  std::vector<std::atomic<int>> cpu_of_thread;
  std::vector<std::atomic<int>> cores_allowed;
};

// Waits for every thread of the launch, so that each of them surely runs.
void note_place(const void* slots, const std::int64_t*, std::int64_t, std::int64_t,
                std::int64_t thread) {
  Places& places = **static_cast<Places* const*>(slots);
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  places.cpu_of_thread[static_cast<std::size_t>(thread)] = ::sched_getcpu();
  places.cores_allowed[static_cast<std::size_t>(thread)] = CPU_COUNT(&allowed);
  places.arrived++;
  while (places.arrived < places.expected) ::sched_yield();
}

TEST(CpuPool, PinsEachWorkerToACoreOfItsOwn) {
  const std::vector<int> both = cpus(2);
  if (both[0] == both[1]) GTEST_SKIP() << "one core only";
  CpuPool pool(both);
  for (const int caller : both) {
    cpu_set_t before;
    ::sched_getaffinity(0, sizeof before, &before);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(caller), &here);
    ::sched_setaffinity(0, sizeof here, &here);
    Places places;
    places.expected = 2;
    places.cpu_of_thread = std::vector<std::atomic<int>>(2);
    places.cores_allowed = std::vector<std::atomic<int>>(2);
    Places* const slots = &places;
    const std::int64_t grid[3] = {2, 1, 1};
    pool.run(&note_place, &slots, grid, 2, 2);
    ::sched_setaffinity(0, sizeof before, &before);
    EXPECT_EQ(places.cores_allowed[1], 1);
    EXPECT_NE(places.cpu_of_thread[0], places.cpu_of_thread[1]) << "caller and worker share a core";
  }
}

TEST(CpuPool, WorksInAForkedChild) {
#ifdef HONE_SANITIZED
  GTEST_SKIP() << "the sanitizer's allocator isn't usable in a child forked while a thread starts";
#endif
  CpuPool pool(cpus(3));
  expect_each_once(pool, 100, 3);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(200);
    {
      CpuPool own(cpus(2));
      expect_each_once(own, 100, 2);
      expect_each_once(pool, 100, 3);
    }
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(CpuPin, RestoresWhatItFound) {
  cpu_set_t before;
  ::sched_getaffinity(0, sizeof before, &before);
  {
    const CpuPin pin;
    cpu_set_t inside;
    ::sched_getaffinity(0, sizeof inside, &inside);
    EXPECT_EQ(CPU_COUNT(&inside), 1);
  }
  cpu_set_t after;
  ::sched_getaffinity(0, sizeof after, &after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

}  // namespace
}  // namespace hone
