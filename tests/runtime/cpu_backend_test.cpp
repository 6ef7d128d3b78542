#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/cpu_compiler.h"
#include "runtime/cache.h"
#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

using testing::HasSubstr;
constexpr std::chrono::seconds kLimit{60};

class CpuBackendTest : public testing::Test {
 protected:
  Backend& backend() { return *find_backend("cpu"); }
  Binary compile(const Source& source) {
    return backend().compile(source, device_->target(), kLimit);
  }
  std::unique_ptr<Module> load(const Source& source) {
    return device_->load(compile(source), source.entries);
  }

  // The error of a compilation that must fail.
  Error error_of(const Source& source, std::chrono::duration<double> limit = kLimit) {
    try {
      backend().compile(source, device_->target(), limit);
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::kInternal, "it compiled");
  }

  TemporaryFolder folder_;
  Variable cache_{"HONE_CACHE", (folder_.path() / "cache").string()};
  std::unique_ptr<Device> device_ = open_device("cpu:0");
};

std::size_t entries_in(const std::filesystem::path& folder) {
  std::size_t count = 0;
  if (!std::filesystem::exists(folder)) return 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    count += entry.is_regular_file();
  return count;
}

TEST(OpenDevice, TakesANameWithOrWithoutIndex) {
  EXPECT_EQ(open_device("cpu")->identity(), open_device("cpu:0")->identity());
}

TEST(OpenDevice, RefusesWhatIsNotThere) {
  const auto code_of = [](const std::string& name) {
    try {
      open_device(name);
    } catch (const Error& error) {
      return error.code();
    }
    return Code::kInternal;
  };
  EXPECT_EQ(code_of("cpu:1"), Code::kNotFound);
  EXPECT_EQ(code_of("npu:0"), Code::kNotFound);
  EXPECT_EQ(code_of("cpu:"), Code::kUsage);
  EXPECT_EQ(code_of("cpu:x"), Code::kUsage);
  EXPECT_EQ(code_of("cpu:0x"), Code::kUsage);
  EXPECT_EQ(code_of("cpu:-1"), Code::kUsage);
}

TEST_F(CpuBackendTest, CompilesLoadsAndRunsEveryBlockOnce) {
  const Source source = counting_source();
  const std::unique_ptr<Module> module = load(source);
  for (const std::int64_t threads : {1, 2, 3}) {
    for (const std::array<std::int64_t, 3>& grid :
         {std::array<std::int64_t, 3>{1, 1, 1}, {7, 1, 1}, {1, 5, 1}, {3, 4, 5}, {100, 3, 2}}) {
      const std::size_t blocks = static_cast<std::size_t>(grid[0] * grid[1] * grid[2]);
      std::vector<std::int64_t> counts(blocks, 0);
      std::vector<std::int64_t> ran_on(blocks, -1);
      const std::uint64_t slots[] = {reinterpret_cast<std::uint64_t>(counts.data()),
                                     reinterpret_cast<std::uint64_t>(ran_on.data())};
      ASSERT_TRUE(module->run({0, slots, 2, {grid[0], grid[1], grid[2]}, threads}, nullptr));
      EXPECT_THAT(counts, testing::Each(1))
          << grid[0] << "x" << grid[1] << "x" << grid[2] << " on " << threads;
      EXPECT_THAT(ran_on, testing::Each(testing::AllOf(testing::Ge(0), testing::Lt(threads))));
    }
  }
}

