// Bugs with their correct twins: compiled with BUG defined, each kernel has its fault, and what the simulator reports must name a line
// marked `// <-` in that kernel; without it, it must raise nothing in any order. `in` holds n floats, `out` is n floats that nobody wrote.
using u16 = unsigned short;
using u32 = unsigned int;
constexpr u32 kAll = 0xffffffffu;

#ifdef BUG
#define BUG_OR(bug, right) bug
#else
#define BUG_OR(bug, right) right
#endif

#define KERNEL extern "C" __global__ void

KERNEL reduce_without_barrier(const float *in, float *out, int n) {
  __shared__ float sums[128];
  const int t = threadIdx.x;
  sums[t] = in[t];  // <-
  BUG_OR(, __syncthreads());
  for (int half = 64; half > 0; half /= 2) {
    if (t < half) sums[t] += sums[t + half];  // <-
    __syncthreads();
  }
  out[t] = sums[0];
}

KERNEL reduce_without_inner_barrier(const float *in, float *out, int n) {
  __shared__ float sums[128];
  const int t = threadIdx.x;
  sums[t] = in[t];
  __syncthreads();
  for (int half = 64; half > 0; half /= 2) {
    if (t < half) sums[t] += sums[t + half];  // <-
    BUG_OR(, __syncthreads());
  }
  __syncthreads();
  out[t] = sums[0];
}

KERNEL tile_overwritten_too_early(const float *in, float *out, int n) {
  __shared__ float tile[128];
  const int t = threadIdx.x;
  float sum = 0;
  for (int start = 0; start < n; start += 128) {
    tile[t] = in[start + t];  // <-
    __syncthreads();
    for (int k = 0; k < 4; ++k) sum += tile[(t + k * 32) % 128];  // <-
    BUG_OR(, __syncthreads());
  }
  out[t] = sum;
}

KERNEL double_buffer_with_one_buffer(const float *in, float *out, int n) {
  __shared__ float tiles[2][128];
  const int t = threadIdx.x;
  float sum = 0;
  for (int step = 0; step < n / 128; ++step) {
    const int stage = BUG_OR(0, step % 2);
    tiles[stage][t] = in[step * 128 + t];  // <-
    __syncthreads();
    sum += tiles[stage][127 - t];  // <-
  }
  out[t] = sum;
}

// The values come out right whatever the order: only a race detector sees it.
KERNEL same_value_race(const float *in, float *out, int n) {
  __shared__ int seen;
  const int t = threadIdx.x;
  if (t == 0) seen = 0;
  __syncthreads();
  if (in[t] > 1.0e30f) seen = 1;
  __syncthreads();
  out[t] = static_cast<float>(seen);     // <-
  BUG_OR(if (t == 100) seen = 0, );  // <-
}

KERNEL histogram_without_atomics(const float *in, float *out, int n) {
  __shared__ int bins[32];
  const int t = threadIdx.x;
  if (t < 32) bins[t] = 0;
  __syncthreads();
  const int bin = static_cast<int>(in[t] * 8 + 16) & 7;
  BUG_OR(bins[bin] = bins[bin] + 1, atomicAdd(&bins[bin], 1));  // <-
  __syncthreads();
  out[t] = static_cast<float>(bins[t % 32]);
}

KERNEL counter_read_without_barrier(const float *in, float *out, int n) {
  __shared__ int count;
  const int t = threadIdx.x;
  if (t == 0) count = 0;
  __syncthreads();
  if (in[t] > 0) atomicAdd(&count, 1);  // <-
  BUG_OR(, __syncthreads());
  out[t] = static_cast<float>(count);  // <-
}

KERNEL exchange_without_syncwarp(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  values[t] = in[t];  // <-
  BUG_OR(, __syncwarp());
  out[t] = values[t ^ 1];  // <-
}

KERNEL blocks_add_without_atomics(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  if (blockIdx.x == 0 && t < n) out[t + 32] = 0;
  float *cell = out + BUG_OR(0, blockIdx.x);
  if (t == 0) *cell = in[blockIdx.x];  // <-
}

KERNEL neighbours_block_read(const float *in, float *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = in[i] * 2;  // <-
  __syncthreads();
  const int other = BUG_OR((i + 64) % n, blockIdx.x * blockDim.x + 63 - threadIdx.x);
  const float value = *reinterpret_cast<volatile float *>(out + other);  // <-
  if (value == 12345.0f) __trap();
}

KERNEL barrier_in_a_branch(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  values[t] = in[t];
  if (BUG_OR(t < 100, n > 0)) {
    __syncthreads();  // <-
    out[t] = values[127 - t];
  } else {
    out[t] = in[t];
  }
  __syncthreads();  // <-
}

