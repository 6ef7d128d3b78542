using u32 = unsigned int;
using u64 = unsigned long long;
constexpr u32 kAll = 0xffffffffu;

// One row of 32 per kind of shuffle.
extern "C" __global__ void shuffles(const int *in, int *out) {
  const int lane = threadIdx.x % 32;
  const int v = in[lane];
  int k = 0;
  const auto put = [&](int x) { out[32 * k++ + lane] = x; };
  put(__shfl_sync(kAll, v, 5));
  put(__shfl_sync(kAll, v, (lane * 7 + 3) % 32));
  put(__shfl_sync(kAll, v, lane + 3, 8));
  put(__shfl_up_sync(kAll, v, 1));
  put(__shfl_up_sync(kAll, v, 3, 16));
  put(__shfl_down_sync(kAll, v, 4));
  put(__shfl_down_sync(kAll, v, 5, 8));
  put(__shfl_xor_sync(kAll, v, 1));
  put(__shfl_xor_sync(kAll, v, 16));
  put(__shfl_xor_sync(kAll, v, 7, 8));
  put(__shfl_xor_sync(kAll, v, 8, 8));
  put(__float_as_int(__shfl_xor_sync(kAll, __int_as_float(v), 2)));
  const u64 wide = __shfl_down_sync(kAll, (u64(u32(v)) << 32) | u32(lane), 9);
  put(int(wide >> 32));
  put(int(wide));
  const double d = __shfl_sync(kAll, double(v) * 0.5, 31 - lane);
  put(int(d * 2));
}

// Halves of a warp shuffle on their own, inside a divergent branch.
extern "C" __global__ void half_shuffles(const int *in, int *out) {
  const int lane = threadIdx.x % 32;
  int v = in[lane];
  if (lane < 16) {
    for (int step = 8; step > 0; step /= 2) v += __shfl_xor_sync(0x0000ffffu, v, step);
  } else {
    v = __shfl_sync(0xffff0000u, v, 16 + (lane * 3) % 16) - __shfl_up_sync(0xffff0000u, v, 1, 16);
  }
  out[lane] = v;
}

extern "C" __global__ void votes(const int *in, u32 *out) {
  const int lane = threadIdx.x % 32;
  const int v = in[lane];
  int k = 0;
  const auto put = [&](u32 x) { out[32 * k++ + lane] = x; };
  put(__ballot_sync(kAll, v > 3));
  put(u32(__any_sync(kAll, v == 1000)));
  put(u32(__any_sync(kAll, v == in[0])));
  put(u32(__all_sync(kAll, v > -100000)));
  put(u32(__all_sync(kAll, v > 0)));
  put(__match_any_sync(kAll, v & 3));
  put(__match_any_sync(kAll, u64(v & 7) << 40));
  int same = 0;
  u32 mask = __match_all_sync(kAll, 17, &same);
  put(mask ^ u32(same) << 5);
  mask = __match_all_sync(kAll, v, &same);
  put(mask ^ u32(same) << 5);
  u32 odd = 0;
  if (lane & 1) odd = __ballot_sync(0xaaaaaaaau, v > 3) ^ __activemask();
  __syncwarp();
  put(odd);
  u32 eq, lt, le, gt, ge;
  asm("mov.u32 %0, %%lanemask_eq;" : "=r"(eq));
  asm("mov.u32 %0, %%lanemask_lt;" : "=r"(lt));
  asm("mov.u32 %0, %%lanemask_le;" : "=r"(le));
  asm("mov.u32 %0, %%lanemask_gt;" : "=r"(gt));
  asm("mov.u32 %0, %%lanemask_ge;" : "=r"(ge));
  put(eq);
  put(lt ^ (le << 1));
  put(gt + (ge >> 3));
}

extern "C" __global__ void warp_scan(const int *in, int *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  int v = i < n ? in[i] : 0;
  for (int step = 1; step < 32; step *= 2) {
    const int up = __shfl_up_sync(kAll, v, step);
    if (lane >= step) v += up;
  }
  if (i < n) out[i] = v;
}

// The warp's mask of those that took part is asked for, then used: Adinets' aggregated counter.
extern "C" __global__ void compact(const int *in, int *out, u32 *count, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n || in[i] % 3 != 0) return;
  const u32 active = __activemask();
  const u32 rank = __popc(active & ((1u << (threadIdx.x % 32)) - 1));
  u32 base = 0;
  const int leader = __ffs(int(active)) - 1;
  if (rank == 0) base = atomicAdd(count, u32(__popc(active)));
  base = __shfl_sync(active, base, leader);
  out[base + rank] = in[i];
}

extern "C" __global__ void warp_shared(const float *in, float *out) {
  __shared__ float rows[4][32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  rows[warp][lane] = in[threadIdx.x];
  __syncwarp();
  float sum = 0;
  for (int k = 0; k <= lane; ++k) sum += rows[warp][31 - k];
  __syncwarp();
  rows[warp][lane] = sum;
  __syncwarp();
  out[threadIdx.x] = rows[warp][lane ^ 1];
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void redux(const int *in, u32 *out) {
  const int lane = threadIdx.x % 32;
  const int v = in[lane];
  int k = 0;
  const auto put = [&](u32 x) { out[32 * k++ + lane] = x; };
  put(u32(__reduce_add_sync(kAll, v)));
  put(u32(__reduce_min_sync(kAll, v)));
  put(u32(__reduce_max_sync(kAll, v)));
  put(__reduce_min_sync(kAll, u32(v)));
  put(__reduce_max_sync(kAll, u32(v)));
  put(__reduce_and_sync(kAll, u32(v) | 0xffu));
  put(__reduce_or_sync(kAll, u32(v) & 0xff00u));
  put(__reduce_xor_sync(kAll, u32(v)));
  u32 part = 0;
  if (lane % 4 == 0) part = __reduce_add_sync(0x11111111u, u32(v));
  put(part);
  // Each lane names its own quarter: one instruction, four masks.
  put(__reduce_add_sync(0xffu << (lane / 8 * 8), u32(v)));
}
#endif