TEST_F(CpuBackendTest, PassesScalarsDimsAndPackEntries) {
  const Source source = source_of(R"(
struct Args { const f32 *x; f32 *y; f32 scale; i64 n; };
static_assert(sizeof(Args) == 32);
HONE_KERNEL(main) { for (i64 i = 0; i < a.n; ++i) a.y[i] = a.scale * a.x[i]; }
HONE_PACK(x) { for (i64 i = 0; i < a.n; ++i) to[i] = from[a.n - 1 - i]; }
)",
                                  {"main", "pack_x"});
  const std::unique_ptr<Module> module = load(source);
  const float x[3] = {1, 2, 3};
  float y[3] = {};
  const float scale = 0.5F;
  std::uint64_t slots[4] = {reinterpret_cast<std::uint64_t>(x), reinterpret_cast<std::uint64_t>(y),
                            0, 3};
  std::memcpy(&slots[2], &scale, sizeof scale);
  ASSERT_TRUE(module->run({0, slots, 4, {1, 1, 1}, 1}, nullptr));
  EXPECT_THAT(y, testing::ElementsAre(0.5F, 1.0F, 1.5F));
  const char from[3] = {'a', 'b', 'c'};
  char to[3] = {};
  ASSERT_TRUE(module->pack(1, slots, 4, from, to, 3, nullptr));
  EXPECT_THAT(to, testing::ElementsAre('c', 'b', 'a'));
}

TEST_F(CpuBackendTest, RefusesALaunchThatIsNoLaunch) {
  const std::unique_ptr<Module> module = load(counting_source());
  const std::uint64_t slots[2] = {};
  EXPECT_FALSE(module->run({1, slots, 2, {1, 1, 1}, 1}, nullptr));
  EXPECT_THAT(device_->last_error(), HasSubstr("entry"));
  EXPECT_FALSE(module->run({-1, slots, 2, {1, 1, 1}, 1}, nullptr));
  EXPECT_FALSE(module->run({0, slots, 2, {1, 0, 1}, 1}, nullptr));
  EXPECT_THAT(device_->last_error(), HasSubstr("positive"));
  EXPECT_FALSE(module->run({0, slots, 2, {1, 1, 1}, 0}, nullptr));
  EXPECT_FALSE(module->run({0, slots, 2, {std::int64_t{1} << 40, 1 << 20, 1 << 20}, 1}, nullptr));
  EXPECT_FALSE(module->pack(7, slots, 2, nullptr, nullptr, 3, nullptr));
}

TEST_F(CpuBackendTest, KeepsModulesApart) {
  const auto adder = [](int amount) {
    return source_of(
        "struct Args { i64 *y; };\nHONE_KERNEL(main) { *a.y += " + std::to_string(amount) + "; }\n",
        {"main"});
  };
  std::vector<std::unique_ptr<Module>> modules;
  for (const int amount : {1, 10, 100}) modules.push_back(load(adder(amount)));
  modules.erase(modules.begin());
  modules.push_back(load(adder(1000)));
  std::int64_t sum = 0;
  const std::uint64_t slots[1] = {reinterpret_cast<std::uint64_t>(&sum)};
  for (const auto& module : modules) ASSERT_TRUE(module->run({0, slots, 1, {1, 1, 1}, 1}, nullptr));
  EXPECT_EQ(sum, 1110);
}

TEST_F(CpuBackendTest, ModulesOutliveTheirDevice) {
  const std::unique_ptr<Module> module = load(counting_source());
  device_.reset();
  std::int64_t counts[4] = {};
  std::int64_t ran_on[4] = {};
  const std::uint64_t slots[] = {reinterpret_cast<std::uint64_t>(counts),
                                 reinterpret_cast<std::uint64_t>(ran_on)};
  EXPECT_TRUE(module->run({0, slots, 2, {4, 1, 1}, 2}, nullptr));
  EXPECT_THAT(counts, testing::Each(1));
}

TEST_F(CpuBackendTest, ResolvesWhatTheCompilerCallsOnItsOwn) {
  const Source source = source_of(R"(
struct Big { u8 bytes[100000]; };
struct Args { const Big *x; Big *y; double *z; };
HONE_KERNEL(main) { *a.y = *a.x; *a.z = __builtin_exp(*a.z); }
)",
                                  {"main"});
  const std::unique_ptr<Module> module = load(source);
  const std::vector<char> x(100000, 'x');
  std::vector<char> y(100000, 'y');
  double z = 0;
  const std::uint64_t slots[] = {reinterpret_cast<std::uint64_t>(x.data()),
                                 reinterpret_cast<std::uint64_t>(y.data()),
                                 reinterpret_cast<std::uint64_t>(&z)};
  ASSERT_TRUE(module->run({0, slots, 3, {1, 1, 1}, 1}, nullptr));
  EXPECT_EQ(x, y);
  EXPECT_EQ(z, 1.0);
}

