#include "runtime/backends/cpu_identity.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "codegen/error.h"
#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

using testing::Contains;
using testing::Not;

// The flags that the kernel prints for the first processor.
bool kernel_lists(const std::string& flag) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("flags")) return (line + " ").find(" " + flag + " ") != std::string::npos;
  }
  return false;
}

TEST(CpuArch, TextParsesBack) {
  for (const char* text : {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+bf16",
                           "x86-64-v4+vnni", "x86-64-v4+bf16+vnni"}) {
    const std::optional<CpuArch> arch = parse_cpu_arch(text);
    ASSERT_TRUE(arch.has_value()) << text;
    EXPECT_EQ(arch->text(), text);
  }
}

TEST(CpuArch, OtherTextsAreUnknown) {
  for (const char* text :
       {"", "x86", "x86-64-v5", "x86-64-v1", "x86-64-v4+vnni+bf16", "x86-64-v4+bf16+",
        "x86-64-v3+bf16", "x86-64-v4+avx", "sm_80", "X86-64"}) {
    EXPECT_EQ(parse_cpu_arch(text), std::nullopt) << text;
  }
}

TEST(CpuArch, FlagsNameFeaturesAndNeverTheMachine) {
  for (const char* text : {"x86-64", "x86-64-v3", "x86-64-v4+bf16+vnni"}) {
    for (const std::string& flag : parse_cpu_arch(text)->compiler_flags()) {
      EXPECT_FALSE(flag.starts_with("-march") || flag.starts_with("-mtune")) << flag;
    }
  }
  EXPECT_THAT(parse_cpu_arch("x86-64-v3")->compiler_flags(), Contains("-mfma"));
  EXPECT_THAT(parse_cpu_arch("x86-64-v3")->compiler_flags(), Not(Contains("-mavx512f")));
  EXPECT_THAT(parse_cpu_arch("x86-64-v4+vnni")->compiler_flags(), Contains("-mavx512vnni"));
  EXPECT_THAT(parse_cpu_arch("x86-64-v4+vnni")->compiler_flags(), Not(Contains("-mavx512bf16")));
}

TEST(CpuArch, RunsWhatAsksForNoMore) {
  const CpuArch full = *parse_cpu_arch("x86-64-v4+bf16+vnni");
  EXPECT_TRUE(full.runs(full));
  EXPECT_TRUE(full.runs(*parse_cpu_arch("x86-64")));
  EXPECT_FALSE(parse_cpu_arch("x86-64-v4")->runs(full));
  EXPECT_FALSE(parse_cpu_arch("x86-64-v3")->runs(*parse_cpu_arch("x86-64-v4")));
}

TEST(CpuArch, AgreesWithTheKernelAboutThisMachine) {
  const CpuArch arch = this_cpu_arch();
  EXPECT_EQ(arch.level >= 3, kernel_lists("avx2") && kernel_lists("fma") && kernel_lists("bmi2") &&
                                 kernel_lists("movbe"));
  EXPECT_EQ(arch.level >= 4, kernel_lists("avx512f") && kernel_lists("avx512bw") &&
                                 kernel_lists("avx512vl") && kernel_lists("avx512dq"));
  EXPECT_EQ(arch.bf16, kernel_lists("avx512_bf16"));
  EXPECT_EQ(arch.vnni, kernel_lists("avx512_vnni"));
}

TEST(CpuTopology, ListsCoresOfThisProcessAndCaches) {
  const CpuTopology topology = this_cpu_topology(this_cpu_arch());
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  ASSERT_FALSE(topology.cpus.empty());
  EXPECT_LE(static_cast<int>(topology.cpus.size()), CPU_COUNT(&allowed));
  for (const int cpu : topology.cpus)
    EXPECT_TRUE(CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) << cpu;
  EXPECT_TRUE(std::is_sorted(topology.cpus.begin(), topology.cpus.end()));
  EXPECT_GE(topology.l1_bytes, 8 << 10);
  EXPECT_GT(topology.l2_bytes, topology.l1_bytes);
  EXPECT_GE(topology.l3_bytes, topology.l2_bytes);
}

