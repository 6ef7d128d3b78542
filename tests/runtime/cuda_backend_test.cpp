// The cuda backend on the compiler that is installed and on the driver that stands in for a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/cuda_driver.h"
#include "runtime/backends/gpu_arch.h"
#include "runtime/backends/rtc.h"
#include "runtime/own_files.h"
#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kNvrtcLimit{60};

template <typename Work>
std::string message_of(Work&& work, Code code) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

Source gpu_source(const std::string& text, std::vector<std::string> entries) {
  Source source;
  source.text = text;
  source.entries = std::move(entries);
  source.hash = hash_of(normalised(text));
  return source;
}

// Adds in shared memory: y[i] = x[i] + x[i ^ 1], over blocks of 64.
Source pair_source() {
  return gpu_source(R"(
struct Args { const float *x; float *y; long long n; alignas(8) float scale; };
extern "C" __global__ void hone_main(const Args a) {
  extern __shared__ float s[];
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  s[threadIdx.x] = i < a.n ? a.x[i] : 0.0f;
  __syncthreads();
  if (i < a.n) a.y[i] = (s[threadIdx.x] + s[threadIdx.x ^ 1]) * a.scale;
}
extern "C" __global__ void hone_pack_x(const Args a, const unsigned char *from, unsigned char *to) {
  const long long stride = gridDim.x * (long long)blockDim.x;
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < a.n * 4; i += stride) to[i] = from[i] ^ 1;
}
extern "C" __global__ void hone_wild(const Args a) { a.y[a.n + threadIdx.x] = 1.0f; }
)",
                    {"main", "pack_x", "wild"});
}

class Cuda : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  static Backend& backend() { return *find_backend("cuda"); }

  TemporaryFolder folder_;
  Variable cache_{"HONE_CACHE", folder_.path().string()};
};

TEST_F(Cuda, CompilesForEveryArchitectureThatItHasATargetFor) {
  for (const GpuArch& arch : gpu_archs()) {
    if (std::string_view(arch.backend) != "cuda") continue;
    const Target target = backend().target(arch.name).value();
    const Binary binary = backend().compile(pair_source(), target, kNvrtcLimit);
    EXPECT_EQ(binary.target, target.text());
    const auto resources = backend().resources(binary);
    ASSERT_EQ(resources.size(), 3u) << arch.name;
    for (const EntryResources& entry : resources) {
      EXPECT_GT(entry.registers, 4) << arch.name << " " << entry.entry;
      EXPECT_EQ(entry.spill_bytes, 0);
      EXPECT_GT(backend().occupancy(target, entry, 256, 64).value_or(0), 0);
    }
  }
}

TEST_F(Cuda, KeepsWhatItCompiled) {
  const Target target = backend().target("sm_80").value();
  EXPECT_FALSE(backend().cached(pair_source().hash, target));
  const Binary binary = backend().compile(pair_source(), target, kNvrtcLimit);
  const auto cached = backend().cached(pair_source().hash, target);
  ASSERT_TRUE(cached);
  EXPECT_EQ(cached->code, binary.code);
  EXPECT_FALSE(backend().cached(pair_source().hash, backend().target("sm_86").value()));
}

TEST_F(Cuda, GivesTheCompilersLogForASourceThatItRefuses) {
  const Source source =
      gpu_source("extern \"C\" __global__ void hone_main() { nothing(); }", {"main"});
  const std::string message =
      message_of([&] { backend().compile(source, backend().target("sm_80").value(), kNvrtcLimit); },
                 Code::kCompile);
  EXPECT_THAT(message, HasSubstr("nothing"));
  EXPECT_THAT(message, HasSubstr("nvrtc"));
}

TEST_F(Cuda, EndsACompilationThatTakesTooLong) {
  const std::string message = message_of(
      [&] {
        backend().compile(pair_source(), backend().target("sm_80").value(),
                          std::chrono::milliseconds(1));
      },
      Code::kCompile);
  EXPECT_THAT(message, HasSubstr("killed"));
}

TEST_F(Cuda, KnowsNoOtherArchitectures) {
  EXPECT_FALSE(backend().target("sm_70"));
  EXPECT_FALSE(backend().target("gfx90a"));
  Target foreign = backend().target("sm_80").value();
  foreign.arch = "sm_70";
  EXPECT_THAT(message_of([&] { backend().compile(pair_source(), foreign, kNvrtcLimit); },
                         Code::kUnsupported),
              HasSubstr("sm_120a"));
}