TEST_F(CpuBackendTest, CompilesEveryArchAndRunsTheOnesItHas) {
  for (const char* arch :
       {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4+bf16+vnni"}) {
    const Source source = source_of(
        "#include <immintrin.h>\nstruct Args { i64 *y; };\nHONE_KERNEL(main) { *a.y = 1; }\n",
        {"main"});
    const std::optional<Target> target = backend().target(arch);
    ASSERT_TRUE(target.has_value()) << arch;
    const Binary binary = backend().compile(source, *target, kLimit);
    EXPECT_EQ(binary.target, std::string("cpu/") + arch);
    if (!this_cpu_arch().runs(*parse_cpu_arch(arch))) {
      EXPECT_THROW(device_->load(binary, source.entries), Error) << arch;
      continue;
    }
    std::int64_t y = 0;
    const std::uint64_t slots[1] = {reinterpret_cast<std::uint64_t>(&y)};
    EXPECT_TRUE(device_->load(binary, source.entries)->run({0, slots, 1, {1, 1, 1}, 1}, nullptr));
    EXPECT_EQ(y, 1);
  }
  EXPECT_EQ(backend().target("sm_80"), std::nullopt);
}

TEST_F(CpuBackendTest, LoadRefusesForeignOrBrokenCode) {
  const Source source = counting_source();
  Binary binary = compile(source);
  const std::string other[1] = {"other"};
  EXPECT_THROW(device_->load(binary, other), Error);
  Binary foreign = binary;
  foreign.target = "cuda/sm_80";
  EXPECT_THROW(device_->load(foreign, source.entries), Error);
  Binary broken = binary;
  broken.code = "not a shared object";
  EXPECT_THROW(device_->load(broken, source.entries), Error);
}

TEST_F(CpuBackendTest, GivesTheLogOfASourceThatDoesNotCompile) {
  const Error error =
      error_of(source_of("struct Args {};\nHONE_KERNEL(main) { this_is_no_name; }\n", {"main"}));
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("this_is_no_name"));
}

TEST_F(CpuBackendTest, NamesAFunctionThatIsNowhere) {
  const Error error =
      error_of(source_of("struct Args {};\nextern \"C\" void "
                         "nowhere_to_be_found();\nHONE_KERNEL(main) { nowhere_to_be_found(); }\n",
                         {"main"}));
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("nowhere_to_be_found"));
}

TEST_F(CpuBackendTest, SaysWhatToInstallWhenThereIsNoCompiler) {
  const Variable path("PATH", folder_.path().string());
  const Variable none("HONE_CXX", "");
  const Error error = error_of(counting_source());
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("apt-get install g++"));
  std::vector<std::string> missing;
  EXPECT_EQ(backend().devices(&missing).size(), 1U);
  EXPECT_THAT(missing, testing::ElementsAre(HasSubstr("apt-get install g++")));
}

TEST_F(CpuBackendTest, NamesACompilerThatCannotBeRun) {
  const Variable wrong("HONE_CXX", "/no/such/c++");
  const Error error = error_of(counting_source());
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("HONE_CXX=/no/such/c++"));
}

// A compiler that knows its version and then does as it is told.
std::string fake_compiler(const std::filesystem::path& file, const std::string& what) {
  return script(file, "if [ \"$1\" = --version ]; then echo 'fake 1.2.3'; exit 0; fi\n" + what);
}

TEST_F(CpuBackendTest, KillsACompilerThatHangs) {
  const Variable fake("HONE_CXX",
                      fake_compiler(folder_.path() / "hangs",
                                    "case \"$*\" in *c++-header*) exit 1;; esac\nsleep 1000\n"));
  const auto begin = std::chrono::steady_clock::now();
  const Error error = error_of(counting_source(), std::chrono::milliseconds(300));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(500));
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("longer than 0.3 s"));
}

