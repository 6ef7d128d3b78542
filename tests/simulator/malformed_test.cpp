// Malformed, truncated and random PTX: an error, or a kernel that runs to some end, and never a
// crash or a hang.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codegen/error.h"
#include "runtime/simulator/simulator.h"
#include "tests/simulator/support/damage.h"
#include "tests/simulator/support/nvrtc.h"
#include "tests/simulator/support/survive.h"

namespace hone::test {
namespace {

// A bit of everything that a parser sees, by hand, so that this needs no compiler.
constexpr const char* kSample = R"(//
.version 9.0
.target sm_80
.address_size 64

	// .globl	_Z6helperPj
.global .align 4 .b8 table[16] = {1, 2, 3, 4, 255};
.const .align 8 .f64 weights[2] = {0d3FF0000000000000, 0d4000000000000000};
.extern .shared .align 16 .b8 pool[];
.func  (.param .b32 func_retval0) helper(
	.param .b64 helper_param_0,
	.param .align 8 .b8 helper_param_1[16]
)
;
.visible .global .u64 functions[2] = {helper, generic(table)};

.visible .entry kernel(
	.param .u64 .ptr .global .align 4 kernel_param_0,
	.param .u32 kernel_param_1,
	.param .align 4 .b8 kernel_param_2[20]
)
.maxntid 128, 1, 1
{
	.local .align 16 .b8 	__local_depot0[32];
	.reg .b64 	%SP;
	.reg .b64 	%SPL;
	.reg .pred 	%p<4>;
	.reg .b16 	%rs<5>;
	.reg .f32 	%f<9>;
	.reg .b32 	%r<20>;
	.reg .b64 	%rd<9>;
	.shared .align 4 .b8 tile[512];

	.loc	1 4 0
	mov.u64 	%SPL, __local_depot0;
	cvta.local.u64 	%SP, %SPL;
	ld.param.u64 	%rd1, [kernel_param_0];
	ld.param.u32 	%r1, [kernel_param_1];
	ld.param.v2.u32 	{%r2, %r3}, [kernel_param_2+8];
	cvta.to.global.u64 	%rd2, %rd1;
	mov.u32 	%r4, %tid.x;
	mul.wide.u32 	%rd3, %r4, 4;
	add.s64 	%rd4, %rd2, %rd3;
	ld.global.nc.u32 	%r5, [%rd4];
	shl.b32 	%r6, %r4, 2;
	mov.u32 	%r7, tile;
	add.s32 	%r8, %r7, %r6;
	st.shared.u32 	[%r8], %r5;
	bar.sync 	0;
	.loc	1 9 3, function_name $L__info_string0, inlined_at 1 4 0
	ld.shared.f32 	%f1, [tile+4];
	fma.rn.f32 	%f2, %f1, 0f3F800000, %f1;
	setp.lt.and.s32 	%p1|%p2, %r5, %r6, %p3;
	@%p1 bra 	$L__BB0_2;
	shfl.sync.bfly.b32 	%r9|%p3, %r5, 16, 31, -1;
	{ // callseq 0, 0
	.param .b64 param0;
	st.param.b64 	[param0], %rd1;
	.param .align 8 .b8 param1[16];
	st.param.v2.b32 	[param1], {%r4, %r5};
	.param .b32 retval0;
	call.uni (retval0),
	helper,
	(
	param0,
	param1
	);
	ld.param.b32 	%r10, [retval0];
	}
	{.reg .b32 t; add.u32 t, %r9, 1; mov.b32 %r11, t;}
	mov.b32 	{%rs1, %rs2}, %r10;
	atom.global.add.u32 	%r12, [%rd2], 1;
	vote.sync.ballot.b32 	%r13, %p1, -1;
$L__BB0_2:
	st.local.v2.b32 	[%SPL+8], {%r4, %r4};
	st.global.f32 	[%rd4], %f2;
	ret;
}
.func  (.param .b32 func_retval0) helper(
	.param .b64 helper_param_0,
	.param .align 8 .b8 helper_param_1[16]
)
{
	.reg .b32 	%r<3>;
	ld.param.b32 	%r1, [helper_param_1+4];
	add.s32 	%r2, %r1, 1;
	st.param.b32 	[func_retval0], %r2;
	ret;
}
	.file	1 "/tmp/kernel.cu"
	.section	.debug_str
	{
$L__info_string0:
.b8 95,90,0
	}
)";

// Damage per text; the fuzz target does the rest.
#ifdef HONE_SANITIZED
constexpr std::uint64_t kTimes = 300;
constexpr std::size_t kStride = 37;
#else
constexpr std::uint64_t kTimes = 2000;
constexpr std::size_t kStride = 5;
#endif

TEST(DamagedPtx, TheSampleItselfIsAccepted) { EXPECT_TRUE(survive(kSample)); }

TEST(DamagedPtx, EveryTruncationOfTheSampleIsSurvived) {
  const std::string sample = kSample;
  for (std::size_t length = 0; length < sample.size(); length += kStride) {
    SCOPED_TRACE(length);
    EXPECT_NO_THROW(survive(sample.substr(0, length)));
  }
}

TEST(DamagedPtx, RandomDamageOfTheSampleIsSurvived) {
  for (std::uint64_t seed = 0; seed < kTimes; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_THROW(survive(damaged(kSample, seed)));
  }
}

// Each was a crash that the fuzz target found.
TEST(DamagedPtx, WhatOnceCrashedIsSurvived) {
  for (const char* text : {".target m10010010\n.target m100", ".target sm_8000000\n.target sm_80"})
    EXPECT_FALSE(survive(text)) << text;
}

TEST(DamagedPtx, RandomBytesAreRefused) {
  Numbers numbers(1);
  for (int k = 0; k < 200; ++k) {
    std::string text = k % 2 == 0 ? "" : ".version 9.0\n.target sm_80\n.address_size 64\n";
    for (int length = numbers.integer(1, 300); length > 0; --length)
      text += static_cast<char>(numbers.integer(0, 255));
    EXPECT_FALSE(survive(text));
  }
}

TEST(DamagedPtx, CompiledKernelsAreSurvivedDamaged) {
  for (const std::string_view arch : {"sm_80", "sm_100a"}) {
    const Compiled compiled = compile_file("bugs.cu", arch);
    if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
    ASSERT_EQ(compiled.log, "");
    for (std::uint64_t seed = 0; seed < kTimes / 50; ++seed) {
      SCOPED_TRACE(seed);
      ASSERT_NO_THROW(survive(damaged(compiled.ptx, seed)));
    }
  }
}

TEST(DamagedPtx, TheErrorNamesTheLineAndWhatIsWrong) {
  const auto message = [](const std::string& ptx) -> std::string {
    sim::Memory memory(1 << 20, true);
    try {
      const sim::Module module(ptx, *sim::find_gpu("sm_80"), memory);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kCompile);
      return error.what();
    }
    return "accepted";
  };
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kSample;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  using testing::HasSubstr;
  EXPECT_THAT(message(with("fma.rn.f32 \t%f2", "fma.rn.f32 \t%unknown")),
              testing::AllOf(HasSubstr("ptx line 52"), HasSubstr("%unknown")));
  EXPECT_THAT(message(with("bra \t$L__BB0_2", "bra \t$L__BB0_7")),
              testing::AllOf(HasSubstr("ptx line 54"), HasSubstr("$L__BB0_7")));
  EXPECT_THAT(message(with("bar.sync \t0;", "gargle.sync \t0;")),
              testing::AllOf(HasSubstr("ptx line 49"), HasSubstr("gargle")));
  EXPECT_THAT(message(with("%rd2, %rd1;", "%rd2;")), HasSubstr("ptx line 40"));
  EXPECT_THAT(message(with(".version 9.0", ".version x")), HasSubstr("ptx line 2"));
  EXPECT_THAT(message(""), HasSubstr("ptx line 1"));
}

// PTX that the simulator lacks stops only the kernels that hold it, and it is named.
TEST(UnsupportedPtx, IsNamedWithItsLineWhenItsKernelRuns) {
  const std::string ptx =
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry "
      "first()\n{\ntcgen05.fence::before_thread_sync;\nret;\n}\n"
      ".visible .entry second()\n{\nret;\n}\n";
  sim::Memory memory(1 << 20, true);
  const sim::Module module(ptx, *sim::find_gpu("sm_90"), memory);
  const auto run = [&](const char* name) {
    sim::Launch launch;
    launch.kernel = module.kernel(name);
    return sim::run(memory, module, launch, {});
  };
  EXPECT_THAT(module.kernel("first")->unsupported,
              testing::AllOf(testing::HasSubstr("ptx line 6"),
                             testing::HasSubstr("tcgen05.fence::before_thread_sync")));
  EXPECT_THROW(run("first"), Error);
  EXPECT_EQ(module.kernel("second")->unsupported, "");
  EXPECT_TRUE(run("second").ok());
}

}  // namespace
}  // namespace hone::test