TEST(CudaWithoutACompiler, SaysHowToGetOne) {
  const Variable nowhere("HONE_NVRTC", "/nonexistent/libnvrtc.so");
  std::vector<std::string> missing;
  find_backend("cuda")->devices(&missing);
  EXPECT_THAT(missing, ::testing::Contains(HasSubstr("fetch_gpu_compilers.sh")));
  EXPECT_THAT(message_of([] { find_backend("cuda")->toolchain(); }, Code::kCompile),
              HasSubstr("HONE_NVRTC"));
}

TEST(CudaWithALibraryThatIsNone, SaysSo) {
  const TemporaryFolder folder;
  const Variable cache("HONE_CACHE", folder.path().string());
  write_text(folder.path() / "libnvrtc.so.13", "no library");
  const Variable wrong("HONE_NVRTC", (folder.path() / "libnvrtc.so.13").string());
  EXPECT_THAT(message_of([] { find_backend("cuda")->toolchain(); }, Code::kCompile),
              HasSubstr("can't be used"));
}

TEST(CudaWithoutADriver, SaysHowToGetOne) {
  const Variable nowhere("HONE_CUDA_DRIVER", "/nonexistent/libcuda.so.1");
  std::vector<std::string> missing;
  EXPECT_TRUE(find_backend("cuda")->devices(&missing).empty());
  EXPECT_THAT(missing, ::testing::Contains(HasSubstr("HONE_CUDA_DRIVER")));
  EXPECT_THAT(message_of([] { open_device("cuda:0"); }, Code::kNotFound),
              HasSubstr("/nonexistent/libcuda.so.1"));
}

// On the stand-in.
class CudaDevice : public Cuda {
 protected:
  void SetUp() override {
    Cuda::SetUp();
    if (!find_own_file("standin/libcuda.so.1")) GTEST_SKIP() << "standin/libcuda.so.1 isn't built";
    if (IsSkipped()) return;
    device_ = open_device("cuda:0");
    const Source source = pair_source();
    module_ =
        device_->load(backend().compile(source, device_->target(), kNvrtcLimit), source.entries);
  }

  struct Buffer {
    Device& device;
    void* memory;
    Buffer(Device& owner, const std::vector<float>& content)
        : device(owner), memory(owner.allocate(content.size() * 4)) {
      device.copy_in(memory, content.data(), content.size() * 4);
    }
    ~Buffer() { device.release(memory); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    std::vector<float> read(std::size_t count) const {
      std::vector<float> content(count);
      device.copy_out(content.data(), memory, count * 4);
      return content;
    }
  };

  static std::vector<std::uint64_t> slots_of(const Buffer& x, const Buffer& y, std::int64_t n,
                                             float scale) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &scale, sizeof scale);
    return {reinterpret_cast<std::uintptr_t>(x.memory), reinterpret_cast<std::uintptr_t>(y.memory),
            static_cast<std::uint64_t>(n), bits};
  }
  static Dispatch dispatch_of(int entry, const std::vector<std::uint64_t>& slots) {
    Dispatch dispatch;
    dispatch.entry = entry;
    dispatch.slots = slots.data();
    dispatch.slot_count = static_cast<int>(slots.size());
    dispatch.grid[0] = 2;
    dispatch.threads = 64;
    dispatch.shared_bytes = 64 * 4;
    return dispatch;
  }

  Variable driver_{"HONE_CUDA_DRIVER", "standin"};
  Variable gpu_{"HONE_SIM_DEVICE", "a100"};
  std::unique_ptr<Device> device_;
  std::unique_ptr<Module> module_;
  const std::vector<float> numbers_ = [] {
    std::vector<float> made(128);
    std::iota(made.begin(), made.end(), 1.0f);
    return made;
  }();
};

TEST_F(CudaDevice, TellsThatItIsSimulated) {
  EXPECT_TRUE(device_->identity().simulated());
  EXPECT_THAT(device_->identity().key(), HasSubstr("cuda/simulated/sm_80/"));
  EXPECT_THAT(device_->identity().name, HasSubstr("simulated"));
  EXPECT_EQ(device_->identity().units, 108);
  EXPECT_EQ(device_->target().text(), "cuda/sm_80");
  const Ceilings ceilings = device_->measure_ceilings(std::chrono::seconds(1));
  EXPECT_GT(ceilings.at("read_gbps"), 1000);
}

TEST_F(CudaDevice, LaunchesWithSharedMemoryAndScalarsByValue) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 0.5f);
  device_->counters();
  ASSERT_TRUE(module_->run(dispatch_of(0, slots), nullptr)) << device_->last_error();
  device_->synchronize();
  const std::vector<float> result = y.read(128);
  for (std::size_t i = 0; i < result.size(); ++i)
    EXPECT_EQ(result[i], (numbers_[i] + numbers_[i ^ 1]) * 0.5f) << i;
  Counters counters = device_->counters();
  const auto launches = std::find_if(counters.begin(), counters.end(),
                                     [](const auto& one) { return one.first == "launches"; });
  ASSERT_NE(launches, counters.end());
  EXPECT_EQ(launches->second, 1);
}