TEST_F(CpuBackendTest, ReportsACompilerThatCrashes) {
  const Variable fake("HONE_CXX", fake_compiler(folder_.path() / "crashes", "kill -SEGV $$\n"));
  const Error error = error_of(counting_source());
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("signal 11"));
}

TEST_F(CpuBackendTest, ReportsACompilerThatWritesNothing) {
  const Variable fake("HONE_CXX", fake_compiler(folder_.path() / "idle", "exit 0\n"));
  const Error error = error_of(counting_source());
  EXPECT_EQ(error.code(), Code::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("wrote nothing"));
}

// Counts its calls, then does the work of the real one.
class CountingCompiler {
 public:
  explicit CountingCompiler(const std::filesystem::path& folder)
      : log_(folder / "calls"),
        variable_("HONE_CXX",
                  script(folder / "counting", "echo \"$*\" >> " + log_.string() + "\nexec " +
                                                  find_cpu_compiler().path + " \"$@\"\n")) {}
  std::size_t kernels() const {
    const std::string calls = text_of(log_);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = calls.find("kernel.so", at)) != std::string::npos; ++at) ++count;
    return count;
  }

 private:
  std::filesystem::path log_;
  Variable variable_;
};

TEST_F(CpuBackendTest, CompilesOnceAndThenFindsItInTheCache) {
  const CountingCompiler compiler(folder_.path());
  const Source source = counting_source();
  EXPECT_EQ(backend().cached(source.hash, device_->target()), std::nullopt);
  const Binary first = compile(source);
  EXPECT_EQ(compiler.kernels(), 1U);
  EXPECT_EQ(compile(source).code, first.code);
  ASSERT_TRUE(backend().cached(source.hash, device_->target()).has_value());
  EXPECT_EQ(backend().cached(source.hash, device_->target())->code, first.code);
  EXPECT_EQ(compiler.kernels(), 1U);
  backend().compile(source, *backend().target("x86-64"), kLimit);
  EXPECT_EQ(compiler.kernels(), 2U) << "another target needs other code";
}

TEST_F(CpuBackendTest, BuildsADamagedCacheEntryAgain) {
  const CountingCompiler compiler(folder_.path());
  const Source source = counting_source();
  const Binary first = compile(source);
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder_.path() / "cache" / "binaries")) {
    if (entry.is_regular_file()) std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
  }
  EXPECT_EQ(compile(source).code, first.code);
  EXPECT_EQ(compiler.kernels(), 2U);
  compile(source);
  EXPECT_EQ(compiler.kernels(), 2U) << "the entry was not replaced";
}

TEST_F(CpuBackendTest, SurvivesADamagedPrefix) {
  const CountingCompiler compiler(folder_.path());
  compile(source_of("struct Args {};\nHONE_KERNEL(main) {}\n", {"main"}));
  std::filesystem::path prefix;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder_.path() / "cache" / "prefixes")) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".gch" || extension == ".pch") prefix = entry.path();
  }
  ASSERT_FALSE(prefix.empty()) << "no prefix was made";
  std::filesystem::resize_file(prefix, std::filesystem::file_size(prefix) / 2);
  const std::unique_ptr<Module> module = load(counting_source());
  EXPECT_NE(module, nullptr);
}

TEST_F(CpuBackendTest, CompilesWithoutACache) {
  write_text(folder_.path() / "file", "");
  const Variable cache("HONE_CACHE", (folder_.path() / "file").string());
  EXPECT_NE(load(counting_source()), nullptr);
}

TEST_F(CpuBackendTest, LeavesNothingButTheCache) {
  const auto work_folders = [] {
    std::size_t count = 0;
    const std::string own = "hone-" + std::to_string(::getpid()) + "-";
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
      count += entry.path().filename().string().starts_with(own);
    return count;
  };
  compile(counting_source());
  error_of(source_of("struct Args {};\nHONE_KERNEL(main) { wrong; }\n", {"main"}));
  EXPECT_EQ(work_folders(), 0U);
  EXPECT_EQ(entries_in(folder_.path() / "cache" / "binaries"), 1U);
}

