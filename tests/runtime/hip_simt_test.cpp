// The SIMT host through the whole host path: HIP text, the hip backend, the stand-in runtime. Right
// kernels give right results, and planted bugs are found at their line.
#include <bit>
#include <cmath>
#include <numeric>

#include "tests/runtime/hip_test.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kArgs = "struct Args { const float *x; float *y; long n; };\n";

std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

struct Ran {
  std::string error;
  std::vector<float> y;
};
Ran run(const std::string& body, std::int64_t blocks, std::int64_t threads, std::size_t count,
        std::int64_t shared_bytes = 0) {
  SimulatedHip hip;
  DeviceVector<float> x(hip.device(), ramp(count)), y(hip.device(), count);
  Ran ran;
  ran.error = hip.run(kArgs + body, {x.slot(), y.slot(), count}, blocks, threads, shared_bytes);
  if (ran.error.empty()) ran.y = y.read();
  return ran;
}

constexpr const char* kReduction = R"(
extern "C" __global__ void hone_main(const Args a) {
  __shared__ float partial[256];
  const int t = threadIdx.x;
  partial[t] = a.x[blockIdx.x * 256 + t];
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (t < half) partial[t] += partial[t + half];
    __syncthreads();
  }
  a.y[blockIdx.x * 256 + t] = partial[0];
}
)";

std::string without(std::string text, const std::string& part) {
  const std::size_t at = text.rfind(part);
  EXPECT_NE(at, std::string::npos) << part;
  return text.erase(at, part.size());
}

TEST(HipSimt, BlockReductionThroughSharedMemoryGivesTheSum) {
  const Ran ran = run(kReduction, 2, 256, 512);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 512u);
  EXPECT_EQ(ran.y[3], 256 * 257 / 2);
  EXPECT_EQ(ran.y[300], 256 * 257 / 2 + 256 * 256);
}

TEST(HipSimt, VectorsAndBitsAreHips) {
  const std::string body = R"(
extern "C" __global__ void hone_main(const Args a) {
  const int t = threadIdx.x;
  float4 v = *reinterpret_cast<const float4 *>(a.x + 4 * t);
  v = 2.0f * v + make_float4(0, 1, 0, __popc(t) + __clz(t) + __ffs(t));
  v.x += __int_as_float(__float_as_int(v.y) ^ 0x80000000) + __brev(1u << 31) + __mulhi(1 << 30, t);
  float2 sum = make_float2(v.x, v.z);
  sum += make_float2(v.y, v.w);
  *reinterpret_cast<float2 *>(a.y + 2 * t) = sum;
}
)";
  const Ran ran = run(body, 1, 64, 256);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 256u);
  for (unsigned t = 0; t < 64; ++t) {
    const float x = static_cast<float>(4 * t + 1);
    const int bits =
        std::popcount(t) + std::countl_zero(t) + (t == 0 ? 0 : std::countr_zero(t) + 1);
    const float first = 2 * x - (2 * (x + 1) + 1) + 1 + static_cast<float>(t / 4);
    EXPECT_EQ(ran.y[2 * t], first + 2 * (x + 1) + 1) << t;
    EXPECT_EQ(ran.y[2 * t + 1], 2 * (x + 2) + 2 * (x + 3) + static_cast<float>(bits)) << t;
  }
}

TEST(HipSimt, MissingBarrierIsARaceAtItsLine) {
  const Ran ran = run(without(kReduction, "    __syncthreads();\n"), 1, 256, 256);
  EXPECT_THAT(ran.error, AllOf(HasSubstr("race"), HasSubstr("partial[t] += partial[t + half]"),
                               HasSubstr("thread (")));
}

TEST(HipSimt, BarrierThatHalfOfABlockSkipsForAnotherIsFound) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  if (threadIdx.x < 64) {
    __syncthreads();
    a.y[threadIdx.x] = 1;
  } else {
    a.y[threadIdx.x] = 2;
    __syncthreads();
  }
}
)",
                      1, 128, 128);
  EXPECT_THAT(ran.error,
              AllOf(HasSubstr("barrier"), HasSubstr("kernel.hip:9"), HasSubstr("line 5")));
}

TEST(HipSimt, ThreadsThatEndBeforeABarrierAreNoFinding) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  if (threadIdx.x >= 100) return;
  __syncthreads();
  a.y[threadIdx.x] = 3;
}
)",
                      1, 128, 128);
  EXPECT_EQ(ran.error, "");
}

TEST(HipSimt, StorePastTheEndNamesBlockThreadAndLine) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  const long i = blockIdx.x * 64 + threadIdx.x;
  a.y[i] = 1;
}
)",
                      2, 64, 100);
  EXPECT_THAT(ran.error,
              AllOf(HasSubstr("out of bounds"), HasSubstr("block (1, 0, 0), thread (36, 0, 0)"),
                    HasSubstr("kernel.hip:5: a.y[i] = 1;"),
                    HasSubstr("0 bytes past the end of an allocation of 400 bytes")));
}

