// Matrix tiles of the tensor and matrix cores, on bytes: a run of 16 bytes of a row holds 4 f32, 8
// bf16 or 16 s8 that lie along k, and the instructions differ only in what they make of them.
#pragma once
#include "numeric_gpu.h"

// What products of T add up to.
template <typename T>
struct SumOf {
  using type = f32;
};
template <>
struct SumOf<i8> {
  using type = i32;
};

#if HONE_CUDA

HONE_INLINE u32 shared_address(const void *p) {
  return static_cast<u32>(__cvta_generic_to_shared(p));
}

// What the lanes of a wave wrote to shared memory is seen by its other lanes after.
HONE_INLINE void wave_barrier() { __syncwarp(); }

// Four matrices of 8 rows of 16 bytes: lanes 8i .. 8i + 7 give the rows of matrix i. Of each, lane
// l gets the four bytes from 4 * (l % 4) on of row l / 4.
HONE_INLINE void load_matrices(u32 (&to)[4], const u8 *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// The same of 16-bit elements, each matrix transposed: lane l gets elements l / 4 of rows
// 2 * (l % 4) and the next.
HONE_INLINE void load_matrices_transposed(u32 (&to)[4], const u8 *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// A matrix of 8 rows of 8 elements of 16 bits, of which lane l has 2 * (l % 4) and the next of row
// l / 4, transposed.
HONE_INLINE u32 transpose_matrix(u32 pair) {
  u32 turned;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(turned) : "r"(pair));
  return turned;
}

// sum[16][8] += a[16][32 bytes] * b[8][32 bytes]^T. Lane l has rows l / 4 and l / 4 + 8 of the sum
// (0 1 and 2 3), columns 2 * (l % 4) and the next.
#if __CUDA_ARCH__ >= 800
HONE_INLINE void multiply_add(f16, f32 (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
HONE_INLINE void multiply_add(bf16, f32 (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
HONE_INLINE void multiply_add(i8, i32 (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#else
HONE_INLINE void multiply_half(f32 (&sum)[4], u32 a0, u32 a1, u32 b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(b));
}
HONE_INLINE void multiply_add(f16, f32 (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  multiply_half(sum, a[0], a[1], b0);
  multiply_half(sum, a[2], a[3], b1);
}
HONE_INLINE void multiply_quarter(i32 &low, i32 &high, u32 a, u32 b) {
  asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
      : "+r"(low), "+r"(high)
      : "r"(a), "r"(b));
}
HONE_INLINE void multiply_add(i8, i32 (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  multiply_quarter(sum[0], sum[1], a[0], b0);
  multiply_quarter(sum[2], sum[3], a[1], b0);
  multiply_quarter(sum[0], sum[1], a[2], b1);
  multiply_quarter(sum[2], sum[3], a[3], b1);
}
#endif

// 16 bytes from global to shared memory behind the thread's back, zeros if not `there`. Copies
// count by groups: commit_copies() ends one, wait_for_copies<n>() waits until at most the n newest
// groups of this thread are under way.
HONE_INLINE void copy_async(u8 *shared, const u8 *global, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(there ? 16 : 0)
               : "memory");
}
HONE_INLINE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int newest>
HONE_INLINE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(newest) : "memory");
}

#else

typedef f32 f32x4 __attribute__((vector_size(16)));
typedef i32 i32x4 __attribute__((vector_size(16)));
typedef i16 i16x2 __attribute__((vector_size(4)));
typedef i16 i16x4 __attribute__((vector_size(8)));
typedef _Float16 f16x4 __attribute__((vector_size(8)));

// One matrix instruction for f32, f16, bf16 and s8: sum[16][16] += a[16][K] * b[16][K]^T, where lane
// l of 64 holds elements K / 4 * (l / 16) and on of row l % 16 of a and b, and gets row l % 16 of b,
// rows 4 * (l / 16) + i of a in sum[i].
HONE_INLINE void matrix_step(f32x4 &sum, f32 a, f32 b) {
  sum = __builtin_amdgcn_mfma_f32_16x16x4f32(a, b, sum, 0, 0, 0);
}
HONE_INLINE void matrix_step(f32x4 &sum, f16x4 a, f16x4 b) {
  sum = __builtin_amdgcn_mfma_f32_16x16x16f16(a, b, sum, 0, 0, 0);
}
#if defined(__gfx908__)
using HalfRun = i16x2;
HONE_INLINE void matrix_step(f32x4 &sum, i16x2 a, i16x2 b) {
  sum = __builtin_amdgcn_mfma_f32_16x16x8bf16(a, b, sum, 0, 0, 0);
}
#else
using HalfRun = i16x4;
HONE_INLINE void matrix_step(f32x4 &sum, i16x4 a, i16x4 b) {
  sum = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, sum, 0, 0, 0);
}
#endif
#if defined(__gfx942__)
using ByteRun = i64;
HONE_INLINE void matrix_step(i32x4 &sum, i64 a, i64 b) {
  sum = __builtin_amdgcn_mfma_i32_16x16x32_i8(a, b, sum, 0, 0, 0);
}
#else
using ByteRun = i32;
HONE_INLINE void matrix_step(i32x4 &sum, i32 a, i32 b) {
  sum = __builtin_amdgcn_mfma_i32_16x16x16i8(a, b, sum, 0, 0, 0);
}
#endif

// Runs of 16 bytes of a and b: sum += a * b^T over the 64 bytes that four lanes of a row hold.
template <typename Run, typename Sum>
HONE_INLINE void matrix_steps(Sum &sum, const Words<16> &a, const Words<16> &b) {
  struct Runs {
    Run run[16 / sizeof(Run)];
  };
  const auto as = __builtin_bit_cast(Runs, a), bs = __builtin_bit_cast(Runs, b);
#pragma unroll
  for (int i = 0; i < static_cast<int>(16 / sizeof(Run)); ++i)
    matrix_step(sum, as.run[i], bs.run[i]);
}
HONE_INLINE void multiply_add(f32, f32x4 &sum, const Words<16> &a, const Words<16> &b) {
  matrix_steps<f32>(sum, a, b);
}
HONE_INLINE void multiply_add(f16, f32x4 &sum, const Words<16> &a, const Words<16> &b) {
  matrix_steps<f16x4>(sum, a, b);
}
HONE_INLINE void multiply_add(bf16, f32x4 &sum, const Words<16> &a, const Words<16> &b) {
  matrix_steps<HalfRun>(sum, a, b);
}
HONE_INLINE void multiply_add(i8, i32x4 &sum, const Words<16> &a, const Words<16> &b) {
  matrix_steps<ByteRun>(sum, a, b);
}

#endif
