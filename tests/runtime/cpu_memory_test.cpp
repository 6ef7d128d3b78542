#include "runtime/backends/cpu_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::size_t kMegabyte = 1 << 20;

TEST(CpuMemory, AlignsBuffersOfEverySize) {
  CpuMemory memory;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{63},
                                  std::size_t{4097}, kMegabyte - 1, kMegabyte, 5 * kMegabyte + 1}) {
    void* buffer = memory.allocate(bytes);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer) % 64, 0U) << bytes;
    std::memset(buffer, 1, bytes);
    memory.release(buffer);
  }
  memory.release(nullptr);
}

TEST(CpuMemory, PutsLargeBuffersOnHugePageBoundaries) {
  CpuMemory memory;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.allocate(8 * kMegabyte)) % (2 * kMegabyte), 0U);
}

TEST(CpuMemory, ReusesAReleasedBufferOfSimilarSize) {
  CpuMemory memory;
  void* first = memory.allocate(100 * kMegabyte);
  memory.release(first);
  EXPECT_EQ(memory.allocate(90 * kMegabyte), first);
}

TEST(CpuMemory, DoesNotSpendALargeBufferOnASmallRequest) {
  CpuMemory memory;
  void* first = memory.allocate(100 * kMegabyte);
  memory.release(first);
  EXPECT_NE(memory.allocate(10 * kMegabyte), first);
}

TEST(CpuMemory, NeverGivesOutABufferTwice) {
  CpuMemory memory;
  std::vector<std::thread> threads;
  std::vector<int> clashes(4, 0);
  for (std::size_t i = 0; i < clashes.size(); ++i) {
    threads.emplace_back([&memory, &clashes, i] {
      const int mark = static_cast<int>(i);
      for (int round = 0; round < 200; ++round) {
        const std::size_t bytes = (1 + static_cast<std::size_t>(round) % 4) * kMegabyte;
        int* buffer = static_cast<int*>(memory.allocate(bytes));
        buffer[0] = mark;
        buffer[bytes / sizeof(int) - 1] = mark;
        std::this_thread::yield();
        clashes[i] += buffer[0] != mark || buffer[bytes / sizeof(int) - 1] != mark;
        memory.release(buffer);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : clashes) EXPECT_EQ(count, 0);
}

TEST(CpuMemory, ThrowsWhenThereIsNotEnough) {
  CpuMemory memory;
  for (const std::size_t bytes : {std::size_t{1} << 50, SIZE_MAX - 100}) {
    try {
      memory.allocate(bytes);
      FAIL() << "allocated " << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kDevice);
    }
  }
}

}  // namespace
}  // namespace hone
