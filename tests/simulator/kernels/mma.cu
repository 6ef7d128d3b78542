// mma.sync in every dense shape, its fragments filled element by element from where the PTX manual says they lie, so that a wrong layout
// shows at once. A is M x K by rows, B is K x N stored by columns (N x K), D is M x N by rows.
using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

__device__ u32 shared_address(const void *p) { return static_cast<u32>(__cvta_generic_to_shared(p)); }

// Gathers one register's worth (4 bytes) of consecutive elements along K.
template <typename E>
__device__ u32 packed(const E *from) {
  return *reinterpret_cast<const u32 *>(from);
}

// The layout shared by all m16n8 shapes: rows g and g + 8, along K groups of 4 / sizeof(E) elements per thread and register.
template <typename E, int K, int ARegisters, int BRegisters>
__device__ void fragments_16x8(const E *a, const E *b, u32 *fa, u32 *fb) {
  constexpr int kWide = 4 / sizeof(E);
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (int r = 0; r < ARegisters; ++r) fa[r] = packed(a + (g + 8 * (r % 2)) * K + t * kWide + (r / 2) * 4 * kWide);
  for (int r = 0; r < BRegisters; ++r) fb[r] = packed(b + g * K + t * kWide + r * 4 * kWide);
}

template <typename D>
__device__ void store_16x8(D *out, const D *d) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (int r = 0; r < 4; ++r) out[(g + 8 * (r / 2)) * 8 + t * 2 + r % 2] = d[r];
}
template <typename D>
__device__ void load_16x8(const D *in, D *d) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (int r = 0; r < 4; ++r) d[r] = in[(g + 8 * (r / 2)) * 8 + t * 2 + r % 2];
}

#define MMA_A4B2(shape, letter, d, c, a, b)                                                                                                        \
  asm volatile("mma.sync.aligned." shape " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"                                              \
               : "=" letter(d[0]), "=" letter(d[1]), "=" letter(d[2]), "=" letter(d[3])                                                            \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), letter(c[0]), letter(c[1]), letter(c[2]), letter(c[3]))
#define MMA_A2B1(shape, letter, d, c, a, b)                                                                                                        \
  asm volatile("mma.sync.aligned." shape " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"                                                          \
               : "=" letter(d[0]), "=" letter(d[1]), "=" letter(d[2]), "=" letter(d[3])                                                            \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]), letter(c[0]), letter(c[1]), letter(c[2]), letter(c[3]))

#define KERNEL_A4B2(name, E, D, K, shape, letter)                                     \
  extern "C" __global__ void name(const E *a, const E *b, const D *c, D *out) {       \
    u32 fa[4], fb[2];                                                                 \
    D fc[4], fd[4];                                                                   \
    fragments_16x8<E, K, 4, 2>(a, b, fa, fb);                                         \
    load_16x8(c, fc);                                                                 \
    MMA_A4B2(shape, letter, fd, fc, fa, fb);                                          \
    store_16x8(out, fd);                                                              \
  }
#define KERNEL_A2B1(name, E, D, K, shape, letter)                                     \
  extern "C" __global__ void name(const E *a, const E *b, const D *c, D *out) {       \
    u32 fa[2], fb[1];                                                                 \
    D fc[4], fd[4];                                                                   \
    fragments_16x8<E, K, 2, 1>(a, b, fa, fb);                                         \
    load_16x8(c, fc);                                                                 \
    MMA_A2B1(shape, letter, fd, fc, fa, fb);                                          \
    store_16x8(out, fd);                                                              \
  }

// A 16-bit accumulator: two registers of pairs, rows g and g + 8.
__device__ void load_pairs(const u16 *in, u32 *d) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (int r = 0; r < 2; ++r) d[r] = packed(in + (g + 8 * r) * 8 + t * 2);
}
__device__ void store_pairs(u16 *out, const u32 *d) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (int r = 0; r < 2; ++r) *reinterpret_cast<u32 *>(out + (g + 8 * r) * 8 + t * 2) = d[r];
}

KERNEL_A2B1(f16_m16n8k8_f32, u16, float, 8, "m16n8k8.row.col.f32.f16.f16.f32", "f")

extern "C" __global__ void f16_m16n8k8_f16(const u16 *a, const u16 *b, const u16 *c, u16 *out) {
  u32 fa[2], fb[1], fc[2], fd[2];
  fragments_16x8<u16, 8, 2, 1>(a, b, fa, fb);
  load_pairs(c, fc);
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3}, {%4}, {%5,%6};"
               : "=r"(fd[0]), "=r"(fd[1])
               : "r"(fa[0]), "r"(fa[1]), "r"(fb[0]), "r"(fc[0]), "r"(fc[1]));
  store_pairs(out, fd);
}

