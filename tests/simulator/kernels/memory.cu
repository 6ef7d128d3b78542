using u32 = unsigned int;
using u64 = unsigned long long;

__constant__ float kWeights[8] = {1.0f, -2.0f, 0.5f, 4.0f};
__constant__ int kTable[4][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
__constant__ int filled_by_host[64];
__device__ int counters[4] = {5, 6};
__device__ const char kText[] = "abc\ndefg\"h";
__device__ double kept = 1.25;
struct Entry {
  short key;
  double value;
  const char *name;
};
__device__ Entry entries[3] = {{1, 1.5, kText}, {2, 2.5, kText + 4}, {-3, -3.5, nullptr}};

extern "C" __global__ void constants(float *out, int *ints) {
  const int t = threadIdx.x;
  out[t] = kWeights[t % 8] + static_cast<float>(kTable[t % 4][t % 3]);
  ints[t] = filled_by_host[t] + kText[t % 10] + static_cast<int>(entries[t % 3].value * 2) + entries[t % 3].key +
            (entries[t % 3].name != nullptr ? entries[t % 3].name[1] : 0);
}

extern "C" __global__ void globals() {
  atomicAdd(&counters[threadIdx.x % 4], 1);
  if (threadIdx.x == 0) kept *= 2;
}

using Function = int (*)(int, int);
__device__ __noinline__ int plus(int a, int b) { return a + b; }
__device__ __noinline__ int times(int a, int b) { return a * b; }
__device__ __noinline__ int power(int a, int b) {
  int r = 1;
  for (int k = 0; k < b; ++k) r = times(r, a);
  return r;
}
__device__ Function functions[3] = {plus, times, power};

extern "C" __global__ void function_table(int *out) {
  const int t = threadIdx.x;
  out[t] = functions[t % 3](t % 7, t % 5);
}

extern "C" __global__ void vectors(const float4 *in, float4 *out, const short4 *shorts, uchar4 *bytes, double2 *doubles, const longlong2 *wide) {
  const int t = threadIdx.x;
  float4 v = in[t];
  const short4 s = shorts[t];
  v.x += s.x;
  v.y += s.y;
  v.z += s.z;
  v.w += s.w;
  out[t] = v;
  bytes[t] = make_uchar4(s.x & 255, s.y & 255, s.z & 255, s.w & 255);
  doubles[t] = make_double2(v.x * 0.5, static_cast<double>(wide[t].x - wide[t].y));
}

struct Big {
  int values[20];
  const int *from;
  char tag;
  double scale;
  short rest[3];
};

extern "C" __global__ void big_parameter(const Big big, int *out, bool flag, char c, short s, float f, double d) {
  const int t = threadIdx.x;
  out[t] = big.values[(t * 7) % 20] + big.from[t] + big.tag + static_cast<int>(big.scale * t) + big.rest[t % 3] + (flag ? 1000 : 0) + c + s +
           static_cast<int>(f) + static_cast<int>(d);
}

extern "C" __global__ void indices(u32 *out) {
  const u32 block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const u32 thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const u32 i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  u32 lane, warps;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  asm("mov.u32 %0, %%nwarpid;" : "=r"(warps));
  out[i] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z + 1000 * threadIdx.x + 10000 * threadIdx.y + 100000 * threadIdx.z + (lane << 24) +
           (warps == 0 ? 1u << 31 : 0);
}

template <typename T, int N>
struct Stencil {
  T weights[N];
  __device__ T at(const T *in, int i, int n) const {
    T sum = 0;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const int j = i + k - N / 2;
      if (j >= 0 && j < n) sum += weights[k] * in[j];
    }
    return sum;
  }
};

template <typename T, int N>
__global__ void stencil(const T *in, T *out, int n, Stencil<T, N> s) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = s.at(in, i, n);
}
template __global__ void stencil<float, 5>(const float *, float *, int, Stencil<float, 5>);
template __global__ void stencil<double, 3>(const double *, double *, int, Stencil<double, 3>);
template __global__ void stencil<long long, 7>(const long long *, long long *, int, Stencil<long long, 7>);

extern "C" __global__ void clocks(u64 *out) {
  const long long start = clock64();
  u64 before, after;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(before));
  u32 sum = 0;
  for (u32 k = 0; k < 100; ++k) sum += k * threadIdx.x;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(after));
  out[threadIdx.x] = (clock64() >= start && after >= before && clock() != 0) ? sum : ~0ull;
}

extern "C" __global__ void trapped(int *out) {
  if (threadIdx.x == 33) __trap();
  out[threadIdx.x] = 1;
}
