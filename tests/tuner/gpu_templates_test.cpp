// The GPU templates that ship, on stand-in devices, where their compilers are installed.
#include <gtest/gtest.h>

#include "codegen/error.h"
#include "runtime/backends/rtc.h"
#include "tests/tuner/program.h"

namespace hone {
namespace {

// Odd sizes, several storage types, several launches: what `hone check` runs on a stand-in device,
// with all checks of the simulator, is right.
void expect_right(const char* compiler, const std::string& target, const std::string& variant,
                  const std::vector<std::string>& problems) {
  try {
    find_rtc(compiler);
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  std::vector<std::string> words = {"check", "--target",  target, "--variant",
                                    variant, "--samples", "0",    "--json"};
  words.insert(words.end(), problems.begin(), problems.end());
  Program program(words);
  std::size_t checked = 0;
  for (const Json& one : program.objects()) {
    EXPECT_TRUE(one.at("pass").get<bool>()) << one;
    ++checked;
  }
  EXPECT_EQ(program.wait(), 0) << program.errors();
  EXPECT_GT(checked, problems.size());
}

const std::string kRows = "softmax:rows=6,cols=100,causal=yes,heads=2,softcap=yes";
const std::string kMatrices = "gemm:m=5,n=77,k=40,x=bf16,w=bf16,epilogue=bias_gelu";
const std::string kQuantised = "gemm:m=3,n=66,k=544,w=q4_1,epilogue=silu_gate";
const std::string kHalves = "gemm:m=34,n=40,k=96,x=f16,w=q8_0,y=f16";
const std::string kBytes = "gemm:m=33,n=64,k=544,x=s8,w=s8";
const std::string kQueries =
    "attention:batch=2,q=3,kv=50,cap=64,heads=6,kv_heads=2,d=40,x=bf16,c=bf16,layout=paged";

const std::string kGate = "glu:rows=3,cols=76,act=gelu,form=two";
const std::string kGather =
    "embedding:tokens=5,cols=96,vocab=70,table=q4_1,ids=s64,plus=add,y=bf16";
const std::string kPairs = "rope:tokens=3,heads=5,d=11,rot=6,style=interleaved";
const std::string kLargest = "argmax:rows=3,cols=4100,x=bf16";

TEST(GpuTemplates, RowsAreRightOnAnA100) {
  expect_right("nvrtc", "cuda/sm_80", "team.cu",
               {"norm:rows=3,cols=577,kind=layer_bias,residual=add,x=bf16", kRows});
}
TEST(GpuTemplates, MatricesAreRightOnAnA100) {
  expect_right("nvrtc", "cuda/sm_80", "mma.cu", {kMatrices, kBytes});
  expect_right("nvrtc", "cuda/sm_80", "mma_stream.cu", {kBytes});
  expect_right("nvrtc", "cuda/sm_80", "flat.cu", {kMatrices, kBytes});
  expect_right("nvrtc", "cuda/sm_80", "vector.cu", {kMatrices});
  expect_right("nvrtc", "cuda/sm_80", "blocks.cu", {kQuantised, kHalves});
  expect_right("nvrtc", "cuda/sm_80", "blocks_vector.cu", {kQuantised});
}
TEST(GpuTemplates, FewRowsAreRightOnAT4) {
  expect_right("nvrtc", "cuda/sm_75", "flat.cu", {kBytes});
  expect_right("nvrtc", "cuda/sm_75", "blocks.cu", {kHalves});
}
TEST(GpuTemplates, MatricesAreRightOnTuring) {
  expect_right("nvrtc", "cuda/sm_75", "mma_registers.cu", {kBytes});
}
TEST(GpuTemplates, MatricesAreRightOnAnH100) {
  expect_right("nvrtc", "cuda/sm_90a", "wgmma.cu", {kMatrices, kBytes});
}
// Whole sectors of global memory, all banks of shared memory.
TEST(GpuTemplates, MatricesOfAlignedShapesMoveNoByteInVain) {
  try {
    find_rtc("nvrtc");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  struct Case {
    const char *target, *variant, *config;
  };
  for (const auto& [target, variant, config] :
       {Case{"cuda/sm_80", "mma.cu", "BM=128,BN=128,depth=64,WM=2,WN=2,stages=4,raster=1,splits=1"},
        Case{"cuda/sm_75", "mma_registers.cu", "BM=64,BN=64,depth=128,WM=2,WN=2,raster=1,splits=1"},
        Case{"cuda/sm_90a", "wgmma.cu", "users=1,BN=128,stages=3,raster=1,splits=1"}}) {
    SCOPED_TRACE(variant);
    Program program({"check", "gemm:m=128,n=128,k=128,x=f16,w=f16,y=f16", "--target", target,
                     "--variant", variant, "--config", config, "--json"});
    const std::vector<Json> checks = program.objects();
    ASSERT_EQ(checks.size(), 1u) << program.errors();
    const Json& counters = checks[0].at("counters");
    const auto count = [&](const char* name) { return counters.at(name).get<double>(); };
    EXPECT_EQ(count("global_load_sectors"), count("global_load_sectors_ideal"));
    EXPECT_EQ(count("global_store_sectors"), count("global_store_sectors_ideal"));
    EXPECT_LE(count("shared_wavefronts"), 1.05 * count("shared_wavefronts_ideal"));
  }
}
TEST(GpuTemplates, AttentionIsRightOnAnA100) {
  expect_right("nvrtc", "cuda/sm_80", "split.cu", {kQueries});
}
TEST(GpuTemplates, GlueIsRightOnAnA100) {
  expect_right("nvrtc", "cuda/sm_80", "rows.cu", {kGate, kGather});
  expect_right("nvrtc", "cuda/sm_80", "pairs.cu", {kPairs});
  expect_right("nvrtc", "cuda/sm_80", "split.cu", {kLargest});
}
TEST(GpuTemplates, GlueIsRightOnAnMi250x) {
  expect_right("hiprtc", "hip/gfx90a", "rows.cu", {kGate, kGather});
  expect_right("hiprtc", "hip/gfx90a", "pairs.cu", {kPairs});
  expect_right("hiprtc", "hip/gfx90a", "split.cu", {kLargest});
}
TEST(GpuTemplates, RowsAreRightOnAnMi250x) {
  expect_right("hiprtc", "hip/gfx90a", "team.cu", {kRows});
}
TEST(GpuTemplates, MatricesAreRightOnAnMi250x) {
  expect_right("hiprtc", "hip/gfx90a", "mfma.hip", {kBytes});
  expect_right("hiprtc", "hip/gfx90a", "vector.cu", {kMatrices});
  expect_right("hiprtc", "hip/gfx90a", "blocks_vector.cu", {kQuantised});
  expect_right("hiprtc", "hip/gfx90a", "blocks_mfma.hip", {kHalves});
}

}  // namespace
}  // namespace hone
