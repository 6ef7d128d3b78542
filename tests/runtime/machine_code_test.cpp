#include "runtime/machine_code.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/backends/rtc.h"
#include "tests/runtime/cpu_test.h"
#include "tests/simulator/support/damage.h"

namespace hone {
namespace {

// A loop with matrix instructions, one of loads, a division with its slow path, shared memory.
constexpr const char* kProbe = R"(
struct Args { const unsigned *x; float *y; long long n; };
extern "C" __global__ void hone_matrix(const Args a) {
  float c[4] = {};
  for (int k = 0; k < a.n; ++k) {
    const unsigned *x = a.x + 256 * k + threadIdx.x;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
                   : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(x[32 * i]), "r"(x[32 * i + 1]), "r"(x[32 * i + 2]));
  }
  for (int i = 0; i < 4; ++i) a.y[4 * threadIdx.x + i] = c[i];
}
extern "C" __global__ void hone_stream(const Args a) {
  __shared__ float s[256];
  float sum = 0;
  const float4 *x = reinterpret_cast<const float4 *>(a.x);
#pragma unroll 1
  for (long long i = threadIdx.x; i < a.n; i += blockDim.x) {
    const float4 v = x[i];
    sum += v.x / v.y + v.z * v.w;
  }
  s[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x % 32 == 0) a.y[blockIdx.x] = s[threadIdx.x] + s[threadIdx.x ^ a.n % 7];
}
)";

constexpr const char* kArchs[] = {"sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_120a"};

class MachineCodeOf : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      find_rtc("nvrtc");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  std::string cubin() {
    Source source;
    source.text = kProbe;
    source.entries = {"matrix", "stream"};
    source.hash = hash_of(normalised(source.text));
    Backend& backend = *find_backend("cuda");
    return unpack_gpu_code(
               backend.compile(source, *backend.target(GetParam()), std::chrono::seconds(60)).code)
        .code;
  }

  TemporaryFolder folder_;
  Variable cache_{"HONE_CACHE", folder_.path().string()};
};

INSTANTIATE_TEST_SUITE_P(Architectures, MachineCodeOf, ::testing::ValuesIn(kArchs),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(MachineCodeOf, TellsLoopsAndResources) {
  const auto code = parse_cubin(cubin());
  ASSERT_TRUE(code);
  EXPECT_TRUE(std::string(GetParam()).starts_with("sm_" + std::to_string(code->sm)));
  const MachineKernel* matrix = code->kernel("hone_matrix");
  const MachineKernel* stream = code->kernel("hone_stream");
  ASSERT_TRUE(matrix != nullptr && stream != nullptr);
  EXPECT_EQ(matrix->parameter_bytes, 24);
  EXPECT_EQ(stream->shared_bytes % 1024, 0);
  EXPECT_GE(stream->shared_bytes, 1024);
  EXPECT_GT(matrix->registers, 8);

  const auto loop = hottest_loop(*matrix, code->sm);
  ASSERT_TRUE(loop);
  EXPECT_GE(loop->tensor, 4);
  EXPECT_EQ(loop->tensor % 4, 0);
  EXPECT_GT(loop->instructions, 2 * loop->tensor);
  EXPECT_GE(loop->stall_cycles, loop->instructions);
  EXPECT_EQ(loop->loaded_bytes, 128 * 3 * loop->tensor);

  const auto streamed = hottest_loop(*stream, code->sm);
  ASSERT_TRUE(streamed);
  EXPECT_EQ(streamed->tensor, 0);
  EXPECT_EQ(streamed->loaded_bytes, 512);
}

// Where nvdisasm lies: $HONE_NVDISASM, where scripts/fetch_gpu_compilers.sh puts it, a toolkit's.
std::string nvdisasm() {
  if (const char* given = std::getenv("HONE_NVDISASM")) return given;
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = data != nullptr ? data : std::string(home ? home : "") + "/.local/share";
  for (const std::string& file :
       {base + "/hone/nvdisasm", std::string("/usr/local/cuda/bin/nvdisasm")})
    if (std::filesystem::is_regular_file(file)) return file;
  return "";
}

// The lines of `nvdisasm -c`: "@!P0 BRA `(.L_x_1)" by address, and the labels' addresses.
struct Disassembly {
  std::map<std::string, std::map<std::int64_t, std::string>> kernels;
  std::map<std::string, std::int64_t> labels;
};

Disassembly disassemble(const std::string& tool, const std::string& file) {
  Disassembly result;
  FILE* pipe = ::popen((tool + " -c " + file).c_str(), "r");
  if (pipe == nullptr) return result;
  std::string text;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
    text.append(buffer, got);
  ::pclose(pipe);
  std::istringstream lines(text);
  std::vector<std::string> pending;
  std::string kernel;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kSection = ".section\t.text.";
    if (const auto at = line.find(kSection); at != std::string::npos) {
      kernel = line.substr(at + kSection.size());
      kernel.resize(kernel.find(','));
    }
    if (line.starts_with(".L_") && line.ends_with(':')) {
      pending.push_back(line.substr(0, line.size() - 1));
      continue;
    }
    const auto open = line.find("/*");
    if (open == std::string::npos || kernel.empty()) continue;
    char* end = nullptr;
    const std::int64_t address = std::strtoll(line.c_str() + open + 2, &end, 16);
    if (std::string_view(end).substr(0, 2) != "*/") continue;
    std::string words(end + 2);
    words.erase(0, words.find_first_not_of(" \t{"));
    result.kernels[kernel][address] = words;
    for (const std::string& label : pending) result.labels[kernel + label] = address;
    pending.clear();
  }
  return result;
}