KERNEL barrier_in_a_loop(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  float sum = 0;
  for (int k = BUG_OR(t, 0); k < 200; k += 64) {
    values[t] = in[t] + static_cast<float>(k);  // <-
    __syncthreads();                            // <-
    sum += values[127 - t];                     // <-
    __syncthreads();                            // <-
  }
  out[t] = sum;
  __syncthreads();  // <-
}

KERNEL barrier_of_the_wrong_number(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x, group = t / 64;
  values[t] = in[t];
  asm volatile("bar.sync %0, 64;" ::"r"(BUG_OR(1 + t / 32, 1 + group)) : "memory");  // <-
  out[t] = values[group * 64 + 63 - t % 64];
}

KERNEL barrier_with_too_many(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  values[t] = in[t];
  asm volatile("bar.sync 1, %0;" ::"r"(BUG_OR(160, 128)) : "memory");  // <-
  out[t] = values[127 - t];
}

KERNEL arrival_forgotten(const float *in, float *out, int n) {
  __shared__ float values[64];
  const int t = threadIdx.x;
  if (t < 64) {
    values[t] = in[t];
    BUG_OR(, asm volatile("bar.arrive 1, 128;" ::: "memory"));
    __syncthreads();  // <-
  } else {
    asm volatile("bar.sync 1, 128;" ::: "memory");  // <-
    out[t] = values[127 - t];
    __syncthreads();
  }
}

__device__ void copy_async(void *to, const void *from) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(static_cast<u32>(__cvta_generic_to_shared(to))), "l"(from) : "memory");  // <-*
#else
  *static_cast<float *>(to) = *static_cast<const float *>(from);
#endif
}
#if __CUDA_ARCH__ >= 800
#define COMMIT() asm volatile("cp.async.commit_group;" ::: "memory")
#define WAIT(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")

KERNEL wait_off_by_one(const float *in, float *out, int n) {
  __shared__ float stages[3][128];
  const int t = threadIdx.x, steps = n / 128;
  float sum = 0;
  for (int s = 0; s < 2; ++s) {
    if (s < steps) copy_async(&stages[s][t], in + s * 128 + t);
    COMMIT();
  }
  for (int step = 0; step < steps; ++step) {
    WAIT(BUG_OR(2, 1));
    __syncthreads();
    sum += stages[step % 3][127 - t];  // <-
    if (step + 2 < steps) copy_async(&stages[(step + 2) % 3][t], in + (step + 2) * 128 + t);
    COMMIT();
  }
  WAIT(0);
  out[t] = sum;
}

KERNEL copy_never_waited_for(const float *in, float *out, int n) {
  __shared__ float values[256];
  const int t = threadIdx.x;
  copy_async(&values[t], in + t);
  COMMIT();
  copy_async(&values[128 + t], in + t);
  COMMIT();
  WAIT(BUG_OR(1, 0));
  __syncthreads();
  out[t] = values[127 - t];
}  // <-

KERNEL commit_forgotten(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  copy_async(&values[t], in + t);
  BUG_OR(, COMMIT());
  WAIT(0);
  __syncthreads();
  out[t] = values[127 - t];  // <-
  asm volatile("cp.async.wait_all;" ::: "memory");
}

KERNEL wait_without_barrier(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  copy_async(&values[t], in + t);
  COMMIT();
  WAIT(0);
  BUG_OR(, __syncthreads());
  out[t] = values[127 - t];  // <-
}

KERNEL stage_overwritten_by_a_copy(const float *in, float *out, int n) {
  __shared__ float stages[2][128];
  const int t = threadIdx.x, steps = n / 128;
  float sum = 0;
  copy_async(&stages[0][t], in + t);
  COMMIT();
  for (int step = 0; step < steps; ++step) {
    WAIT(0);
    __syncthreads();
    BUG_OR(, sum += stages[step % 2][127 - t]);
    BUG_OR(, __syncthreads());
    if (step + 1 < steps) copy_async(&stages[(BUG_OR(step, step + 1)) % 2][t], in + (step + 1) * 128 + t);
    COMMIT();
    BUG_OR(sum += stages[step % 2][127 - t], );  // <-
  }
  WAIT(0);
  out[t] = sum;
}

KERNEL copy_out_of_bounds(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  copy_async(&values[t], in + n - 128 + t + BUG_OR(1, 0));
  COMMIT();
  WAIT(0);
  __syncthreads();
  out[t] = values[127 - t];
}

__device__ void load_matrix(u32 address, u32 *r) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));  // <-*
}