TEST(HipSimt, SharedMemoryThatNobodyWroteIsFound) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  __shared__ float kept[64];
  if (threadIdx.x < 63) kept[threadIdx.x] = 1;
  __syncthreads();
  a.y[threadIdx.x] = kept[threadIdx.x];
}
)",
                      1, 64, 64);
  EXPECT_THAT(ran.error, AllOf(HasSubstr("uninitialised"), HasSubstr("thread (63, 0, 0)"),
                               HasSubstr("kernel.hip:7")));
}

TEST(HipSimt, GlobalMemoryThatNobodyWroteIsFound) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) { a.y[threadIdx.x] += 1; }
)",
                      1, 64, 64);
  EXPECT_THAT(ran.error, HasSubstr("uninitialised"));
}

TEST(HipSimt, DynamicSharedMemoryHasTheLaunchsSize) {
  const std::string text = R"(
extern "C" __global__ void hone_main(const Args a) {
  extern __shared__ __attribute__((aligned(128))) float kept[];
  kept[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = kept[threadIdx.x ^ 1];
}
)";
  const Ran right = run(text, 1, 64, 64, 256);
  EXPECT_EQ(right.error, "");
  ASSERT_EQ(right.y.size(), 64u);
  EXPECT_EQ(right.y[4], 6);
}

TEST(HipSimt, DynamicSharedMemoryPastTheLaunchsSizeIsFound) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  extern __shared__ float kept[];
  kept[threadIdx.x] = 1;
}
)",
                      1, 64, 64, 128);
  EXPECT_THAT(ran.error, AllOf(HasSubstr("out of bounds"), HasSubstr("thread (32, 0, 0)"),
                               HasSubstr("dynamic shared memory")));
}

TEST(HipSimt, ShufflesBallotsAndRowsOfAWaveOf64) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  const int t = threadIdx.x;
  float sum = a.x[t];
  for (int mask = 32; mask > 0; mask /= 2) sum += __shfl_xor(sum, mask);
  const unsigned long odd = __ballot(t & 1);
  const int next = __builtin_amdgcn_mov_dpp(t, 0x101, 0xf, 0xf, true);
  const int swapped = __builtin_amdgcn_ds_bpermute(4 * (63 - t), t);
  a.y[4 * t] = sum;
  a.y[4 * t + 1] = odd == 0xaaaaaaaaaaaaaaaaul;
  a.y[4 * t + 2] = next;
  a.y[4 * t + 3] = swapped;
}
)",
                      1, 64, 256);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 256u);
  for (int t = 0; t < 64; ++t) {
    const auto at = static_cast<std::size_t>(4 * t);
    EXPECT_EQ(ran.y[at], 64 * 65 / 2);
    EXPECT_EQ(ran.y[at + 1], 1);
    EXPECT_EQ(ran.y[at + 2], t % 16 == 15 ? 0 : t + 1);
    EXPECT_EQ(ran.y[at + 3], 63 - t);
  }
}

TEST(HipSimt, LaneThatIsNotThereIsFound) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  float v = 0;
  if (threadIdx.x < 32) v = __shfl(a.x[threadIdx.x], 40);
  a.y[threadIdx.x] = v;
}
)",
                      1, 64, 64);
  EXPECT_THAT(ran.error,
              AllOf(HasSubstr("lanes"), HasSubstr("asks lane 40"), HasSubstr("kernel.hip:5")));
}

TEST(HipSimt, RowsThatDivergeExchangeAmongThemselves) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  const int t = threadIdx.x;
  float v = t;
  if (t < 16)
    for (int i = 0; i <= t / 8; ++i) v = __shfl_xor(v, 1);
  else
    v = __shfl_xor(v, 2);
  a.y[t] = __shfl_xor(v, 4);
}
)",
                      1, 64, 64);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 64u);
  EXPECT_EQ(ran.y[0], 5);        // once by 1, then by 4
  EXPECT_EQ(ran.y[8], 8 + 4);    // twice by 1
  EXPECT_EQ(ran.y[20], 22 - 4);  // by 2
}

