// Small PTX texts, no compiler: what the interpreter itself does.
#include <gmock/gmock.h>

#include <cstring>
#include <string>
#include <vector>

#include "codegen/error.h"
#include "runtime/simulator/simulator.h"

namespace hone::sim {
namespace {

constexpr std::size_t kThreads = 64;

// A kernel of one pointer: `body` finds the thread's own four bytes at [%rd2], its number in %r1.
std::string kernel_of(std::string_view declarations, std::string_view body) {
  return std::string(
             ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 "
             "out)\n{\n") +
         std::string(declarations) + R"(
  .reg .pred %p<4>;
  .reg .b32 %r<16>;
  .reg .f32 %f<8>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [out];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd2, %rd1, %rd2;
)" + std::string(body) +
         "\n  ret;\n}\n";
}

struct Outcome {
  Result result;
  std::vector<std::uint32_t> out;
};

Outcome run_text(const std::string& ptx, Options options = {}, std::uint32_t blocks = 1) {
  const Gpu& gpu = *find_gpu("a100");
  Memory memory(std::size_t{1} << 30, true);
  const Module module(ptx, gpu, memory);
  Outcome outcome;
  outcome.out.resize(kThreads);
  const Address out = memory.allocate(kThreads * 4);
  memory.write(out, outcome.out.data(), kThreads * 4);
  Launch launch;
  launch.kernel = module.kernel("k");
  launch.grid = {blocks, 1, 1};
  launch.block = {kThreads, 1, 1};
  launch.parameters.resize(8);
  std::memcpy(launch.parameters.data(), &out, 8);
  outcome.result = run(memory, module, launch, options);
  memory.read(out, outcome.out.data(), kThreads * 4);
  return outcome;
}

std::string reports(const Result& result) {
  std::string text;
  for (const Finding& finding : result.findings) text += finding.report();
  return text;
}

TEST(PtxInterpreter, LanesMeetAgainAfterTheyTookTwoWays) {
  const Outcome outcome = run_text(kernel_of("", R"(
  and.b32 %r2, %r1, 1;
  setp.eq.s32 %p1, %r2, 0;
  @%p1 bra $even;
  mov.u32 %r3, 100;
  bra.uni $join;
$even:
  mov.u32 %r3, 200;
$join:
  shfl.sync.bfly.b32 %r4, %r3, 1, 31, -1;
  st.global.u32 [%rd2], %r4;)"));
  EXPECT_TRUE(outcome.result.ok()) << reports(outcome.result);
  EXPECT_EQ(outcome.out[0], 100u);
  EXPECT_EQ(outcome.out[1], 200u);
  EXPECT_EQ(outcome.result.counters.divergent_branches, 2u);
}

TEST(PtxInterpreter, CarriesGoFromWordToWord) {
  const Outcome outcome = run_text(kernel_of("", R"(
  add.cc.u32 %r2, %r1, 0xffffffff;
  addc.u32 %r3, 0, 0;
  st.global.u32 [%rd2], %r3;)"));
  EXPECT_TRUE(outcome.result.ok()) << reports(outcome.result);
  EXPECT_EQ(outcome.out[0], 0u);
  EXPECT_EQ(outcome.out[7], 1u);
}

TEST(PtxInterpreter, BytesHaveDistances) {
  const Outcome outcome = run_text(kernel_of("", R"(
  vabsdiff4.u32.u32.u32 %r2, 0x01ff0502, 0x0300050a, %r1;
  vabsdiff4.u32.u32.u32.add %r3, 0x01ff0502, 0x0300050a, %r1;
  setp.eq.s32 %p1, %r1, 0;
  selp.b32 %r4, %r2, %r3, %p1;
  st.global.u32 [%rd2], %r4;)"));
  EXPECT_TRUE(outcome.result.ok()) << reports(outcome.result);
  EXPECT_EQ(outcome.out[0], 0x02ff0008u);
  EXPECT_EQ(outcome.out[5], 2u + 255u + 8u + 5u);
}

TEST(PtxInterpreter, ARecursiveFunctionKeepsItsRegisters) {
  const std::string ptx = R"(.version 8.0
.target sm_80
.address_size 64
.func (.param .b32 result) factorial(.param .b32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<6>;
  ld.param.u32 %r1, [n];
  mov.u32 %r4, 1;
  setp.le.u32 %p1, %r1, 1;
  @%p1 bra $done;
  sub.u32 %r2, %r1, 1;
  { .param .b32 param0; st.param.b32 [param0], %r2; .param .b32 retval0;
    call.uni (retval0), factorial, (param0); ld.param.b32 %r3, [retval0]; }
  mul.lo.u32 %r4, %r1, %r3;
$done:
  st.param.b32 [result], %r4;
  ret;
}
.visible .entry k(.param .u64 out)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  mov.u32 %r1, %tid.x;
  and.b32 %r2, %r1, 7;
  { .param .b32 param0; st.param.b32 [param0], %r2; .param .b32 retval0;
    call.uni (retval0), factorial, (param0); ld.param.b32 %r3, [retval0]; }
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r3;
  ret;
}
)";
  const Outcome outcome = run_text(ptx);
  EXPECT_TRUE(outcome.result.ok()) << reports(outcome.result);
  EXPECT_EQ(outcome.out[5], 120u);
  EXPECT_EQ(outcome.out[8 + 7], 5040u);
}

TEST(PtxInterpreter, AMissingBarrierIsARaceAtItsLine) {
  const std::string shared = "  .shared .align 4 .b8 s[256];\n";
  const auto text = [&](const char* barrier) {
    return kernel_of(shared, std::string(R"(
  shl.b32 %r2, %r1, 2;
  mov.u32 %r3, s;
  add.u32 %r4, %r3, %r2;
  st.shared.u32 [%r4], %r1;
)") + barrier + R"(
  sub.u32 %r5, 252, %r2;
  add.u32 %r6, %r3, %r5;
  ld.shared.u32 %r7, [%r6];
  st.global.u32 [%rd2], %r7;)");
  };
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    Options options;
    options.seed = seed;
    const Outcome good = run_text(text("  bar.sync 0;"), options);
    EXPECT_TRUE(good.result.ok()) << "seed " << seed << reports(good.result);
    EXPECT_EQ(good.out[3], 60u);
    const Outcome bad = run_text(text(""), options);
    ASSERT_FALSE(bad.result.ok()) << "seed " << seed;
    EXPECT_THAT(bad.result.findings[0].kind,
                testing::AnyOf(Finding::Kind::kRace, Finding::Kind::kUninitialised));
  }
}

TEST(PtxInterpreter, AnUnwrittenRegisterIsReportedWhereItIsStored) {
  const Outcome outcome = run_text(kernel_of("", "  st.global.u32 [%rd2], %r9;"));
  ASSERT_EQ(outcome.result.findings.size(), 1u);
  EXPECT_EQ(outcome.result.findings[0].kind, Finding::Kind::kUninitialised);
  EXPECT_THAT(outcome.result.findings[0].instruction, testing::HasSubstr("%r9"));
}

TEST(PtxInterpreter, RegistersShareRowsWhenTheyLiveAtDifferentTimes) {
  const Gpu& gpu = *find_gpu("a100");
  Memory memory(std::size_t{1} << 20, true);
  std::string body;
  for (int i = 0; i < 200; ++i) body += "  add.u32 %r2, %r1, 1;\n  st.global.u32 [%rd2], %r2;\n";
  const Module module(kernel_of("", body), gpu, memory);
  EXPECT_LT(module.kernel("k")->info.registers, 24);
}

// A launch that ends has kept every limit; one of many short blocks may not go on for ever.
TEST(PtxInterpreter, LimitsHoldWhereEachBlockEndsSoon) {
  Options options;
  options.instruction_limit = 3;
  const Result one = run_text(kernel_of("", ""), options).result;
  EXPECT_TRUE(one.ok()) << reports(one);
  const Result many = run_text(kernel_of("", ""), options, 1000).result;
  ASSERT_EQ(many.findings.size(), 1u);
  EXPECT_EQ(many.findings[0].kind, Finding::Kind::kHang);
  EXPECT_THAT(reports(many), testing::HasSubstr("more than 3 warp instructions"));
  options = {};
  options.time_limit = 1e-9;
  EXPECT_FALSE(run_text(kernel_of("", ""), options, 1000).result.ok());
}

TEST(PtxInterpreter, AnInstructionThatItLacksIsAnErrorOfItsKernelOnly) {
  const Gpu& gpu = *find_gpu("h100");
  Memory memory(std::size_t{1} << 20, true);
  const std::string ptx =
      ".version 8.0\n.target sm_90a\n.address_size 64\n.entry a() {\n  "
      "tcgen05.fence::before_thread_sync;\n "
      " ret;\n}\n.entry b() {\n  ret;\n}\n";
  const Module module(ptx, gpu, memory);
  EXPECT_THAT(module.kernel("a")->unsupported,
              testing::AllOf(testing::HasSubstr("line 5"), testing::HasSubstr("tcgen05.fence")));
  EXPECT_EQ(module.kernel("b")->unsupported, "");
  EXPECT_THROW(Module(".version 8.0\n.target sm_80\n.address_size 64\n.entry a() { gargle; }\n",
                      gpu, memory),
               Error);
}

}  // namespace
}  // namespace hone::sim
