#include <cuda_bf16.h>
#include <cuda_fp16.h>

using u32 = unsigned int;
using u64 = unsigned long long;

struct Cells {
  int add, minimum, maximum, land, lor, lxor, exchange_count, sub;
  u32 umin, umax, inc, dec;
  u64 add64, min64, max64, and64, or64, xor64;
  long long smin64, smax64;
  float fadd;
  u32 ordered;
  double dadd;
};

__device__ void update(Cells *c, int v) {
  atomicAdd(&c->add, v);
  atomicSub(&c->sub, v);
  atomicMin(&c->minimum, v);
  atomicMax(&c->maximum, v);
  atomicAnd(&c->land, v | 0x7f000000);
  atomicOr(&c->lor, v & 0xff0ff);
  atomicXor(&c->lxor, v);
  atomicMin(&c->umin, u32(v));
  atomicMax(&c->umax, u32(v));
  atomicInc(&c->inc, 100);
  atomicDec(&c->dec, 90);
  atomicAdd(&c->add64, u64(v) * 0x100000001ull);
  atomicMin(&c->min64, u64(v) << 20);
  atomicMax(&c->max64, u64(v) << 20);
  atomicAnd(&c->and64, ~(1ull << (v & 63)));
  atomicOr(&c->or64, 1ull << (v & 63));
  atomicXor(&c->xor64, u64(v) << 13);
  atomicMin(&c->smin64, static_cast<long long>(v) * 1000000007ll);
  atomicMax(&c->smax64, static_cast<long long>(v) * 1000000007ll);
  atomicAdd(&c->fadd, 0.25f * static_cast<float>(v & 255));
  atomicAdd(&c->dadd, 0.125 * (v & 1023));
}

extern "C" __global__ void atomics_global(Cells *cells, const int *in, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) update(cells, in[i]);
}

extern "C" __global__ void atomics_shared(Cells *cells, const int *in, int n) {
  __shared__ Cells own;
  if (threadIdx.x == 0) own = *cells;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) update(&own, in[i]);
  __syncthreads();
  if (threadIdx.x == 0) *cells = own;
}

// What comes back from an atomic: tickets are a permutation, exchange hands every value on once, compare and swap builds a product.
extern "C" __global__ void atomics_returned(u32 *tickets, u32 *counter, u32 *slot, u32 *handed, float *maximum, u64 *product) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  tickets[i] = atomicAdd(counter, 1u);
  handed[i] = atomicExch(slot, i + 1);
  int *bits = reinterpret_cast<int *>(maximum);
  int old = *reinterpret_cast<volatile int *>(bits);
  const float value = static_cast<float>((i * 37) % 101);
  while (__int_as_float(old) < value) {
    const int before = atomicCAS(bits, old, __float_as_int(value));
    if (before == old) break;
    old = before;
  }
  u64 seen = *reinterpret_cast<volatile u64 *>(product), expected;
  do {
    expected = seen;
    seen = atomicCAS(product, expected, expected * 3 + 0);
  } while (seen != expected);
}

extern "C" __global__ void atomics_half(__half2 *h2, __nv_bfloat162 *b2, __half *h, __nv_bfloat16 *b, __half2 *out) {
  __shared__ __half2 own;
  if (threadIdx.x == 0) own = __floats2half2_rn(0.0f, 1.0f);
  __syncthreads();
  atomicAdd(h2, __floats2half2_rn(1.0f, 0.5f));
  atomicAdd(&own, __floats2half2_rn(0.5f, 2.0f));
  atomicAdd(h, __float2half(1.0f));
#if __CUDA_ARCH__ >= 800
  atomicAdd(b2, __floats2bfloat162_rn(1.0f, 0.5f));
  atomicAdd(b, __float2bfloat16(1.0f));
#endif
  __syncthreads();
  if (threadIdx.x == 0) *out = own;
}

// The last block to arrive sums what the others left: fences, a ticket and volatile reads between blocks.
extern "C" __global__ void last_block(const int *in, volatile int *partial, u32 *ticket, int *out) {
  __shared__ bool last;
  __shared__ int sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, in[blockIdx.x * blockDim.x + threadIdx.x]);
  __syncthreads();
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    int total = 0;
    for (u32 k = 0; k < gridDim.x; ++k) total += partial[k];
    *out = total;
  }
}

// A lock that one thread of each block takes: blocks wait for one another.
extern "C" __global__ void spin_lock(int *lock, volatile int *value) {
  if (threadIdx.x == 0) {
    while (atomicCAS(lock, 0, 1) != 0) __nanosleep(20);
    __threadfence();
    *value = *value * 3 % 1000003 + 1;
    __threadfence();
    atomicExch(lock, 0);
  }
}

// A barrier over the grid made of a counter: every block must be resident.
extern "C" __global__ void grid_barrier(u32 *arrived, volatile int *values, int *out) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x, total = gridDim.x * blockDim.x;
  for (u32 round = 0; round < 3; ++round) {
    values[round * total + i] = static_cast<int>(i * 10 + round);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      atomicAdd(arrived, 1u);
      while (*reinterpret_cast<volatile u32 *>(arrived) < (round + 1) * gridDim.x) {
      }
      __threadfence();
    }
    __syncthreads();
    out[round * total + i] = values[round * total + (i + blockDim.x) % total];
  }
}

extern "C" __global__ void scoped(int *out, float2 *pairs) {
  atomicAdd_block(out + blockIdx.x, 1);
  atomicAdd_system(out + 8, 2);
  atomicMax_system(out + 9, static_cast<int>(threadIdx.x));
  __threadfence_block();
  __threadfence_system();
#if __CUDA_ARCH__ >= 900
  atomicAdd(pairs, make_float2(1.0f, 0.5f));
#else
  atomicAdd(&pairs->x, 1.0f);
  atomicAdd(&pairs->y, 0.5f);
#endif
}
