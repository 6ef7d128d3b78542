// The stand-in driver as a program sees it that knows only CUDA's documentation. The PTX is by
// hand: nothing here needs a compiler.
#include "tests/simulator/support/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

// scale: x[i] *= factor, for i < n. touch: one word at x + offset. spin: never ends.
constexpr const char* kPtx = R"(.version 7.0
.target sm_75
.address_size 64
.global .align 4 .u32 launches = 7;
.extern .shared .align 16 .b8 pool[];
.visible .entry scale(.param .u64 x, .param .f32 factor, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .f32 %f<4>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [x];
  ld.param.f32 %f1, [factor];
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.f32 %f2, [%rd4];
  mul.f32 %f3, %f2, %f1;
  st.global.f32 [%rd4], %f3;
done:
  ret;
}
.visible .entry touch(.param .u64 x, .param .u64 offset)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [offset];
  add.s64 %rd3, %rd1, %rd2;
  mov.u32 %r1, 5;
  st.u32 [%rd3], %r1;
  ret;
}
.visible .entry spin()
{
  .reg .b32 %r<2>;
again:
  add.u32 %r1, %r1, 1;
  bra again;
}
.visible .entry stop()
{
  trap;
  ret;
}
.visible .entry shared(.param .u64 x)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [x];
  mov.u32 %r1, pool;
  mov.u32 %r2, 9;
  st.shared.u32 [%r1+49152], %r2;
  ld.shared.u32 %r3, [%r1+49152];
  st.global.u32 [%rd1], %r3;
  ret;
}
)";

struct Program {
  explicit Program(const char* ptx = kPtx) {
    EXPECT_EQ(cu.cuInit(0), kSuccess);
    EXPECT_EQ(cu.cuCtxCreate(&context, 0, 0), kSuccess);
    if (ptx != nullptr) {
      EXPECT_EQ(cu.cuModuleLoadData(&module, ptx), kSuccess);
    }
  }
  void* function(const char* name) const {
    void* found = nullptr;
    EXPECT_EQ(cu.cuModuleGetFunction(&found, module, name), kSuccess) << name;
    return found;
  }
  template <typename... Arguments>
  int launch(const char* name, unsigned grid, unsigned block, unsigned shared, void* stream,
             Arguments... arguments) const {
    void* pointers[] = {&arguments..., nullptr};
    return cu.cuLaunchKernel(function(name), grid, 1, 1, block, 1, 1, shared, stream, pointers,
                             nullptr);
  }
  Driver cu;
  void* context = nullptr;
  void* module = nullptr;
};

using Environment = std::vector<std::pair<std::string, std::string>>;
Environment a100(const Environment& more = {}) {
  Environment all = {{"HONE_SIM_DEVICE", "a100"}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(StandInDriver, SaysNotInitialisedBeforeInit) {
  in_child(a100(), [] {
    const Driver cu;
    int count = 0;
    EXPECT_EQ(cu.cuDeviceGetCount(&count), kNotInitialized);
    EXPECT_EQ(cu.cuInit(0), kSuccess);
    EXPECT_EQ(cu.cuDeviceGetCount(&count), kSuccess);
    EXPECT_EQ(count, 1);
    int version = 0;
    EXPECT_EQ(cu.cuDriverGetVersion(&version), kSuccess);
    EXPECT_GE(version, 13000);
    Pointer p = 0;
    EXPECT_EQ(cu.cuMemAlloc(&p, 16), kInvalidContext);
  });
}

TEST(StandInDriver, TellsTheLimitsOfTheGpuThatWasAskedFor) {
  in_child(a100(), [] {
    const Program program;
    const auto attribute = [&](int which) {
      int value = -1;
      EXPECT_EQ(program.cu.cuDeviceGetAttribute(&value, which, 0), kSuccess) << which;
      return value;
    };
    EXPECT_EQ(attribute(1), 1024);        // threads per block
    EXPECT_EQ(attribute(10), 32);         // warp
    EXPECT_EQ(attribute(16), 108);        // units
    EXPECT_EQ(attribute(75), 8);          // compute capability
    EXPECT_EQ(attribute(76), 0);          //
    EXPECT_EQ(attribute(8), 48 << 10);    // shared memory per block
    EXPECT_EQ(attribute(97), 163 << 10);  // with opt-in
    EXPECT_EQ(attribute(82), 65536);      // registers per unit
    EXPECT_EQ(attribute(39), 2048);       // threads per unit
    char name[64] = {};
    EXPECT_EQ(program.cu.cuDeviceGetName(name, 64, 0), kSuccess);
    EXPECT_THAT(name, testing::HasSubstr("A100"));
    int blocks = 0;
    EXPECT_EQ(program.cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                  &blocks, program.function("scale"), 256, 0),
              kSuccess);
    EXPECT_EQ(blocks, 8);
    EXPECT_EQ(program.cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                  &blocks, program.function("scale"), 64, 40 << 10),
              kSuccess);
    EXPECT_EQ(blocks, 4);  // 41 KiB each with the system's own, of 164
  });
}

