// HIP's spellings on a host: compiled in front of a kernel's text, with -fsanitize=thread, whose
// hooks are defined here. A fibre plays each GPU thread; what it does to memory and with others
// goes to the host (abi.h).
#pragma once
#include "runtime/simulator/simt/abi.h"

#define HONE_SIMT 1
#define HONE_SIMT_PLAIN __attribute__((no_sanitize("thread")))
#define HONE_SIMT_CALL __attribute__((noinline, no_sanitize("thread"), unused))

#define __global__ __attribute__((visibility("default")))
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static

// Shared memory is all of .bss and nothing else is: what the host needs lies in .data.
extern "C" {
extern unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern unsigned char _end[] __attribute__((visibility("hidden")));
__attribute__((section(".bss.hone_dynamic"), aligned(128),
               visibility("hidden"))) unsigned char hone_simt_dynamic[65536 + kHoneSimtSlack];
__attribute__((section(".data.hone_simt"))) static HoneSimtHost *hone_simt_host = nullptr;
__attribute__((visibility("default"))) extern const HoneSimtKernel hone_simt_kernel;
const HoneSimtKernel hone_simt_kernel = {
    kHoneSimtVersion, &hone_simt_host, __bss_start, _end, hone_simt_dynamic, 65536};
}

#define HONE_SIMT_SITE __builtin_return_address(0)
#define HONE_SIMT_SELF (*hone_simt_host->current)

// What the compiler calls before every access to memory.
#define HONE_SIMT_ON_STACK(p)                                                \
  (reinterpret_cast<unsigned long>(p) - hone_simt_host->current->stack_low < \
   hone_simt_host->current->stack_bytes)
#define HONE_SIMT_HOOK(name, bytes, kind)                                               \
  extern "C" HONE_SIMT_CALL void __tsan_##name(const void *p) {                         \
    if (!HONE_SIMT_ON_STACK(p)) hone_simt_host->access(p, bytes, kind, HONE_SIMT_SITE); \
  }
