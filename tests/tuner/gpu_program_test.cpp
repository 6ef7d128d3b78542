// The commands on GPU targets, on the stand-in driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "codegen/error.h"
#include "runtime/backends/rtc.h"
#include "tests/tuner/program.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
const std::string kProblem = "softmax:rows=3,cols=100";

class GpuProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  std::string db() const { return (scratch_ / "t.db").string(); }
  Scratch scratch_;
};

TEST_F(GpuProgram, BuildTellsWhatTheCompilerSaidAndGoesOnFromThere) {
  const std::vector<std::string> words = {"build", kProblem, "--target", "cuda/sm_80",
                                          "--db",  db(),     "--json",   "--samples",
                                          "2",     "-j",     "2"};
  Program first(words);
  const std::vector<Json> built = first.objects();
  ASSERT_EQ(first.wait(), 0) << first.errors();
  ASSERT_GT(built.size(), 1u);
  for (const Json& one : built) {
    EXPECT_EQ(one.at("status"), "built");
    EXPECT_EQ(one.at("target"), "cuda/sm_80");
    EXPECT_GT(one.at("registers").get<int>(), 4);
    EXPECT_GE(one.at("spills").get<int>(), 0);
    EXPECT_GT(one.at("occupancy").get<double>(), 0);
    EXPECT_LE(one.at("occupancy").get<double>(), 1);
    EXPECT_GT(one.at("bytes").get<int>(), 1000);
    EXPECT_FALSE(one.at("known").get<bool>());
  }
  Program second(words);
  const std::vector<Json> again = second.objects();
  ASSERT_EQ(second.wait(), 0) << second.errors();
  ASSERT_EQ(again.size(), built.size());
  for (const Json& one : again) {
    EXPECT_TRUE(one.at("known").get<bool>());
    EXPECT_GT(one.at("registers").get<int>(), 4);
  }
}

TEST_F(GpuProgram, BuildRefusesAnArchitectureThatNobodyKnows) {
  Program program({"build", kProblem, "--target", "cuda/sm_70", "--db", db()});
  EXPECT_EQ(program.wait(), 2);
  EXPECT_THAT(program.errors(), HasSubstr("sm_70"));
}

TEST_F(GpuProgram, ReportModelsEachProblemOnTheGpuThatIsNamed) {
  std::map<std::string, std::int64_t> modelled;
  for (const char* gpu : {"rtx3090", "a4000"}) {
    Program program(
        {"report", kProblem, "--target", "cuda/sm_86", "--as", gpu, "--db", db(), "--json"});
    const std::vector<Json> told = program.objects();
    ASSERT_EQ(program.wait(), 0) << program.errors();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].at("problem"), kProblem);
    EXPECT_EQ(told[0].at("gpu"), gpu);
    EXPECT_NE(told[0].at("variant"), "");
    modelled[gpu] = told[0].at("modelled_ns").get<std::int64_t>();
    EXPECT_GT(modelled[gpu], told[0].at("bound_ns").get<std::int64_t>());
  }
  EXPECT_LE(modelled["rtx3090"], modelled["a4000"]);
  Program other({"report", kProblem, "--target", "cuda/sm_86", "--as", "h100", "--db", db()});
  EXPECT_EQ(other.wait(), 2);
  EXPECT_THAT(other.errors(), HasSubstr("rtx3090"));
}

TEST_F(GpuProgram, CheckRunsOnTheSimulatorOfThatTarget) {
  for (const char* target : {"cuda/sm_75", "cuda/sm_90a"}) {
    Program program({"check", kProblem, "--target", target, "--samples", "1", "--json"});
    const std::vector<Json> checked = program.objects();
    EXPECT_EQ(program.wait(), 0) << program.errors();
    ASSERT_GT(checked.size(), 0u) << target;
    for (const Json& one : checked) {
      EXPECT_TRUE(one.at("pass").get<bool>()) << one;
      EXPECT_EQ(one.at("ran_on"), "simulator");
      EXPECT_GT(one.at("counters").at("instructions").get<double>(), 0);
    }
  }
}