// m8n8 with 8-bit operands (sm_75's shape): row g, a register of four along K.
#define KERNEL_8X8(name, E, shape)                                                                       \
  extern "C" __global__ void name(const E *a, const E *b, const int *c, int *out) {                      \
    const int g = threadIdx.x / 4, t = threadIdx.x % 4;                                                  \
    int d0, d1;                                                                                          \
    asm volatile("mma.sync.aligned." shape " {%0,%1}, {%2}, {%3}, {%4,%5};"                              \
                 : "=r"(d0), "=r"(d1)                                                                    \
                 : "r"(packed(a + g * 16 + t * 4)), "r"(packed(b + g * 16 + t * 4)), "r"(c[g * 8 + t * 2]), "r"(c[g * 8 + t * 2 + 1])); \
    out[g * 8 + t * 2] = d0;                                                                             \
    out[g * 8 + t * 2 + 1] = d1;                                                                         \
  }
KERNEL_8X8(s8_m8n8k16, signed char, "m8n8k16.row.col.s32.s8.s8.s32")
KERNEL_8X8(u8_m8n8k16, u8, "m8n8k16.row.col.satfinite.s32.u8.u8.s32")

// Volta's shape: four 8x8x4 products, one per quad pair; lane l belongs to product (l % 16) / 4.
extern "C" __global__ void f16_m8n8k4_f32(const u16 *a, const u16 *b, const float *c, float *out) {
  const int lane = threadIdx.x, quad = (lane % 16) / 4, row = lane % 4 + (lane >= 16 ? 4 : 0);
  const u16 *ma = a + quad * 32, *mb = b + quad * 32;
  const u32 a0 = packed(ma + row * 4), a1 = packed(ma + row * 4 + 2), b0 = packed(mb + row * 4), b1 = packed(mb + row * 4 + 2);
  float d[8];
  const auto at = [&](int k) {
    const int i = lane % 4 % 2 + (k & 2) + (lane >= 16 ? 4 : 0), j = (k & 4) + (lane & 2) + (k & 1);
    return quad * 64 + i * 8 + j;
  };
  float f[8];
  for (int k = 0; k < 8; ++k) f[k] = c[at(k)];
  asm volatile(
      "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%0,%1,%2,%3,%4,%5,%6,%7}, {%8,%9}, {%10,%11}, {%12,%13,%14,%15,%16,%17,%18,%19};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]), "=f"(d[4]), "=f"(d[5]), "=f"(d[6]), "=f"(d[7])
      : "r"(a0), "r"(a1), "r"(b0), "r"(b1), "f"(f[0]), "f"(f[1]), "f"(f[2]), "f"(f[3]), "f"(f[4]), "f"(f[5]), "f"(f[6]), "f"(f[7]));
  for (int k = 0; k < 8; ++k) out[at(k)] = d[k];
}

// ldmatrix: the whole 32x16 bf16 or half tile of shared memory in each of its forms, as registers.
template <int N, bool Trans>
__device__ void ldmatrix(u32 address, u32 *r) {
  if constexpr (N == 4 && !Trans)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
  if constexpr (N == 4 && Trans)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
  if constexpr (N == 2 && !Trans) asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
  if constexpr (N == 2 && Trans)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
  if constexpr (N == 1 && !Trans) asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address));
  if constexpr (N == 1 && Trans) asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address));
}

extern "C" __global__ void ldmatrix_forms(const u16 *in, u32 *out) {
  __shared__ __align__(16) u16 tile[32 * 8];
  const int lane = threadIdx.x;
  for (int k = lane; k < 256; k += 32) tile[k] = in[k];
  __syncthreads();
  u32 r[14];
  ldmatrix<4, false>(shared_address(tile + lane * 8), r);
  ldmatrix<4, true>(shared_address(tile + (lane ^ 9) * 8), r + 4);
  ldmatrix<2, false>(shared_address(tile + (31 - lane) * 8), r + 8);
  ldmatrix<2, true>(shared_address(tile + lane * 8), r + 10);
  ldmatrix<1, false>(shared_address(tile + lane * 8), r + 12);
  ldmatrix<1, true>(shared_address(tile + lane * 8), r + 13);
  for (int k = 0; k < 14; ++k) out[k * 32 + lane] = r[k];
}