#define HONE_SIMT_HOOKS(bytes)                                                       \
  HONE_SIMT_HOOK(read##bytes, bytes, kHoneSimtRead)                                  \
  HONE_SIMT_HOOK(write##bytes, bytes, kHoneSimtWrite)                                \
  HONE_SIMT_HOOK(unaligned_read##bytes, bytes, kHoneSimtRead | kHoneSimtUnaligned)   \
  HONE_SIMT_HOOK(unaligned_write##bytes, bytes, kHoneSimtWrite | kHoneSimtUnaligned) \
  HONE_SIMT_HOOK(read_write##bytes, bytes, kHoneSimtWrite)                           \
  HONE_SIMT_HOOK(unaligned_read_write##bytes, bytes, kHoneSimtWrite | kHoneSimtUnaligned)
HONE_SIMT_HOOKS(1)
HONE_SIMT_HOOKS(2)
HONE_SIMT_HOOKS(4)
HONE_SIMT_HOOKS(8)
HONE_SIMT_HOOKS(16)
#define HONE_SIMT_RANGE(name, kind)                                                  \
  extern "C" HONE_SIMT_CALL void __tsan_##name(const void *p, unsigned long bytes) { \
    if (!HONE_SIMT_ON_STACK(p))                                                      \
      hone_simt_host->access(p, bytes, (kind) | kHoneSimtUnaligned, HONE_SIMT_SITE); \
  }
HONE_SIMT_RANGE(read_range, kHoneSimtRead)
HONE_SIMT_RANGE(write_range, kHoneSimtWrite)
extern "C" HONE_SIMT_CALL void __tsan_init() {}
extern "C" HONE_SIMT_CALL void __tsan_func_entry(void *) {}
extern "C" HONE_SIMT_CALL void __tsan_func_exit() {}

// The compilers' own copies.
#define HONE_SIMT_COPY(name)                                                                   \
  extern "C" HONE_SIMT_CALL void *name(void *to, const void *from, unsigned long bytes) {      \
    if (bytes == 0) return to;                                                                 \
    if (!HONE_SIMT_ON_STACK(from))                                                             \
      hone_simt_host->access(from, bytes, kHoneSimtRead | kHoneSimtUnaligned, HONE_SIMT_SITE); \
    if (!HONE_SIMT_ON_STACK(to))                                                               \
      hone_simt_host->access(to, bytes, kHoneSimtWrite | kHoneSimtUnaligned, HONE_SIMT_SITE);  \
    auto *t = static_cast<volatile unsigned char *>(to);                                       \
    auto *f = static_cast<const unsigned char *>(from);                                        \
    if (reinterpret_cast<unsigned long>(to) - reinterpret_cast<unsigned long>(from) < bytes)   \
      for (unsigned long i = bytes; i-- > 0;) t[i] = f[i];                                     \
    else                                                                                       \
      for (unsigned long i = 0; i < bytes; ++i) t[i] = f[i];                                   \
    return to;                                                                                 \
  }
HONE_SIMT_COPY(memcpy)
HONE_SIMT_COPY(memmove)
HONE_SIMT_COPY(__tsan_memcpy)
HONE_SIMT_COPY(__tsan_memmove)
#define HONE_SIMT_SET(name)                                                                   \
  extern "C" HONE_SIMT_CALL void *name(void *to, int value, unsigned long bytes) {            \
    if (bytes != 0 && !HONE_SIMT_ON_STACK(to))                                                \
      hone_simt_host->access(to, bytes, kHoneSimtWrite | kHoneSimtUnaligned, HONE_SIMT_SITE); \
    for (unsigned long i = 0; i < bytes; ++i)                                                 \
      static_cast<volatile unsigned char *>(to)[i] = static_cast<unsigned char>(value);       \
    return to;                                                                                \
  }
HONE_SIMT_SET(memset)
HONE_SIMT_SET(__tsan_memset)

// Atomics: fibres change over only where a thread waits, so plain arithmetic is atomic.
#define HONE_SIMT_TOUCH(p, kind)                                                          \
  hone_simt_host->access(const_cast<const void *>(static_cast<const volatile void *>(p)), \
                         sizeof *(p), kind, HONE_SIMT_SITE)
#define HONE_SIMT_FETCH(bits, T, name, expression)                                    \
  extern "C" HONE_SIMT_CALL T __tsan_atomic##bits##_##name(volatile T *p, T v, int) { \
    HONE_SIMT_TOUCH(p, kHoneSimtAtomic);                                              \
    const T old = *p;                                                                 \
    *p = static_cast<T>(expression);                                                  \
    return old;                                                                       \
  }
#define HONE_SIMT_COMPARE(bits, T, name)                                                           \
  extern "C" HONE_SIMT_CALL int __tsan_atomic##bits##_##name(volatile T *p, T *c, T v, int, int) { \
    HONE_SIMT_TOUCH(p, kHoneSimtAtomic | kHoneSimtCompare);                                        \
    const T old = *p;                                                                              \
    if (old == *c) {                                                                               \
      *p = v;                                                                                      \
      return 1;                                                                                    \
    }                                                                                              \
    *c = old;                                                                                      \
    return 0;                                                                                      \
  }
#define HONE_SIMT_ATOMICS(bits, T)                                                      \
  HONE_SIMT_FETCH(bits, T, exchange, v)                                                 \
  HONE_SIMT_FETCH(bits, T, fetch_add, old + v)                                          \
  HONE_SIMT_FETCH(bits, T, fetch_sub, old - v)                                          \
  HONE_SIMT_FETCH(bits, T, fetch_and, old &v)                                           \
  HONE_SIMT_FETCH(bits, T, fetch_or, old | v)                                           \
  HONE_SIMT_FETCH(bits, T, fetch_xor, old ^ v)                                          \
  HONE_SIMT_FETCH(bits, T, fetch_nand, ~(old & v))                                      \
  HONE_SIMT_COMPARE(bits, T, compare_exchange_strong)                                   \
  HONE_SIMT_COMPARE(bits, T, compare_exchange_weak)                                     \
  extern "C" HONE_SIMT_CALL T __tsan_atomic##bits##_load(const volatile T *p, int) {    \
    HONE_SIMT_TOUCH(p, kHoneSimtRead | kHoneSimtAtomic);                                \
    return *p;                                                                          \
  }                                                                                     \
  extern "C" HONE_SIMT_CALL void __tsan_atomic##bits##_store(volatile T *p, T v, int) { \
    HONE_SIMT_TOUCH(p, kHoneSimtAtomic);                                                \
    *p = v;                                                                             \
  }
HONE_SIMT_ATOMICS(8, unsigned char)
HONE_SIMT_ATOMICS(16, unsigned short)
HONE_SIMT_ATOMICS(32, unsigned int)
HONE_SIMT_ATOMICS(64, unsigned long)
extern "C" HONE_SIMT_CALL void __tsan_atomic_thread_fence(int) {}
extern "C" HONE_SIMT_CALL void __tsan_atomic_signal_fence(int) {}

#define HONE_SIMT_HIP_ATOMIC(name, expression) \
  template <typename T, typename U>            \
  HONE_SIMT_CALL T name(T *p, U u) {           \
    HONE_SIMT_TOUCH(p, kHoneSimtAtomic);       \
    const T old = *p, v = static_cast<T>(u);   \
    *p = expression;                           \
    return old;                                \
  }
HONE_SIMT_HIP_ATOMIC(atomicAdd, old + v)
HONE_SIMT_HIP_ATOMIC(atomicSub, old - v)
HONE_SIMT_HIP_ATOMIC(atomicMax, old < v ? v : old)
HONE_SIMT_HIP_ATOMIC(atomicMin, v < old ? v : old)
HONE_SIMT_HIP_ATOMIC(atomicExch, v)
HONE_SIMT_HIP_ATOMIC(atomicAnd, old &v)
HONE_SIMT_HIP_ATOMIC(atomicOr, old | v)
HONE_SIMT_HIP_ATOMIC(atomicXor, old ^ v)
template <typename T, typename C, typename U>
HONE_SIMT_CALL T atomicCAS(T *p, C compare, U u) {
  HONE_SIMT_TOUCH(p, kHoneSimtAtomic | kHoneSimtCompare);
  const T old = *p;
  if (old == static_cast<T>(compare)) *p = static_cast<T>(u);
  return old;
}
#define __HIP_MEMORY_SCOPE_SINGLETHREAD 1
#define __HIP_MEMORY_SCOPE_WAVEFRONT 2
#define __HIP_MEMORY_SCOPE_WORKGROUP 3
#define __HIP_MEMORY_SCOPE_AGENT 4
#define __HIP_MEMORY_SCOPE_SYSTEM 5
#define __hip_atomic_fetch_add(p, v, order, scope) atomicAdd(p, v)
#define __hip_atomic_fetch_max(p, v, order, scope) atomicMax(p, v)
#define __hip_atomic_fetch_min(p, v, order, scope) atomicMin(p, v)
#define __hip_atomic_exchange(p, v, order, scope) atomicExch(p, v)

// Who a thread is.
struct HoneSimtIndex {
  unsigned x, y, z;
};
#define HONE_SIMT_INDEX(name, member)                      \
  HONE_SIMT_CALL static HoneSimtIndex hone_simt_##name() { \
    const unsigned(&v)[3] = HONE_SIMT_SELF.member;         \
    return {v[0], v[1], v[2]};                             \
  }