__device__ void multiply(float *d, const u32 *a, const u32 *b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));  // <-*
}

KERNEL fragments_of_a_crooked_pitch(const float *in, float *out, int n) {
  constexpr int kPitch = BUG_OR(20, 24);
  __shared__ __align__(16) u16 tile[16 * kPitch];
  const int lane = threadIdx.x;
  for (int k = lane; k < 16 * kPitch; k += 32) tile[k] = static_cast<u16>(k);
  __syncwarp();
  u32 a[4];
  load_matrix(static_cast<u32>(__cvta_generic_to_shared(tile + lane % 16 * kPitch + lane / 16 * 8)), a);
  float d[4] = {};
  multiply(d, a, a);
  out[lane] = d[0] + d[3];
}

KERNEL fragments_beyond_the_tile(const float *in, float *out, int n) {
  __shared__ __align__(16) u16 tile[16 * 16];
  const int lane = threadIdx.x;
  for (int k = lane; k < 256; k += 32) tile[k] = static_cast<u16>(k);
  __syncwarp();
  u32 a[4];
  load_matrix(static_cast<u32>(__cvta_generic_to_shared(tile + BUG_OR(lane, lane % 16) * 16 + lane / 16 * 8)), a);
  float d[4] = {};
  multiply(d, a, a);
  out[lane] = d[0] + d[3];
}

KERNEL fragments_before_the_tile_is_there(const float *in, float *out, int n) {
  __shared__ __align__(16) u16 tile[16 * 16];
  const int lane = threadIdx.x % 32;
  for (int k = threadIdx.x; k < 256; k += 128) tile[k] = static_cast<u16>(k);  // <-
  BUG_OR(, __syncthreads());
  u32 a[4];
  load_matrix(static_cast<u32>(__cvta_generic_to_shared(tile + lane % 16 * 16 + lane / 16 * 8)), a);
  float d[4] = {};
  multiply(d, a, a);
  out[threadIdx.x] = d[0] + d[3];
}

KERNEL fragments_half_filled(const float *in, float *out, int n) {
  __shared__ __align__(16) u16 tile[16 * 16];
  const int lane = threadIdx.x;
  for (int k = lane; k < BUG_OR(192, 256); k += 32) tile[k] = static_cast<u16>(k);
  __syncwarp();
  u32 a[4];
  load_matrix(static_cast<u32>(__cvta_generic_to_shared(tile + lane % 16 * 16 + lane / 16 * 8)), a);
  float d[4] = {};
  multiply(d, a, a);
  out[lane] = d[0] + d[3];  // <-
}

KERNEL fragments_in_half_a_warp(const float *in, float *out, int n) {
  const int lane = threadIdx.x;
  const u32 a[4] = {static_cast<u32>(lane), 0, 0, 0};
  float d[4] = {in[lane], 0, 0, 0};
  if (BUG_OR(lane < 16, n > 0)) multiply(d, a, a);
  __syncwarp();
  out[lane] = d[0];
}
#endif

KERNEL store_past_the_end(const float *in, float *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (BUG_OR(i <= n, i < n)) out[i] = 1;  // <-
}

KERNEL load_before_the_start(const float *in, float *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i == 0 ? BUG_OR(-1, 0) : i - 1];  // <-
}

KERNEL vector_over_the_end(const float *in, float *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float4 *vectors = reinterpret_cast<float4 *>(out);
  if (i < BUG_OR((n + 3) / 4, n / 4)) vectors[i] = make_float4(1, 2, 3, 4);  // <-
}

KERNEL crooked_vector(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  const float4 v = *reinterpret_cast<const float4 *>(in + 4 * (t % 8) + BUG_OR(1, 0));  // <-
  out[t] = v.x + v.w;
}

KERNEL index_that_wraps(const float *in, float *out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int pitch = 65536;
  const long long at = BUG_OR(static_cast<long long>(static_cast<int>(static_cast<u32>(i + 32768 + n) * pitch)), static_cast<long long>(i)) % n;
  if (i < n) out[i] = in[at];  // <-
}

KERNEL null_pointer(const float *in, float *out, int n) {
  const float *from = BUG_OR(reinterpret_cast<const float *>(static_cast<unsigned long long>(n) - 256), in);
  out[threadIdx.x] = *(from + threadIdx.x);  // <-
}

KERNEL shared_past_the_end(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  values[t] = in[t];
  __syncthreads();
  out[t] = values[t + BUG_OR(n % 7 + 1, 0)];  // <-
}

