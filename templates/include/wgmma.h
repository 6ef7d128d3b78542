// The asynchronous matrix instruction of sm_90a, of a warpgroup (four warps), on tiles in shared
// memory with rows of 128 bytes, as run_place() of gemm_tiles.h lays them out; and barriers in
// shared memory, by which threads that bring tiles and threads that use them wait for one another.
#pragma once
#include "mma.h"

constexpr int kWarpgroup = 128;   // threads
constexpr u32 kTileAlign = 1024;  // bytes: eight rows, after which places repeat

// A barrier passes when `count` have arrived; then the next phase begins. Phases have parities 0, 1,
// 0 ...; waiting for parity 1 at first passes at once.
HONE_INLINE void start_barrier(u64 *barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}
HONE_INLINE void arrive(u64 *barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
HONE_INLINE void wait_for(u64 *barrier, u32 parity) {
  u32 passed;
  do {
    asm volatile(
        "{.reg .pred passed;\n mbarrier.try_wait.parity.shared::cta.b64 passed, [%1], %2;\n "
        "selp.u32 %0, 1, 0, passed;}"
        : "=r"(passed)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (passed == 0);
}

// How the instruction finds a tile: address / 16, 1024 / 16 from eight rows to the next, places
// changed within 128 bytes. Bytes further along k: add them / 16.
HONE_INLINE u64 tile_descriptor(const u8 *tile) {
  constexpr u64 layout = u64{1} << 62 | u64{kTileAlign / 16} << 32 | u64{1} << 16;
  return layout | (shared_address(tile) & 0x3ffff) >> 4;
}

// What this thread wrote or copied to shared memory is seen by the matrix instructions of those that
// it then lets go on.
HONE_INLINE void publish_tiles() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// barrier() for `threads` of a block's threads; `name` 1 to 15.
template <int name, int threads>
HONE_INLINE void barrier_among() {
  asm volatile("bar.sync %0, %1;" ::"n"(name), "n"(threads) : "memory");
}

// Before the first product of a group: the sums are at rest.
HONE_INLINE void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
HONE_INLINE void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
HONE_INLINE void wait_for_products() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

// sum[64][N] += a[64][32 bytes] * b[N][32 bytes]^T, in its own time: the sums hold it after
// wait_for_products(). Warp i of the group has rows 16 i and on, in eights of columns as
// multiply_add() of mma.h.
#define HONE_TEN(t) \
  "%" t "0, %" t "1, %" t "2, %" t "3, %" t "4, %" t "5, %" t "6, %" t "7, %" t "8, %" t "9, "
#define HONE_EIGHT(c, i)                                                                \
  c(sum[i][0]), c(sum[i][1]), c(sum[i][2]), c(sum[i][3]), c(sum[i + 1][0]), c(sum[i + 1][1]), \
      c(sum[i + 1][2]), c(sum[i + 1][3])
#define HONE_32(c, i) \
  HONE_EIGHT(c, i), HONE_EIGHT(c, i + 2), HONE_EIGHT(c, i + 4), HONE_EIGHT(c, i + 6)
#define HONE_PRODUCT(T, S, columns, shape, list, a_at, b_at, scales, ...)                           \
  HONE_INLINE void add_product(T, S(&sum)[columns / 8][4], u64 a, u64 b) {                          \
    asm volatile("{.reg .pred adds;\n setp.ne.b32 adds, 1, 0;\n wgmma.mma_async.sync.aligned.m64n"  \
                 #columns shape " {" list "}, " a_at ", " b_at ", adds" scales ";}"                 \
                 : __VA_ARGS__                                                                      \
                 : "l"(a), "l"(b));                                                                 \
  }
#define HONE_F(v) "+f"(v)
#define HONE_I(v) "+r"(v)
#define HONE_LIST_64 \
  HONE_TEN("") HONE_TEN("1") HONE_TEN("2") HONE_TEN("3") HONE_TEN("4") HONE_TEN("5") \
  "%60, %61, %62, %63"
#define HONE_LIST_128 \
  HONE_TEN("") HONE_TEN("1") HONE_TEN("2") HONE_TEN("3") HONE_TEN("4") HONE_TEN("5") \
  HONE_TEN("6") HONE_TEN("7") HONE_TEN("8") HONE_TEN("9") HONE_TEN("10") HONE_TEN("11") \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define HONE_PRODUCTS(T, S, c, step, scales)                                                       \
  HONE_PRODUCT(T, S, 128, step, HONE_LIST_64, "%64", "%65", scales, HONE_32(c, 0), HONE_32(c, 8))  \
  HONE_PRODUCT(T, S, 256, step, HONE_LIST_128, "%128", "%129", scales, HONE_32(c, 0),              \
               HONE_32(c, 8), HONE_32(c, 16), HONE_32(c, 24))
HONE_PRODUCTS(f16, f32, HONE_F, "k16.f32.f16.f16", ", 1, 1, 0, 0")
HONE_PRODUCTS(bf16, f32, HONE_F, "k16.f32.bf16.bf16", ", 1, 1, 0, 0")
HONE_PRODUCTS(i8, i32, HONE_I, "k32.s32.s8.s8", "")