TEST(StandInDriver, RunsKernelsOnStreamsBetweenEvents) {
  in_child(a100(), [] {
    const Program program;
    const Driver& cu = program.cu;
    std::vector<float> host(1000, 2.0f);
    Pointer x = 0;
    ASSERT_EQ(cu.cuMemAlloc(&x, 4000), kSuccess);
    void *stream = nullptr, *other = nullptr, *start = nullptr, *stop = nullptr;
    ASSERT_EQ(cu.cuStreamCreate(&stream, 1), kSuccess);
    ASSERT_EQ(cu.cuStreamCreate(&other, 1), kSuccess);
    ASSERT_EQ(cu.cuEventCreate(&start, 0), kSuccess);
    ASSERT_EQ(cu.cuEventCreate(&stop, 0), kSuccess);
    EXPECT_EQ(cu.cuEventRecord(start, stream), kSuccess);
    EXPECT_EQ(cu.cuMemcpyHtoDAsync(x, host.data(), 4000, stream), kSuccess);
    EXPECT_EQ(program.launch("scale", 4, 256, 0, stream, x, 1.5f, 1000u), kSuccess);
    EXPECT_EQ(cu.cuEventRecord(stop, stream), kSuccess);
    EXPECT_EQ(cu.cuStreamWaitEvent(other, stop, 0), kSuccess);
    EXPECT_EQ(program.launch("scale", 4, 256, 0, other, x, 2.0f, 500u), kSuccess);
    EXPECT_EQ(cu.cuMemcpyDtoHAsync(host.data(), x, 4000, other), kSuccess);
    EXPECT_EQ(cu.cuStreamSynchronize(other), kSuccess);
    EXPECT_EQ(cu.cuStreamQuery(other), kSuccess);
    for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(host[i], i < 500 ? 6.0f : 3.0f) << i;
    float milliseconds = -1;
    EXPECT_EQ(cu.cuEventElapsedTime(&milliseconds, start, stop), kSuccess);
    EXPECT_GT(milliseconds, 0.0f);
    EXPECT_EQ(cu.cuEventDestroy(start), kSuccess);
    EXPECT_EQ(cu.cuStreamDestroy(stream), kSuccess);
    EXPECT_EQ(cu.cuMemFree(x), kSuccess);
    EXPECT_EQ(cu.cuMemFree(x), kInvalidValue);
    EXPECT_EQ(cu.cuModuleUnload(program.module), kSuccess);
    EXPECT_EQ(cu.cuModuleUnload(program.module), kInvalidHandle);
  });
}

