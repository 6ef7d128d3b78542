// Small programs as they are found in the wild, each mixing several features.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

// Attention of one head, 16 queries a warp, over keys in tiles of 16: mma.sync, online softmax, registers reused as operands.
extern "C" __global__ void __launch_bounds__(32) flash_attention(const __nv_bfloat16 *q, const __nv_bfloat16 *k, const __nv_bfloat16 *v, float *out,
                                                                 int keys) {
#if __CUDA_ARCH__ >= 800
  constexpr int kHead = 32;
  __shared__ __align__(16) __nv_bfloat16 ks[16][kHead + 8], vs[16][kHead + 8];
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4, row = blockIdx.x * 16;
  u32 fq[kHead / 16][4];
  for (int s = 0; s < kHead / 16; ++s)
    for (int r = 0; r < 4; ++r)
      fq[s][r] = *reinterpret_cast<const u32 *>(q + (row + g + 8 * (r % 2)) * kHead + s * 16 + t * 2 + (r / 2) * 8);
  float sums[kHead / 8][4] = {}, peak[2] = {-1e30f, -1e30f}, total[2] = {};
  const float scale = rsqrtf(static_cast<float>(kHead)) * 1.44269504f;
  for (int start = 0; start < keys; start += 16) {
    __syncwarp();
    for (int e = lane; e < 16 * kHead / 8; e += 32) {
      const int r = e / (kHead / 8), c = e % (kHead / 8) * 8;
      const bool there = start + r < keys;
      *reinterpret_cast<uint4 *>(&ks[r][c]) = there ? *reinterpret_cast<const uint4 *>(k + (start + r) * kHead + c) : make_uint4(0, 0, 0, 0);
      *reinterpret_cast<uint4 *>(&vs[r][c]) = there ? *reinterpret_cast<const uint4 *>(v + (start + r) * kHead + c) : make_uint4(0, 0, 0, 0);
    }
    __syncwarp();
    float scores[2][4] = {};
    for (int n = 0; n < 2; ++n)
      for (int s = 0; s < kHead / 16; ++s) {
        const u32 b0 = *reinterpret_cast<const u32 *>(&ks[n * 8 + g][s * 16 + t * 2]), b1 = *reinterpret_cast<const u32 *>(&ks[n * 8 + g][s * 16 + t * 2 + 8]);
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(scores[n][0]), "+f"(scores[n][1]), "+f"(scores[n][2]), "+f"(scores[n][3])
                     : "r"(fq[s][0]), "r"(fq[s][1]), "r"(fq[s][2]), "r"(fq[s][3]), "r"(b0), "r"(b1));
      }
    for (int half = 0; half < 2; ++half) {
      float most = peak[half];
      for (int n = 0; n < 2; ++n)
        for (int e = 0; e < 2; ++e) {
          float &score = scores[n][half * 2 + e];
          score = start + n * 8 + t * 2 + e < keys ? score * scale : -1e30f;
          most = fmaxf(most, score);
        }
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
      const float shrink = exp2f(peak[half] - most);
      peak[half] = most;
      float sum = 0;
      for (int n = 0; n < 2; ++n)
        for (int e = 0; e < 2; ++e) sum += scores[n][half * 2 + e] = exp2f(scores[n][half * 2 + e] - most);
      total[half] = total[half] * shrink + sum;
      for (int n = 0; n < kHead / 8; ++n) {
        sums[n][half * 2] *= shrink;
        sums[n][half * 2 + 1] *= shrink;
      }
    }
    u32 fp[4];
    for (int n = 0; n < 2; ++n)
      for (int half = 0; half < 2; ++half) {
        const __nv_bfloat162 pair = __floats2bfloat162_rn(scores[n][half * 2], scores[n][half * 2 + 1]);
        fp[n * 2 + half] = *reinterpret_cast<const u32 *>(&pair);
      }
    for (int n = 0; n < kHead / 8; n += 2) {
      u32 b[4];
      const u32 address = static_cast<u32>(__cvta_generic_to_shared(&vs[lane % 16][n * 8 + lane / 16 * 8]));
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3]) : "r"(address));
      for (int j = 0; j < 2; ++j)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(sums[n + j][0]), "+f"(sums[n + j][1]), "+f"(sums[n + j][2]), "+f"(sums[n + j][3])
                     : "r"(fp[0]), "r"(fp[1]), "r"(fp[2]), "r"(fp[3]), "r"(b[j * 2]), "r"(b[j * 2 + 1]));
    }
  }
  for (int half = 0; half < 2; ++half) {
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
    total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
    for (int n = 0; n < kHead / 8; ++n)
      for (int e = 0; e < 2; ++e) out[(row + g + half * 8) * kHead + n * 8 + t * 2 + e] = sums[n][half * 2 + e] / total[half];
  }
