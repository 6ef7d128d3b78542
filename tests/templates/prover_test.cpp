// The prover must be able to say no: planted faults on an operator that is trivial to compute.
#include "tests/templates/support/prover.h"

#include <gmock/gmock.h>

namespace hone::prove {
namespace {

using testing::HasSubstr;

// relu of 5 rows of 7, as glu's plain form.
struct Plain {
  Spec spec;
  Call call;
  Runner runner;
  std::int64_t count = 35;

  Plain() {
    spec.op = "glu";
    spec.expect = [](const Call& given) {
      std::vector<double> y = given.x("x");
      for (double& value : y) value = std::isnan(value) || value > 0 ? value : 0;
      return Outputs{{"y", y}};
    };
    call = draw_call(spec, catalog().problem("glu:rows=5,cols=7,act=relu,form=plain", true),
                     Flavour::kPlain, 1);
    runner.packed_bytes = [](const std::string&) { return std::size_t{0}; };
    runner.workspace_bytes = [](const std::int64_t*) { return std::size_t{8}; };
    launch([](const float*, float*, std::int64_t) {});
  }
  // A right kernel, then `fault`.
  void launch(std::function<void(const float* x, float* y, std::int64_t count)> fault) {
    runner.launch = [this, fault](void* const* arguments, const std::int64_t*, void*) {
      const auto* x = static_cast<const float*>(arguments[0]);
      auto* y = static_cast<float*>(arguments[1]);
      for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] > 0 ? x[i] : 0.0f;
      fault(x, y, count);
      return true;
    };
  }
  std::string verdict() const { return prove::verdict(runner, spec, call, "planted"); }
};

TEST(Prover, AcceptsWhatIsRight) {
  Plain plain;
  EXPECT_EQ(plain.verdict(), "");
}

TEST(Prover, SeesOneWrongElement) {
  Plain plain;
  plain.launch([](const float*, float* y, std::int64_t count) { y[count - 1] += 1e-3f; });
  EXPECT_THAT(plain.verdict(), HasSubstr("y[34]"));
}

TEST(Prover, SeesAnElementThatIsNotWritten) {
  Plain plain;
  plain.runner.launch = [&](void* const* arguments, const std::int64_t*, void*) {
    for (int i = 0; i < 34; ++i)
      static_cast<float*>(arguments[1])[i] =
          std::max(0.0f, static_cast<const float*>(arguments[0])[i]);
    return true;
  };
  EXPECT_THAT(plain.verdict(), HasSubstr("two runs differ"));
}

TEST(Prover, SeesAWriteBeforeTheOutput) {
  Plain plain;
  plain.launch([](const float*, float* y, std::int64_t) { y[-1] = 0; });
  EXPECT_THAT(plain.verdict(), HasSubstr("outside of y"));
}

TEST(Prover, SeesThatNaNIsLost) {
  Plain plain;
  plain.call.in["x"].values[3] = kNaN;
  plain.call.in["x"].store();
  EXPECT_THAT(plain.verdict(), HasSubstr("y[3] is 0 and should be nan"));
}

TEST(ProverDeathTest, DiesWithItsLastWordsWhenAKernelReadsBeyondItsInput) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Plain plain;
  plain.launch([](const float* x, float* y, std::int64_t count) { y[0] += x[count]; });
  EXPECT_DEATH(plain.verdict(), "A kernel died:\n  planted");
}

TEST(Stored, SixteenBitsRoundToNearest) {
  for (int bits = 0; bits < 0x7c00; ++bits)
    ASSERT_EQ(f16_bits(f16_value(static_cast<std::uint16_t>(bits))), bits);
  EXPECT_EQ(f16_bits(65519.9), 0x7bff);
  EXPECT_EQ(f16_bits(65520), 0x7c00);
  EXPECT_EQ(f16_bits(-1 - 0x1p-11), 0xbc00);
  EXPECT_EQ(f16_bits(0x1p-24), 1);
  EXPECT_EQ(bf16_bits(1 + 0x1p-8), 0x3f80);
  EXPECT_EQ(bf16_bits(1 + 0x3p-8), 0x3f82);
}

TEST(Stored, BlocksComeBackWithinHalfAStep) {
  Random random(1);
  for (const char* element : {"q8_0", "q4_0", "q4_1"}) {
    Tensor tensor{element, std::vector<double>(320), {}};
    for (double& value : tensor.values) value = normal(random);
    const std::vector<double> before = tensor.values;
    tensor.store();
    for (std::size_t i = 0; i < before.size(); ++i)
      ASSERT_NEAR(tensor.values[i], before[i], element[1] == '8' ? 0.015 : 0.5) << element << i;
  }
}

}  // namespace
}  // namespace hone::prove
