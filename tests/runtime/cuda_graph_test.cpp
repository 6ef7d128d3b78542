// A launch of Hone's on a caller's stream can be captured in a CUDA graph: it neither allocates nor
// waits, and every launch of a kernel goes to that stream. On the stand-in, which refuses the same
// as a driver does while a stream captures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "codegen/error.h"
#include "codegen/space.h"
#include "runtime/backends/cuda_driver.h"
#include "runtime/backends/rtc.h"
#include "runtime/own_files.h"
#include "tests/runtime/cpu_test.h"
#include "tests/runtime/engine_fixture.h"

namespace hone {
namespace {

constexpr std::int64_t kRows = 5, kOutputs = 48, kDepth = 256;
constexpr const char* kGemm = "gemm:m=5,n=48,k=256";
constexpr int kCaptureInvalidated = 901;

// What a caller of the driver has.
struct Capturing {
  int (*create_stream)(void**, unsigned);
  int (*destroy_stream)(void*);
  int (*begin)(void*, int);
  int (*end)(void*, void**);
  int (*instantiate)(void**, void*, unsigned long long);
  int (*launch)(void*, void*);
  int (*nodes)(void*, void**, std::size_t*);
  int (*destroy_graph)(void*);
  int (*destroy_executable)(void*);

  Capturing() {
    const DriverLibrary find(load_cuda_driver()->path, "");
    find(create_stream, "cuStreamCreate");
    find(destroy_stream, "cuStreamDestroy_v2");
    find(begin, "cuStreamBeginCapture_v2");
    find(end, "cuStreamEndCapture");
    find(instantiate, "cuGraphInstantiateWithFlags");
    find(launch, "cuGraphLaunch");
    find(nodes, "cuGraphGetNodes");
    find(destroy_graph, "cuGraphDestroy");
    find(destroy_executable, "cuGraphExecDestroy");
  }
};

class CapturedLaunch : public EngineTest {
 protected:
  void SetUp() override {
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    if (!find_own_file("standin/libcuda.so.1")) GTEST_SKIP() << "standin/libcuda.so.1 isn't built";
    EngineOptions options = this->options();
    options.device = "cuda:0";
    engine_ = std::make_unique<Engine>(options);
    driver_ = std::make_unique<Capturing>();
    // A thread on which nothing was called yet has no context; a caller's has.
    const auto cuda = load_cuda_driver();
    ASSERT_EQ(cuda->retain_context(&context_, 0), 0);
    ASSERT_EQ(cuda->set_current_context(context_), 0);
    ASSERT_EQ(driver_->create_stream(&stream_, 1), 0);
    x_ = device().allocate(x_bytes());
    w_ = device().allocate(w_bytes());
    y_ = device().allocate(y_bytes());
  }
  void TearDown() override {
    if (driver_ == nullptr) return;
    for (void* memory : {x_, w_, y_}) device().release(memory);
    driver_->destroy_stream(stream_);
    load_cuda_driver()->set_current_context(nullptr);
    load_cuda_driver()->release_context(0);
  }

  static std::size_t x_bytes() { return kRows * kDepth * sizeof(float); }
  static std::size_t w_bytes() { return kOutputs * kDepth * sizeof(float); }
  static std::size_t y_bytes() { return kRows * kOutputs * sizeof(float); }
  Device& device() { return engine_->device(); }

  // Small integers: sums of products are exact in any order.
  std::vector<float> draw(std::size_t count) {
    std::vector<float> numbers(count);
    for (float& number : numbers)
      number = static_cast<float>(std::uniform_int_distribution<int>(-3, 3)(random_));
    return numbers;
  }

  // Puts new inputs into the buffers of the captured launch, and clears its output.
  void change_inputs() {
    inputs_ = draw(kRows * kDepth);
    weights_ = draw(kOutputs * kDepth);
    device().copy_in(x_, inputs_.data(), x_bytes());
    device().copy_in(w_, weights_.data(), w_bytes());
    const std::vector<float> nothing(kRows * kOutputs, -1e30f);
    device().copy_in(y_, nothing.data(), y_bytes());
  }
  void expect_right() {
    device().synchronize();
    std::vector<float> result(kRows * kOutputs), expected;
    device().copy_out(result.data(), y_, y_bytes());
    for (std::int64_t row = 0; row < kRows; ++row)
      for (std::int64_t column = 0; column < kOutputs; ++column) {
        float sum = 0;
        for (std::int64_t i = 0; i < kDepth; ++i)
          sum += inputs_[static_cast<std::size_t>(row * kDepth + i)] *
                 weights_[static_cast<std::size_t>(column * kDepth + i)];
        expected.push_back(sum);
      }
    EXPECT_EQ(result, expected);
  }

