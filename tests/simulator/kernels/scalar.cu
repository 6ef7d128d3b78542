#include "scalar.h"

#define KERNEL(name, type, words)                                        \
  extern "C" __global__ void name(type *out, u32 count) {                \
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;                 \
    if (i < count) name##_body(i, out + i * words);                      \
  }

KERNEL(int32, u32, kInt32Words)
KERNEL(int64, u64, kInt64Words)
KERNEL(float_exact, float, kFloatExactWords)
KERNEL(double_exact, double, kDoubleExactWords)
KERNEL(float_math, float, kFloatMathWords)
KERNEL(double_math, double, kDoubleMathWords)
KERNEL(divergent, u32, kDivergentWords)
KERNEL(local, u32, kLocalWords)
extern "C" __global__ void templates(s64 *out, u32 count) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) template_body(i, out + i * kTemplateWords);
}
KERNEL(bytes, u16, kBytesWords)

extern "C" __global__ void virtual_calls(u32 *out, u32 count) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) virtual_body(i, out + i * kVirtualWords);
}
