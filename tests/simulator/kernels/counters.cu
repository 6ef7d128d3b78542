// Access patterns whose cost is known exactly.
extern "C" __global__ void copy_coalesced(const float *in, float *out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = in[i];
}
extern "C" __global__ void copy_strided(const float *in, float *out) {
  const int i = threadIdx.x;
  out[i] = in[i * 32];
}
extern "C" __global__ void copy_offset(const float *in, float *out) {
  const int i = threadIdx.x;
  out[i] = in[i + 1];
}
extern "C" __global__ void copy_vectors(const float4 *in, float4 *out) { out[threadIdx.x] = in[threadIdx.x]; }
extern "C" __global__ void broadcast(const float *in, float *out) { out[threadIdx.x] = in[0]; }

template <int Stride>
__device__ void through_shared(const float *in, float *out) {
  __shared__ float values[32 * 33];
  const int t = threadIdx.x;
  values[t * Stride] = in[t];
  __syncwarp();
  out[t] = values[(31 - t) * Stride];
}
extern "C" __global__ void shared_stride_1(const float *in, float *out) { through_shared<1>(in, out); }
extern "C" __global__ void shared_stride_2(const float *in, float *out) { through_shared<2>(in, out); }
extern "C" __global__ void shared_stride_32(const float *in, float *out) { through_shared<32>(in, out); }
extern "C" __global__ void shared_stride_33(const float *in, float *out) { through_shared<33>(in, out); }

extern "C" __global__ void divided(const float *in, float *out) {
  const int t = threadIdx.x;
  __syncthreads();
  if (t % 2 == 0) {
    for (int k = 0; k < 3; ++k) atomicAdd(out + t, in[t]);
  } else {
    out[t] = in[t];
  }
  __syncthreads();
}