TEST(StandInDriver, FillsAndCopiesMemory) {
  in_child(a100(), [] {
    const Program program;
    const Driver& cu = program.cu;
    Pointer a = 0, b = 0;
    ASSERT_EQ(cu.cuMemAlloc(&a, 64), kSuccess);
    std::size_t pitch = 0;
    ASSERT_EQ(cu.cuMemAllocPitch(&b, &pitch, 100, 3, 4), kSuccess);
    EXPECT_GE(pitch, 100u);
    EXPECT_EQ(pitch % 32, 0u);
    EXPECT_EQ(cu.cuMemsetD8(a, 0x5a, 64), kSuccess);
    EXPECT_EQ(cu.cuMemsetD32(a + 8, 0x01020304u, 2), kSuccess);
    EXPECT_EQ(cu.cuMemcpyDtoD(b + pitch, a, 64), kSuccess);
    std::vector<unsigned> host(16);
    EXPECT_EQ(cu.cuMemcpyDtoH(host.data(), b + pitch, 64), kSuccess);
    std::vector<unsigned> expected(16, 0x5a5a5a5au);
    expected[2] = expected[3] = 0x01020304u;
    EXPECT_EQ(host, expected);
    EXPECT_EQ(cu.cuMemcpyDtoH(host.data(), a, 65), kInvalidValue);
    EXPECT_EQ(cu.cuMemcpyHtoD(a + 60, host.data(), 8), kInvalidValue);
    Pointer variable = 0;
    std::size_t bytes = 0;
    ASSERT_EQ(cu.cuModuleGetGlobal(&variable, &bytes, program.module, "launches"), kSuccess);
    EXPECT_EQ(bytes, 4u);
    EXPECT_EQ(cu.cuMemcpyDtoH(host.data(), variable, 4), kSuccess);
    EXPECT_EQ(host[0], 7u);
    void* pinned = nullptr;
    ASSERT_EQ(cu.cuMemAllocHost(&pinned, 256), kSuccess);
    std::fill_n(static_cast<float*>(pinned), 64, 1.0f);
    const auto address = reinterpret_cast<Pointer>(pinned);
    EXPECT_EQ(program.launch("scale", 1, 64, 0, nullptr, address, 4.0f, 64u), kSuccess);
    EXPECT_EQ(cu.cuCtxSynchronize(), kSuccess);
    EXPECT_EQ(static_cast<float*>(pinned)[63], 4.0f);
    EXPECT_EQ(cu.cuMemFreeHost(pinned), kSuccess);
  });
}

struct Crash {
  const char* kernel;
  Pointer offset;
  Status status;
  const char* kind;
};

TEST(StandInDriver, EndsTheContextWithTheErrorOfABadKernel) {
  for (const Crash& crash :
       {Crash{"touch", 64, kIllegalAddress, "out of bounds"},
        Crash{"touch", 2, kMisalignedAddress, "misaligned"},
        Crash{"stop", 0, kLaunchFailed, "trap"}, Crash{"spin", 0, kLaunchTimeout, "hang"}}) {
    SCOPED_TRACE(crash.kernel);
    const std::string report =
        testing::TempDir() + fmt::format("standin-{}-{}.jsonl", crash.kernel, crash.offset);
    std::filesystem::remove(report);
    in_child(a100({{"HONE_SIM_REPORT", report}, {"HONE_SIM_TIMEOUT", "1"}}), [&] {
      const Program program;
      const Driver& cu = program.cu;
      Pointer x = 0;
      ASSERT_EQ(cu.cuMemAlloc(&x, 64), kSuccess);
      program.launch(crash.kernel, 1, 1, 0, nullptr, x, crash.offset);
      EXPECT_EQ(cu.cuCtxSynchronize(), crash.status);
      // Sticky: whatever is called next fails alike.
      EXPECT_EQ(cu.cuMemFree(x), crash.status);
      Pointer y = 0;
      EXPECT_EQ(cu.cuMemAlloc(&y, 64), crash.status);
      cu.cuCtxDestroy(program.context);
      const Program fresh;
      ASSERT_EQ(cu.cuMemAlloc(&y, 64), kSuccess);
      EXPECT_EQ(fresh.launch("touch", 1, 1, 0, nullptr, y, Pointer{60}), kSuccess);
      EXPECT_EQ(cu.cuCtxSynchronize(), kSuccess);
    });
    std::ifstream in(report);
    std::string line;
    ASSERT_TRUE(std::getline(in, line)) << report;
    const nlohmann::json finding = nlohmann::json::parse(line);
    EXPECT_EQ(finding.at("kernel"), crash.kernel);
    EXPECT_EQ(finding.at("kind"), crash.kind) << line;
    EXPECT_GT(finding.at("ptx_line").get<int>(), 30) << line;
    std::filesystem::remove(report);
  }
}