#endif
}

// A queue of work in global memory that blocks take from until it is empty.
extern "C" __global__ void work_queue(const int *lengths, int count, int *next, u64 *results) {
  __shared__ int item;
  __shared__ u64 sums[2];
  for (;;) {
    if (threadIdx.x == 0) item = atomicAdd(next, 1);
    __syncthreads();
    const int own = item;
    if (own >= count) return;
    u64 sum = 0;
    for (int k = static_cast<int>(threadIdx.x); k < lengths[own]; k += 64) sum += static_cast<u64>(k) * k + own;
    for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) results[own] = sums[0] + sums[1];
  }
}

// An exclusive scan over many blocks in one pass: each looks back at what the blocks before it have published (Merrill and Garland).
extern "C" __global__ void look_back_scan(const u32 *in, u32 *out, volatile u64 *states, u32 *tickets, int n) {
  __shared__ u32 block, carried, warps[4];
  if (threadIdx.x == 0) block = atomicAdd(tickets, 1u);
  __syncthreads();
  const u32 own = block, i = own * 128 + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32 value = i < n ? in[i] : 0;
  u32 scan = value;
  for (u32 step = 1; step < 32; step *= 2) {
    const u32 up = __shfl_up_sync(0xffffffffu, scan, step);
    if (lane >= step) scan += up;
  }
  if (lane == 31) warps[warp] = scan;
  __syncthreads();
  for (u32 w = 0; w < warp; ++w) scan += warps[w];
  if (threadIdx.x == 127) {
    // The upper word says what the lower holds: 1 this block's sum, 2 the sum up to here.
    states[own] = (own == 0 ? 2ull : 1ull) << 32 | scan;
    __threadfence();
    u32 sum = 0;
    for (int before = static_cast<int>(own) - 1; before >= 0;) {
      const u64 state = states[before];
      if (state >> 32 == 0) continue;
      sum += static_cast<u32>(state);
      if (state >> 32 == 2) break;
      --before;
    }
    states[own] = 2ull << 32 | (sum + scan);
    carried = sum;
  }
  __syncthreads();
  if (i < n) out[i] = carried + scan - value;
}

struct Complex {
  float re, im;
};

// 256 points, radix 2, in place in shared memory, with twiddles from sincosf.
extern "C" __global__ void fourier(const Complex *in, Complex *out) {
  __shared__ Complex points[256];
  const u32 t = threadIdx.x;
  for (u32 k = t; k < 256; k += 128) points[__brev(k) >> 24] = in[blockIdx.x * 256 + k];
  __syncthreads();
  for (u32 half = 1; half < 256; half *= 2) {
    const u32 low = t / half * half * 2 + t % half;
    float s, c;
    sincosf(-3.14159265f * static_cast<float>(t % half) / static_cast<float>(half), &s, &c);
    const Complex a = points[low], b = points[low + half];
    const Complex turned{b.re * c - b.im * s, b.re * s + b.im * c};
    points[low] = Complex{a.re + turned.re, a.im + turned.im};
    points[low + half] = Complex{a.re - turned.re, a.im - turned.im};
    __syncthreads();
  }
  for (u32 k = t; k < 256; k += 128) out[blockIdx.x * 256 + k] = points[k];
}

