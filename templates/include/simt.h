// One spelling of what a GPU thread can say, for CUDA, HIP and a host that plays every thread. What
// only one vendor has (mma, cp.async) lies in mma.h. Lanes are those of a wave: 32 or 64 threads.
#pragma once

#if defined(__CUDACC__)
#define HONE_CUDA 1
#elif defined(__HIP__)
#define HONE_HIP 1
#pragma clang force_cuda_host_device begin
#else
#define HONE_HOST 1
#endif

#define HONE_INLINE inline __attribute__((always_inline))

// HONE_GPU_KERNEL(name, threads) { ... }: an entry for blocks of at most `threads` threads; `a` is
// the Args of the launch. HONE_SHARED: of a variable that the threads of a block share.
#if HONE_CUDA
#define HONE_GPU_KERNEL(name, threads) \
  extern "C" __global__ void __launch_bounds__(threads) hone_##name(const __grid_constant__ Args a)
#define HONE_SHARED __shared__
#elif HONE_HIP
#define HONE_GPU_KERNEL(name, threads) \
  extern "C" __global__ void __launch_bounds__(threads) hone_##name(const Args a)
#define HONE_SHARED __shared__
#else
#define HONE_GPU_KERNEL(name, threads)                               \
  static void kernel_##name(const Args &a);                          \
  HONE_EXPORT void hone_##name(const Args *a) { kernel_##name(*a); } \
  static void kernel_##name(const Args &a)
#define HONE_SHARED static

// What the host does for a thread, see runtime/simulator/simt_host.h; set when the code is loaded.
struct SimtCalls {
  int (*thread)();
  i64 (*block)(int axis);
  u8 *(*shared)();
  void (*barrier)();
  // Waits for all lanes of the wave; then [lane] is what that lane showed, until leave().
  const void *const *(*show)(const void *mine);
  void (*leave)();
};
extern "C" __attribute__((visibility("default"))) SimtCalls hone_simt;
SimtCalls hone_simt;

extern "C" {
f32 sqrtf(f32);
f32 expf(f32);
f32 exp2f(f32);
f32 logf(f32);
f32 tanhf(f32);
f32 erff(f32);
}
#endif

constexpr int kWave = static_cast<int>(wave);

// barrier(): every thread of the block; what was written to shared and global memory before is seen
// after. shuffle(): the value of that lane; all lanes take part. dynamic_shared(): the bytes of the
// launch line, aligned to 128.
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
#elif HONE_HIP
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
  return __builtin_bit_cast(
      f32, __builtin_amdgcn_ds_bpermute(4 * lane, __builtin_bit_cast(i32, value)));
}
HONE_INLINE f32 shuffle_xor(f32 value, int mask) {
  return shuffle(value, thread_index() % kWave ^ mask);
}
#else
HONE_INLINE int thread_index() { return hone_simt.thread(); }
HONE_INLINE i64 block_x() { return hone_simt.block(0); }
HONE_INLINE i64 block_y() { return hone_simt.block(1); }
HONE_INLINE i64 block_z() { return hone_simt.block(2); }
HONE_INLINE void barrier() { hone_simt.barrier(); }
inline f32 shuffle(f32 value, int lane) {
  const f32 result = *static_cast<const f32 *>(hone_simt.show(&value)[lane]);
  hone_simt.leave();
  return result;
}
HONE_INLINE f32 shuffle_xor(f32 value, int mask) {
  return shuffle(value, thread_index() % kWave ^ mask);
}
#endif

#if HONE_HOST
HONE_INLINE u8 *dynamic_shared() { return hone_simt.shared(); }
#else
HONE_INLINE u8 *dynamic_shared() {
  extern __shared__ __attribute__((aligned(128))) u8 hone_shared[];
  return hone_shared;
}
#endif

HONE_INLINE int lane_index() { return thread_index() % kWave; }
HONE_INLINE int wave_index() { return thread_index() / kWave; }

// `width` neighbouring lanes (a power of two) reduce to one value that all of them get.
template <int width, typename F>
HONE_INLINE f32 reduce_lanes(f32 value, F join) {
#pragma unroll
  for (int mask = width / 2; mask > 0; mask /= 2) value = join(value, shuffle_xor(value, mask));
  return value;
}