HONE_SIMT_INDEX(thread, thread)
HONE_SIMT_INDEX(block, block)
HONE_SIMT_INDEX(block_size, block_size)
HONE_SIMT_INDEX(grid_size, grid_size)
HONE_SIMT_CALL static int hone_simt_wave_size() {
  return static_cast<int>(HONE_SIMT_SELF.wave_size);
}
#define threadIdx hone_simt_thread()
#define blockIdx hone_simt_block()
#define blockDim hone_simt_block_size()
#define gridDim hone_simt_grid_size()
#define warpSize hone_simt_wave_size()
#define HONE_SIMT_DIM(name, member)                              \
  HONE_SIMT_CALL static unsigned __builtin_amdgcn_##name##_x() { \
    return HONE_SIMT_SELF.member[0];                             \
  }                                                              \
  HONE_SIMT_CALL static unsigned __builtin_amdgcn_##name##_y() { \
    return HONE_SIMT_SELF.member[1];                             \
  }                                                              \
  HONE_SIMT_CALL static unsigned __builtin_amdgcn_##name##_z() { return HONE_SIMT_SELF.member[2]; }
HONE_SIMT_DIM(workitem_id, thread)
HONE_SIMT_DIM(workgroup_id, block)
HONE_SIMT_DIM(workgroup_size, block_size)
HONE_SIMT_CALL static unsigned __builtin_amdgcn_wavefrontsize() { return HONE_SIMT_SELF.wave_size; }

