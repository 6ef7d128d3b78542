// What the compiled code of the matrix variants holds, where NVRTC is installed: the instructions
// that they promise, and inner loops like those of the vendor's own kernels.
#include <gtest/gtest.h>

#include <chrono>

#include "codegen/error.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/rtc.h"
#include "runtime/machine_code.h"
#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

constexpr std::chrono::seconds kMatrixCompileLimit{120};

struct Promise {
  const char* target;
  const char* variant;
  const char* problem;
  const char* config;             // what differs from the start config
  std::vector<const char*> text;  // in the PTX
  double least_share;             // matrix instructions of the loop's
  // A matrix instruction; those of sm_75 do half the work of the others, or a quarter.
  double most_stall;  // issue cycles over the tensor pipe's
  double most_matrix_loads, most_copies;
};

GpuCode compiled(const Promise& promise) {
  const auto backend = find_backend("cuda");
  const Target target = *backend->target(promise.target);
  const Problem problem = catalog().problem(promise.problem, true);
  const Template* variant = catalog().variant(problem.op, promise.variant);
  const Values scope = scope_on(problem, target);
  EXPECT_TRUE(variant->serves_problem(scope, "cuda"));
  const Space space(*variant, scope);
  Config config = space.start();
  config.merge(Values::parse(promise.config));
  EXPECT_TRUE(space.contains(config)) << config.text();
  const Source source = render(catalog(), *variant, problem, config, target);
  return unpack_gpu_code(backend->compile(source, target, kMatrixCompileLimit).code);
}

