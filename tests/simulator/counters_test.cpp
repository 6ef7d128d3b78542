// Counters of kernels whose cost is known on paper.
#include <gtest/gtest.h>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

class Counters : public testing::Test {
 protected:
  // Runs the kernel over an input of 4,096 floats with one warp, or a wider geometry.
  sim::Counters count(const std::string& kernel, const Geometry& geometry = {.block = {32, 1, 1}}) {
    const Compiled compiled = compile_file("counters.cu", "sm_80");
    missing_ = compiled.missing;
    if (compiled.ptx.empty()) return {};
    Direct machine("sm_80");
    machine.load(compiled.ptx);
    const Pointer in = machine.upload(std::vector<float>(4096, 1.0f)),
                  out = machine.upload(std::vector<float>(4096));
    EXPECT_EQ(machine.run(kernel, geometry, in, out), "");
    return machine.result().counters;
  }
  std::string missing_;
};

#define SKIP_IF_MISSING() \
  if (!missing_.empty()) GTEST_SKIP() << missing_

TEST_F(Counters, GlobalSectorsFollowTheAddresses) {
  sim::Counters c = count("copy_coalesced", {.grid = {4, 1, 1}, .block = {64, 1, 1}});
  SKIP_IF_MISSING();
  EXPECT_EQ(c.global_loads, 8u);
  EXPECT_EQ(c.global_load_bytes, 1024u);
  EXPECT_EQ(c.global_load_sectors, 32u);
  EXPECT_EQ(c.global_load_sectors_ideal, 32u);
  EXPECT_EQ(c.global_store_sectors, 32u);
  EXPECT_EQ(c.unique_sectors_read, 32u);
  EXPECT_EQ(c.blocks, 4u);
  EXPECT_EQ(c.warps, 8u);
  c = count("copy_strided");
  EXPECT_EQ(c.global_load_sectors, 32u);
  EXPECT_EQ(c.global_load_sectors_ideal, 4u);
  EXPECT_EQ(c.global_store_sectors, 4u);
  c = count("copy_offset");
  EXPECT_EQ(c.global_load_sectors, 5u);
  EXPECT_EQ(c.global_load_sectors_ideal, 4u);
  c = count("copy_vectors");
  EXPECT_EQ(c.global_load_sectors, 16u);
  EXPECT_EQ(c.global_load_sectors_ideal, 16u);
  c = count("broadcast");
  EXPECT_EQ(c.global_load_sectors, 1u);
  EXPECT_EQ(c.global_load_sectors_ideal, 1u);
}

TEST_F(Counters, SharedWavefrontsFollowTheBanks) {
  sim::Counters c = count("shared_stride_1");
  SKIP_IF_MISSING();
  EXPECT_EQ(c.shared_loads, 1u);
  EXPECT_EQ(c.shared_stores, 1u);
  EXPECT_EQ(c.shared_wavefronts, 2u);
  EXPECT_EQ(c.shared_wavefronts_ideal, 2u);
  EXPECT_EQ(count("shared_stride_2").shared_wavefronts, 4u);
  c = count("shared_stride_32");
  EXPECT_EQ(c.shared_wavefronts, 64u);
  EXPECT_EQ(c.shared_wavefronts_ideal, 2u);
  EXPECT_EQ(count("shared_stride_33").shared_wavefronts, 2u);
}

TEST_F(Counters, BarriersAtomicsAndDivergenceAreCounted) {
  const sim::Counters c = count("divided", {.block = {64, 1, 1}});
  SKIP_IF_MISSING();
  EXPECT_EQ(c.barriers, 4u);
  EXPECT_EQ(c.global_atomics, 6u);
  EXPECT_EQ(c.divergent_branches, 2u);
  EXPECT_EQ(c.by_opcode.at("bar.sync"), 4u);
  EXPECT_GT(c.instructions, 20u);
  EXPECT_LT(c.thread_instructions, c.instructions * 32);
}

TEST_F(Counters, MatrixWorkOfAGemmIsTwoPerMultiplication) {
  const Compiled compiled = compile_file("mma.cu", "sm_80");
  if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
  Direct machine("sm_80");
  machine.load(compiled.ptx);
  const std::uint32_t size = 128;
  const std::vector<std::uint16_t> ones(size * size, 0x3c00);
  const Pointer a = machine.upload(ones), b = machine.upload(ones), c = machine.upload(ones);
  ASSERT_EQ(machine.run("gemm_f16_64",
                        {.grid = {2, 2, 1}, .block = {128, 1, 1}, .shared = 3 * 2 * 64 * 32 * 2}, a,
                        b, c, static_cast<int>(size), static_cast<int>(size)),
            "");
  const sim::Counters counters = machine.result().counters;
  EXPECT_EQ(counters.matrix_flops, std::uint64_t{2} * size * size * size);
  EXPECT_EQ(counters.matrix, std::uint64_t{size} * size * size / (16 * 8 * 16));
  // Each block reads its row of A and its column of B once: 128 x 64 elements of two bytes each,
  // twice, four times over.
  EXPECT_EQ(counters.async_copies, std::uint64_t{4} * 2 * 64 * 128 * 2 / 16 / 32);
  EXPECT_EQ(counters.unique_sectors_read, std::uint64_t{2} * size * size * 2 / 32);
  EXPECT_EQ(counters.unique_sectors_written, std::uint64_t{size} * size * 2 / 32);
  // The swizzle leaves no bank conflicts.
  EXPECT_EQ(counters.shared_wavefronts, counters.shared_wavefronts_ideal);
}

}  // namespace
}  // namespace hone::test