KERNEL dynamic_shared_past_the_end(const float *in, float *out, int n) {
  extern __shared__ float values_of_the_launch[];
  const int t = threadIdx.x;
  values_of_the_launch[t + BUG_OR(1, 0)] = in[t];  // <-
  __syncthreads();
  out[t] = values_of_the_launch[127 - t + BUG_OR(1, 0)];  // <-
}

KERNEL local_past_the_end(const float *in, float *out, int n) {
  float values[8];
  for (int k = 0; k < 8; ++k) values[k] = in[k];
  const int t = threadIdx.x;
  values[(t * 3) % 8] = 1;
  out[t] = values[(t % BUG_OR(32, 8))];  // <-
}

__device__ float table[16];
KERNEL variable_past_the_end(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  if (t < 16) table[t] = 1;
  __syncthreads();
  out[t] = table[(t % 16) + BUG_OR(16, 0)];  // <-
}

KERNEL shared_never_written(const float *in, float *out, int n) {
  __shared__ float values[130];
  const int t = threadIdx.x;
  values[t + 1] = in[t];
  if (t == 0) values[0] = 0;
  BUG_OR(, if (t == 0) values[129] = 0);
  __syncthreads();
  out[t] = values[t] + values[t + 2];  // <-
}

KERNEL global_never_written(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  BUG_OR(if (t != 5), ) out[t] = in[t];
  out[t] = out[t] + 1;  // <-
}

KERNEL local_never_written(const float *in, float *out, int n) {
  float values[8];
  const int t = threadIdx.x;
  for (int k = 0; k < BUG_OR(7, 8); ++k) values[(k * n + t) % 8] = in[k];
  out[t] = values[(t * 3 + n) % 8];  // <-
}

KERNEL sum_of_unwritten_decides(const float *in, float *out, int n) {
  __shared__ int flags[128];
  const int t = threadIdx.x;
  if (t < BUG_OR(127, 128)) flags[t] = t;
  __syncthreads();
  if (flags[127 - t] > 5) {  // <-
    out[t] = 1;
  } else {
    out[t] = 2;
  }
}

KERNEL shuffle_in_a_branch(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  float v = in[t];
  if (t % 32 < BUG_OR(16, 32)) v += __shfl_xor_sync(kAll, v, 8);  // <-
  __syncthreads();
  out[t] = v;
}

KERNEL shuffle_from_a_lane_that_is_not_there(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  float v = in[t];
  if (t % 32 < 16) v += __shfl_down_sync(0xffffu, v, 8, BUG_OR(32, 16));  // <-
  __syncthreads();
  out[t] = v;  // <-
}

KERNEL caller_outside_its_mask(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  out[t] = static_cast<float>(__ballot_sync(BUG_OR(0xffffu, kAll), in[t] > 0));  // <-
}

KERNEL vote_without_everyone(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  int all = 0;
  if (BUG_OR(in[t] > -2.0f && t % 2 == 0, n > 0)) all = __all_sync(kAll, in[t] < 5);  // <-
  __syncthreads();
  out[t] = static_cast<float>(all);
}

KERNEL match_without_everyone(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  u32 same = 0;
  if (t % 4 != BUG_OR(3, 4)) same = __match_any_sync(kAll, t % 2);  // <-
  __syncwarp();
  out[t] = static_cast<float>(same);
}

KERNEL syncwarp_outside_its_mask(const float *in, float *out, int n) {
  __shared__ float values[128];
  const int t = threadIdx.x;
  values[t] = in[t];                    // <-
  __syncwarp(BUG_OR(0xffffu, kAll));    // <-
  out[t] = values[t ^ 1];               // <-
}

KERNEL lock_never_released(const float *in, float *out, int n) {
  int *lock = reinterpret_cast<int *>(out);
  if (threadIdx.x == 0 && blockIdx.x == 0) *lock = 0;
  __syncthreads();
  if (threadIdx.x == 0 && blockIdx.x == 0) {
    for (int turn = 0; turn < 2; ++turn) {
      while (atomicCAS(lock, 0, 1) != 0) {  // <-
      }
      BUG_OR(, atomicExch(lock, 0));
    }
  }
}

KERNEL trap_reached(const float *in, float *out, int n) {
  if (in[threadIdx.x] > BUG_OR(-5.0f, 5.0f)) __trap();  // <-
  out[threadIdx.x] = 1;
}

KERNEL shuffle_orders_no_writes(const float *in, float *out, int n) {
  __shared__ float first[4];
  const int t = threadIdx.x;
  float v = in[t];
  if (t % 32 == 0) first[t / 32] = v;  // <-
  v += __shfl_xor_sync(kAll, v, 1);
  BUG_OR(, __syncwarp());
  out[t] = v + first[t / 32];  // <-
}

