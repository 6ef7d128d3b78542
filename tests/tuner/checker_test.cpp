#include "tuner/checker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tuner/confine.h"
#include "tuner/draw.h"

namespace hone {
namespace {

// Host memory; the name of its backend decides whether buffers get protected pages.
class FakeDevice : public Device {
 public:
  explicit FakeDevice(const std::string& backend) { identity_.backend = target_.backend = backend; }
  const DeviceIdentity& identity() const override { return identity_; }
  const Target& target() const override { return target_; }
  std::unique_ptr<Module> load(const Binary&, std::span<const std::string>) override {
    return nullptr;
  }
  void* allocate(std::size_t bytes) override {
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  void release(void* memory) noexcept override { std::free(memory); }
  void copy_in(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_out(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  std::string last_error() const override { return "refused"; }
  double time(const std::function<void()>&, int) override { return 0; }
  Ceilings measure_ceilings(std::chrono::duration<double>) override { return {}; }

 private:
  DeviceIdentity identity_;
  Target target_;
};

constexpr const char* kTwice = R"({
  "op": "twice", "summary": "y = 2 x, i = index of the largest",
  "dims": [{"name": "n", "dynamic": true}],
  "args": [{"name": "x", "kind": "in", "type": "f32", "shape": ["n"]},
           {"name": "y", "kind": "out", "type": "f32", "shape": ["n"]},
           {"name": "best", "kind": "out", "type": "s32", "shape": ["1"]}],
  "flops": "n", "compute": "f32", "rows": "1", "tolerance": [["1", 1e-6]]
})";

constexpr std::int64_t kCount = 1003;

std::int32_t largest(const float* x) {
  std::int32_t best = 0;
  for (std::int32_t i = 0; i < kCount; ++i)
    if (x[i] > x[best]) best = i;
  return best;
}

void right(const float* x, float* y, std::int32_t* best) {
  for (std::int64_t i = 0; i < kCount; ++i) y[i] = 2 * x[i];
  *best = largest(x);
}

using Body = std::function<void(const float* x, float* y, std::int32_t* best, float* workspace)>;

class CheckerOf : public testing::TestWithParam<const char*> {
 protected:
  CheckerOf() : device_(GetParam()), op_(parse_op(kTwice, "", "twice/op.json")) {
    call_ = draw_call(op_, Problem::parse("twice:n=1003"), 1);
  }

  Verdict check(const Body& body, std::int64_t workspace = 0) {
    const Expectation expectation(
        op_, call_,
        [](const Call& call, std::int64_t, std::int64_t, double* const* outputs) {
          const auto* x = reinterpret_cast<const float*>(call.arguments[0].content.data());
          for (std::int64_t i = 0; i < kCount; ++i) outputs[1][i] = 2.0 * x[i];
          outputs[2][0] = largest(x);
        },
        ReferencePolicy{}, 1);
    Checker checker(device_, call_, expectation, 1e-6);
    return checker.check(candidate(body, workspace));
  }

  static Candidate candidate(const Body& body, std::int64_t workspace = 0) {
    Candidate made;
    made.workspace_bytes = workspace;
    made.launch = [body](void* const* arguments, const std::int64_t*, void* memory) {
      body(static_cast<const float*>(arguments[0]), static_cast<float*>(arguments[1]),
           static_cast<std::int32_t*>(arguments[2]), static_cast<float*>(memory));
      return true;
    };
    return made;
  }

  FakeDevice device_;
  Op op_;
  Call call_;
};

INSTANTIATE_TEST_SUITE_P(Memory, CheckerOf, testing::Values("cpu", "elsewhere"));

TEST_P(CheckerOf, PassesWhatIsRight) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) { right(x, y, best); });
  EXPECT_EQ(verdict.status, Status::kOk) << verdict.reason;
  EXPECT_EQ(verdict.error, 0);
}

TEST_P(CheckerOf, SeesOneWrongElement) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) {
    right(x, y, best);
    y[kCount - 1] += 1e-4f;
  });
  EXPECT_EQ(verdict.status, Status::kWrong);
  EXPECT_NE(verdict.reason.find("y[1002]"), std::string::npos) << verdict.reason;
}

TEST_P(CheckerOf, SeesAWrongIndex) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) {
    right(x, y, best);
    *best += 1;
  });
  EXPECT_EQ(verdict.status, Status::kWrong);
}

TEST_P(CheckerOf, SeesUnwrittenElements) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) {
    for (std::int64_t i = 0; i < kCount; ++i)
      if (i != 500) y[i] = 2 * x[i];
    *best = largest(x);
  });
  EXPECT_EQ(verdict.status, Status::kWrong);
  EXPECT_NE(verdict.reason.find("unwritten"), std::string::npos) << verdict.reason;
  EXPECT_NE(verdict.reason.find("500"), std::string::npos) << verdict.reason;
}

TEST_P(CheckerOf, SeesNaNWhereANumberBelongs) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) {
    right(x, y, best);
    y[3] = std::numeric_limits<float>::quiet_NaN();
  });
  EXPECT_EQ(verdict.status, Status::kWrong);
  EXPECT_TRUE(std::isinf(verdict.error));
}

