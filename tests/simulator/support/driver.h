// CUDA's driver interface as the tests need it: a few declarations of their own, and a Machine on
// top that does what an ordinary program does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulator/support/machine.h"

namespace hone::test {

// What the calls return.
enum Status {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kInvalidHandle = 400,
  kNotFound = 500,
  kIllegalAddress = 700,
  kLaunchTimeout = 702,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureImplicit = 906,
  kCaptureWrongThread = 908
};

// The calls, by the names that cuda.h maps them to. Throws std::runtime_error for one that the
// library lacks.
struct Driver {
  explicit Driver(const std::string& library = HONE_STANDIN);

  int (*cuInit)(unsigned) = nullptr;
  int (*cuDriverGetVersion)(int*) = nullptr;
  int (*cuDeviceGetCount)(int*) = nullptr;
  int (*cuDeviceGet)(int*, int) = nullptr;
  int (*cuDeviceGetName)(char*, int, int) = nullptr;
  int (*cuDeviceGetAttribute)(int*, int, int) = nullptr;
  int (*cuDeviceTotalMem)(std::size_t*, int) = nullptr;
  int (*cuDevicePrimaryCtxRetain)(void**, int) = nullptr;
  int (*cuDevicePrimaryCtxRelease)(int) = nullptr;
  int (*cuDevicePrimaryCtxReset)(int) = nullptr;
  int (*cuCtxCreate)(void**, unsigned, int) = nullptr;
  int (*cuCtxDestroy)(void*) = nullptr;
  int (*cuCtxSetCurrent)(void*) = nullptr;
  int (*cuCtxSynchronize)() = nullptr;
  int (*cuModuleLoadData)(void**, const void*) = nullptr;
  int (*cuModuleLoadDataEx)(void**, const void*, unsigned, int*, void**) = nullptr;
  int (*cuModuleUnload)(void*) = nullptr;
  int (*cuModuleGetFunction)(void**, void*, const char*) = nullptr;
  int (*cuModuleGetGlobal)(Pointer*, std::size_t*, void*, const char*) = nullptr;
  int (*cuFuncGetAttribute)(int*, int, void*) = nullptr;
  int (*cuFuncSetAttribute)(void*, int, int) = nullptr;
  int (*cuOccupancyMaxActiveBlocksPerMultiprocessor)(int*, void*, int, std::size_t) = nullptr;
  int (*cuLinkCreate)(unsigned, int*, void**, void**) = nullptr;
  int (*cuLinkAddData)(void*, int, void*, std::size_t, const char*, unsigned, int*,
                       void**) = nullptr;
  int (*cuLinkDestroy)(void*) = nullptr;
  int (*cuMemAlloc)(Pointer*, std::size_t) = nullptr;
  int (*cuMemAllocPitch)(Pointer*, std::size_t*, std::size_t, std::size_t, unsigned) = nullptr;
  int (*cuMemFree)(Pointer) = nullptr;
  int (*cuMemAllocHost)(void**, std::size_t) = nullptr;
  int (*cuMemFreeHost)(void*) = nullptr;
  int (*cuMemGetInfo)(std::size_t*, std::size_t*) = nullptr;
  int (*cuMemcpyHtoD)(Pointer, const void*, std::size_t) = nullptr;
  int (*cuMemcpyDtoH)(void*, Pointer, std::size_t) = nullptr;
  int (*cuMemcpyDtoD)(Pointer, Pointer, std::size_t) = nullptr;
  int (*cuMemcpyHtoDAsync)(Pointer, const void*, std::size_t, void*) = nullptr;
  int (*cuMemcpyDtoHAsync)(void*, Pointer, std::size_t, void*) = nullptr;
  int (*cuMemsetD8)(Pointer, unsigned char, std::size_t) = nullptr;
  int (*cuMemsetD32)(Pointer, unsigned, std::size_t) = nullptr;
  int (*cuMemsetD32Async)(Pointer, unsigned, std::size_t, void*) = nullptr;
  int (*cuStreamCreate)(void**, unsigned) = nullptr;
  int (*cuStreamDestroy)(void*) = nullptr;
  int (*cuStreamSynchronize)(void*) = nullptr;
  int (*cuStreamWaitEvent)(void*, void*, unsigned) = nullptr;
  int (*cuStreamQuery)(void*) = nullptr;
  int (*cuStreamBeginCapture)(void*, int) = nullptr;
  int (*cuStreamEndCapture)(void*, void**) = nullptr;
  int (*cuThreadExchangeStreamCaptureMode)(int*) = nullptr;
  int (*cuGraphInstantiateWithFlags)(void**, void*, unsigned long long) = nullptr;
  int (*cuGraphLaunch)(void*, void*) = nullptr;
  int (*cuGraphExecDestroy)(void*) = nullptr;
  int (*cuGraphDestroy)(void*) = nullptr;
  int (*cuEventCreate)(void**, unsigned) = nullptr;
  int (*cuEventDestroy)(void*) = nullptr;
  int (*cuEventRecord)(void*, void*) = nullptr;
  int (*cuEventSynchronize)(void*) = nullptr;
  int (*cuEventElapsedTime)(float*, void*, void*) = nullptr;
  int (*cuLaunchKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        void*, void**, void**) = nullptr;
  int (*cuLaunchCooperativeKernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned,
                                   unsigned, unsigned, void*, void**) = nullptr;
  int (*cuGetErrorName)(int, const char**) = nullptr;
  int (*cuGetErrorString)(int, const char**) = nullptr;
  int (*cuGetProcAddress)(const char*, void**, int, unsigned long long, int*) = nullptr;
  int (*cuGetExportTable)(const void**, const void*) = nullptr;
};

// Device 0 through the driver, in a context of its own.
class DriverMachine : public Machine {
 public:
  explicit DriverMachine(const Driver& driver);
  ~DriverMachine() override;

  void load(const std::string& ptx) override;
  Pointer allocate(std::size_t bytes) override;
  void write(Pointer to, const void* from, std::size_t bytes) override;
  void read(Pointer from, void* to, std::size_t bytes) override;
  std::pair<Pointer, std::size_t> variable(const std::string& name) override;
  std::string launch(const std::string& kernel, const Geometry& geometry,
                     const std::vector<std::vector<std::byte>>& arguments) override;

 private:
  void check(int status, std::string_view what) const;

  const Driver& driver_;
  void* context_ = nullptr;
  void* module_ = nullptr;
};

}  // namespace hone::test