// Waiting.
HONE_SIMT_CALL static void __builtin_amdgcn_s_barrier() {
  hone_simt_host->barrier(HONE_SIMT_SITE);
  asm volatile("" ::: "memory");
}
HONE_SIMT_CALL static void __syncthreads() {
  hone_simt_host->barrier(HONE_SIMT_SITE);
  asm volatile("" ::: "memory");
}
HONE_SIMT_CALL static void __builtin_amdgcn_wave_barrier() {
  hone_simt_host->wave_barrier(HONE_SIMT_SITE);
  asm volatile("" ::: "memory");
}
#define __builtin_amdgcn_fence(order, scope) asm volatile("" ::: "memory")
#define __threadfence() asm volatile("" ::: "memory")
#define __threadfence_block() asm volatile("" ::: "memory")
#define __threadfence_system() asm volatile("" ::: "memory")
#define __builtin_amdgcn_s_waitcnt(n) asm volatile("" ::: "memory")
#define __builtin_amdgcn_sched_barrier(n) asm volatile("" ::: "memory")
#define __builtin_amdgcn_s_setprio(n) ((void)0)
#define __builtin_amdgcn_s_sleep(n) ((void)0)
#define __builtin_nontemporal_load(p) (*(p))
#define __builtin_nontemporal_store(v, p) (*(p) = (v))
HONE_SIMT_CALL static void hone_simt_trap() { hone_simt_host->trap("a trap", HONE_SIMT_SITE); }
#define __builtin_trap() hone_simt_trap()
#define abort() hone_simt_trap()

