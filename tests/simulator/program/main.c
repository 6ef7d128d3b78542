/* An ordinary driver-API program, in C, linked against libcuda.so.1: it knows nothing of Hone.
 * Exits 0 when the sums are right. */
#include <stdio.h>
#include <stdlib.h>

typedef unsigned long long CUdeviceptr;
typedef int CUresult;
CUresult cuInit(unsigned flags);
CUresult cuDeviceGet(int *device, int ordinal);
CUresult cuDevicePrimaryCtxRetain(void **context, int device);
CUresult cuCtxSetCurrent(void *context);
CUresult cuModuleLoadData(void **module, const void *image);
CUresult cuModuleGetFunction(void **function, void *module, const char *name);
CUresult cuMemAlloc_v2(CUdeviceptr *to, size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr at);
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes);
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);
CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, void *stream, void **parameters,
                        void **extra);
CUresult cuCtxSynchronize(void);
CUresult cuGetErrorName(CUresult error, const char **name);

static void check(CUresult status, const char *call) {
  const char *name = "an unknown error";
  if (status == 0) return;
  cuGetErrorName(status, &name);
  fprintf(stderr, "%s: %s\n", call, name);
  exit(1);
}
#define CHECK(call) check(call, #call)

static const char kPtx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry add(.param .u64 a, .param .u64 b, .param .u32 n)\n{\n"
    ".reg .pred %p<2>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<6>;\n"
    "ld.param.u64 %rd1, [a];\nld.param.u64 %rd2, [b];\nld.param.u32 %r1, [n];\n"
    "mov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\nmov.u32 %r4, %tid.x;\nmad.lo.s32 %r5, %r2, "
    "%r3, %r4;\n"
    "setp.ge.s32 %p1, %r5, %r1;\n@%p1 bra out;\n"
    "mul.wide.s32 %rd3, %r5, 4;\nadd.s64 %rd4, %rd1, %rd3;\nadd.s64 %rd5, %rd2, %rd3;\n"
    "ld.global.u32 %r6, [%rd4];\nld.global.u32 %r7, [%rd5];\nadd.s32 %r8, %r6, %r7;\nst.global.u32 "
    "[%rd4], %r8;\n"
    "out:\nret;\n}\n";

int main(void) {
  enum { kCount = 1000 };
  static int a[kCount], b[kCount];
  int device, count = kCount;
  void *context, *module, *function;
  CUdeviceptr da, db;
  for (int i = 0; i < kCount; ++i) {
    a[i] = i;
    b[i] = i * i;
  }
  CHECK(cuInit(0));
  CHECK(cuDeviceGet(&device, 0));
  CHECK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK(cuCtxSetCurrent(context));
  CHECK(cuModuleLoadData(&module, kPtx));
  CHECK(cuModuleGetFunction(&function, module, "add"));
  CHECK(cuMemAlloc_v2(&da, sizeof a));
  CHECK(cuMemAlloc_v2(&db, sizeof b));
  CHECK(cuMemcpyHtoD_v2(da, a, sizeof a));
  CHECK(cuMemcpyHtoD_v2(db, b, sizeof b));
  void *parameters[] = {&da, &db, &count};
  CHECK(cuLaunchKernel(function, 8, 1, 1, 128, 1, 1, 0, NULL, parameters, NULL));
  CHECK(cuCtxSynchronize());
  CHECK(cuMemcpyDtoH_v2(a, da, sizeof a));
  CHECK(cuMemFree_v2(da));
  for (int i = 0; i < kCount; ++i)
    if (a[i] != i + i * i) {
      fprintf(stderr, "a[%d] is %d\n", i, a[i]);
      return 1;
    }
  return 0;
}