TEST(HipSimt, MatrixInstructionMultipliesTiles) {
  const Ran ran = run(R"(
typedef float f4 __attribute__((vector_size(16)));
typedef _Float16 h4 __attribute__((vector_size(8)));
extern "C" __global__ void hone_main(const Args a) {  // y[16][16] = x[16][16] * x[16][16]
  const int lane = threadIdx.x, group = lane / 16, at = lane % 16;
  h4 left, right;
  for (int i = 0; i < 4; ++i) {
    left[i] = (_Float16)(a.x[at * 16 + 4 * group + i] / 64);
    right[i] = (_Float16)(a.x[(4 * group + i) * 16 + at] / 64);
  }
  f4 sum = {};
  sum = __builtin_amdgcn_mfma_f32_16x16x16f16(left, right, sum, 0, 0, 0);
  for (int i = 0; i < 4; ++i) a.y[(4 * group + i) * 16 + at] = sum[i];
}
)",
                      1, 64, 256);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 256u);
  const std::vector<float> x = ramp(256);
  for (std::size_t row = 0; row < 16; ++row)
    for (std::size_t column = 0; column < 16; ++column) {
      float want = 0;
      for (std::size_t k = 0; k < 16; ++k) want += x[row * 16 + k] * x[k * 16 + column] / 4096;
      EXPECT_NEAR(ran.y[row * 16 + column], want, 1e-3 * want) << row << " " << column;
    }
}

TEST(HipSimt, BlocksThatWriteTheSamePlaceRace) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) { a.y[threadIdx.x] = blockIdx.x; }
)",
                      2, 64, 64);
  EXPECT_THAT(ran.error, AllOf(HasSubstr("race"), HasSubstr("in block (")));
}

TEST(HipSimt, AtomicsOfManyBlocksAddUp) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  if (blockIdx.x == 0 && threadIdx.x == 0) atomicExch(a.y, 0.0f);
  atomicAdd((float *)a.x, 1.0f);
}
)",
                      4, 64, 1);
  EXPECT_THAT(ran.error, HasSubstr("uninitialised"));  // the exchange reads what nobody wrote
}

TEST(HipSimt, CompareAndSwapAfterAPlainReadIsNoRace) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  __shared__ unsigned count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  for (unsigned seen = count, before;; seen = before) {
    before = atomicCAS(&count, seen, seen + 1);
    if (before == seen) break;
  }
  __syncthreads();
  a.y[threadIdx.x] = count;
}
)",
                      1, 128, 128);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 128u);
  EXPECT_EQ(ran.y[5], 128);
}

TEST(HipSimt, SectorsAndWavefrontsAreThoseOfTheWave) {
  SimulatedHip hip;
  DeviceVector<float> x(hip.device(), std::vector<float>(4096, 1.0f)), y(hip.device(), 64);
  // Lanes side by side: 8 sectors. Two floats apart: twice as many, half of each for nothing.
  // Shared memory: two passes for 64 lanes side by side, 32 times as many where all share a bank.
  const std::string error = hip.run(R"(
struct Slots { const float *x; float *y; };
extern "C" __global__ void hone_main(const Slots a) {
  __shared__ float s[64 * 32];
  const int t = threadIdx.x;
  s[t * 32] = a.x[t] + a.x[2 * t];
  __syncthreads();
  a.y[t] = s[t * 32];
})",
                                    {x.slot(), y.slot()}, 1, 64);
  EXPECT_EQ(error, "");
  std::map<std::string, double> counted;
  for (const auto& [name, count] : hip.device().counters()) counted[name] = count;
  EXPECT_EQ(counted["global_load_sectors"], 8 + 16);
  EXPECT_EQ(counted["global_load_sectors_ideal"], 8 + 8);
  EXPECT_EQ(counted["unique_sectors_read"], 16);
  EXPECT_EQ(counted["global_store_sectors"], 8);
  EXPECT_EQ(counted["unique_sectors_written"], 8);
  EXPECT_EQ(counted["shared_wavefronts"], 2 * 64);
  EXPECT_EQ(counted["shared_wavefronts_ideal"], 2 * 2);
}

TEST(HipSimt, ReadOfASumBeforeTheBarrierAfterItsAtomicsIsARace) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  __shared__ unsigned count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  atomicAdd(&count, 1u);
  a.y[threadIdx.x] = count;
}
)",
                      1, 128, 128);
  EXPECT_THAT(ran.error, AllOf(HasSubstr("race"), HasSubstr("line 8: a.y[threadIdx.x] = count")));
}

TEST(HipSimt, SpinningThreadLetsTheOneItWaitsForRun) {
  const Ran ran = run(R"(
extern "C" __global__ void hone_main(const Args a) {
  __shared__ int flag;
  if (threadIdx.x == 0) __atomic_store_n(&flag, 0, __ATOMIC_RELAXED);
  __syncthreads();
  if (threadIdx.x == 0)
    while (__atomic_load_n(&flag, __ATOMIC_ACQUIRE) == 0) {
    }
  else if (threadIdx.x == 1)
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
  a.y[threadIdx.x] = 1;
}
)",
                      1, 64, 64);
  EXPECT_EQ(ran.error, "");
}

}  // namespace
}  // namespace hone