// Lanes. `from` outside the active ones is reported and gives 0.
template <typename T>
HONE_SIMT_PLAIN inline T hone_simt_from(const HoneSimtWave *wave, unsigned from, const void *site) {
  if (from >= 64 || (wave->active >> from & 1) == 0) {
    hone_simt_host->absent(from, site);
    return T{};
  }
  T value;
  __builtin_memcpy(&value, wave->brought + from * wave->stride, sizeof value);
  return value;
}
template <typename T>
HONE_SIMT_PLAIN inline T hone_simt_lane(T value, unsigned from, const void *site) {
  return hone_simt_from<T>(hone_simt_host->exchange(&value, sizeof value, site), from, site);
}
HONE_SIMT_CALL static int __builtin_amdgcn_ds_bpermute(int address, int value) {
  const unsigned lanes = HONE_SIMT_SELF.wave_size;
  return hone_simt_lane(value, static_cast<unsigned>(address) / 4 % lanes, HONE_SIMT_SITE);
}
HONE_SIMT_CALL static int __builtin_amdgcn_ds_permute(int address, int value) {
  struct Sent {
    unsigned to;
    int value;
  } mine = {static_cast<unsigned>(address) / 4 % HONE_SIMT_SELF.wave_size, value};
  const HoneSimtWave *wave = hone_simt_host->exchange(&mine, sizeof mine, HONE_SIMT_SITE);
  int got = 0;
  for (unsigned lane = 0; lane < HONE_SIMT_SELF.wave_size; ++lane) {
    if ((wave->active >> lane & 1) == 0) continue;
    const Sent sent = hone_simt_from<Sent>(wave, lane, HONE_SIMT_SITE);
    if (sent.to == HONE_SIMT_SELF.lane) got = sent.value;
  }
  return got;
}
HONE_SIMT_CALL static int __builtin_amdgcn_readfirstlane(int value) {
  const HoneSimtWave *wave = hone_simt_host->exchange(&value, sizeof value, HONE_SIMT_SITE);
  return hone_simt_from<int>(wave, static_cast<unsigned>(__builtin_ctzl(wave->active)),
                             HONE_SIMT_SITE);
}
HONE_SIMT_CALL static int __builtin_amdgcn_readlane(int value, int lane) {
  return hone_simt_lane(value, static_cast<unsigned>(lane), HONE_SIMT_SITE);
}
// Where lane `lane` of a row of 16 gets its value from; a negative number: from nowhere.
HONE_SIMT_PLAIN static inline int hone_simt_dpp(int lane, int control, int lanes) {
  const int row = lane / 16 * 16, at = lane % 16, n = control & 15;
  if (control <= 0xff) return lane / 4 * 4 + (control >> 2 * (lane % 4) & 3);
  switch (control >> 4) {
    case 0x10:
      return at + n < 16 ? lane + n : -1;
    case 0x11:
      return at - n >= 0 ? lane - n : -1;
    case 0x12:
      return row + (at - n + 16) % 16;
    case 0x15:
      return row + n;
    case 0x16:
      return row + (at ^ n);
  }
  switch (control) {
    case 0x130:
      return lane + 1 < lanes ? lane + 1 : -1;
    case 0x134:
      return (lane + 1) % lanes;
    case 0x138:
      return lane - 1;
    case 0x13c:
      return (lane + lanes - 1) % lanes;
    case 0x140:
      return row + 15 - at;
    case 0x141:
      return lane / 8 * 8 + 7 - lane % 8;
    case 0x142:
      return row >= 16 ? row - 1 : -1;
    case 0x143:
      return lane >= 32 ? 31 : -1;
  }
  hone_simt_host->trap("an unknown DPP control", nullptr);
  return -1;
}
HONE_SIMT_CALL static int __builtin_amdgcn_update_dpp(int old, int value, int control, int rows,
                                                      int banks, bool bound) {
  const void *site = HONE_SIMT_SITE;
  const int lane = static_cast<int>(HONE_SIMT_SELF.lane);
  const HoneSimtWave *wave = hone_simt_host->exchange(&value, sizeof value, site);
  if ((rows >> lane / 16 & 1) == 0 || (banks >> lane / 4 % 4 & 1) == 0) return old;
  const int from = hone_simt_dpp(lane, control, static_cast<int>(HONE_SIMT_SELF.wave_size));
  if (from < 0 || (wave->active >> from & 1) == 0) return bound ? 0 : old;
  return hone_simt_from<int>(wave, static_cast<unsigned>(from), site);
}
#define __builtin_amdgcn_mov_dpp(value, control, rows, banks, bound) \
  __builtin_amdgcn_update_dpp(0, value, control, rows, banks, bound)
HONE_SIMT_CALL static int __builtin_amdgcn_ds_swizzle(int value, int pattern) {
  const unsigned lane = HONE_SIMT_SELF.lane;
  const unsigned p = static_cast<unsigned>(pattern);
  const unsigned from =
      p >> 15 ? lane / 4 * 4 + (p >> 2 * (lane % 4) & 3)
              : lane / 32 * 32 + (((lane % 32 & (p & 31)) | (p >> 5 & 31)) ^ (p >> 10 & 31));
  return hone_simt_lane(value, from, HONE_SIMT_SITE);
}
HONE_SIMT_PLAIN static inline unsigned long hone_simt_ballot(bool value, const void *site) {
  const HoneSimtWave *wave = hone_simt_host->exchange(&value, sizeof value, site);
  unsigned long votes = 0;
  for (unsigned lane = 0; lane < 64; ++lane)
    if (wave->active >> lane & 1)
      votes |= static_cast<unsigned long>(hone_simt_from<bool>(wave, lane, site)) << lane;
  return votes;
}
HONE_SIMT_CALL static unsigned long __builtin_amdgcn_ballot_w64(bool value) {
  return hone_simt_ballot(value, HONE_SIMT_SITE);
}
HONE_SIMT_CALL static unsigned __builtin_amdgcn_ballot_w32(bool value) {
  return static_cast<unsigned>(hone_simt_ballot(value, HONE_SIMT_SITE));
}
// The lanes for which `a` compares with `b`; 33 is LLVM's unequal, the one that ballots are made
// of.
HONE_SIMT_CALL static unsigned long __builtin_amdgcn_uicmp(unsigned a, unsigned b, int comparison) {
  if (comparison != 33) __builtin_trap();
  return hone_simt_ballot(a != b, HONE_SIMT_SITE);
}
HONE_SIMT_CALL static unsigned long __ballot(int value) {
  return hone_simt_ballot(value != 0, HONE_SIMT_SITE);
}
HONE_SIMT_CALL static int __any(int value) {
  return hone_simt_ballot(value != 0, HONE_SIMT_SITE) != 0;
}
HONE_SIMT_CALL static int __all(int value) {
  return hone_simt_ballot(value == 0, HONE_SIMT_SITE) == 0;
}
HONE_SIMT_CALL static unsigned __builtin_amdgcn_mbcnt_lo(unsigned mask, unsigned add) {
  const unsigned lane = HONE_SIMT_SELF.lane;
  return add +
         static_cast<unsigned>(__builtin_popcount(lane < 32 ? mask & ((1u << lane) - 1) : mask));
}
HONE_SIMT_CALL static unsigned __builtin_amdgcn_mbcnt_hi(unsigned mask, unsigned add) {
  const unsigned lane = HONE_SIMT_SELF.lane;
  return lane < 32
             ? add
             : add + static_cast<unsigned>(__builtin_popcount(mask & ((1u << (lane - 32)) - 1)));
}
HONE_SIMT_CALL static int __lane_id() { return static_cast<int>(HONE_SIMT_SELF.lane); }
#define HONE_SIMT_GROUP                                                                           \
  const unsigned lane = HONE_SIMT_SELF.lane, w = static_cast<unsigned>(width ? width : warpSize), \
                 base = lane / w * w
