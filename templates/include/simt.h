// One spelling of what a GPU thread can say, for CUDA and HIP (and a host that plays HIP's
// threads). What only one vendor has (mma, cp.async) lies in mma.h. Lanes are those of a wave: 32
// or 64 threads.
#pragma once

#if defined(__CUDACC__)
#define HONE_CUDA 1
#elif defined(__HIP__)
#pragma clang force_cuda_host_device begin
#endif

#define HONE_INLINE inline __attribute__((always_inline))

// HONE_GPU_KERNEL(name, threads) { ... }: an entry for blocks of at most `threads` threads; `a` is
// the Args of the launch. For CUDA, `threads, blocks`: at least so many blocks share a unit; 1 gives
// a thread all the registers it wants.
#if HONE_CUDA
#define HONE_GPU_KERNEL(name, ...)                          \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) \
      hone_##name(const __grid_constant__ Args a)
#else
#define HONE_GPU_KERNEL(name, ...) \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) hone_##name(const Args a)
#endif

// HONE_GPU_PACK(w) { ... }: brings an argument from `from` to its packed form `to`, in blocks of
// kPackThreads threads; any number of them must do.
constexpr int kPackThreads = 256;
#define HONE_GPU_PACK(argument)                                                               \
  extern "C" __global__ void __launch_bounds__(kPackThreads)                                  \
      hone_pack_##argument(const Args a, const u8 *from, u8 *to)

constexpr int kWave = static_cast<int>(wave);

// barrier(): every thread of the block; what was written to shared and global memory before is seen
// after. shuffle(): the value of that lane; all lanes take part. any_lane(): whether it is true for
// any lane of the wave; barrier_or<threads>(): for any thread of
// the block, and a barrier. dynamic_shared():
// the bytes of the launch line, aligned to 128.
#if HONE_CUDA
HONE_INLINE int thread_index() { return static_cast<int>(threadIdx.x); }
HONE_INLINE i64 block_x() { return blockIdx.x; }
HONE_INLINE i64 block_y() { return blockIdx.y; }
HONE_INLINE i64 block_z() { return blockIdx.z; }
HONE_INLINE void barrier() { __syncthreads(); }
HONE_INLINE f32 shuffle(f32 value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
HONE_INLINE f32 shuffle_xor(f32 value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
HONE_INLINE bool any_lane(bool value) { return __any_sync(0xffffffffu, value); }
template <int threads>
HONE_INLINE bool barrier_or(bool value) {
  return __syncthreads_or(value);
}
#else
HONE_INLINE int thread_index() { return static_cast<int>(__builtin_amdgcn_workitem_id_x()); }
HONE_INLINE i64 block_x() { return __builtin_amdgcn_workgroup_id_x(); }
HONE_INLINE i64 block_y() { return __builtin_amdgcn_workgroup_id_y(); }
HONE_INLINE i64 block_z() { return __builtin_amdgcn_workgroup_id_z(); }
HONE_INLINE void barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
HONE_INLINE f32 shuffle(f32 value, int lane) {
  return __builtin_bit_cast(f32,
                            __builtin_amdgcn_ds_bpermute(4 * lane, __builtin_bit_cast(i32, value)));
}
HONE_INLINE f32 shuffle_xor(f32 value, int mask) {
  return shuffle(value, thread_index() % kWave ^ mask);
}
HONE_INLINE bool any_lane(bool value) {
  return __builtin_amdgcn_uicmp(static_cast<u32>(value), 0u, 33) != 0;  // 33: LLVM's unequal
}
template <int threads>
HONE_INLINE bool barrier_or(bool value) {
  __shared__ bool votes[threads / kWave];
  const bool vote = any_lane(value);
  if (thread_index() % kWave == 0) votes[thread_index() / kWave] = vote;
  barrier();
  bool any = false;
  for (int i = 0; i < threads / kWave; ++i) any = any || votes[i];
  barrier();
  return any;
}
#endif
HONE_INLINE i64 grid_x() { return gridDim.x; }

HONE_INLINE u8 *dynamic_shared() {
  extern __shared__ __attribute__((aligned(128))) u8 hone_shared[];
  return hone_shared;
}

HONE_INLINE int lane_index() { return thread_index() % kWave; }
HONE_INLINE int wave_index() { return thread_index() / kWave; }

// `width` neighbouring lanes (a power of two) reduce to one value that all of them get.
template <int width, typename F>
HONE_INLINE f32 reduce_lanes(f32 value, F join) {
#pragma unroll
  for (int mask = width / 2; mask > 0; mask /= 2) value = join(value, shuffle_xor(value, mask));
  return value;
}