TEST_P(CheckerOf, SeesRunsThatDiffer) {
  const auto runs = std::make_shared<int>(0);
  const Verdict verdict = check([runs](auto* x, auto* y, auto* best, auto*) {
    right(x, y, best);
    y[7] = std::nextafterf(y[7], static_cast<float>(100 * ++*runs));
    if (*runs > 1) y[7] = std::nextafterf(y[7], 1e9f);
  });
  EXPECT_EQ(verdict.status, Status::kNondeterministic) << verdict.reason;
}

TEST_P(CheckerOf, SeesUseOfUnfilledWorkspace) {
  const Verdict verdict = check(
      [](auto* x, auto* y, auto* best, auto* workspace) {
        right(x, y, best);
        y[9] += workspace[0] * 1e-3f;
      },
      64);
  EXPECT_NE(verdict.status, Status::kOk);
}

TEST_P(CheckerOf, SeesAWriteBeforeTheBeginning) {
  const Verdict verdict = check([](auto* x, auto* y, auto* best, auto*) {
    right(x, y, best);
    y[-1] = 0;
  });
  EXPECT_EQ(verdict.status, Status::kOutOfBounds);
  EXPECT_NE(verdict.reason.find("'y'"), std::string::npos) << verdict.reason;
}

TEST_P(CheckerOf, SeesALaunchThatIsRefused) {
  const Expectation expectation(
      op_, call_,
      [](const Call&, std::int64_t, std::int64_t, double* const* outputs) {
        outputs[1][0] = outputs[2][0] = 1;
      },
      ReferencePolicy{}, 1);
  Checker checker(device_, call_, expectation, 1e-6);
  Candidate made = candidate([](auto*, auto*, auto*, auto*) {});
  made.launch = [](void* const*, const std::int64_t*, void*) { return false; };
  EXPECT_EQ(checker.check(made).status, Status::kLaunchFailed);
}

TEST_P(CheckerOf, SeesTwoFormsUnderOneLayoutName) {
  const Expectation expectation(
      op_, call_,
      [](const Call& call, std::int64_t, std::int64_t, double* const* outputs) {
        const auto* x = reinterpret_cast<const float*>(call.arguments[0].content.data());
        for (std::int64_t i = 0; i < kCount; ++i) outputs[1][i] = 2.0 * x[i];
        outputs[2][0] = largest(x);
      },
      ReferencePolicy{}, 1);
  Checker checker(device_, call_, expectation, 1e-6);
  for (const float sign : {1.0f, -1.0f}) {
    Candidate made = candidate([sign](auto* packed, auto* y, auto* best, auto*) {
      std::vector<float> x(kCount);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = sign * packed[i];
      right(x.data(), y, best);
    });
    made.layout = "x:signed";
    made.packed["x"] = {kCount * 4, [sign](const void* from, void* to) {
                          for (std::int64_t i = 0; i < kCount; ++i)
                            static_cast<float*>(to)[i] = sign * static_cast<const float*>(from)[i];
                          return true;
                        }};
    EXPECT_EQ(checker.check(made).status, sign > 0 ? Status::kOk : Status::kWrong);
  }
}

TEST(Checker, PagesBehindTheEndAndInputsFault) {
  FakeDevice device("cpu");
  GuardedBuffer output(device, "y", 1000, 4), input(device, "x", 1000, 4);
  input.protect(true);
  char text[200];
  EXPECT_STREQ(describe_address(static_cast<char*>(output.data()) + 1000, text, sizeof text),
               "touched memory 0 bytes behind the end of 'y'");
  EXPECT_STREQ(describe_address(static_cast<char*>(output.data()) - 4, text, sizeof text),
               "touched memory 4 bytes before the beginning of 'y'");
  EXPECT_STREQ(describe_address(input.data(), text, sizeof text), "wrote to its input 'x'");
  EXPECT_EQ(describe_address(&device, text, sizeof text), nullptr);
  EXPECT_DEATH(static_cast<volatile char*>(output.data())[1000] = 1, "");
  EXPECT_DEATH(static_cast<volatile char*>(input.data())[0] = 1, "");
}

TEST(Checker, SampleOfRowsHoldsTheFirstAndTheLast) {
  const Op op = parse_op(R"({
    "op": "rows", "summary": "y = x", "dims": [{"name": "m", "dynamic": true}, {"name": "n"}],
    "args": [{"name": "x", "kind": "in", "type": "f32", "shape": ["m", "n"]},
             {"name": "y", "kind": "out", "type": "f32", "shape": ["m", "n"]}],
    "flops": "m * n", "compute": "f32", "rows": "m", "tolerance": [["1", 1e-6]]})",
                         "", "rows/op.json");
  const Call call = draw_call(op, Problem::parse("rows:m=100,n=10"), 1);
  ReferencePolicy policy;
  policy.operations = 50;
  const Expectation expectation(
      op, call,
      [](const Call&, std::int64_t begin, std::int64_t end, double* const* outputs) {
        for (std::int64_t i = 10 * begin; i < 10 * end; ++i) outputs[1][i] = 0;
      },
      policy, 1);
  std::int64_t elements = 0;
  for (const auto& range : expectation.computed(1)) elements += range.end - range.begin;
  EXPECT_EQ(elements, 50) << expectation.rows();
  EXPECT_EQ(expectation.computed(1).front().begin, 0);
  EXPECT_EQ(expectation.computed(1).back().end, 1000);
  EXPECT_NE(expectation.rows().find("of 100"), std::string::npos) << expectation.rows();
}

}  // namespace
}  // namespace hone