// Two groups shuffle in one instruction, each with its own mask.
KERNEL shuffle_from_another_group(const float *in, float *out, int n) {
  const int t = threadIdx.x, lane = t % 32;
  const u32 mask = lane < 8 ? 0xffu : ~0xffu;
  out[t] = __shfl_sync(mask, in[t], lane < 8 ? BUG_OR(8, 7) : 9);  // <-
}

KERNEL tail_left_out_of_the_branch(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  float sum = 0;
  if (t < 50) sum = in[t] + __shfl_sync(BUG_OR(kAll, t < 32 ? kAll : (1u << 18) - 1), in[t], 0);  // <-
  __syncwarp();
  out[t] = sum;
}

// A reduction as it was written before warps had lanes of their own.
KERNEL volatile_is_no_barrier(const float *in, float *out, int n) {
  __shared__ float values[64];
  const int t = threadIdx.x;
  volatile float *v = values;
  v[t] = in[t];
  v[t + 32] = 0;
  float x = v[t];
  for (int half = 16; half > 0; half /= 2) {
    BUG_OR(, __syncwarp());
    x += v[t + half];  // <-
    BUG_OR(, __syncwarp());
    v[t] = x;  // <-
  }
  out[t] = x;
}

KERNEL counter_cleared_without_barrier(const float *in, float *out, int n) {
  __shared__ int count;
  const int t = threadIdx.x;
  if (t == 0) count = 0;  // <-
  BUG_OR(, __syncthreads());
  atomicAdd(&count, in[t] > 0);  // <-
  __syncthreads();
  out[t] = static_cast<float>(count);
}

KERNEL neighbours_read_in_place(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  out[t] = in[t];
  if (t == 0) out[128] = 0;
  __syncthreads();
  const float next = out[t + 1];  // <-
  const float own = out[t];       // <-
  BUG_OR(, __syncthreads());
  out[t] = own + next;  // <-
}

__device__ int turn;
// Blocks add in order. The fence of a block's first thread covers what others did before a barrier only.
KERNEL turn_passed_without_barrier(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  if (t == 0) {
    while (atomicAdd(&turn, 0) != blockIdx.x) {
    }
  }
  __syncthreads();
  out[t] = in[t] + (blockIdx.x == 0 ? 0 : __ldcg(out + t));  // <-
  __threadfence();
  BUG_OR(, __syncthreads());
  if (t == 0) atomicAdd(&turn, 1);
}

KERNEL flag_without_release(const float *in, float *out, int n) {
  const int t = threadIdx.x;
  if (blockIdx.x == 0) {
    out[t] = in[t];  // <-
    __syncthreads();
    if (t == 0) asm volatile(BUG_OR("st.relaxed.gpu.global.s32 [%0], 1;", "st.release.gpu.global.s32 [%0], 1;") ::"l"(&turn) : "memory");
  } else {
    int seen = 0;
    while (t == 0 && seen == 0) asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(&turn) : "memory");
    __syncthreads();
    if (out[t] > 2) __trap();  // <-
  }
}

KERNEL bytes_of_the_tail(const float *in, float *out, int n) {
  __shared__ unsigned char bytes[128];
  const int t = threadIdx.x;
  if (t < BUG_OR(127, 128)) bytes[t] = static_cast<unsigned char>(t);
  __syncthreads();
  reinterpret_cast<unsigned char *>(out)[t] = bytes[127 - t];  // <-
}

#if __CUDA_ARCH__ >= 800
__device__ void arrive_and_wait(u32 barrier) {
  unsigned long long state;
  asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(state) : "r"(barrier) : "memory");  // <-*
  u32 done = 0;
  while (done == 0) asm volatile("{.reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(barrier), "l"(state) : "memory");  // <-*
}

KERNEL mbarrier_of_fewer_threads(const float *in, float *out, int n) {
  __shared__ unsigned long long barrier;
  __shared__ float values[128];
  const int t = threadIdx.x;
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(&barrier));
  if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address), "r"(BUG_OR(64, 128)) : "memory");
  __syncthreads();
  values[t] = in[t];  // <-
  arrive_and_wait(address);
  out[t] = values[(t + 32) % 128];  // <-
}

KERNEL mbarrier_before_it_is_ready(const float *in, float *out, int n) {
  __shared__ unsigned long long barrier;
  const int t = threadIdx.x;
  const u32 address = static_cast<u32>(__cvta_generic_to_shared(&barrier));
  if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], 128;" ::"r"(address) : "memory");
  BUG_OR(, __syncthreads());
  arrive_and_wait(address);
  out[t] = in[t];
}
#endif