// Q8_0-like blocks: a half and 32 bytes; unaligned fields, dp4a, a warp per row.
struct __align__(2) Block {
  u16 scale;
  signed char values[32];
};

extern "C" __global__ void quantised_rows(const Block *blocks, const signed char *x, const float *scales, float *y, int columns) {
  const int row = blockIdx.x, lane = threadIdx.x, count = columns / 32;
  float sum = 0;
  for (int b = lane; b < count; b += 32) {
    const Block &block = blocks[row * count + b];
    const u16 *words = reinterpret_cast<const u16 *>(block.values);
    int dot = 0;
    for (int k = 0; k < 8; ++k) {
      const int w = words[2 * k] | words[2 * k + 1] << 16;
      dot = __dp4a(w, reinterpret_cast<const int *>(x + b * 32)[k], dot);
    }
    sum += __half2float(__ushort_as_half(block.scale)) * scales[b] * static_cast<float>(dot);
  }
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (lane == 0) y[row] = sum;
}

// Edit distance by anti-diagonals: shared rows, a state machine in each thread.
extern "C" __global__ void edit_distance(const u8 *a, const u8 *b, int n, int m, int *out) {
  __shared__ int rows[3][130];
  const int t = threadIdx.x;
  int *before = rows[0], *last = rows[1], *now = rows[2];
  for (int d = 0; d <= n + m; ++d) {
    const int i = t, j = d - t;
    if (i <= n && j >= 0 && j <= m) {
      int best;
      if (i == 0 || j == 0) {
        best = i + j;
      } else {
        best = min(min(last[i - 1], last[i]) + 1, before[i - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
      }
      now[i] = best;
      if (d == n + m) *out = best;
    }
    __syncthreads();
    int *spare = before;
    before = last;
    last = now;
    now = spare;
  }
}

// Double precision: Mandelbrot's escape times and Kahan's sum of a series.
extern "C" __global__ void escape_times(int *times, int width, int height, int limit) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  const double cr = -2.0 + 3.0 * x / width, ci = -1.25 + 2.5 * y / height;
  double zr = 0, zi = 0;
  int k = 0;
  for (; k < limit && zr * zr + zi * zi <= 4.0; ++k) {
    const double next = zr * zr - zi * zi + cr;
    zi = 2 * zr * zi + ci;
    zr = next;
  }
  times[y * width + x] = k;
}

union Bits {
  double value;
  u64 word;
  struct {
    u32 low : 20, middle : 12, high;
  } parts;
};

extern "C" __global__ void kahan(const double *in, double *out, int n) {
  double sum = 0, lost = 0;
  for (int k = static_cast<int>(threadIdx.x); k < n; k += 32) {
    const double y = in[k] - lost, next = sum + y;
    lost = (next - sum) - y;
    sum = next;
  }
  Bits bits;
  bits.value = sum;
  bits.parts.low ^= threadIdx.x;
  out[threadIdx.x] = bits.value + static_cast<double>(bits.parts.middle);
}

// Fast approximations and rounding modes by name.
extern "C" __global__ void approximate(const float *in, float *out) {
  const int t = threadIdx.x;
  const float x = in[t];
  float *o = out + t * 12;
  o[0] = __sinf(x);
  o[1] = __cosf(x);
  o[2] = __expf(x);
  o[3] = __logf(x + 3.0f);
  o[4] = __powf(x + 3.0f, 1.5f);
  o[5] = __fdividef(x, 3.0f);
  o[6] = __frcp_rn(x + 3.0f);
  o[7] = __fadd_rz(x, 1e-9f);
  o[8] = __fmul_ru(x, 0.333f);
  o[9] = __saturatef(x);
  o[10] = rsqrtf(x + 3.0f);
  asm("tanh.approx.f32 %0, %1;" : "=f"(o[11]) : "f"(x));
}