#if __CUDA_ARCH__ >= 800
KERNEL_A4B2(f16_m16n8k16_f32, u16, float, 16, "m16n8k16.row.col.f32.f16.f16.f32", "f")
KERNEL_A4B2(bf16_m16n8k16, u16, float, 16, "m16n8k16.row.col.f32.bf16.bf16.f32", "f")
KERNEL_A2B1(bf16_m16n8k8, u16, float, 8, "m16n8k8.row.col.f32.bf16.bf16.f32", "f")
KERNEL_A4B2(tf32_m16n8k8, u32, float, 8, "m16n8k8.row.col.f32.tf32.tf32.f32", "f")
KERNEL_A2B1(tf32_m16n8k4, u32, float, 4, "m16n8k4.row.col.f32.tf32.tf32.f32", "f")
KERNEL_A4B2(s8_m16n8k32, signed char, int, 32, "m16n8k32.row.col.s32.s8.s8.s32", "r")
KERNEL_A4B2(u8_m16n8k32, u8, int, 32, "m16n8k32.row.col.s32.u8.u8.s32", "r")
KERNEL_A4B2(s8_m16n8k32_sat, signed char, int, 32, "m16n8k32.row.col.satfinite.s32.s8.s8.s32", "r")
KERNEL_A2B1(s8_m16n8k16, signed char, int, 16, "m16n8k16.row.col.s32.s8.s8.s32", "r")
KERNEL_A2B1(u8s8_m16n8k16, u8, int, 16, "m16n8k16.row.col.s32.u8.s8.s32", "r")

extern "C" __global__ void f16_m16n8k16_f16(const u16 *a, const u16 *b, const u16 *c, u16 *out) {
  u32 fa[4], fb[2], fc[2], fd[2];
  fragments_16x8<u16, 16, 4, 2>(a, b, fa, fb);
  load_pairs(c, fc);
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%8,%9};"
               : "=r"(fd[0]), "=r"(fd[1])
               : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]), "r"(fc[0]), "r"(fc[1]));
  store_pairs(out, fd);
}

extern "C" __global__ void tf32_converted(const float *in, u32 *out) {
  u32 r;
  asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(in[threadIdx.x]));
  out[threadIdx.x] = r;
}

extern "C" __global__ void f64_m8n8k4(const double *a, const double *b, const double *c, double *out) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  double d0, d1;
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%4,%5};"
               : "=d"(d0), "=d"(d1)
               : "d"(a[g * 4 + t]), "d"(b[g * 4 + t]), "d"(c[g * 8 + t * 2]), "d"(c[g * 8 + t * 2 + 1]));
  out[g * 8 + t * 2] = d0;
  out[g * 8 + t * 2 + 1] = d1;
}