TEST(StandInDriver, RefusesIllegalLaunches) {
  in_child(a100(), [] {
    const Program program;
    const Driver& cu = program.cu;
    Pointer x = 0;
    ASSERT_EQ(cu.cuMemAlloc(&x, 64), kSuccess);
    EXPECT_EQ(program.launch("scale", 1, 2048, 0, nullptr, x, 1.0f, 4u), kInvalidValue);
    EXPECT_EQ(program.launch("scale", 0, 32, 0, nullptr, x, 1.0f, 4u), kInvalidValue);
    EXPECT_EQ(cu.cuLaunchKernel(program.function("stop"), 1, 70000, 1, 1, 1, 1, 0, nullptr, nullptr,
                                nullptr),
              kInvalidValue);
    EXPECT_EQ(cu.cuLaunchKernel(&x, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
              kInvalidHandle);
    void* none = nullptr;
    EXPECT_EQ(cu.cuModuleGetFunction(&none, program.module, "no_such_kernel"), kNotFound);
    // More shared memory than 48 KiB only for who asks for it.
    EXPECT_EQ(program.launch("shared", 1, 1, 64 << 10, nullptr, x), kInvalidValue);
    constexpr int kMaxDynamicSharedBytes = 8;
    EXPECT_EQ(cu.cuFuncSetAttribute(program.function("shared"), kMaxDynamicSharedBytes, 200 << 10),
              kInvalidValue);
    EXPECT_EQ(cu.cuFuncSetAttribute(program.function("shared"), kMaxDynamicSharedBytes, 64 << 10),
              kSuccess);
    EXPECT_EQ(program.launch("shared", 1, 1, 64 << 10, nullptr, x), kSuccess);
    int value = 0;
    EXPECT_EQ(cu.cuMemcpyDtoH(&value, x, 4), kSuccess);
    EXPECT_EQ(value, 9);
  });
}

TEST(StandInDriver, RefusesWhatIsNoPtxWithALog) {
  in_child(a100(), [] {
    const Program program(nullptr);
    enum { kErrorLog = 5, kErrorLogBytes = 6 };
    int options[] = {kErrorLog, kErrorLogBytes};
    std::vector<char> log(4096);
    void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
    void* module = nullptr;
    std::string text = kPtx;
    text.replace(text.find("mul.f32"), 7, "mal.f32");
    EXPECT_EQ(program.cu.cuModuleLoadDataEx(&module, text.c_str(), 2, options, values),
              kInvalidPtx);
    EXPECT_THAT(log.data(), testing::HasSubstr("mal.f32"));
    EXPECT_THAT(log.data(), testing::HasSubstr("line 25"));
    // Made for a newer GPU than this one.
    text = kPtx;
    text.replace(text.find("sm_75"), 5, "sm_90");
    EXPECT_THAT(program.cu.cuModuleLoadData(&module, text.c_str()),
                testing::AnyOf(kNoBinaryForGpu, kInvalidPtx));
  });
}

TEST(StandInDriver, RunsOutOfMemoryAtItsLimit) {
  in_child(a100({{"HONE_SIM_MEMORY", "1048576"}}), [] {
    const Program program(nullptr);
    Pointer a = 0, b = 0;
    EXPECT_EQ(program.cu.cuMemAlloc(&a, 900000), kSuccess);
    EXPECT_EQ(program.cu.cuMemAlloc(&b, 900000), kOutOfMemory);
    EXPECT_EQ(program.cu.cuMemFree(a), kSuccess);
    EXPECT_EQ(program.cu.cuMemAlloc(&b, 900000), kSuccess);
    std::size_t free = 0, total = 0;
    EXPECT_EQ(program.cu.cuMemGetInfo(&free, &total), kSuccess);
    EXPECT_EQ(total, 1048576u);
    EXPECT_LE(free, 1048576u - 900000u);
  });
}

TEST(StandInDriver, ReplaysACapturedGraph) {
  in_child(a100(), [] {
    const Program program;
    const Driver& cu = program.cu;
    std::vector<float> host(64, 1.0f);
    Pointer x = 0;
    ASSERT_EQ(cu.cuMemAlloc(&x, 256), kSuccess);
    EXPECT_EQ(cu.cuMemcpyHtoD(x, host.data(), 256), kSuccess);
    void *stream = nullptr, *graph = nullptr, *executable = nullptr;
    ASSERT_EQ(cu.cuStreamCreate(&stream, 1), kSuccess);
    ASSERT_EQ(cu.cuStreamBeginCapture(stream, 0), kSuccess);
    EXPECT_EQ(program.launch("scale", 1, 64, 0, stream, x, 2.0f, 64u), kSuccess);
    EXPECT_EQ(program.launch("scale", 1, 64, 0, stream, x, 3.0f, 32u), kSuccess);
    ASSERT_EQ(cu.cuStreamEndCapture(stream, &graph), kSuccess);
    ASSERT_EQ(cu.cuGraphInstantiateWithFlags(&executable, graph, 0), kSuccess);
    for (int k = 0; k < 2; ++k) EXPECT_EQ(cu.cuGraphLaunch(executable, stream), kSuccess);
    EXPECT_EQ(cu.cuStreamSynchronize(stream), kSuccess);
    EXPECT_EQ(cu.cuMemcpyDtoH(host.data(), x, 256), kSuccess);
    EXPECT_EQ(host[0], 36.0f);
    EXPECT_EQ(host[63], 4.0f);
    EXPECT_EQ(cu.cuGraphExecDestroy(executable), kSuccess);
    EXPECT_EQ(cu.cuGraphDestroy(graph), kSuccess);
  });
}

// What a driver refuses while a stream records, and that the recording is then lost.
TEST(StandInDriver, RefusesToAllocateOrWaitWhileAStreamCaptures) {
  in_child(a100(), [] {
    constexpr int kGlobal = 0, kThreadLocal = 1, kRelaxed = 2;
    const Program program;
    const Driver& cu = program.cu;
    Pointer x = 0;
    ASSERT_EQ(cu.cuMemAlloc(&x, 256), kSuccess);
    void *stream = nullptr, *other = nullptr, *event = nullptr, *host = nullptr;
    ASSERT_EQ(cu.cuStreamCreate(&stream, 0), kSuccess);
    ASSERT_EQ(cu.cuStreamCreate(&other, 1), kSuccess);
    ASSERT_EQ(cu.cuEventCreate(&event, 0), kSuccess);
    // What `call` returns during a capture, and what ending the capture returns then.
    const auto during = [&](int mode, auto call) {
      EXPECT_EQ(cu.cuStreamBeginCapture(stream, mode), kSuccess);
      const int inside = call();
      void* graph = nullptr;
      return std::pair<int, int>(inside, cu.cuStreamEndCapture(stream, &graph));
    };
    using Pair = std::pair<int, int>;
    const Pair allowed(kSuccess, kSuccess), refused(kCaptureUnsupported, kCaptureInvalidated),
        implicit(kCaptureImplicit, kCaptureInvalidated);
    Pointer fresh = 0;
    const auto allocate = [&] { return cu.cuMemAlloc(&fresh, 64); };
    EXPECT_EQ(during(kGlobal, allocate), refused);
    EXPECT_EQ(during(kThreadLocal, allocate), refused);
    EXPECT_EQ(during(kRelaxed, allocate), allowed);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuMemAllocHost(&host, 64); }), refused);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuMemFree(x); }), refused);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuCtxSynchronize(); }), refused);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuStreamSynchronize(stream); }), refused);
    EXPECT_EQ(during(kRelaxed, [&] { return cu.cuStreamSynchronize(stream); }), refused);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuStreamSynchronize(other); }), allowed);
    // The default stream waits for a blocking one that captures, which can't be waited for.
    const auto on = [&](void* where) {
      return [&, where] { return program.launch("scale", 1, 64, 0, where, x, 2.0f, 0u); };
    };
    EXPECT_EQ(during(kGlobal, on(stream)), allowed);
    EXPECT_EQ(during(kGlobal, on(other)), allowed);
    EXPECT_EQ(during(kGlobal, on(nullptr)), implicit);
    EXPECT_EQ(during(kGlobal, [&] { return cu.cuEventRecord(event, nullptr); }), implicit);
    // A thread may say that it knows what it does.
    int mode = kRelaxed;
    EXPECT_EQ(cu.cuThreadExchangeStreamCaptureMode(&mode), kSuccess);
    EXPECT_EQ(mode, kGlobal);
    EXPECT_EQ(during(kGlobal, allocate), allowed);
    EXPECT_EQ(cu.cuThreadExchangeStreamCaptureMode(&mode), kSuccess);
    // Another thread is in the way of a global capture only.
    const auto elsewhere = [&](auto call) {
      return [&, call] {
        int status = 0;
        std::thread([&] {
          cu.cuCtxSetCurrent(program.context);
          status = call();
        }).join();
        return status;
      };
    };
    EXPECT_EQ(during(kGlobal, elsewhere(allocate)), refused);
    EXPECT_EQ(during(kThreadLocal, elsewhere(allocate)), allowed);
    void* graph = nullptr;
    const auto end = [&] { return cu.cuStreamEndCapture(stream, &graph); };
    EXPECT_EQ(during(kGlobal, elsewhere(end)), Pair(kCaptureWrongThread, kSuccess));
  });
}