TEST_F(CudaDevice, LaunchesFromAThreadThatHasNoContext) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 1.0f);
  bool done = false;
  std::thread([&] { done = module_->run(dispatch_of(0, slots), nullptr); }).join();
  EXPECT_TRUE(done);
}

TEST_F(CudaDevice, GivesABlockAllSharedMemoryThatItMayOptInTo) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 1.0f);
  Dispatch dispatch = dispatch_of(0, slots);
  dispatch.shared_bytes = device_->target().limits.integer("max_shared");
  EXPECT_TRUE(module_->run(dispatch, nullptr)) << device_->last_error();
  dispatch.shared_bytes += 1024;
  EXPECT_FALSE(module_->run(dispatch, nullptr));
  EXPECT_THAT(device_->last_error(), HasSubstr("CUDA_ERROR_INVALID_VALUE"));
  EXPECT_FALSE(device_->lost());
}

TEST_F(CudaDevice, PacksAWholeArgument) {
  const Buffer x(*device_, numbers_), y(*device_, std::vector<float>(128));
  const auto slots = slots_of(x, y, 128, 1.0f);
  ASSERT_TRUE(module_->pack(1, slots.data(), 4, x.memory, y.memory, 128 * 4, nullptr));
  const std::vector<float> packed = y.read(128);
  std::vector<unsigned char> got(512), want(512);
  std::memcpy(got.data(), packed.data(), 512);
  std::memcpy(want.data(), numbers_.data(), 512);
  for (unsigned char& byte : want) byte ^= 1;
  EXPECT_EQ(got, want);
}

TEST_F(CudaDevice, TellsAModelledTimePerCall) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 1.0f);
  const auto work = [&] { module_->run(dispatch_of(0, slots), nullptr); };
  const double one = device_->time(work, 1), ten = device_->time(work, 10);
  EXPECT_GT(one, 1e-6);
  EXPECT_LT(one, 1e-4);
  EXPECT_NEAR(ten, 10 * one, one * 0.01);
}

TEST_F(CudaDevice, RefusesGeometryThatNoDeviceHas) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 1.0f);
  Dispatch dispatch = dispatch_of(0, slots);
  dispatch.threads = 2048;
  EXPECT_FALSE(module_->run(dispatch, nullptr));
  dispatch = dispatch_of(0, slots);
  dispatch.grid[1] = std::int64_t{1} << 40;
  EXPECT_FALSE(module_->run(dispatch, nullptr));
  dispatch = dispatch_of(7, slots);
  EXPECT_FALSE(module_->run(dispatch, nullptr));
}

TEST_F(CudaDevice, IsLostAfterAKernelThatLeftItsMemoryAndSaysWhere) {
  const Buffer x(*device_, numbers_), y(*device_, numbers_);
  const auto slots = slots_of(x, y, 128, 1.0f);
  EXPECT_FALSE(module_->run(dispatch_of(2, slots), nullptr));
  EXPECT_TRUE(device_->lost());
  EXPECT_THAT(device_->last_error(), HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
  EXPECT_THAT(device_->last_error(), HasSubstr("hone_wild"));
  // Nothing works any more.
  EXPECT_FALSE(module_->run(dispatch_of(0, slots), nullptr));
  EXPECT_THROW(device_->synchronize(), Error);
}

TEST_F(CudaDevice, RefusesCodeOfAnotherTarget) {
  const Source source = pair_source();
  const Binary binary = backend().compile(source, backend().target("sm_86").value(), kNvrtcLimit);
  EXPECT_THAT(message_of([&] { device_->load(binary, source.entries); }, Code::kDevice),
              HasSubstr("cuda/sm_86"));
}

TEST_F(CudaDevice, RefusesCodeWithoutAnEntryOrDamaged) {
  const Source source = pair_source();
  Binary binary = backend().compile(source, device_->target(), kNvrtcLimit);
  const std::vector<std::string> entries = {"main", "other"};
  EXPECT_THAT(message_of([&] { device_->load(binary, entries); }, Code::kDevice),
              HasSubstr("hone_other"));
  binary.code.resize(binary.code.size() / 2);
  EXPECT_THROW(device_->load(binary, source.entries), Error);
}

TEST_F(CudaDevice, SaysHowMuchMemoryCouldNotBeHad) {
  EXPECT_THAT(message_of([&] { device_->allocate(std::size_t{1} << 45); }, Code::kDevice),
              HasSubstr("35184372088832 bytes"));
}

}  // namespace
}  // namespace hone