template <typename T>
HONE_SIMT_CALL T __shfl(T value, int from, int width = 0) {
  HONE_SIMT_GROUP;
  return hone_simt_lane(value, base + static_cast<unsigned>(from) % w, HONE_SIMT_SITE);
}
template <typename T>
HONE_SIMT_CALL T __shfl_xor(T value, int mask, int width = 0) {
  HONE_SIMT_GROUP;
  const unsigned from = lane ^ static_cast<unsigned>(mask);
  return hone_simt_lane(value, from / w * w == base ? from : lane, HONE_SIMT_SITE);
}
template <typename T>
HONE_SIMT_CALL T __shfl_down(T value, unsigned delta, int width = 0) {
  HONE_SIMT_GROUP;
  return hone_simt_lane(value, lane + delta < base + w ? lane + delta : lane, HONE_SIMT_SITE);
}
template <typename T>
HONE_SIMT_CALL T __shfl_up(T value, unsigned delta, int width = 0) {
  HONE_SIMT_GROUP;
  return hone_simt_lane(value, lane >= base + delta ? lane - delta : lane, HONE_SIMT_SITE);
}

// Matrix cores. D[rows x columns] += A[rows x depth] * B[depth x columns] for a wave of 64: lane l
// holds of A row l % rows and of B column l % columns the elements k = (l / rows) * n + i, i < n;
// of D column l % columns, register r row 8 * (r / 4) + 4 * (l / columns) + r % 4 for 32 rows, 4 *
// (l / columns) + r for 16.
template <int size, int n, typename Number, typename A, typename B, typename C, typename F>
HONE_SIMT_PLAIN inline C hone_simt_mfma(A a, B b, C c, F element, const void *site) {
  struct Both {
    A a;
    B b;
  } mine = {a, b};
  static_assert(sizeof mine <= kHoneSimtMost);
  const HoneSimtWave *wave = hone_simt_host->exchange(&mine, sizeof mine, site);
  if (wave->active != ~0ul || HONE_SIMT_SELF.wave_size != 64)
    hone_simt_host->trap("a matrix instruction that not all 64 lanes execute", site);
  constexpr int groups = 64 / size, count = size * size / 64;
  const int lane = static_cast<int>(HONE_SIMT_SELF.lane), column = lane % size, half = lane / size;
  Number sum[count] = {};
  for (int group = 0; group < groups; ++group) {
    Both right;
    __builtin_memcpy(&right,
                     wave->brought + (group * size + column) * static_cast<int>(wave->stride),
                     sizeof right);
    Number y[n];
    for (int i = 0; i < n; ++i) y[i] = element(right.b, i);
    for (int r = 0; r < count; ++r) {
      const int row = size == 32 ? 8 * (r / 4) + 4 * half + r % 4 : 4 * half + r;
      Both left;
      __builtin_memcpy(&left, wave->brought + (group * size + row) * static_cast<int>(wave->stride),
                       sizeof left);
      for (int i = 0; i < n; ++i) sum[r] += element(left.a, i) * y[i];
    }
  }
  for (int r = 0; r < count; ++r) c[r] += sum[r];
  if (lane == 0) hone_simt_host->matrix(2ul * size * size * groups * n);
  return c;
}
HONE_SIMT_PLAIN inline float hone_simt_bf16(short bits) {
  return __builtin_bit_cast(float, static_cast<unsigned>(static_cast<unsigned short>(bits)) << 16);
}
#define HONE_SIMT_MFMA(name, size, n, Number, expression)                                       \
  template <typename A, typename B, typename C>                                                 \
  HONE_SIMT_CALL C __builtin_amdgcn_mfma_##name(A a, B b, C c, int, int, int) {                 \
    return hone_simt_mfma<size, n, Number>(                                                     \
        a, b, c, [](auto v, int i) HONE_SIMT_PLAIN { return static_cast<Number>(expression); }, \
        HONE_SIMT_SITE);                                                                        \
  }
