#include "runtime/backends/gpu_arch.h"

#include <gtest/gtest.h>

namespace hone {
namespace {

TEST(GpuArch, OfADeviceIsItsOwnOrTheNextLowerOfItsMajorVersion) {
  EXPECT_STREQ(nvidia_arch(8, 0)->name, "sm_80");
  EXPECT_STREQ(nvidia_arch(8, 6)->name, "sm_86");
  EXPECT_STREQ(nvidia_arch(8, 7)->name, "sm_86");
  EXPECT_STREQ(nvidia_arch(9, 0)->name, "sm_90a");
  EXPECT_STREQ(nvidia_arch(12, 0)->name, "sm_120a");
  EXPECT_EQ(nvidia_arch(7, 0), nullptr);
  // Code for an architecture with an `a` runs on no other.
  EXPECT_EQ(nvidia_arch(10, 3), nullptr);
}

TEST(GpuArch, GivesTargetsTheLimitsThatTemplatesName) {
  for (const GpuArch& arch : gpu_archs()) {
    const Target target = gpu_target(arch, 10, 1 << 20);
    EXPECT_EQ(target.backend, arch.backend);
    for (const char* name : {"units", "wave", "max_shared", "max_threads", "registers", "l2_bytes",
                             "has_mma", "has_bf16", "has_cp_async", "has_mfma", "sm"})
      EXPECT_TRUE(target.limits.has(name)) << target.text() << " " << name;
    EXPECT_EQ(target.limits.integer("units"), 10);
  }
  EXPECT_EQ(gpu_target(*find_gpu_arch("cuda", "sm_90a"), 1, 1).limits.integer("max_shared"),
            227 * 1024);
  EXPECT_EQ(find_gpu_arch("cuda", "gfx90a"), nullptr);
}

TEST(Occupancy, IsBoundByRegistersSharedMemoryAndThreads) {
  const GpuArch& a100 = *find_gpu_arch("cuda", "sm_80");
  EXPECT_DOUBLE_EQ(gpu_occupancy(a100, 32, 0, 256), 1.0);
  // 65536 / (128 * 256) = 2 blocks of 256 threads out of 2048 threads.
  EXPECT_DOUBLE_EQ(gpu_occupancy(a100, 128, 0, 256), 0.25);
  // 164 KiB hold one block of 100 KiB, and three of 48 KiB with the 1 KiB that each costs.
  EXPECT_DOUBLE_EQ(gpu_occupancy(a100, 32, 100 << 10, 256), 0.125);
  EXPECT_DOUBLE_EQ(gpu_occupancy(a100, 32, 48 << 10, 256), 0.375);
  // 32 blocks at most.
  EXPECT_DOUBLE_EQ(gpu_occupancy(a100, 16, 0, 32), 0.5);
}

TEST(Occupancy, IsZeroForABlockThatDoesNotFit) {
  const GpuArch& turing = *find_gpu_arch("cuda", "sm_75");
  EXPECT_EQ(gpu_occupancy(turing, 32, 65 << 10, 128), 0);
  EXPECT_EQ(gpu_occupancy(turing, 32, 0, 2048), 0);
  EXPECT_EQ(gpu_occupancy(turing, 128, 0, 1024), 0);
  EXPECT_EQ(gpu_occupancy(turing, 256, 0, 32), 0);
}

}  // namespace
}  // namespace hone
