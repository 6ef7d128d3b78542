#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;

// Results in binary32, one row a thread, so that the host needs no 16-bit type to read them.
template <typename H>
__device__ void scalar_ops(H a, H b, H c, float *out) {
  int k = 0;
  const auto put = [&](float x) { out[k++] = x; };
  put(static_cast<float>(a + b));
  put(static_cast<float>(a - b));
  put(static_cast<float>(a * b));
  put(static_cast<float>(a / b));
  put(static_cast<float>(__hfma(a, b, c)));
  put(static_cast<float>(-a));
  put(static_cast<float>(__habs(a)));
  put(static_cast<float>(__hmin(a, b)));
  put(static_cast<float>(__hmax(a, b)));
  put(a < b ? 1.0f : 0.0f);
  put(a == a ? 1.0f : 0.0f);
  put(__hge(a, c) ? 1.0f : 0.0f);
  put(__hisnan(a) ? 1.0f : 0.0f);
  put(static_cast<float>(static_cast<int>(a)));
  put(static_cast<float>(static_cast<H>(static_cast<float>(threadIdx.x) * 1.3f)));
  put(static_cast<float>(static_cast<H>(static_cast<int>(threadIdx.x) * 17)));
  put(static_cast<float>(hsqrt(__habs(a))));
  put(static_cast<float>(hfloor(a)));
  put(static_cast<float>(hceil(a)));
  put(static_cast<float>(htrunc(a)));
  put(static_cast<float>(hrint(a)));
  put(static_cast<float>(hexp(b)));
  put(static_cast<float>(hlog(__habs(a) + c)));
  put(static_cast<float>(hexp2(b)));
  put(static_cast<float>(hrcp(c)));
  put(static_cast<float>(hrsqrt(c)));
  put(static_cast<float>(htanh(b)));
}

extern "C" __global__ void half_scalar(const float *in, float *out) {
  const int i = threadIdx.x;
  scalar_ops<__half>(__float2half(in[3 * i]), __float2half(in[3 * i + 1]), __float2half(in[3 * i + 2]), out + 27 * i);
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void bf16_scalar(const float *in, float *out) {
  const int i = threadIdx.x;
  scalar_ops<__nv_bfloat16>(__float2bfloat16(in[3 * i]), __float2bfloat16(in[3 * i + 1]), __float2bfloat16(in[3 * i + 2]), out + 27 * i);
}
#endif

template <typename H2, typename Widen>
__device__ void pair_ops(H2 a, H2 b, H2 c, float *out, Widen widen) {
  int k = 0;
  const auto put = [&](H2 x) {
    const float2 f = widen(x);
    out[k++] = f.x;
    out[k++] = f.y;
  };
  put(a + b);
  put(a - b);
  put(a * b);
  put(__hfma2(a, b, c));
  put(__hfma2_relu(a, b, c));
  put(-a);
  put(__habs2(a));
  put(__hmin2(a, b));
  put(__hmax2(a, b));
  put(__hlt2(a, b));
  put(__hadd2_sat(a, b));
  put(h2sqrt(__habs2(a)));
  put(h2exp(b));
  out[k++] = __hbgt2(a, b) ? 1.0f : 0.0f;
}

extern "C" __global__ void half_pairs(const float2 *in, float *out) {
  const int i = threadIdx.x;
  pair_ops<__half2>(__float22half2_rn(in[3 * i]), __float22half2_rn(in[3 * i + 1]), __float22half2_rn(in[3 * i + 2]), out + 27 * i,
                    [](__half2 x) { return __half22float2(x); });
}

#if __CUDA_ARCH__ >= 800
extern "C" __global__ void bf16_pairs(const float2 *in, float *out) {
  const int i = threadIdx.x;
  pair_ops<__nv_bfloat162>(__float22bfloat162_rn(in[3 * i]), __float22bfloat162_rn(in[3 * i + 1]), __float22bfloat162_rn(in[3 * i + 2]),
                           out + 27 * i, [](__nv_bfloat162 x) { return __bfloat1622float2(x); });
}
#endif

// A row of softmax in half2, as inference kernels write it: vector loads, packed arithmetic, warp reductions.
extern "C" __global__ void half_softmax(const uint4 *in, uint4 *out, int columns) {
  const int lane = threadIdx.x, words = columns / 8;
  float peak = -1.0e30f, sum = 0;
  const uint4 *row = in + blockIdx.x * words;
  for (int w = lane; w < words; w += 32) {
    const uint4 v = row[w];
    const __half2 *h = reinterpret_cast<const __half2 *>(&v);
    for (int k = 0; k < 4; ++k) peak = fmaxf(peak, fmaxf(__low2float(h[k]), __high2float(h[k])));
  }
  for (int step = 16; step > 0; step /= 2) peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, step));
  for (int w = lane; w < words; w += 32) {
    const uint4 v = row[w];
    const __half2 *h = reinterpret_cast<const __half2 *>(&v);
    for (int k = 0; k < 4; ++k) {
      const float2 f = __half22float2(h[k]);
      sum += __expf(f.x - peak) + __expf(f.y - peak);
    }
  }
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  const float scale = __fdividef(1.0f, sum);
  for (int w = lane; w < words; w += 32) {
    uint4 v = row[w];
    __half2 *h = reinterpret_cast<__half2 *>(&v);
    for (int k = 0; k < 4; ++k) {
      const float2 f = __half22float2(h[k]);
      h[k] = __floats2half2_rn(__expf(f.x - peak) * scale, __expf(f.y - peak) * scale);
    }
    out[blockIdx.x * words + w] = v;
  }
}

// Every half and bf16 there is, widened; every code of fp8, widened; and floats narrowed with each rounding.
extern "C" __global__ void widen_all(float *halves, float *bfloats, float *e4m3, float *e5m2) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  halves[i] = __half2float(__ushort_as_half(static_cast<u16>(i)));
  bfloats[i] = __bfloat162float(__ushort_as_bfloat16(static_cast<u16>(i)));
  if (i < 256) {
    __nv_fp8_e4m3 a;
    __nv_fp8_e5m2 b;
    a.__x = static_cast<u8>(i);
    b.__x = static_cast<u8>(i);
    e4m3[i] = static_cast<float>(a);
    e5m2[i] = static_cast<float>(b);
  }
}

extern "C" __global__ void narrow(const float *in, u16 *halves, u16 *bfloats, u8 *e4m3, u8 *e5m2, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float v = in[i];
  halves[4 * i] = __half_as_ushort(__float2half_rn(v));
  halves[4 * i + 1] = __half_as_ushort(__float2half_rz(v));
  halves[4 * i + 2] = __half_as_ushort(__float2half_ru(v));
  halves[4 * i + 3] = __half_as_ushort(__float2half_rd(v));
  bfloats[2 * i] = __bfloat16_as_ushort(__float2bfloat16_rn(v));
  bfloats[2 * i + 1] = __bfloat16_as_ushort(__float2bfloat16_rz(v));
  e4m3[i] = __nv_fp8_e4m3(v).__x;
  e5m2[i] = __nv_fp8_e5m2(v).__x;
}

extern "C" __global__ void narrow_pairs(const float2 *in, u16 *e4m3, u16 *e5m2, u32 *back, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const __nv_fp8x2_e4m3 a(in[i]);
  const __nv_fp8x2_e5m2 b(in[i]);
  e4m3[i] = a.__x;
  e5m2[i] = b.__x;
  const __half2 wide = static_cast<__half2>(a);
  back[i] = *reinterpret_cast<const u32 *>(&wide);
}