HONE_SIMT_MFMA(f32_32x32x8f16, 32, 4, float, v[i])
HONE_SIMT_MFMA(f32_16x16x16f16, 16, 4, float, v[i])
HONE_SIMT_MFMA(f32_32x32x4bf16, 32, 2, float, hone_simt_bf16(v[i]))
HONE_SIMT_MFMA(f32_16x16x8bf16, 16, 2, float, hone_simt_bf16(v[i]))
HONE_SIMT_MFMA(f32_32x32x8bf16_1k, 32, 4, float, hone_simt_bf16(v[i]))
HONE_SIMT_MFMA(f32_16x16x16bf16_1k, 16, 4, float, hone_simt_bf16(v[i]))
HONE_SIMT_MFMA(f32_32x32x2f32, 32, 1, float, v)
HONE_SIMT_MFMA(f32_16x16x4f32, 16, 1, float, v)
HONE_SIMT_MFMA(i32_32x32x8i8, 32, 4, int, static_cast<signed char>(v >> 8 * i))
HONE_SIMT_MFMA(i32_16x16x16i8, 16, 4, int, static_cast<signed char>(v >> 8 * i))
HONE_SIMT_MFMA(i32_32x32x16_i8, 32, 8, int, static_cast<signed char>(v >> 8 * i))
HONE_SIMT_MFMA(i32_16x16x32_i8, 16, 8, int, static_cast<signed char>(v >> 8 * i))
HONE_SIMT_CALL static int __builtin_amdgcn_sdot4(int a, int b, int c, bool) {
  for (int i = 0; i < 32; i += 8)
    c += static_cast<signed char>(a >> i) * static_cast<signed char>(b >> i);
  return c;
}
template <typename V>
HONE_SIMT_CALL float __builtin_amdgcn_fdot2(V a, V b, float c, bool) {
  return static_cast<float>(a[0]) * static_cast<float>(b[0]) +
         static_cast<float>(a[1]) * static_cast<float>(b[1]) + c;
}