// A machine whose hardware threads, as many as this process may use, all belong to one core.
TEST(CpuTopology, TwoHardwareThreadsAreOneCore) {
  const TemporaryFolder folder;
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int first = -1;
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
    if (!CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) continue;
    first = cpu;
    const auto own = folder.path() / fmt::format("cpu{}", cpu);
    const auto put = [&](const std::string& file, const std::string& text) {
      std::filesystem::create_directories((own / file).parent_path());
      std::ofstream(own / file) << text << "\n";
    };
    put("topology/thread_siblings_list", "0-1023");
    const char* const types[] = {"Data", "Instruction", "Unified", "Unified"};
    const char* const sizes[] = {"48K", "32K", "2048K", "30M"};
    const char* const levels[] = {"1", "1", "2", "3"};
    for (int i = 0; i < 4; ++i) {
      put(fmt::format("cache/index{}/type", i), types[i]);
      put(fmt::format("cache/index{}/size", i), sizes[i]);
      put(fmt::format("cache/index{}/level", i), levels[i]);
    }
  }
  const CpuTopology topology = this_cpu_topology(this_cpu_arch(), folder.path());
  EXPECT_EQ(topology.cpus, std::vector<int>{first});
  EXPECT_EQ(topology.l1_bytes, 48 << 10);
  EXPECT_EQ(topology.l2_bytes, 2 << 20);
  EXPECT_EQ(topology.l3_bytes, 30 << 20);
}

TEST(CpuTopology, ThreadsOfTheEnvironmentLimitUnits) {
  const Variable one("HONE_THREADS", "1");
  EXPECT_EQ(this_cpu_topology(this_cpu_arch()).cpus.size(), 1U);
}

TEST(CpuTopology, RefusesAThreadCountThatIsNoNumber) {
  for (const char* text : {"0", "-1", "two", "2x"}) {
    const Variable bad("HONE_THREADS", text);
    EXPECT_THROW(this_cpu_topology(this_cpu_arch()), Error) << text;
  }
}

TEST(CpuTarget, LimitsFollowTheArch) {
  CpuTopology topology;
  topology.cpus = {0, 1, 2};
  topology.l1_bytes = 1;
  topology.l2_bytes = 2;
  topology.l3_bytes = 3;
  const Target wide = cpu_target(*parse_cpu_arch("x86-64-v4+bf16"), topology);
  EXPECT_EQ(wide.text(), "cpu/x86-64-v4+bf16");
  EXPECT_EQ(wide.limits.text(),
            "units=3,vector_bytes=64,registers=32,l1_bytes=1,l2_bytes=2,l3_bytes=3,has_avx2=1,has_"
            "avx512=1,has_bf16=1,has_vnni=0,has_f16c=1");
  const Target narrow = cpu_target(*parse_cpu_arch("x86-64-v2"), topology);
  EXPECT_EQ(narrow.limits.integer("vector_bytes"), 16);
  EXPECT_EQ(narrow.limits.integer("registers"), 16);
  EXPECT_EQ(narrow.limits.integer("has_f16c"), 0);
}

TEST(CpuIdentity, NamesTheProcessor) {
  const CpuArch arch = this_cpu_arch();
  const CpuTopology topology = this_cpu_topology(arch);
  const DeviceIdentity identity = this_cpu_identity(arch, topology);
  EXPECT_EQ(identity.backend, "cpu");
  EXPECT_EQ(identity.vendor.size(), 12U);
  EXPECT_EQ(identity.arch, arch.text());
  EXPECT_THAT(identity.model, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(identity.units, static_cast<std::int64_t>(topology.cpus.size()));
  EXPECT_GT(identity.memory_bytes, std::int64_t{64} << 20);
  EXPECT_THAT(identity.driver, testing::StartsWith("Linux "));
  EXPECT_FALSE(identity.name.empty());
}

}  // namespace
}  // namespace hone