TEST(StandInDriver, HandsOutItsEntryPoints) {
  in_child(a100(), [] {
    const Program program;
    void* entry = nullptr;
    int found = -1;
    EXPECT_EQ(program.cu.cuGetProcAddress("cuMemAlloc", &entry, 12000, 0, &found), kSuccess);
    EXPECT_EQ(entry, reinterpret_cast<void*>(program.cu.cuMemAlloc));
    EXPECT_EQ(program.cu.cuGetProcAddress("cuNoSuchThing", &entry, 12000, 0, &found), kNotFound);
    const void* table = nullptr;
    const unsigned char id[16] = {};
    EXPECT_NE(program.cu.cuGetExportTable(&table, id), kSuccess);
    const char* name = nullptr;
    EXPECT_EQ(program.cu.cuGetErrorName(kIllegalAddress, &name), kSuccess);
    EXPECT_STREQ(name, "CUDA_ERROR_ILLEGAL_ADDRESS");
    EXPECT_EQ(program.cu.cuGetErrorString(kIllegalAddress, &name), kSuccess);
    EXPECT_EQ(program.cu.cuGetErrorName(123456, &name), kInvalidValue);
  });
}

// NVRTC looks for a driver by itself and calls into what it finds.
TEST(StandInDriver, MayBeLoadedWhileNvrtcCompiles) {
  const std::string text =
      fmt::format("extern \"C\" __global__ void once_{}(int *x) {{ *x = 1; }}", getpid());
  in_child(a100(), [&] {
    const Program program;
    const Compiled compiled = compile_text(text, "once.cu", "sm_80");
    if (!compiled.missing.empty()) return;
    EXPECT_EQ(compiled.log, "");
    void* module = nullptr;
    EXPECT_EQ(program.cu.cuModuleLoadData(&module, compiled.ptx.c_str()), kSuccess);
  });
}

}  // namespace
}  // namespace hone::test
