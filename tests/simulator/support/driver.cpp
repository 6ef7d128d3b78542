#include "tests/simulator/support/driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <stdexcept>

namespace hone::test {

Driver::Driver(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) throw std::runtime_error(fmt::format("{} has no {}", library, name));
  };
#define FIND(name) find(name, #name)
#define FIND_V2(name) find(name, #name "_v2")
  FIND(cuInit);
  FIND(cuDriverGetVersion);
  FIND(cuDeviceGetCount);
  FIND(cuDeviceGet);
  FIND(cuDeviceGetName);
  FIND(cuDeviceGetAttribute);
  FIND_V2(cuDeviceTotalMem);
  FIND(cuDevicePrimaryCtxRetain);
  FIND_V2(cuDevicePrimaryCtxRelease);
  FIND_V2(cuDevicePrimaryCtxReset);
  FIND_V2(cuCtxCreate);
  FIND_V2(cuCtxDestroy);
  FIND(cuCtxSetCurrent);
  FIND(cuCtxSynchronize);
  FIND(cuModuleLoadData);
  FIND(cuModuleLoadDataEx);
  FIND(cuModuleUnload);
  FIND(cuModuleGetFunction);
  FIND_V2(cuModuleGetGlobal);
  FIND(cuFuncGetAttribute);
  FIND(cuFuncSetAttribute);
  FIND(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  FIND_V2(cuLinkCreate);
  FIND_V2(cuLinkAddData);
  FIND(cuLinkDestroy);
  FIND_V2(cuMemAlloc);
  FIND_V2(cuMemAllocPitch);
  FIND_V2(cuMemFree);
  FIND_V2(cuMemAllocHost);
  FIND(cuMemFreeHost);
  FIND_V2(cuMemGetInfo);
  FIND_V2(cuMemcpyHtoD);
  FIND_V2(cuMemcpyDtoH);
  FIND_V2(cuMemcpyDtoD);
  FIND_V2(cuMemcpyHtoDAsync);
  FIND_V2(cuMemcpyDtoHAsync);
  FIND_V2(cuMemsetD8);
  FIND_V2(cuMemsetD32);
  FIND(cuMemsetD32Async);
  FIND(cuStreamCreate);
  FIND_V2(cuStreamDestroy);
  FIND(cuStreamSynchronize);
  FIND(cuStreamWaitEvent);
  FIND(cuStreamQuery);
  FIND_V2(cuStreamBeginCapture);
  FIND(cuStreamEndCapture);
  FIND(cuThreadExchangeStreamCaptureMode);
  FIND(cuGraphInstantiateWithFlags);
  FIND(cuGraphLaunch);
  FIND(cuGraphExecDestroy);
  FIND(cuGraphDestroy);
  FIND(cuEventCreate);
  FIND_V2(cuEventDestroy);
  FIND(cuEventRecord);
  FIND(cuEventSynchronize);
  FIND(cuEventElapsedTime);
  FIND(cuLaunchKernel);
  FIND(cuLaunchCooperativeKernel);
  FIND(cuGetErrorName);
  FIND(cuGetErrorString);
  FIND_V2(cuGetProcAddress);
  FIND(cuGetExportTable);
#undef FIND
#undef FIND_V2
}

void DriverMachine::check(int status, std::string_view what) const {
  if (status == 0) return;
  const char* name = "an unknown error";
  driver_.cuGetErrorName(status, &name);
  throw std::runtime_error(fmt::format("{}: {}", what, name));
}

DriverMachine::DriverMachine(const Driver& driver) : driver_(driver) {
  check(driver_.cuInit(0), "cuInit");
  int device = 0;
  check(driver_.cuDeviceGet(&device, 0), "cuDeviceGet");
  check(driver_.cuCtxCreate(&context_, 0, device), "cuCtxCreate");
}

DriverMachine::~DriverMachine() { driver_.cuCtxDestroy(context_); }

void DriverMachine::load(const std::string& ptx) {
  std::string log(8192, '\0');
  enum { kErrorLog = 5, kErrorLogBytes = 6 };
  int options[] = {kErrorLog, kErrorLogBytes};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  const int status = driver_.cuModuleLoadDataEx(&module_, ptx.c_str(), 2, options, values);
  check(status, fmt::format("cuModuleLoadDataEx: {}", log.c_str()));
}

Pointer DriverMachine::allocate(std::size_t bytes) {
  Pointer to = 0;
  check(driver_.cuMemAlloc(&to, bytes), "cuMemAlloc");
  return to;
}

void DriverMachine::write(Pointer to, const void* from, std::size_t bytes) {
  check(driver_.cuMemcpyHtoD(to, from, bytes), "cuMemcpyHtoD");
}

void DriverMachine::read(Pointer from, void* to, std::size_t bytes) {
  check(driver_.cuMemcpyDtoH(to, from, bytes), "cuMemcpyDtoH");
}

std::pair<Pointer, std::size_t> DriverMachine::variable(const std::string& name) {
  std::pair<Pointer, std::size_t> result;
  check(driver_.cuModuleGetGlobal(&result.first, &result.second, module_, name.c_str()),
        "cuModuleGetGlobal of " + name);
  return result;
}

std::string DriverMachine::launch(const std::string& name, const Geometry& geometry,
                                  const std::vector<std::vector<std::byte>>& arguments) {
  void* function = nullptr;
  check(driver_.cuModuleGetFunction(&function, module_, name.c_str()),
        "cuModuleGetFunction of " + name);
  enum { kMaxDynamicSharedBytes = 8 };
  if (geometry.shared > 48 << 10)
    check(driver_.cuFuncSetAttribute(function, kMaxDynamicSharedBytes,
                                     static_cast<int>(geometry.shared)),
          "cuFuncSetAttribute");
  std::vector<std::vector<std::byte>> copies = arguments;
  std::vector<void*> pointers;
  for (std::vector<std::byte>& argument : copies) pointers.push_back(argument.data());
  const auto& [gx, gy, gz] = geometry.grid;
  const auto& [bx, by, bz] = geometry.block;
  const auto shared = static_cast<unsigned>(geometry.shared);
  int status = geometry.cooperative
                   ? driver_.cuLaunchCooperativeKernel(function, gx, gy, gz, bx, by, bz, shared,
                                                       nullptr, pointers.data())
                   : driver_.cuLaunchKernel(function, gx, gy, gz, bx, by, bz, shared, nullptr,
                                            pointers.data(), nullptr);
  if (status == 0) status = driver_.cuCtxSynchronize();
  if (status == 0) return "";
  const char* error = "an unknown error";
  driver_.cuGetErrorName(status, &error);
  return error;
}

}  // namespace hone::test
