// The SIMT host through the whole host path: HIP text, the hip backend, the stand-in runtime. Right
// kernels give right results in any order, and planted bugs are found at their line.
#include <cmath>
#include <numeric>

#include "tests/runtime/hip_test.h"

namespace hone {
namespace {

using ::testing::Test;

constexpr const char* kArgs = R"(
struct Args { const float *x; float *y; long n; };
)";

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

TEST(HipSimt, BlockReductionThroughSharedMemoryGivesTheSum) {
  const Ran ran = run(R"(
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
)",
                      2, 256, 512);
  EXPECT_EQ(ran.error, "");
  ASSERT_EQ(ran.y.size(), 512u);
  EXPECT_EQ(ran.y[3], 256 * 257 / 2);
  EXPECT_EQ(ran.y[300], 256 * 257 / 2 + 256 * 256);
}

}  // namespace
}  // namespace hone
