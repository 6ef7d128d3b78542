#include <gmock/gmock.h>

#include "runtime/backends/gpu_code.h"
#include "runtime/backends/rtc.h"
#include "tests/runtime/hip_test.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::chrono::seconds kHiprtcLimit{60};

constexpr const char* kText = R"(
struct Args { const float *x; float *y; };
extern "C" __global__ void hone_main(const Args a) {
  __shared__ float kept[64];
  kept[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = 2 * kept[63 - threadIdx.x];
}
)";

// Why hiprtc can't be asked here; "" when it can.
std::string no_hiprtc() {
  try {
    find_rtc("hiprtc");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

Backend& hip() { return *find_backend("hip"); }

TEST(HipBackend, SaysWhatIsMissingAndHowToGetIt) {
  const Variable runtime("HONE_HIP_RUNTIME", "/nowhere/libamdhip64.so");
  const Variable compiler("HONE_HIPRTC", "/nowhere/libhiprtc.so");
  std::vector<std::string> missing;
  EXPECT_TRUE(hip().devices(&missing).empty());
  EXPECT_EQ(missing.size(), 2u);
  EXPECT_THAT(missing, Contains(AllOf(StartsWith("hip:"), HasSubstr("HONE_HIP_RUNTIME"))));
  EXPECT_THAT(missing, Contains(AllOf(StartsWith("hip:"), HasSubstr("fetch_gpu_compilers.sh"))));
}

TEST(HipBackend, CompilesWithResourcesForEachArchitectureOfTheToolchain) {
  if (const std::string why = no_hiprtc(); !why.empty()) GTEST_SKIP() << why;
  const TemporaryFolder folder;
  const Variable cache("HONE_CACHE", folder.path().string());
  for (const char* arch : {"gfx906", "gfx908", "gfx90a", "gfx1030"}) {
    const Target target = *hip().target(arch);
    const Binary binary = hip().compile(hip_source(kText, {"main"}), target, kHiprtcLimit);
    const std::vector<EntryResources> resources = hip().resources(binary);
    ASSERT_EQ(resources.size(), 1u) << arch;
    EXPECT_EQ(resources[0].entry, "main");
    EXPECT_GT(resources[0].registers, 0) << arch;
    EXPECT_EQ(resources[0].shared_bytes, 256) << arch;
    EXPECT_EQ(resources[0].spill_bytes, 0) << arch;
    EXPECT_EQ(hip().occupancy(target, resources[0], 0, 64).value_or(0) > 0, true) << arch;
  }
}

TEST(HipBackend, NamesTheArchitectureThatTheToolchainDoesNotKnow) {
  if (const std::string why = no_hiprtc(); !why.empty()) GTEST_SKIP() << why;
  const TemporaryFolder folder;
  const Variable cache("HONE_CACHE", folder.path().string());
  try {
    hip().compile(hip_source(kText, {"main"}), *hip().target("gfx1100"), kHiprtcLimit);
    GTEST_SKIP() << "this hiprtc knows gfx1100: " << find_rtc("hiprtc").version;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("doesn't know gfx1100"));
  }
}

TEST(HipBackend, RefusedTextGivesTheCompilersLog) {
  if (const std::string why = no_hiprtc(); !why.empty()) GTEST_SKIP() << why;
  const TemporaryFolder folder;
  const Variable cache("HONE_CACHE", folder.path().string());
  try {
    hip().compile(hip_source("extern \"C\" __global__ void hone_main() { nonsense; }\n", {"main"}),
                  *hip().target("gfx90a"), kHiprtcLimit);
    FAIL() << "nonsense compiled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kCompile);
    EXPECT_THAT(error.what(), HasSubstr("nonsense"));
  }
}

TEST(HipBackend, SimulatedDeviceNeedsNothingOfAmds) {
  SimulatedHip simulated;
  Device& device = simulated.device();
  EXPECT_TRUE(device.identity().simulated());
  EXPECT_EQ(device.identity().arch, "gfx90a");
  EXPECT_EQ(device.identity().units, 110);
  EXPECT_EQ(device.target().text(), "hip/gfx90a");
  EXPECT_EQ(device.target().limits.integer("wave"), 64);
  DeviceVector<float> x(device, std::vector<float>(64, 3.0f)), y(device, std::size_t{64});
  EXPECT_EQ(simulated.run(kText, {x.slot(), y.slot()}, 1, 64), "");
  EXPECT_EQ(y.read(), std::vector<float>(64, 6.0f));
}

TEST(HipBackend, SimulatedLaunchesAreCountedAndTimedOnPaper) {
  SimulatedHip simulated;
  Device& device = simulated.device();
  DeviceVector<float> x(device, std::vector<float>(64, 3.0f)), y(device, std::size_t{64});
  const std::unique_ptr<Module> module = simulated.load(kText);
  const std::uint64_t slots[] = {x.slot(), y.slot()};
  Dispatch dispatch;
  dispatch.slots = slots;
  dispatch.slot_count = 2;
  dispatch.threads = 64;
  device.counters();
  EXPECT_GT(device.time([&] { module->run(dispatch, nullptr); }, 2), 0);
  std::map<std::string, double> counters;
  for (const auto& [name, value] : device.counters()) counters[name] = value;
  EXPECT_EQ(counters["launches"], 2);
  EXPECT_GT(counters["modelled_ns"], 0);
  EXPECT_EQ(counters["global_load_bytes"], 2 * 256);
  EXPECT_EQ(counters["global_store_bytes"], 2 * 256);
  EXPECT_EQ(counters["barriers"], 2);
}

TEST(HipBackend, StandInRefusesCodeThatItCanNotRun) {
  SimulatedHip simulated;
  const Binary binary = {Hash{}, "hip/gfx90a",
                         pack_gpu_code({"\x7f"
                                        "ELF...",
                                        "",
                                        "",
                                        {},
                                        ""})};
  const std::vector<std::string> entries = {"main"};
  try {
    simulated.device().load(binary, entries);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kDevice);
  }
}

}  // namespace
}  // namespace hone
