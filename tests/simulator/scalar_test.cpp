// Arithmetic, control flow, local memory and calls of one thread: the host runs the same text.
#include <gtest/gtest.h>

#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/intrinsics.h"

namespace hone::test {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tests/simulator/kernels/scalar.h"
#pragma GCC diagnostic pop

constexpr u32 kThreads = 300;  // the last warp is partial
const Source kScalar{.file = "scalar.cu", .options = {"--fmad=false"}};

// Runs `kernel` and the host's `body`; gives both to `compare`.
template <typename T, typename Body, typename Compare>
void both(const std::string& kernel, u32 words, const Body& body, const Compare& compare) {
  std::vector<T> expected(kThreads * words);
  for (u32 i = 0; i < kThreads; ++i) body(i, expected.data() + i * words);
  everywhere(kScalar, [&](Machine& machine, int) {
    const Pointer out = machine.upload(std::vector<T>(expected.size()));
    ASSERT_EQ(machine.run(kernel, {.grid = {5, 1, 1}, .block = {64, 1, 1}}, out, kThreads), "");
    compare(machine.download<T>(out, expected.size()), expected);
  });
}

template <typename T>
auto exactly(u32 words) {
  return [words](const std::vector<T>& got, const std::vector<T>& expected) {
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_TRUE(got[i] == expected[i] || (got[i] != got[i] && expected[i] != expected[i]))
          << fmt::format("thread {}, result {}: {} instead of {}", i / words, i % words, got[i],
                         expected[i]);
  };
}

template <typename T>
auto within(u32 words, double relative, double absolute) {
  return [=](const std::vector<T>& got, const std::vector<T>& expected) {
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_LE(std::fabs(static_cast<double>(got[i]) - static_cast<double>(expected[i])),
                relative * std::fabs(static_cast<double>(expected[i])) + absolute)
          << fmt::format("thread {}, result {}: {} instead of {}", i / words, i % words, got[i],
                         expected[i]);
  };
}

TEST(ScalarKernels, Int32ArithmeticIsTheHosts) {
  both<u32>("int32", kInt32Words, int32_body, exactly<u32>(kInt32Words));
}
TEST(ScalarKernels, Int64ArithmeticIsTheHosts) {
  both<u64>("int64", kInt64Words, int64_body, exactly<u64>(kInt64Words));
}
TEST(ScalarKernels, SmallIntegersAreTheHosts) {
  both<u16>("bytes", kBytesWords, bytes_body, exactly<u16>(kBytesWords));
}
TEST(ScalarKernels, IeeeFloatsAreTheHosts) {
  both<float>("float_exact", kFloatExactWords, float_exact_body, exactly<float>(kFloatExactWords));
}
TEST(ScalarKernels, IeeeDoublesAreTheHosts) {
  both<double>("double_exact", kDoubleExactWords, double_exact_body,
               exactly<double>(kDoubleExactWords));
}
TEST(ScalarKernels, FloatFunctionsAreCloseToTheHosts) {
  both<float>("float_math", kFloatMathWords, float_math_body,
              within<float>(kFloatMathWords, 2e-6, 1e-6));
}
TEST(ScalarKernels, DoubleFunctionsAreCloseToTheHosts) {
  both<double>("double_math", kDoubleMathWords, double_math_body,
               within<double>(kDoubleMathWords, 1e-14, 1e-15));
}
TEST(ScalarKernels, DivergentLoopsAndSwitchesEndAsOnTheHost) {
  both<u32>("divergent", kDivergentWords, divergent_body, exactly<u32>(kDivergentWords));
}
TEST(ScalarKernels, LocalArraysAndCallsWithStructsAreTheHosts) {
  both<u32>("local", kLocalWords, local_body, exactly<u32>(kLocalWords));
}
TEST(ScalarKernels, VirtualCallsReachTheirFunctions) {
  both<u32>("virtual_calls", kVirtualWords, virtual_body, exactly<u32>(kVirtualWords));
}
TEST(ScalarKernels, TemplatesAndLambdasAreTheHosts) {
  both<s64>("templates", kTemplateWords, template_body, exactly<s64>(kTemplateWords));
}

}  // namespace
}  // namespace hone::test
