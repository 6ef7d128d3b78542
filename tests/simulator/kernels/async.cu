#include <cuda_pipeline_primitives.h>

using u32 = unsigned int;
using u64 = unsigned long long;

__device__ u32 shared_address(const void *p) { return static_cast<u32>(__cvta_generic_to_shared(p)); }

template <int Bytes>
__device__ void copy_async(void *to, const void *from, int bytes) {
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(Bytes), "r"(bytes) : "memory");
}
__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Four stages in flight over a long row; the tail is filled with zeros by a source size of 0.
extern "C" __global__ void pipelined_sum(const float4 *in, float *out, int vectors) {
  constexpr int kStages = 4;
  __shared__ float4 stages[kStages][64];
  const int t = threadIdx.x, steps = (vectors + 63) / 64;
  const auto fetch = [&](int step) {
    const int v = step * 64 + t;
    if (step < steps) copy_async<16>(&stages[step % kStages][t], in + v, v < vectors ? 16 : 0);
    commit();
  };
  for (int s = 0; s < kStages - 1; ++s) fetch(s);
  float sum = 0;
  for (int step = 0; step < steps; ++step) {
    wait<kStages - 2>();
    __syncthreads();
    const float4 v = stages[step % kStages][63 - t];
    sum += v.x + 2 * v.y + 3 * v.z + 4 * v.w;
    fetch(step + kStages - 1);
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  out[t] = sum;
}

extern "C" __global__ void copy_sizes(const u32 *in, u32 *out) {
  __shared__ __align__(16) u32 words[64 * 4];
  __shared__ __align__(16) u32 pairs[64 * 2];
  __shared__ u32 singles[64];
  const int t = threadIdx.x;
  copy_async<16>(words + 4 * t, in + 4 * t, t % 5 == 0 ? 8 : 16);
  copy_async<8>(pairs + 2 * t, in + 2 * t, t % 3 == 0 ? 4 : 8);
  commit();
  copy_async<4>(singles + t, in + t, 4);
  commit();
  commit();
  wait<0>();
  __syncthreads();
  for (int k = 0; k < 4; ++k) out[4 * t + k] = words[4 * (63 - t) + k];
  for (int k = 0; k < 2; ++k) out[256 + 2 * t + k] = pairs[2 * (63 - t) + k];
  out[384 + t] = singles[63 - t];
}

extern "C" __global__ void pipeline_primitives(const int *in, int *out) {
  __shared__ int values[2][128];
  const int t = threadIdx.x;
  __pipeline_memcpy_async(&values[0][t], in + t, 4);
  __pipeline_commit();
  __pipeline_memcpy_async(&values[1][t], in + 128 + t, 4);
  __pipeline_commit();
  __pipeline_wait_prior(1);
  __syncthreads();
  const int first = values[0][127 - t];
  __pipeline_wait_prior(0);
  __syncthreads();
  out[t] = first * 3 + values[1][127 - t];
}

extern "C" __global__ void cache_hints(const uint4 *in, uint4 *out, const u32 *words, u32 *results) {
  const int t = threadIdx.x;
  uint4 v = __ldg(in + t);
  const uint4 w = __ldcs(in + t + 64);
  v.x ^= w.w;
  __stcs(out + t, v);
  asm volatile("prefetch.global.L2 [%0];" ::"l"(words + t));
  u32 a, b, c;
  asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(a) : "l"(words + t));
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.u32 %0, [%1];" : "=r"(b) : "l"(words + t + 64));
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(c) : "l"(words + t));
  asm volatile("st.global.wt.u32 [%0], %1;" ::"l"(results + t), "r"(a + 2 * b + 3 * c) : "memory");
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(results + 64 + t), "r"(a ^ b) : "memory");
}

// mbarrier as cp.async and producers use it without TMA.
extern "C" __global__ void mbarriers(const int *in, int *out) {
  __shared__ u64 barrier;
  __shared__ int values[128];
  const int t = threadIdx.x;
  if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(128) : "memory");
  __syncthreads();
  for (u32 round = 0; round < 3; ++round) {
    values[t] = in[t] * static_cast<int>(round + 1);
    u64 token;
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(token) : "r"(shared_address(&barrier)) : "memory");
    u32 done = 0;
    while (done == 0)
      asm volatile("{.reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                   : "=r"(done)
                   : "r"(shared_address(&barrier)), "l"(token)
                   : "memory");
    out[round * 128 + t] = values[127 - t];
    __syncthreads();
  }
}