TEST_F(GpuProgram, CheckTellsOfALaunchThatFailedAndGoesOn) {
  Program program({"check", kProblem, "--target", "cuda/sm_80", "--samples", "0", "--json"},
                  {"HONE_SIM_FAULT=launch@1"});
  const std::vector<Json> checked = program.objects();
  EXPECT_EQ(program.wait(), 1);
  ASSERT_GT(checked.size(), 0u);
  for (const Json& one : checked) {
    EXPECT_EQ(one.at("status"), "launch_failed") << one;
    EXPECT_THAT(one.at("reason").get<std::string>(), HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
  }
}

TEST_F(GpuProgram, CheckSurvivesADriverThatTakesNoCode) {
  Program program({"check", kProblem, "--target", "cuda/sm_80", "--samples", "0", "--json"},
                  {"HONE_SIM_FAULT=arch"});
  const std::vector<Json> checked = program.objects();
  EXPECT_EQ(program.wait(), 1);
  ASSERT_GT(checked.size(), 0u);
  for (const Json& one : checked)
    EXPECT_THAT(one.at("reason").get<std::string>(), HasSubstr("CUDA_ERROR_NO_BINARY_FOR_GPU"));
}

TEST_F(GpuProgram, TuneSaysThatItsTimesAreModelledAndGoesOnFromThere) {
  const std::vector<std::string> words = {"tune", kProblem,   "--device", "cuda:0", "--db",
                                          db(),   "--trials", "3",        "--json"};
  const std::vector<std::string> environment = {"HONE_CUDA_DRIVER=standin", "HONE_SIM_DEVICE=a100"};
  Program first(words, environment);
  std::size_t trials = 0, winners = 0;
  for (const Json& one : first.objects()) {
    if (one.at("kind") == "winner") {
      ++winners;
      EXPECT_EQ(one.at("status"), "ok") << one;
      EXPECT_TRUE(one.at("modelled").get<bool>());
    } else {
      ++trials;
      EXPECT_THAT(one.at("timed").get<std::string>(), HasSubstr("modelled")) << one;
    }
  }
  ASSERT_EQ(first.wait(), 0) << first.errors();
  EXPECT_EQ(trials, 3u);
  EXPECT_EQ(winners, 1u);

  Program second(words, environment);
  for (const Json& one : second.objects()) EXPECT_EQ(one.at("kind"), "winner");
  EXPECT_EQ(second.wait(), 0) << second.errors();

  // The engine finds, loads and launches the winner.
  Program bench({"bench", kProblem, "--device", "cuda:0", "--db", db(), "--json"}, environment);
  for (const Json& one : bench.objects()) {
    EXPECT_EQ(one.at("match"), "exact");
    EXPECT_THAT(one.at("timed").get<std::string>(), HasSubstr("modelled"));
  }
  EXPECT_EQ(bench.wait(), 0) << bench.errors();
}

TEST_F(GpuProgram, DevicesShowsEveryGpuThatIsStoodInFor) {
  Program program({"devices", "--json"}, {"HONE_CUDA_DRIVER=standin", "HONE_SIM_DEVICE=h100,t4"});
  std::vector<std::string> found, targets;
  for (const Json& one : program.objects()) {
    if (one.at("backend") != "cuda") continue;
    if (one.at("device").is_null()) {
      targets.push_back(one.at("target"));
      continue;
    }
    found.push_back(one.at("arch"));
    EXPECT_EQ(one.at("vendor"), "simulated");
  }
  EXPECT_EQ(program.wait(), 0);
  EXPECT_THAT(found, ::testing::ElementsAre("sm_90a", "sm_75"));
  EXPECT_THAT(targets, ::testing::Contains("cuda/sm_80"));
  EXPECT_THAT(targets, ::testing::Not(::testing::Contains("cuda/sm_75")));
}

TEST(GpuLibraries, AFlagWinsOverTheEnvironmentHereAndInWorkers) {
  const std::vector<std::string> wrong = {"HONE_CUDA_DRIVER=/nonexistent/libcuda.so.1",
                                          "HONE_HIP_RUNTIME=/nonexistent/libamdhip64.so"};
  Program devices({"devices", "--json", "--cuda-driver", "standin", "--hip-runtime", "standin",
                   "--nvrtc", "/nonexistent/libnvrtc.so", "--hiprtc", "/nonexistent/libhiprtc.so"},
                  wrong);
  std::vector<std::string> found;
  for (const Json& one : devices.objects())
    if (!one.at("device").is_null()) found.push_back(one.at("device"));
  EXPECT_EQ(devices.wait(), 0);
  EXPECT_THAT(found, ::testing::IsSupersetOf({"cuda:0", "hip:0"}));
  EXPECT_THAT(devices.errors(), ::testing::AllOf(HasSubstr("cuda: HONE_NVRTC=/nonexistent"),
                                                 HasSubstr("hip: HONE_HIPRTC=/nonexistent")));
}

TEST_F(GpuProgram, TunesWithTheLibrariesThatFlagsName) {
  const std::string nvrtc = std::filesystem::relative(find_rtc("nvrtc").library).string();
  Program program({"tune", kProblem, "--device", "cuda:0", "--db", db(), "--trials", "1", "--json",
                   "--cuda-driver", "standin", "--nvrtc", nvrtc},
                  {"HONE_CUDA_DRIVER=/nonexistent/libcuda.so.1", "HONE_NVRTC=/nonexistent/nvrtc"});
  for (const Json& one : program.objects()) EXPECT_EQ(one.at("status"), "ok") << one;
  EXPECT_EQ(program.wait(), 0) << program.errors();
}

// What `hone check` says of a kernel of the user's own; with "<=" it writes one element too many.
Json own_kernel(const std::string& target, const std::string& comparison) {
  const Scratch scratch;
  const std::string file = (scratch / "own.cu").string();
  std::ofstream(file)
      << R"(extern "C" __global__ void scaled(float* y, const float* x, float a, int n) {
  __shared__ float tile[64];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  tile[threadIdx.x] = i < n ? x[i] : 0.0f;
  __syncthreads();
  if (i )"
      << comparison << R"( n) y[i] = a * tile[threadIdx.x];
}
)";
  Program program({"check", "--source", file, "--launch",
                   "scaled<<<3, 64>>>(out f32[100], f32[100]=index, 2.5f, 100)", "--target", target,
                   "--json"});
  const std::vector<Json> objects = program.objects();
  EXPECT_EQ(program.wait(), comparison == "<" ? 0 : 1) << program.errors();
  return objects.empty() ? Json() : objects[0];
}

TEST_F(GpuProgram, RunsAndWatchesAKernelOfOnesOwn) {
  const Json good = own_kernel("cuda/sm_80", "<");
  EXPECT_EQ(good.at("outputs").at(0).at(2), 5.0);
  EXPECT_EQ(good.at("counters").at("blocks"), 3.0);
  const Json bad = own_kernel("cuda/sm_80", "<=");
  EXPECT_THAT(bad.at("reason").get<std::string>(),
              ::testing::AllOf(HasSubstr("out of bounds"), HasSubstr("own.cu:6")));
}

TEST(GpuLibraries, AKernelOfOnesOwnRunsAsHipToo) {
  const Json good = own_kernel("hip/gfx90a", "<");
  EXPECT_EQ(good.at("outputs").at(0).at(2), 5.0);
  const Json bad = own_kernel("hip/gfx90a", "<=");
  EXPECT_THAT(bad.at("reason").get<std::string>(),
              ::testing::AllOf(HasSubstr("out of bounds"), HasSubstr("kernel.hip:6")));
}

}  // namespace
}  // namespace hone
