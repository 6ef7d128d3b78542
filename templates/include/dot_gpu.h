// Dot products of four bytes in one instruction.
#pragma once
#include "numeric_gpu.h"

// dot_signed(): sum + the four bytes of a times those of b, all signed. dot_quants(): those of a are
// unsigned unless kSigned.
#if HONE_CUDA
constexpr bool kSigned = false;
HONE_INLINE i32 dot_quants(u32 a, u32 b, i32 sum) {
  i32 result;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
HONE_INLINE i32 dot_signed(u32 a, u32 b, i32 sum) {
  i32 result;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
#else
constexpr bool kSigned = true;
HONE_INLINE i32 dot_signed(u32 a, u32 b, i32 sum) {
#if defined(__gfx1100__)  // has it under another name, which compilers learned later
#pragma unroll
  for (int i = 0; i < 32; i += 8)
    sum += static_cast<i8>(a >> i & 255) * static_cast<i8>(b >> i & 255);
  return sum;
#else
  return __builtin_amdgcn_sdot4(static_cast<i32>(a), static_cast<i32>(b), sum, false);
#endif
}
HONE_INLINE i32 dot_quants(u32 a, u32 b, i32 sum) { return dot_signed(a, b, sum); }
#endif
