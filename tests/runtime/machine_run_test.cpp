#include "runtime/machine_run.h"

#include <gtest/gtest.h>

#include <cstring>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/rtc.h"
#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

// What a warp does here can be told by hand: rows * 64 / (32 * warps) trips, 4 bytes a lane, bank
// conflicts of any stride, a division by a number that isn't a constant, blocks that end early.
constexpr const char* kCounted = R"(
struct Args { const float *x; float *y; long long rows, cut; int stride; };
extern "C" __global__ void hone_rows(const Args a) {
  float sum = 0;
#pragma unroll 1
  for (long long i = threadIdx.x; i < a.rows * 64; i += blockDim.x * blockDim.y) sum += a.x[i];
  a.y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
extern "C" __global__ void hone_banks(const Args a) {
  extern __shared__ float s[];
  s[threadIdx.x * a.stride] = 1.0f;
  __syncthreads();
  a.y[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void hone_divided(const Args a) {
  const int row = int(threadIdx.x + blockIdx.x * blockDim.x) / a.stride;
  float sum = 0;
#pragma unroll 1
  for (int i = 0; i < row; ++i) sum += a.x[i];
  a.y[threadIdx.x] = sum;
}
extern "C" __global__ void hone_square(const Args a) {
  if (blockIdx.y * blockDim.y + threadIdx.y >= a.cut) return;
  a.y[(blockIdx.y * blockDim.y + threadIdx.y) * a.rows + blockIdx.x * blockDim.x + threadIdx.x] = 1.0f;
}
)";

constexpr const char* kRunArchs[] = {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_120a"};
constexpr std::int64_t kPlenty = 1 << 20;

class MachineRunOf : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    Source source;
    source.text = kCounted;
    source.entries = {"rows", "banks", "divided", "square"};
    source.hash = hash_of(normalised(source.text));
    Backend& backend = *find_backend("cuda");
    code_ = parse_cubin(
        unpack_gpu_code(
            backend.compile(source, *backend.target(GetParam()), std::chrono::seconds(60)).code)
            .code);
    ASSERT_TRUE(code_);
  }

  BlockFigures run(const char* name, std::array<std::uint32_t, 3> block, std::int64_t rows,
                   std::int64_t cut, int stride, std::array<std::uint32_t, 3> at = {0, 0, 0}) {
    struct {
      std::uint64_t x = std::uint64_t{1} << 40, y = std::uint64_t{2} << 40;
      std::int64_t rows, cut, stride;
    } values{.rows = rows, .cut = cut, .stride = stride};
    MachineLaunch launch;
    launch.grid = {64, 64, 1};
    launch.block = block;
    launch.parameters.assign(reinterpret_cast<const char*>(&values), sizeof values);
    kernel_ = code_->kernel(name);
    MachineRun machine(*kernel_, code_->sm, launch, MachineLatencies{}, kPlenty);
    return machine.block(at, 64);
  }

  // Executions per warp of the accesses of a pipe, and the most of a figure among them.
  double executions(const BlockFigures& figures, Pipe pipe) const {
    double sum = 0;
    for (std::size_t i = 0; i < kernel_->code.size(); ++i)
      if (pipe_of(kernel_->code[i], code_->sm) == pipe) sum += figures.access[i].executions;
    return sum;
  }
  double wavefronts(const BlockFigures& figures) const {
    double most = 0;
    for (std::size_t i = 0; i < kernel_->code.size(); ++i)
      if (pipe_of(kernel_->code[i], code_->sm) == Pipe::kSharedStore)
        most = std::max(most, figures.access[i].wavefronts);
    return most;
  }

  TemporaryFolder folder_;
  Variable cache_{"HONE_CACHE", folder_.path().string()};
  std::optional<MachineCode> code_;
  const MachineKernel* kernel_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Architectures, MachineRunOf, ::testing::ValuesIn(kRunArchs),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(MachineRunOf, CountsTripsAndSectors) {
  const BlockFigures figures = run("hone_rows", {32, 4, 1}, 100, 0, 1);
  EXPECT_TRUE(figures.complete);
  EXPECT_EQ(figures.warps, 4);
  // threadIdx.x alone: every warp walks the same 6400 numbers in steps of 128.
  EXPECT_EQ(executions(figures, Pipe::kGlobalLoad), 50);
  EXPECT_EQ(figures.loaded_bytes, 50 * 128);
  EXPECT_EQ(figures.stored_bytes, 4 * 128);
  EXPECT_GT(figures.lone_cycles, 50 * 200);
}

TEST_P(MachineRunOf, SeesBankConflicts) {
  for (const auto& [stride, conflicts] :
       {std::pair(1, 1), {2, 2}, {3, 1}, {8, 8}, {32, 32}, {33, 1}})
    EXPECT_EQ(wavefronts(run("hone_banks", {32, 1, 1}, 1, 0, stride)), conflicts) << stride;
}

TEST_P(MachineRunOf, DividesAsTheMachineDoes) {
  for (const int divisor : {1, 3, 7, 100, -5}) {
    const BlockFigures figures = run("hone_divided", {32, 1, 1}, 1, 0, divisor, {40, 0, 0});
    // Lanes of a warp leave the loop one after another: the last decides.
    EXPECT_EQ(executions(figures, Pipe::kGlobalLoad), std::max(0, (40 * 32 + 31) / divisor))
        << divisor;
  }
}

TEST_P(MachineRunOf, KnowsBlocksOfTwoDimensionsAndTheirEdges) {
  // Row 8 * 5 + 4 is the last: of the block's eight warps, each a row, five store.
  const BlockFigures figures = run("hone_square", {32, 8, 1}, 2048, 45, 1, {3, 5, 0});
  EXPECT_EQ(figures.warps, 8);
  EXPECT_DOUBLE_EQ(executions(figures, Pipe::kGlobalStore), 5.0 / 8);
  EXPECT_EQ(figures.stored_bytes, 5 * 128);
}

}  // namespace
}  // namespace hone