// C = A B in f16 with binary32 sums: tiles through cp.async in three stages, swizzled, ldmatrix, mma.sync. A is M x K by rows, B is
// K x N by rows, C is M x N by rows; all sizes multiples of the tile.
template <int BM, int BN, int WM, int WN>
__device__ void gemm(const u16 *a, const u16 *b, u16 *c, int n, int k) {
  constexpr int kDepth = 32, kStages = 3, kThreads = 32 * (BM / WM) * (BN / WN);
  extern __shared__ __align__(128) u16 pool[];
  u16 *as = pool, *bs = pool + kStages * BM * kDepth;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32, warp_m = warp / (BN / WN) * WM, warp_n = warp % (BN / WN) * WN;
  a += blockIdx.y * BM * k;
  b += blockIdx.x * BN;
  const auto copy = [](u16 *to, const u16 *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
  };
  const auto fetch = [&](int step) {
    if (step * kDepth < k) {
      u16 *sa = as + step % kStages * BM * kDepth, *sb = bs + step % kStages * BN * kDepth;
      for (int e = t; e < BM * kDepth / 8; e += kThreads) {
        const int row = e / 4, chunk = e % 4;
        copy(sa + row * kDepth + (chunk ^ (row / 2 % 4)) * 8, a + row * k + step * kDepth + chunk * 8);
      }
      for (int e = t; e < BN * kDepth / 8; e += kThreads) {
        const int row = e / (BN / 8), chunk = e % (BN / 8);
        copy(sb + row * BN + (chunk ^ (row % 8)) * 8, b + (step * kDepth + row) * n + chunk * 8);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  float sums[WM / 16][WN / 8][4] = {};
  fetch(0);
  fetch(1);
  for (int step = 0; step * kDepth < k; ++step) {
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    fetch(step + 2);
    const u16 *sa = as + step % kStages * BM * kDepth, *sb = bs + step % kStages * BN * kDepth;
#pragma unroll
    for (int slice = 0; slice < kDepth / 16; ++slice) {
      u32 fa[WM / 16][4], fb[WN / 16][4];
#pragma unroll
      for (int i = 0; i < WM / 16; ++i) {
        const int row = warp_m + i * 16 + lane % 16, chunk = slice * 2 + lane / 16;
        ldmatrix<4, false>(shared_address(sa + row * kDepth + (chunk ^ (row / 2 % 4)) * 8), fa[i]);
      }
#pragma unroll
      for (int j = 0; j < WN / 16; ++j) {
        const int row = slice * 16 + lane % 16, chunk = (warp_n + j * 16) / 8 + lane / 16;
        ldmatrix<4, true>(shared_address(sb + row * BN + (chunk ^ (row % 8)) * 8), fb[j]);
      }
#pragma unroll
      for (int i = 0; i < WM / 16; ++i)
#pragma unroll
        for (int j = 0; j < WN / 8; ++j)
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                       : "+f"(sums[i][j][0]), "+f"(sums[i][j][1]), "+f"(sums[i][j][2]), "+f"(sums[i][j][3])
                       : "r"(fa[i][0]), "r"(fa[i][1]), "r"(fa[i][2]), "r"(fa[i][3]), "r"(fb[j / 2][j % 2 * 2]), "r"(fb[j / 2][j % 2 * 2 + 1]));
    }
  }
  for (int i = 0; i < WM / 16; ++i)
    for (int j = 0; j < WN / 8; ++j)
      for (int half = 0; half < 2; ++half) {
        const int row = blockIdx.y * BM + warp_m + i * 16 + lane / 4 + half * 8, column = blockIdx.x * BN + warp_n + j * 8 + lane % 4 * 2;
        asm volatile("{.reg .b32 pair; cvt.rn.f16x2.f32 pair, %1, %2; st.global.b32 [%0], pair;}" ::"l"(c + row * n + column), "f"(sums[i][j][half * 2 + 1]),
                     "f"(sums[i][j][half * 2])
                     : "memory");
      }
}

extern "C" __global__ void __launch_bounds__(128) gemm_f16_64(const u16 *a, const u16 *b, u16 *c, int n, int k) {
  gemm<64, 64, 32, 32>(a, b, c, n, k);
}
extern "C" __global__ void __launch_bounds__(256) gemm_f16_128(const u16 *a, const u16 *b, u16 *c, int n, int k) {
  gemm<128, 128, 64, 32>(a, b, c, n, k);
}
#endif

#if __CUDA_ARCH__ >= 890
KERNEL_A4B2(e4m3_m16n8k32, u8, float, 32, "m16n8k32.row.col.f32.e4m3.e4m3.f32", "f")
KERNEL_A4B2(e5m2_m16n8k32, u8, float, 32, "m16n8k32.row.col.f32.e5m2.e5m2.f32", "f")
KERNEL_A4B2(e4m3e5m2_m16n8k32, u8, float, 32, "m16n8k32.row.col.f32.e4m3.e5m2.f32", "f")
KERNEL_A2B1(e4m3_m16n8k16, u8, float, 16, "m16n8k16.row.col.f32.e4m3.e4m3.f32", "f")

extern "C" __global__ void e4m3_m16n8k32_f16(const u8 *a, const u8 *b, const u16 *c, u16 *out) {
  u32 fa[4], fb[2], fc[2], fd[2];
  fragments_16x8<u8, 32, 4, 2>(a, b, fa, fb);
  load_pairs(c, fc);
  asm volatile("mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e4m3.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%8,%9};"
               : "=r"(fd[0]), "=r"(fd[1])
               : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]), "r"(fc[0]), "r"(fc[1]));
  store_pairs(out, fd);
}
#endif

#if __CUDA_ARCH__ == 1200
KERNEL_A4B2(e4m3_kind, u8, float, 32, "m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e5m2.f32", "f")
#endif

#if __CUDA_ARCH__ >= 900
extern "C" __global__ void stmatrix_forms(const u32 *in, u16 *out) {
  __shared__ __align__(16) u16 tile[32 * 8];
  const int lane = threadIdx.x;
  const u32 r[4] = {in[lane], in[32 + lane], in[64 + lane], in[96 + lane]};
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(tile + lane * 8)), "r"(r[0]), "r"(r[1]), "r"(r[2]),
               "r"(r[3])
               : "memory");
  __syncthreads();
  for (int k = lane; k < 256; k += 32) out[k] = tile[k];
  __syncthreads();
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};" ::"r"(shared_address(tile + lane * 8)), "r"(r[0]), "r"(r[1]) : "memory");
  __syncthreads();
  for (int k = lane; k < 128; k += 32) out[256 + k] = tile[k];
}
#endif
