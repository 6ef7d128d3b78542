// Correct kernels that a checker is tempted to blame: padding that is copied, values that are read and not used, flags that order, writes of the
// same value. `in` holds 512 words, `out` room for as many.
struct Entry {
  double value;
  int key;
  unsigned char tag;
};

// Structs with padding at their end, copied whole.
extern "C" __global__ void copy_padded(const double *in, Entry *out, Entry *middle) {
  __shared__ Entry entries[64];
  const int t = threadIdx.x;
  entries[t].value = in[t];
  entries[t].key = t;
  entries[t].tag = 3;
  __syncthreads();
  out[t] = entries[63 - t];
  middle[t].value = in[t];
  middle[t].key = 2 * t;
  middle[t].tag = 4;
  __syncthreads();
  out[64 + t] = middle[63 - t];
}

// loop-carried value that is set in the first iteration only
extern "C" __global__ void late_set(const float *in, float *out, int n) {
  float best;
  int have = 0;
  for (int k = 0; k < n; ++k) {
    const float v = in[(threadIdx.x * 7 + k) % 64];
    if (!have || v > best) {
      best = v;
      have = 1;
    }
  }
  if (have) out[threadIdx.x] = best;
}
// conditionally set value, used under the same condition
extern "C" __global__ void guarded(const float *in, float *out, int n) {
  float v;
  const bool ok = threadIdx.x < n;
  if (ok) v = in[threadIdx.x];
  __syncthreads();
  float sum = ok ? v : 0.0f;
  for (int s = 16; s > 0; s /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, s);
  if (ok) out[threadIdx.x] = v + sum;
}
// shuffle of a value that only some lanes have, only those use
extern "C" __global__ void partial_shuffle(const float *in, float *out, int n) {
  float v;
  if (threadIdx.x < n) v = in[threadIdx.x];
  float w = __shfl_down_sync(0xffffffffu, v, 1);
  if (threadIdx.x + 1 < n) out[threadIdx.x] = v - w;
}
// zero times uninitialised shared (masked tail multiplied away by select)
extern "C" __global__ void select_tail(const float *in, float *out, int n) {
  __shared__ float s[128];
  if (threadIdx.x < n) s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  float sum = 0;
  for (int k = 0; k < 128; ++k) {
    const float x = s[k];
    sum += k < n ? x : 0.0f;
  }
  out[threadIdx.x] = sum;
}
// reads four at a time beyond what was written, ignores the rest
extern "C" __global__ void vector_tail(const unsigned char *in, int *out, int n) {
  __shared__ __align__(4) unsigned char s[128];
  for (int k = threadIdx.x; k < n; k += 32) s[k] = in[k];
  __syncthreads();
  const int w = reinterpret_cast<int *>(s)[threadIdx.x];
  int sum = 0;
  for (int b = 0; b < 4; ++b)
    if (threadIdx.x * 4 + b < n) sum += (w >> (8 * b)) & 255;
  out[threadIdx.x] = sum;
}
union Mix {
  float f;
  unsigned char b[4];
};
extern "C" __global__ void byte_built(const unsigned char *in, float *out) {
  Mix m;
  const int t = threadIdx.x;
#pragma unroll 1
  for (int k = 0; k < 4; ++k) m.b[(k + t) & 3] = in[4 * t + ((k + t) & 3)];
  out[t] = m.f;
}
// warp-specialised: one warp produces with plain stores and __threadfence_block + volatile flag
extern "C" __global__ void flag_passing(const int *in, int *out) {
  __shared__ int data[32];
  __shared__ volatile int flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x < 32) {
    data[threadIdx.x] = in[threadIdx.x];
    __threadfence_block();
    __syncwarp();
    if (threadIdx.x == 0) flag = 1;
  } else {
    if (threadIdx.x == 32) {
      while (flag == 0) {
      }
      __threadfence_block();
    }
    __syncwarp();
    out[threadIdx.x - 32] = data[63 - threadIdx.x];
  }
}
// atomics that hand out slots, then plain writes to distinct slots; read after the barrier
extern "C" __global__ void slots(const int *in, int *out) {
  __shared__ int count;
  __shared__ int list[128];
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (in[threadIdx.x] & 1) list[atomicAdd(&count, 1)] = threadIdx.x;
  __syncthreads();
  int sum = 0;
  for (int k = 0; k < count; ++k) sum += list[k];
  out[threadIdx.x] = sum;
}
// benign: many threads write the same value
extern "C" __global__ void same_flag(const int *in, int *out) {
  __shared__ int any;
  if (threadIdx.x == 0) any = 0;
  __syncthreads();
  if (in[threadIdx.x] > 3) any = 1;
  __syncthreads();
  out[threadIdx.x] = any;
}
// global: blocks set the same done flag (BFS style)
extern "C" __global__ void same_global_flag(const int *in, int *done) {
  if (in[blockIdx.x * 64 + threadIdx.x] > 3) *done = 1;
}
// last warp in the block leaves early, others use a barrier among them (count)
extern "C" __global__ void warps_leave(const int *in, int *out) {
  __shared__ int s[96];
  if (threadIdx.x >= 96) return;
  s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = s[95 - threadIdx.x];
}
// ping-pong without a second barrier is right with two buffers
extern "C" __global__ void ping_pong(const int *in, int *out, int n) {
  __shared__ int s[2][64];
  int v = in[threadIdx.x];
  for (int k = 0; k < n; ++k) {
    s[k & 1][threadIdx.x] = v;
    __syncthreads();
    v += s[k & 1][(threadIdx.x + 1) & 63];
  }
  out[threadIdx.x] = v;
}
// Padding of a whole word, and the fourth of four.
struct Best {
  double value;
  int index;
};
struct __align__(16) Point {
  float x, y, z;
};
extern "C" __global__ void copy_padded_words(const double *in, Best *out, Point *points) {
  __shared__ Best best[64];
  __shared__ Point shared[64];
  const int t = threadIdx.x;
  best[t].value = in[t];
  best[t].index = t;
  shared[t].x = shared[t].y = shared[t].z = static_cast<float>(in[t]);
  __syncthreads();
  out[t] = best[63 - t];
  points[t] = shared[63 - t];
  if (t == 0) out[64] = best[5];
}
// lanes of one warp that take a lock in turn
extern "C" __global__ void lock_within_a_warp(const int *in, int *out) {
  __shared__ int lock, sum;
  if (threadIdx.x == 0) lock = sum = 0;
  __syncthreads();
  for (bool done = false; !done;) {
    if (atomicCAS(&lock, 0, 1) != 0) continue;
    __threadfence_block();
    sum += in[threadIdx.x];
    __threadfence_block();
    done = true;
    atomicExch(&lock, 0);
  }
  __syncthreads();
  out[threadIdx.x] = sum;
}
