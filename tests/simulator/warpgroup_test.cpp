// wgmma: every layout of its operands, and what goes wrong around it.
#include <gtest/gtest.h>

#include <bit>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

constexpr int kRows = 64, kColumns = 16;
enum Bug { kNone, kOverwritten, kNeverWaitedFor, kUsedTooEarly };

// f16 bits of a small whole number.
std::vector<std::uint16_t> halves(const std::vector<int>& numbers) {
  std::vector<std::uint16_t> bits;
  for (const int number : numbers) {
    const std::uint32_t single = std::bit_cast<std::uint32_t>(static_cast<float>(number));
    const std::uint32_t magnitude = single << 1 == 0 ? 0 : (single & 0x7fffffffu) - (112u << 23);
    bits.push_back(static_cast<std::uint16_t>((single >> 16 & 0x8000u) | magnitude >> 13));
  }
  return bits;
}

// Runs the product with this layout; its findings.
sim::Result run_products(const std::string& ptx, int layout, Bug bug) {
  const int k = layout == 0 ? 16 : 128 >> layout;
  Numbers numbers(static_cast<std::uint64_t>(layout) + 1);
  const std::vector<int> x = numbers.integers(static_cast<std::size_t>(kRows * k), -4, 4),
                         w = numbers.integers(static_cast<std::size_t>(kColumns * k), -4, 4);
  Direct machine("sm_90a", {});
  machine.load(ptx);
  const Pointer y = machine.allocate(kRows * kColumns * sizeof(float));
  machine.run("products", {.block = {128, 1, 1}}, machine.upload(halves(x)),
              machine.upload(halves(w)), y, layout, static_cast<int>(bug));
  if (bug == kNone) {
    std::vector<float> expected;
    for (int row = 0; row < kRows; ++row)
      for (int column = 0; column < kColumns; ++column) {
        int sum = 0;
        for (int i = 0; i < k; ++i)
          sum += x[static_cast<std::size_t>(row * k + i)] *
                 w[static_cast<std::size_t>(column * k + i)];
        expected.push_back(static_cast<float>(sum));
      }
    expect_equal(machine.download<float>(y, kRows * kColumns), expected, "sum");
  }
  return machine.result();
}

TEST(Warpgroup, MultipliesOperandsOfEveryLayout) {
  const Compiled compiled = compile_file("warpgroup.cu", "sm_90a");
  if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
  for (const int layout : {0, 1, 2, 3}) {
    SCOPED_TRACE(layout);
    EXPECT_TRUE(run_products(compiled.ptx, layout, kNone).ok());
  }
}

TEST(Warpgroup, IsWaitedForBeforeOperandsAndSumsAreTouched) {
  const Compiled compiled = compile_file("warpgroup.cu", "sm_90a");
  if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
  using Kind = sim::Finding::Kind;
  for (const auto& [bug, kind] : {std::pair{kOverwritten, Kind::kRace},
                                  {kNeverWaitedFor, Kind::kAsyncCopy},
                                  {kUsedTooEarly, Kind::kUninitialised}}) {
    const sim::Result result = run_products(compiled.ptx, 1, bug);
    EXPECT_TRUE(std::any_of(result.findings.begin(), result.findings.end(),
                            [&](const sim::Finding& finding) { return finding.kind == kind; }))
        << "bug " << static_cast<int>(bug);
  }
}

}  // namespace
}  // namespace hone::test
