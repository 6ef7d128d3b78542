using u32 = unsigned int;
using u64 = unsigned long long;

extern "C" __global__ void block_reduce(const float *in, float *out, int n) {
  __shared__ float sums[256];
  float sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += in[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = sums[0];
}

// Hillis and Steele's scan in dynamic shared memory, two buffers.
extern "C" __global__ void block_scan(const int *in, int *out) {
  extern __shared__ int buffers[];
  int *from = buffers, *to = buffers + blockDim.x;
  const unsigned t = threadIdx.x;
  from[t] = in[blockIdx.x * blockDim.x + t];
  __syncthreads();
  for (unsigned step = 1; step < blockDim.x; step *= 2) {
    to[t] = t >= step ? from[t] + from[t - step] : from[t];
    __syncthreads();
    int *swap = from;
    from = to;
    to = swap;
  }
  out[blockIdx.x * blockDim.x + t] = from[t];
}

extern "C" __global__ void transpose(const float *in, float *out, int rows, int columns) {
  __shared__ float tile[32][33];
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8)
    if (x < columns && y + k < rows) tile[threadIdx.y + k][threadIdx.x] = in[(y + k) * columns + x];
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  for (int k = 0; k < 32; k += 8)
    if (x < rows && y + k < columns) out[(y + k) * rows + x] = tile[threadIdx.x][threadIdx.y + k];
}

extern "C" __global__ void histogram(const unsigned char *in, u32 *out, int n) {
  __shared__ u32 bins[256];
  bins[threadIdx.x] = 0;
  __syncthreads();
  for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256) atomicAdd(&bins[in[i]], 1u);
  __syncthreads();
  if (bins[threadIdx.x] != 0) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}

extern "C" __global__ void bitonic_sort(u32 *data) {
  __shared__ u32 keys[512];
  const u32 t = threadIdx.x;
  for (u32 k = t; k < 512; k += blockDim.x) keys[k] = data[blockIdx.x * 512 + k];
  __syncthreads();
  for (u32 size = 2; size <= 512; size *= 2) {
    for (u32 stride = size / 2; stride > 0; stride /= 2) {
      const u32 low = 2 * t - (t & (stride - 1)), high = low + stride;
      const bool up = (low & size) == 0;
      const u32 a = keys[low], b = keys[high];
      if ((a > b) == up) {
        keys[low] = b;
        keys[high] = a;
      }
      __syncthreads();
    }
  }
  for (u32 k = t; k < 512; k += blockDim.x) data[blockIdx.x * 512 + k] = keys[k];
}