TEST_P(MachineCodeOf, ReadsWhatNvdisasmReads) {
  const std::string tool = nvdisasm();
  if (tool.empty())
    GTEST_SKIP() << "no nvdisasm: scripts/fetch_gpu_compilers.sh nvdisasm, or set HONE_NVDISASM";
  const std::string bytes = cubin();
  const auto code = parse_cubin(bytes);
  ASSERT_TRUE(code);
  const std::string file = (folder_.path() / "probe.cubin").string();
  std::ofstream(file, std::ios::binary) << bytes;
  Disassembly wanted = disassemble(tool, file);
  ASSERT_EQ(wanted.kernels.size(), 2u);
  int branches = 0;
  for (const MachineKernel& kernel : code->kernels) {
    const auto& lines = wanted.kernels[kernel.name];
    ASSERT_EQ(lines.size(), kernel.code.size());
    for (const auto& [address, line] : lines) {
      const std::int64_t at = address / 16;
      const MachineInstruction& one = kernel.code[static_cast<std::size_t>(at)];
      std::string words = line, guard;
      if (words[0] == '@') {
        guard = words.substr(1, words.find(' ') - 1);
        words.erase(0, words.find_first_not_of(' ', words.find(' ')));
      }
      const std::string name = words.substr(0, words.find_first_of(". ;"));
      EXPECT_EQ(name_of(one, code->sm), name) << line;
      std::string own = one.guard_negated() ? "!" : "";
      own += one.guard() == 7 ? "PT" : (name[0] == 'U' ? "UP" : "P") + std::to_string(one.guard());
      if (own == "!PT" && name[0] == 'U') own = "!UPT";
      if (own == "PT") own = "";
      EXPECT_EQ(own, guard) << line;
      if (const auto quote = words.find("`(.L_"); quote != std::string::npos) {
        const std::string label = words.substr(quote + 2, words.find(')', quote) - quote - 2);
        const auto target = branch_target(one, at, code->sm);
        ASSERT_TRUE(target) << line;
        EXPECT_EQ(16 * *target, wanted.labels[kernel.name + label]) << line;
        ++branches;
      }
      const Pipe pipe = pipe_of(one, code->sm);
      if (pipe == Pipe::kGlobalLoad || pipe == Pipe::kSharedLoad || pipe == Pipe::kSharedStore) {
        const std::string suffixes = words.substr(0, words.find(' ')) + ".";
        const int size = suffixes.find(".128.") != std::string::npos  ? 16
                         : suffixes.find(".64.") != std::string::npos ? 8
                                                                      : 4;
        EXPECT_EQ(access_bytes(one, code->sm), size) << line;
      }
    }
  }
  EXPECT_GT(branches, 4);
}

TEST(MachineCode, SurvivesDamage) {
  try {
    find_rtc("nvrtc");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  TemporaryFolder folder;
  Variable cache("HONE_CACHE", folder.path().string());
  Source source;
  source.text = kProbe;
  source.entries = {"matrix", "stream"};
  source.hash = hash_of(normalised(source.text));
  Backend& backend = *find_backend("cuda");
  const std::string bytes =
      unpack_gpu_code(
          backend.compile(source, *backend.target("sm_80"), std::chrono::seconds(60)).code)
          .code;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const auto code = parse_cubin(test::damaged_bytes(bytes, seed));
    if (!code) continue;
    for (const MachineKernel& kernel : code->kernels) hottest_loop(kernel, code->sm);
  }
  EXPECT_FALSE(parse_cubin(""));
  EXPECT_FALSE(parse_cubin("no cubin"));
}

}  // namespace
}  // namespace hone
