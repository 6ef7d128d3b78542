// y[64][16] = x[64][k] * w[16][k]^T by wgmma, rows of tiles `width` bytes long in places that the
// layout tells: 0 none, 1 128 bytes, 2 64, 3 32. k is what a row holds (16 without a swizzle).
using u32 = unsigned int;
using u64 = unsigned long long;

enum Bug { kNone, kOverwritten, kNeverWaitedFor, kUsedTooEarly };

__device__ u32 place(u32 row, u32 byte, u32 layout, u32 width) {
  if (layout == 0) return row / 8 * 256 + byte / 16 * 128 + row % 8 * 16 + byte % 16;
  const u32 at = row * width + byte;
  return at ^ (at >> 7 & (width / 16 - 1)) << 4;
}
__device__ u64 descriptor(const void *tile, u64 layout, u64 width) {
  const u64 eight = layout == 0 ? 256 : 8 * width;
  return static_cast<u64>(__cvta_generic_to_shared(tile)) >> 4 | u64{128 >> 4} << 16 | eight >> 4 << 32 | layout << 62;
}

extern "C" __global__ void products(const unsigned short *x, const unsigned short *w, float *y, u32 layout, int bug) {
  __shared__ __align__(1024) unsigned char xs[64 * 128];
  __shared__ __align__(1024) unsigned char ws[16 * 128];
  const u32 width = layout == 0 ? 32 : 256 >> layout, k = width / 2, t = threadIdx.x;
  for (u32 i = t; i < 64 * k; i += 128) *reinterpret_cast<unsigned short *>(xs + place(i / k, i % k * 2, layout, width)) = x[i];
  for (u32 i = t; i < 16 * k; i += 128) *reinterpret_cast<unsigned short *>(ws + place(i / k, i % k * 2, layout, width)) = w[i];
  asm volatile("fence.proxy.async;" ::: "memory");
  __syncthreads();
  float d[8] = {};
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  for (u32 step = 0; step < width / 32; ++step)
    asm volatile("{.reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9, p, 1, 1, 0, 0;}"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
                 : "l"(descriptor(xs, layout, width) + 2 * step), "l"(descriptor(ws, layout, width) + 2 * step));
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  if (bug == kOverwritten) xs[(t + 64) % 128] = 1;
  if (bug == kUsedTooEarly) y[t] = d[0];
  if (bug != kNeverWaitedFor) asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  for (u32 i = 0; i < 8; ++i) y[(t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8) * 16 + i / 4 * 8 + t % 4 * 2 + i % 2] = d[i];
}