  // Captures `launch`, which shall do nothing yet, and replays it with three sets of inputs.
  void replay(const std::function<bool()>& launch, std::size_t launches) {
    ASSERT_EQ(driver_->begin(stream_, 0), 0);
    EXPECT_TRUE(launch()) << device().last_error();
    void *graph = nullptr, *executable = nullptr;
    ASSERT_EQ(driver_->end(stream_, &graph), 0);
    std::size_t count = 0;
    EXPECT_EQ(driver_->nodes(graph, nullptr, &count), 0);
    EXPECT_EQ(count, launches);
    ASSERT_EQ(driver_->instantiate(&executable, graph, 0), 0);
    EXPECT_EQ(driver_->destroy_graph(graph), 0);
    for (int time = 0; time < 3; ++time) {
      change_inputs();
      ASSERT_EQ(driver_->launch(executable, stream_), 0) << device().last_error();
      expect_right();
    }
    EXPECT_EQ(driver_->destroy_executable(executable), 0);
  }

  Variable standin_{"HONE_CUDA_DRIVER", "standin"}, gpu_{"HONE_SIM_DEVICE", "a100"};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Capturing> driver_;
  GpuDriver::Context context_ = nullptr;
  void *stream_ = nullptr, *x_ = nullptr, *w_ = nullptr, *y_ = nullptr;
  std::mt19937 random_{1};
  std::vector<float> inputs_, weights_;
};

TEST_F(CapturedLaunch, OfAResolvedHandleIsReplayedOnNewInputs) {
  const auto handle = engine_->resolve(kGemm);
  const std::int64_t dims[] = {kRows};
  const Kernel& kernel = handle->choose(dims)->kernel;
  ASSERT_EQ(kernel.workspace_bytes(dims), 0);
  void* const arguments[] = {x_, w_, y_};
  replay([&] { return kernel.launch(arguments, dims, nullptr, stream_); }, 1);
}

TEST_F(CapturedLaunch, OfTwoKernelsAndAWorkspaceIsReplayedOnNewInputs) {
  const Catalog& catalog = engine_->catalog();
  const Template& variant = *catalog.variant("gemm", "simt.cu");
  const Problem problem = catalog.problem(kGemm, true);
  const Target& target = device().target();
  Values scope = catalog.op("gemm").scope(problem);
  scope.merge(target.limits);
  Config config = Space(variant, scope).start();
  config.set("splits", Value(std::int64_t{4}));
  ASSERT_TRUE(is_legal(variant, scope, config));
  const Source source = render(catalog, variant, problem, config, target);
  const Binary binary = find_backend("cuda")->compile(source, target, std::chrono::seconds(60));
  const Kernel kernel(catalog, variant, problem, config, target,
                      device().load(binary, source.entries));
  const std::int64_t dims[] = {kRows};
  const auto workspace_bytes = static_cast<std::size_t>(kernel.workspace_bytes(dims).value());
  ASSERT_EQ(workspace_bytes, 4 * y_bytes());
  void* workspace = device().allocate(workspace_bytes);
  void* const arguments[] = {x_, w_, y_};
  replay([&] { return kernel.launch(arguments, dims, workspace, stream_); }, 2);
  device().release(workspace);
}

TEST_F(CapturedLaunch, IsSpoiltByWhatALaunchMustNotDo) {
  const auto spoilt_by = [&](const std::function<void()>& work) {
    EXPECT_EQ(driver_->begin(stream_, 0), 0);
    EXPECT_THROW(work(), Error);
    void* graph = nullptr;
    EXPECT_EQ(driver_->end(stream_, &graph), kCaptureInvalidated);
  };
  change_inputs();
  spoilt_by([&] { device().allocate(64); });
  spoilt_by([&] { device().synchronize(); });
  spoilt_by([&] { device().copy_in(x_, inputs_.data(), 4); });
  spoilt_by([&] { device().copy_out(inputs_.data(), x_, 4); });
}

}  // namespace
}  // namespace hone