template <int M, int N, int K>
__device__ void sgemm(const float *a, const float *b, float *c, int m, int n, int k) {
  __shared__ float as[K][M + 4];
  __shared__ float bs[K][N];
  const int t = threadIdx.x, row = blockIdx.y * M, column = blockIdx.x * N;
  const int ty = t / (N / 4), tx = t % (N / 4);
  float sums[4][4] = {};
  for (int start = 0; start < k; start += K) {
    for (int e = t; e < M * K; e += blockDim.x) {
      const int r = e / K, q = e % K;
      as[q][r] = row + r < m && start + q < k ? a[(row + r) * k + start + q] : 0.0f;
    }
    for (int e = t; e < N * K; e += blockDim.x) {
      const int q = e / N, s = e % N;
      bs[q][s] = column + s < n && start + q < k ? b[(start + q) * n + column + s] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int q = 0; q < K; ++q) {
      const float4 x = *reinterpret_cast<const float4 *>(&as[q][ty * 4]);
      const float4 y = *reinterpret_cast<const float4 *>(&bs[q][tx * 4]);
      const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] += xs[i] * ys[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      if (row + ty * 4 + i < m && column + tx * 4 + j < n) c[(row + ty * 4 + i) * n + column + tx * 4 + j] = sums[i][j];
}

extern "C" __global__ void __launch_bounds__(256) sgemm_64(const float *a, const float *b, float *c, int m, int n, int k) {
  sgemm<64, 64, 8>(a, b, c, m, n, k);
}

extern "C" __global__ void counted_barriers(const int *in, int *out) {
  const int value = in[threadIdx.x];
  const int positive = __syncthreads_count(value > 0);
  const int all = __syncthreads_and(value > -1000);
  const int any = __syncthreads_or(value == 77);
  out[threadIdx.x] = positive * 100 + all * 10 + any;
}

// Half of the block produces, half consumes, over two named barriers whose numbers come from registers.
extern "C" __global__ void named_barriers(const int *in, int *out, int rounds) {
  __shared__ int mail[64];
  const int count = 128;
  const bool producer = threadIdx.x < 64;
  const int full = 1 + (rounds & 1), empty = 3 + (rounds & 1);
  for (int r = 0; r < rounds; ++r) {
    if (producer) {
      asm volatile("bar.sync %0, %1;" ::"r"(empty), "r"(count) : "memory");
      mail[threadIdx.x] = in[r * 64 + threadIdx.x] * 2;
      asm volatile("bar.arrive %0, %1;" ::"r"(full), "r"(count) : "memory");
    } else {
      asm volatile("bar.arrive %0, %1;" ::"r"(empty), "r"(count) : "memory");
      asm volatile("bar.sync %0, %1;" ::"r"(full), "r"(count) : "memory");
      out[r * 64 + threadIdx.x - 64] = mail[127 - threadIdx.x] + 1;
    }
  }
}

// Two independent groups meet at barriers of their own (a warp count, not the whole block).
extern "C" __global__ void split_barriers(int *out) {
  __shared__ int values[128];
  const int group = threadIdx.x / 64, lane = threadIdx.x % 64;
  for (int round = 0; round < 2 + group; ++round) {
    values[threadIdx.x] = round * 1000 + lane;
    asm volatile("bar.sync %0, 64;" ::"r"(group + 1) : "memory");
    out[round * 128 + threadIdx.x] = values[group * 64 + 63 - lane];
    asm volatile("bar.sync %0, 64;" ::"r"(group + 1) : "memory");
  }
}

// Threads past the end leave before the barrier: allowed.
extern "C" __global__ void early_exit(const int *in, int *out, int n) {
  __shared__ int values[256];
  if (threadIdx.x >= n) return;
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = values[n - 1 - threadIdx.x];
}

struct __align__(16) Cell {
  float position[3];
  unsigned char kind;
  short charge;
};

extern "C" __global__ void shared_structs(const float *in, float *out) {
  __shared__ Cell cells[64];
  extern __shared__ unsigned char raw[];
  double *doubles = reinterpret_cast<double *>(raw);
  short *shorts = reinterpret_cast<short *>(raw + 64 * 8);
  const int t = threadIdx.x;
  for (int k = 0; k < 3; ++k) cells[t].position[k] = in[t * 3 + k];
  cells[t].kind = static_cast<unsigned char>(t * 3);
  cells[t].charge = static_cast<short>(-t);
  doubles[t] = in[t] * 0.5;
  shorts[t] = static_cast<short>(t * t);
  __syncthreads();
  const Cell cell = cells[63 - t];
  out[t] = cell.position[0] + cell.position[1] * 2 + cell.position[2] * 3 + cell.kind + cell.charge + static_cast<float>(doubles[(t + 1) % 64]) +
           shorts[(t + 7) % 64];
}

// A generic pointer that is shared in some lanes and global or local in others.
extern "C" __global__ void generic_pointers(const int *in, int *out) {
  __shared__ int values[64];
  int local[4] = {1, 2, 3, static_cast<int>(threadIdx.x)};
  values[threadIdx.x] = threadIdx.x * 10;
  __syncthreads();
  const int *from = threadIdx.x % 3 == 0 ? &values[63 - threadIdx.x] : threadIdx.x % 3 == 1 ? in + threadIdx.x : &local[threadIdx.x % 4];
  out[threadIdx.x] = *from + (__isShared(from) ? 1000 : 0) + (__isGlobal(from) ? 2000 : 0) + (__isLocal(from) ? 4000 : 0);
}