TEST_F(CpuBackendTest, TwoProcessesCompileTheSameSourceAtOnce) {
  const Source source = counting_source();
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      int status = 1;
      try {
        std::int64_t counts[2] = {};
        std::int64_t ran_on[2] = {};
        const std::uint64_t slots[] = {reinterpret_cast<std::uint64_t>(counts),
                                       reinterpret_cast<std::uint64_t>(ran_on)};
        const std::unique_ptr<Module> module = load(source);
        if (module->run({0, slots, 2, {2, 1, 1}, 2}, nullptr) && counts[0] == 1 && counts[1] == 1)
          status = 0;
      } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(status);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(entries_in(folder_.path() / "cache" / "binaries"), 1U);
}

TEST_F(CpuBackendTest, SeveralThreadsCompileAndLaunchAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this, i, &good] {
      const Source source = source_of("struct Args { i64 *y; };\nHONE_KERNEL(main) { a.y[b.x] += " +
                                          std::to_string(i + 1) + "; }\n",
                                      {"main"});
      const std::unique_ptr<Module> module = load(source);
      std::vector<std::int64_t> y(64, 0);
      const std::uint64_t slots[1] = {reinterpret_cast<std::uint64_t>(y.data())};
      for (int round = 0; round < 200; ++round) module->run({0, slots, 1, {64, 1, 1}, 2}, nullptr);
      good += std::count(y.begin(), y.end(), 200 * (i + 1)) == 64;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 3);
}

TEST_F(CpuBackendTest, TimeAddsUpItsRepeats) {
  int calls = 0;
  EXPECT_GT(device_->time([&calls] { ++calls; }, 7), 0);
  EXPECT_EQ(calls, 7);
}

TEST_F(CpuBackendTest, NamesItsToolchain) {
  const std::string toolchain = backend().toolchain();
  EXPECT_THAT(toolchain,
              testing::AnyOf(testing::StartsWith("g++ "), testing::StartsWith("clang++ ")));
  EXPECT_EQ(
      CpuCompiler({"/usr/bin/c++", "g++ (Debian 12.2.0-14+deb12u1) 12.2.0", false}).toolchain(),
      "g++ 12.2.0");
  EXPECT_EQ(CpuCompiler({"/usr/bin/c++", "Debian clang version 14.0.6", true}).toolchain(),
            "clang++ 14.0.6");
}

TEST_F(CpuBackendTest, CompilesWithClangWhereItIsInstalled) {
  const Variable clang("HONE_CXX", "clang++");
  try {
    find_cpu_compiler();
  } catch (const Error&) {
    GTEST_SKIP() << "no clang++";
  }
  EXPECT_NE(load(counting_source()), nullptr);
  EXPECT_NE(load(source_of("struct Args {};\nHONE_KERNEL(main) {}\n", {"main"})), nullptr);
}

TEST_F(CpuBackendTest, MeasuresCeilingsInsideTheBudget) {
  const Ceilings ceilings = device_->measure_ceilings(std::chrono::milliseconds(300));
  for (const char* name :
       {"read_gbps", "copy_gbps", "l1_gbps", "l2_gbps", "l3_gbps", "f32_gflops"}) {
    for (const std::string& full : {std::string(name), name + std::string("_1t")}) {
      ASSERT_TRUE(ceilings.contains(full)) << full;
      EXPECT_GT(ceilings.at(full), 0.01) << full;
      EXPECT_LT(ceilings.at(full), 1e6) << full;
    }
  }
  EXPECT_EQ(ceilings.contains("bf16_gflops"), this_cpu_arch().bf16);
  EXPECT_EQ(ceilings.contains("s8_gflops_1t"), this_cpu_arch().vnni);
  EXPECT_GT(ceilings.at("launch_ns"), 0);
  EXPECT_LT(ceilings.at("launch_ns_1t"), 1e5);
}

}  // namespace
}  // namespace hone
