// What kernels say: printf as CUDA documents it, and assert.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

constexpr const char* kTalking = R"(
extern "C" __device__ void __assertfail(const char*, const char*, unsigned, const char*, size_t);
extern "C" __global__ void numbers(int* taken) {
  taken[0] = printf("%d|%5d|%-5d|%05d|%+d|%x|%#o|%u\n", -1, 22, 333, 44, 5, 255, 8, 4000000000u);
  taken[1] = printf("%*d|%-*d|%.*f|%*d\n", 6, 42, 4, 7, 2, 3.14159, -4, 1);
  taken[2] = printf("%lld|%llx|%zu|%hd|%c|%%|%.3s|%s\n", -5000000000LL, 1ULL << 40, sizeof(int),
                    (short)-3, 'q', "abcdef", "text");
  taken[3] = printf("%8.3f|%.2e|%g\n", 2.5f, 12345.0, 1e100);
  taken[4] = printf("nothing\n");
}
extern "C" __global__ void lanes() {
  if (threadIdx.x % 2) printf("%d.%d ", blockIdx.x, threadIdx.x);
}
extern "C" __global__ void hostile(const char* text) {
  printf(text, 1, 2.0, "three");
}
extern "C" __global__ void asserts(int x) {
  if (x != 3) __assertfail("x == 3", "kernel.cu", 20, "asserts", 1);
}
)";

class Printf : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Compiled compiled = compile_text(kTalking, "talking.cu", GetParam());
    if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
    ASSERT_EQ(compiled.log, "");
    machine_.load(compiled.ptx);
  }
  Direct machine_{GetParam()};
};

TEST_P(Printf, WritesWhatCudaDocuments) {
  const Pointer taken = machine_.upload(std::vector<int>(5));
  ASSERT_EQ(machine_.run("numbers", {}, taken), "");
  EXPECT_EQ(machine_.result().output,
            "-1|   22|333  |00044|+5|ff|010|4000000000\n"
            "    42|7   |3.14|1   \n"
            "-5000000000|10000000000|4|-3|q|%|abc|text\n"
            "   2.500|1.23e+04|1e+100\n"
            "nothing\n");
  // CUDA's returns how many arguments it read.
  EXPECT_EQ(machine_.download<int>(taken, 5), (std::vector<int>{8, 8, 7, 3, 0}));
}

TEST_P(Printf, IsSaidByEachLaneThatComesThere) {
  Geometry geometry;
  geometry.grid = {2, 1, 1};
  geometry.block = {4, 1, 1};
  ASSERT_EQ(machine_.run("lanes", geometry), "");
  EXPECT_EQ(machine_.result().output, "0.1 0.3 1.1 1.3 ");
}

TEST_P(Printf, SurvivesFormatsThatNobodyShouldWrite) {
  for (const std::string format :
       {"%2000000000d", "%.2000000000f", "%999999999999999999999d", "%2$d %1$s", "%n", "%", "%l",
        "%-+ #0-+ #0s", "%*.*s", "%I64d", "%'d", "%s%s%s%s%s", "%99s", "%hhhhhd"}) {
    SCOPED_TRACE(format);
    std::vector<char> text(format.begin(), format.end());
    text.push_back('\0');
    ASSERT_EQ(machine_.run("hostile", {}, machine_.upload(text)), "");
    EXPECT_LT(machine_.result().output.size(), 2000u);
  }
  const std::vector<char> endless(5000, '%');
  ASSERT_EQ(machine_.run("hostile", {}, machine_.upload(endless)), "");
}

TEST_P(Printf, AssertNamesWhatDidNotHold) {
  EXPECT_EQ(machine_.run("asserts", {}, 3), "");
  EXPECT_THAT(machine_.run("asserts", {}, 4),
              testing::HasSubstr("assertion failed: kernel.cu:20: asserts: x == 3"));
}

INSTANTIATE_TEST_SUITE_P(Simulator, Printf, testing::Values("sm_75", "sm_100a"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace hone::test