void expect_kept(const std::vector<Promise>& promises) {
  try {
    find_rtc("nvrtc");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  for (const Promise& promise : promises) {
    SCOPED_TRACE(std::string(promise.target) + " " + promise.variant + " " + promise.problem + " " +
                 promise.config);
    const GpuCode code = compiled(promise);
    for (const EntryResources& entry : code.entries) EXPECT_EQ(entry.spill_bytes, 0) << entry.entry;
    for (const char* text : promise.text) EXPECT_NE(code.ptx.find(text), std::string::npos) << text;
    const std::optional<MachineCode> machine = parse_cubin(code.code);
    ASSERT_TRUE(machine);
    const auto loop = hottest_loop(*machine->kernel("hone_main"), machine->sm);
    ASSERT_TRUE(loop);
    const double matrix = loop->tensor + loop->warpgroup;
    ASSERT_GT(matrix, 0);
    EXPECT_GE(matrix / loop->instructions, promise.least_share);
    if (loop->tensor > 0) {
      EXPECT_LE(loop->stall_cycles / loop->floor_cycles, promise.most_stall);
    }
    EXPECT_LE(loop->matrix_loads / matrix, promise.most_matrix_loads);
    EXPECT_LE(loop->copies / matrix, promise.most_copies);
  }
}

// How a vector kernel's loop streams its weights.
struct Streams {
  const char* variant;
  const char* problem;
  const char* config;
  double least_bytes;  // that a warp loads, for each instruction of the loop
  const char* text = "ld.global.v4";
};

TEST(MatrixCode, VectorLoopsLoadWholeVectorsOnAnA100) {
  try {
    find_rtc("nvrtc");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  const std::vector<Streams> all = {
      {"vector.cu", "gemm:m=1,n=4096,k=4096", "", 32},
      {"vector.cu", "gemm:m=1,n=4096,k=4096,x=f16,w=f16", "", 32},
      {"vector.cu", "gemm:m=1,n=4096,k=4096,x=bf16,w=bf16", "", 32},
      {"vector.cu", "gemm:m=1,n=4096,k=4096,w=f16", "", 32},
      {"vector.cu", "gemm:m=1,n=4096,k=4096,x=s8,w=s8", "", 64},
      {"blocks_vector.cu", "gemm:m=1,n=4096,k=4096,w=q8_0", "", 32},
      {"blocks_vector.cu", "gemm:m=1,n=4096,k=4096,w=q4_0", "", 16},
      {"blocks_vector.cu", "gemm:m=1,n=4096,k=4096,w=q4_1", "", 16},
  };
  for (const Streams& streams : all) {
    SCOPED_TRACE(std::string(streams.variant) + " " + streams.problem);
    const GpuCode code =
        compiled({"sm_80", streams.variant, streams.problem, streams.config, {}, 0, 0, 0, 0});
    for (const EntryResources& entry : code.entries) EXPECT_EQ(entry.spill_bytes, 0) << entry.entry;
    EXPECT_NE(code.ptx.find(streams.text), std::string::npos);
    const std::optional<MachineCode> machine = parse_cubin(code.code);
    ASSERT_TRUE(machine);
    const auto loop = hottest_loop(*machine->kernel("hone_main"), machine->sm);
    ASSERT_TRUE(loop);
    EXPECT_GE(static_cast<double>(loop->loaded_bytes) / loop->instructions, streams.least_bytes);
  }
}

const char* const kHalf = "gemm:m=4096,n=4096,k=4096,x=f16,w=f16,y=f16";
const char* const kBrain = "gemm:m=4096,n=4096,k=4096,x=bf16,w=bf16";
const char* const kBytes = "gemm:m=4096,n=4096,k=4096,x=s8,w=s8";
const char* const kLoads = "ldmatrix.sync.aligned.m8n8.x4.shared.b16";
const char* const kCopies = "cp.async.cg.shared.global [";
const char* const kHalfStep = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32";
const char* const kTuringStep = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32";
const char* const kBrainStep = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32";
const char* const kByteStep = "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32";

TEST(MatrixCode, GemmLoopsAreOfTheVendorsClassOnAnA100) {
  const char* const large = "BM=128,BN=128,depth=64,WM=2,WN=2,stages=4";
  const std::vector<const char*> half = {kLoads, kCopies, kHalfStep};
  expect_kept({
      {"sm_80", "mma.cu", kHalf, large, half, 0.5, 1.02, 0.25, 0.125},
      {"sm_80", "mma_stream.cu", kHalf, large, half, 0.5, 1.02, 0.25, 0.125},
      {"sm_80", "mma.cu", kBrain, large, {kLoads, kCopies, kBrainStep}, 0.5, 1.02, 0.25, 0.125},
      {"sm_80", "mma.cu", kBytes, large, {kLoads, kCopies, kByteStep}, 0.5, 1.02, 0.25, 0.125},
      {"sm_80", "mma.cu", kHalf, "BM=128,BN=256,depth=128,WM=2,WN=4,stages=3", half, 0.55, 1.02,
       0.25, 0.094},
      {"sm_80", "mma.cu", kHalf, "BM=128,BN=64,depth=128,WM=2,WN=2,stages=4", half, 0.4, 1.1, 0.375,
       0.1875},
      {"sm_80", "mma.cu", kHalf, "BM=64,BN=64,depth=128,WM=2,WN=2,stages=4", half, 0.24, 1.15, 0.5,
       0.25},
  });
}

// What makes numbers of the quants fits between the matrix instructions.
TEST(MatrixCode, BlockFormatsKeepTheTensorPipeTheBoundOnAnA100) {
  const char* const large = "BM=128,BN=128,blocks=2,WM=1,WN=4,stages=3";
  const char* const medium = "BM=64,BN=128,blocks=2,WM=1,WN=4,stages=3";
  const std::vector<const char*> half = {kCopies, kHalfStep};
  const char* const q8 = "gemm:m=256,n=4096,k=4096,x=f16,w=q8_0,y=f16";
  const char* const q4 = "gemm:m=256,n=4096,k=4096,x=f16,w=q4_0,y=f16";
  expect_kept({
      {"sm_80", "blocks.cu", q8, large, half, 0.33, 1.1, 0, 0.125},
      {"sm_80", "blocks.cu", q4, large, half, 0.33, 1.1, 0, 0.125},
      {"sm_80", "blocks.cu", q8, medium, half, 0.25, 1.25, 0, 0.15},
      {"sm_80", "blocks.cu", q4, medium, half, 0.25, 1.25, 0, 0.15},
  });
}

TEST(MatrixCode, FewRowsPadToEightOnAnA100) {
  expect_kept({
      {"sm_80", "flat.cu", "gemm:m=32,n=1024,k=2048,x=f16,w=f16", "", {kHalfStep}, 0.1, 4, 1, 1},
      {"sm_80",
       "flat.cu",
       "gemm:m=1,n=4096,k=4096,x=f16,w=f16,y=f16",
       "",
       {kLoads, kCopies, kHalfStep},
       0.05,
       8,
       1.5,
       1.25},
      {"sm_80",
       "flat.cu",
       "gemm:m=64,n=4096,k=4096,x=bf16,w=bf16",
       "BN=128,warps=4,stages=3",
       {kLoads, kCopies, kBrainStep},
       0.35,
       1.3,
       0.375,
       0.1875},
      {"sm_80",
       "flat.cu",
       "gemm:m=64,n=4096,k=4096,x=s8,w=s8",
       "BN=128,warps=4,stages=3",
       {kLoads, kCopies, kByteStep},
       0.35,
       1.3,
       0.375,
       0.1875},
  });
}

TEST(MatrixCode, GemmLoopsAreOfTheVendorsClassOnTuring) {
  const char* const large = "BM=128,BN=128,depth=64,WM=2,WN=2";
  expect_kept(
      {{"sm_75", "mma_registers.cu", kHalf, large, {kLoads, kTuringStep}, 0.6, 1.1, 0.125, 0},
       {"sm_75",
        "mma_registers.cu",
        kBytes,
        large,
        {kLoads, "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32"},
        0.6,
        1.1,
        0.0625,
        0}});
}

TEST(MatrixCode, AttentionLoopsAreOfTheVendorsClassOnAnA100) {
  const char* const large = "WM=8,BN=128";
  const char* const turned = "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16";
  const std::vector<const char*> half = {kLoads, turned, kCopies, kHalfStep};
  const std::vector<const char*> brain = {kLoads, turned, kCopies, kBrainStep};
  const char* const prefill = "attention:q=2048,kv=2048,heads=32,kv_heads=8,d=128,x=f16";
  expect_kept({
      {"sm_80", "mma.cu", prefill, large, half, 0.26, 1.4, 0.5, 0.07},
      {"sm_80", "mma.cu", "attention:q=2048,kv=2048,heads=32,kv_heads=8,d=128,x=bf16,c=bf16", large,
       brain, 0.26, 1.4, 0.5, 0.07},
      // The start configs of prefill and decode: no spills.
      {"sm_80", "mma.cu", prefill, "", half, 0.2, 1.8, 0.5, 0.13},
      {"sm_80", "mma.cu", "attention:q=1,kv=4096,heads=32,kv_heads=8,d=128", "", half, 0.1, 4, 0.5,
       0.5},
      {"sm_80",
       "mma_turned.cu",
       "attention:q=1,kv=4096,heads=32,kv_heads=8,d=128,x=f16",
       "",
       {kLoads, turned, kCopies, kHalfStep, "movmatrix.sync.aligned.m8n8.trans.b16"},
       0.06,
       7,
       1.5,
       1},
      {"sm_75", "mma.cu", prefill, "", {kLoads, turned, kTuringStep}, 0.3, 1.8, 0.25, 0},
  });
}

// At most 17 instructions for each of the warpgroup's, and others bring the tiles.
TEST(MatrixCode, GemmLoopsAreOfTheVendorsClassOnAnH100) {
  const char* const fence = "fence.proxy.async.shared::cta";
  expect_kept({{"sm_90a",
                "wgmma.cu",
                kHalf,
                "users=2,BN=256,stages=4",
                {kCopies, fence, "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16"},
                1.0 / 17,
                0,
                0,
                0},
               {"sm_90a",
                "wgmma.cu",
                kBytes,
                "users=2,BN=128,stages=4",
                {kCopies, fence, "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8"},
                1.0 / 17,
                0,
                0,
                0}});
}

}  // namespace
}  // namespace hone::prove
