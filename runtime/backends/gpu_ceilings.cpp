#include "runtime/backends/gpu_ceilings.h"

#include <algorithm>
#include <array>
#include <limits>

namespace hone {
namespace {

constexpr std::chrono::seconds kKernelLimit{60};
constexpr std::size_t kStreamBytes = 512 << 20;  // larger than any last-level cache
constexpr std::size_t kCacheBytes = 2 << 20;     // fits into every one
constexpr std::int64_t kThreads = 256, kBlocksPerUnit = 8;
constexpr std::int64_t kSteps = 4096;  // of a chain of operations
constexpr int kThreadChains = 8;       // of them at once in a thread
constexpr int kRounds = 20;

// Eight independent chains per thread hide the latency of one; what they compute is stored under a
// condition that never holds, so that the compiler keeps it.
constexpr const char* kText = R"gpu(
#if defined(__HIP__)
#define LOAD(p) (*(p))
typedef float f4 __attribute__((vector_size(16)));
typedef _Float16 h4 __attribute__((vector_size(8)));
#else
#define LOAD(p) __ldcg(p)
#endif
struct Args { const uint4 *from; unsigned *to; long long count; long long steps; };
extern "C" __global__ void hone_empty(const Args a) {}
extern "C" __global__ void hone_read(const Args a) {
  unsigned sum = 0;
  const long long stride = (long long)gridDim.x * blockDim.x;
  for (long long s = 0; s < a.steps; ++s)
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < a.count; i += stride) {
      const uint4 v = LOAD(a.from + i);
      sum ^= v.x ^ v.y ^ v.z ^ v.w;
    }
  if (sum == 0x9e3779b9u) a.to[threadIdx.x] = sum;
}
extern "C" __global__ void hone_fma(const Args a) {
  float v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = (float)(threadIdx.x + i);
  const float f = 1.0f + (float)a.count * 1e-30f;
  for (long long s = 0; s < a.steps; ++s)
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = v[i] * f + f;
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += v[i];
  if (sum == 12345.678f) a.to[threadIdx.x] = 1;
}
#if defined(__gfx908__) || defined(__gfx90a__) || defined(__gfx942__)
extern "C" __global__ void hone_mma(const Args a) {
  f4 c[8] = {};
  const h4 x = {(_Float16)a.count, 1, 1, 1};
  for (long long s = 0; s < a.steps; ++s)
#pragma unroll
    for (int i = 0; i < 8; ++i) c[i] = __builtin_amdgcn_mfma_f32_16x16x16f16(x, x, c[i], 0, 0, 0);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
  if (sum == 12345.678f) a.to[threadIdx.x] = 1;
}
#elif !defined(__HIP__)
extern "C" __global__ void hone_mma(const Args a) {
  float c[8][4] = {};
  const unsigned x = (unsigned)a.count & 1;
  for (long long s = 0; s < a.steps; ++s)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                   : "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3]) : "r"(x), "r"(x), "r"(x));
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
  if (sum == 12345.678f) a.to[threadIdx.x] = 1;
}
#endif
)gpu";

enum Entry { kEmpty, kRead, kFma, kMma };

}  // namespace

Ceilings measure_gpu_ceilings(Device& device, const GpuDriver& driver,
                              std::chrono::duration<double> budget) {
  Source source;
  source.text = kText;
  const Values& limits = device.target().limits;
  const bool nvidia = limits.integer("sm") > 0, matrix = nvidia || limits.integer("has_mfma") != 0;
  source.entries = {"empty", "read", "fma"};
  if (matrix) source.entries.push_back("mma");
  source.hash = hash_of(normalised(source.text));
  const Binary binary =
      find_backend(driver.backend)->compile(source, device.target(), kKernelLimit);
  const std::unique_ptr<Module> module = device.load(binary, source.entries);
  const std::int64_t units = device.target().limits.integer("units");

  struct Buffer {
    Device& device;
    void* memory;
    Buffer(Device& owner, std::size_t bytes) : device(owner), memory(owner.allocate(bytes)) {}
    ~Buffer() { device.release(memory); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
  };
  const Buffer from(device, kStreamBytes), to(device, kStreamBytes);

  // The best of what fits into this measurement's share of the budget.
  const auto best_of = [&](const std::function<void()>& work, int repeats) {
    constexpr int kMeasurements = 6;
    double best = std::numeric_limits<double>::infinity();
    const auto own = std::chrono::steady_clock::now();
    device.time(work, 1);
    for (int round = 0; round < kRounds; ++round) {
      best = std::min(best, device.time(work, repeats) / repeats);
      if (std::chrono::steady_clock::now() - own > budget / kMeasurements) break;
    }
    return best;
  };
  const auto launch = [&](Entry entry, std::size_t bytes, std::int64_t steps) {
    const std::array<std::uint64_t, 4> slots = {reinterpret_cast<std::uintptr_t>(from.memory),
                                                reinterpret_cast<std::uintptr_t>(to.memory),
                                                bytes / 16, static_cast<std::uint64_t>(steps)};
    Dispatch dispatch;
    dispatch.entry = entry;
    dispatch.slots = slots.data();
    dispatch.slot_count = static_cast<int>(slots.size());
    dispatch.grid[0] = units * kBlocksPerUnit;
    dispatch.threads = kThreads;
    module->run(dispatch, nullptr);
  };
  const double threads = static_cast<double>(units * kBlocksPerUnit * kThreads);
  const double chained = static_cast<double>(kSteps * kThreadChains);
  constexpr double kGiga = 1e9, kMmaOperations = 2.0 * 16 * 8 * 8,
                   kMfmaOperations = 2.0 * 16 * 16 * 16;
  constexpr int kCacheSteps = 64, kManyLaunches = 200;

  Ceilings ceilings;
  ceilings["read_gbps"] = static_cast<double>(kStreamBytes) /
                          best_of([&] { launch(kRead, kStreamBytes, 1); }, 2) / kGiga;
  ceilings["l2_gbps"] = static_cast<double>(kCacheBytes) * kCacheSteps /
                        best_of([&] { launch(kRead, kCacheBytes, kCacheSteps); }, 2) / kGiga;
  ceilings["copy_gbps"] =
      2.0 * static_cast<double>(kStreamBytes) /
      best_of(
          [&] {
            driver.copy(reinterpret_cast<std::uintptr_t>(to.memory),
                        reinterpret_cast<std::uintptr_t>(from.memory), kStreamBytes, nullptr);
          },
          2) /
      kGiga;
  ceilings["f32_gflops"] =
      2 * threads * chained / best_of([&] { launch(kFma, 0, kSteps); }, 2) / kGiga;
  if (matrix)
    ceilings["f16_gflops"] = threads / static_cast<double>(limits.integer("wave")) * chained *
                             (nvidia ? kMmaOperations : kMfmaOperations) /
                             best_of([&] { launch(kMma, 0, kSteps); }, 2) / kGiga;
  ceilings["launch_ns"] = best_of([&] { launch(kEmpty, 0, 0); }, kManyLaunches) * kGiga;
  return ceilings;
}

}  // namespace hone