// The part of the C library that device code uses.
extern "C" {
float expf(float);
float exp2f(float);
float logf(float);
float log2f(float);
float log1pf(float);
float expm1f(float);
float sqrtf(float);
float tanhf(float);
float erff(float);
float fabsf(float);
float fmaxf(float, float);
float fminf(float, float);
float fmaf(float, float, float);
float fmodf(float, float);
float floorf(float);
float ceilf(float);
float truncf(float);
float roundf(float);
float rintf(float);
float powf(float, float);
float sinf(float);
float cosf(float);
float tanf(float);
float atanf(float);
float atan2f(float, float);
float sinhf(float);
float coshf(float);
float log10f(float);
float cbrtf(float);
float hypotf(float, float);
float copysignf(float, float);
double exp(double);
double exp2(double);
double log(double);
double log2(double);
double sqrt(double);
double tanh(double);
double erf(double);
double fabs(double);
double fmax(double, double);
double fmin(double, double);
double fma(double, double, double);
double floor(double);
double ceil(double);
double pow(double, double);
double sin(double);
double cos(double);
}
HONE_SIMT_PLAIN static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
#define __expf expf
#define __exp2f exp2f
#define __logf logf
#define __log2f log2f
#define __sinf sinf
#define __cosf cosf
#define __fdividef(a, b) ((a) / (b))
#define __frcp_rn(x) (1.0f / (x))
#define __builtin_amdgcn_rcpf(x) (1.0f / (x))
#define __builtin_amdgcn_rsqf(x) rsqrtf(x)
#define __builtin_amdgcn_sqrtf(x) sqrtf(x)
#define __builtin_amdgcn_exp2f(x) exp2f(x)
#define __builtin_amdgcn_logf(x) log2f(x)
#define __builtin_amdgcn_fmed3f(a, b, c) fmaxf(fminf(fmaxf(a, b), c), fminf(a, b))
#define HONE_SIMT_MINMAX(T)                                               \
  HONE_SIMT_PLAIN static inline T min(T a, T b) { return b < a ? b : a; } \
  HONE_SIMT_PLAIN static inline T max(T a, T b) { return a < b ? b : a; }
HONE_SIMT_MINMAX(int)
HONE_SIMT_MINMAX(unsigned)
HONE_SIMT_MINMAX(long)
HONE_SIMT_MINMAX(unsigned long)
HONE_SIMT_MINMAX(float)
HONE_SIMT_MINMAX(double)

#include "runtime/simulator/simt/vectors.h"

// Calls a kernel with the arguments as a launch packs them: in order, each at its own alignment.
template <typename... Types>
struct HoneSimtCall;
template <>
struct HoneSimtCall<> {
  template <typename F, typename... Done>
  HONE_SIMT_PLAIN static void with(F *kernel, const unsigned char *, unsigned long,
                                   const Done &...done) {
    kernel(done...);
  }
};
template <typename First, typename... Rest>
struct HoneSimtCall<First, Rest...> {
  template <typename F, typename... Done>
  HONE_SIMT_PLAIN static void with(F *kernel, const unsigned char *from, unsigned long at,
                                   const Done &...done) {
    at = (at + alignof(First) - 1) / alignof(First) * alignof(First);
    alignas(First) unsigned char copy[sizeof(First)];
    for (unsigned long i = 0; i < sizeof copy; ++i) copy[i] = from[at + i];
    HoneSimtCall<Rest...>::with(kernel, from, at + sizeof(First), done...,
                                reinterpret_cast<const First &>(copy));
  }
};
template <typename T>
struct HoneSimtPlainType {
  using type = T;
};
template <typename T>
struct HoneSimtPlainType<const T> {
  using type = T;
};
template <typename... A>
HONE_SIMT_PLAIN inline void hone_simt_call(void (*kernel)(A...), const unsigned char *from) {
  HoneSimtCall<typename HoneSimtPlainType<A>::type...>::with(kernel, from, 0);
}
// (size, alignment) of each argument, ended by a zero.
template <typename Kernel>
struct HoneSimtArguments;
template <typename... A>
struct HoneSimtArguments<void(A...)> {
  static constexpr int count = sizeof...(A);
  unsigned long of[2 * sizeof...(A) + 1];
  constexpr HoneSimtArguments() : of{} {
    const unsigned long sizes[] = {sizeof(A)..., 0}, aligned[] = {alignof(A)..., 0};
    for (int i = 0; i < count; ++i) {
      of[2 * i] = sizes[i];
      of[2 * i + 1] = aligned[i];
    }
  }
};
#define HONE_SIMT_ENTRY(name)                                                               \
  extern "C" __attribute__((visibility("default")))                                         \
  HONE_SIMT_PLAIN void hone_simt_entry_##name(const unsigned char *from) {                  \
    hone_simt_call(name, from);                                                             \
  }                                                                                         \
  extern "C" __attribute__((visibility("default"))) const HoneSimtArguments<decltype(name)> \
      hone_simt_arguments_##name;                                                           \
  const HoneSimtArguments<decltype(name)> hone_simt_arguments_##name;
