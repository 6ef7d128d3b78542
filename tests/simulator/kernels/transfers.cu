// What arrives at an mbarrier besides threads: bulk copies, and a thread's cp.async.
using u32 = unsigned int;
using u64 = unsigned long long;

__device__ u32 shared_at(const void *p) { return static_cast<u32>(__cvta_generic_to_shared(p)); }
__device__ void init(u64 *barrier, int count) { asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_at(barrier)), "r"(count) : "memory"); }
__device__ void wait(u64 *barrier, int parity) {
  u32 done = 0;
  while (done == 0)
    asm volatile("{.reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(shared_at(barrier)), "r"(parity) : "memory");
}

// Two warps fill a row with cp.async; a third waits at the mbarrier, after they have left.
extern "C" __global__ void copies_arrive(const int *in, int *out) {
  __shared__ u64 full;
  __shared__ int row[64];
  const int t = threadIdx.x;
  if (t == 0) init(&full, 64);
  __syncthreads();
  if (t < 64) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_at(row + t)), "l"(in + t) : "memory");
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(shared_at(&full)) : "memory");
    return;
  }
  wait(&full, 0);
  out[t - 64] = row[127 - t] + row[t - 64];
}

// Half of the threads take part in the first phase only.
extern "C" __global__ void dropped(const int *in, int *out) {
  __shared__ u64 barrier;
  __shared__ int row[128];
  const int t = threadIdx.x;
  if (t == 0) init(&barrier, 128);
  __syncthreads();
  row[t] = in[t];
  if (t >= 64) {
    asm volatile("mbarrier.arrive_drop.shared.b64 _, [%0];" ::"r"(shared_at(&barrier)) : "memory");
    return;
  }
  for (int phase = 0; phase < 3; ++phase) {
    asm volatile("{.reg .b64 s; mbarrier.arrive.shared.b64 s, [%0];}" ::"r"(shared_at(&barrier)) : "memory");
    wait(&barrier, phase & 1);
  }
  out[t] = row[127 - t];
}

#if __CUDA_ARCH__ >= 900
__device__ void fetch(float *to, const float *from, u64 *barrier) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 1024;" ::"r"(shared_at(barrier)) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 1024, [%2];" ::"r"(shared_at(to)), "l"(from), "r"(shared_at(barrier)) : "memory");
}

extern "C" __global__ void bulk_rows(const float *in, float *out) {
  __shared__ alignas(128) float row[256];
  __shared__ u64 full;
  const int t = threadIdx.x;
  if (t == 0) {
    init(&full, 1);
    asm volatile("fence.mbarrier_init.release.cluster;");
  }
  __syncthreads();
  for (int k = 0; k < 3; ++k) {
    if (t == 0) fetch(row, in + k * 256, &full);
    wait(&full, k & 1);
    const float value = row[255 - t] * 2;
    __syncthreads();
    row[t] = value;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (t == 0) {
      asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 1024;" ::"l"(out + k * 256), "r"(shared_at(row)) : "memory");
      asm volatile("cp.async.bulk.commit_group;");
      asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
    }
    __syncthreads();
  }
}

extern "C" __global__ void bulk_not_waited(const float *in, float *out) {
  __shared__ alignas(128) float row[256];
  __shared__ u64 full;
  const int t = threadIdx.x;
  if (t == 0) init(&full, 1);
  __syncthreads();
  if (t == 0) fetch(row, in, &full);
  __syncthreads();
  out[t] = row[t];
}

extern "C" __global__ void elected(u32 *out) {
  u32 leader = 0;
  asm volatile("{.reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p;}" : "=r"(leader));
  if (leader != 0) out[threadIdx.x / 32] = threadIdx.x % 32 + 1;
}
#endif
