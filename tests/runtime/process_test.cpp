#include "runtime/process.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "codegen/error.h"
#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

using testing::HasSubstr;

ProcessResult shell(const std::string& text, const ProcessLimits& limits = {}) {
  return run_process({"/bin/sh", "-c", text}, limits, "/");
}

TEST(Process, ReturnsOutputAndExitStatus) {
  const ProcessResult result = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(result.output, "out\nerr\n");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.summary(), "exit status 3");
}

TEST(Process, ReportsTheSignalOfACrash) {
  const ProcessResult result = shell("kill -SEGV $$");
  EXPECT_EQ(result.signal, SIGSEGV);
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.summary(), HasSubstr("signal 11"));
}

TEST(Process, KillsTheWholeGroupWhenTimeIsUp) {
  TemporaryFolder folder;
  ProcessLimits limits;
  limits.wall = std::chrono::milliseconds(200);
  const ProcessResult result =
      run_process({"/bin/sh", "-c", "sleep 1000 & echo $! > child; wait"}, limits, folder.path());
  EXPECT_TRUE(result.timed_out);
  EXPECT_LT(result.wall_seconds, 500);
  const pid_t grandchild = std::stoi(text_of(folder.path() / "child"));
  // The signal is sent; on a busy machine dying takes its time, and then init has to reap.
  const auto dead = [&] {
    const std::string stat = text_of("/proc/" + std::to_string(grandchild) + "/stat");
    return stat.empty() || stat.find(") Z") != std::string::npos ||
           stat.find(") X") != std::string::npos;
  };
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!dead() && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_TRUE(dead());
}

TEST(Process, DoesNotWaitForAGrandchildThatHoldsTheOutput) {
  const ProcessResult result = shell("sleep 1000 & echo done");
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(result.wall_seconds, 500);
}

TEST(Process, KeepsTheBeginningOfALongOutput) {
  ProcessLimits limits;
  limits.output_bytes = 1000;
  const ProcessResult result = shell("echo first; yes | head -c 1000000", limits);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.output.size(), 1000U);
  EXPECT_EQ(result.output.substr(0, 6), "first\n");
}

TEST(Process, EndsAProgramThatBurnsItsProcessorTime) {
  ProcessLimits limits;
  limits.cpu = std::chrono::seconds(1);
  const ProcessResult result = shell("while :; do :; done", limits);
  EXPECT_FALSE(result.timed_out);
  EXPECT_NE(result.signal, 0);
  EXPECT_GT(result.cpu_seconds, 0.5);
}

TEST(Process, LimitsFilesAndMemory) {
  TemporaryFolder folder;
  ProcessLimits limits;
  limits.file_bytes = 4096;
  const ProcessResult result =
      run_process({"/bin/sh", "-c", "head -c 100000 /dev/zero > big"}, limits, folder.path());
  EXPECT_FALSE(result.ok());
  EXPECT_LE(std::filesystem::file_size(folder.path() / "big"), 4096U);
  limits.memory_bytes = 64 << 20;
  EXPECT_FALSE(shell("x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo ${#x}", limits).ok());
}

TEST(Process, PassesDirectoryAndEnvironment) {
  TemporaryFolder folder;
  const Variable variable("HONE_TEST_KEPT", "kept");
  const Variable replaced("HONE_TEST_REPLACED", "old");
  const ProcessResult result =
      run_process({"/bin/sh", "-c", "pwd; echo $HONE_TEST_KEPT $HONE_TEST_REPLACED"}, {},
                  folder.path(), {"HONE_TEST_REPLACED=new"});
  EXPECT_EQ(result.output, std::filesystem::canonical(folder.path()).string() + "\nkept new\n");
}

TEST(Process, ThrowsWhenThereIsNoSuchProgram) {
  try {
    run_process({"/no/such/program"}, {}, "/");
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("/no/such/program"));
  }
}

TEST(Process, LeavesNoDescriptorsOpenInTheChild) {
  const ProcessResult result = shell("ls /proc/self/fd | wc -l");
  EXPECT_EQ(std::stoi(result.output), 4) << "0, 1, 2 and the one that ls reads the folder with";
}

TEST(Process, RunsFromSeveralThreadsAtOnce) {
  std::vector<std::string> outputs(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back([&outputs, i] {
      for (int round = 0; round < 5; ++round)
        outputs[i] += shell("echo " + std::to_string(i)).output;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    std::string expected;
    for (int round = 0; round < 5; ++round) expected += std::to_string(i) + "\n";
    EXPECT_EQ(outputs[i], expected);
  }
}

TEST(FindProgram, LooksOnPathOnlyForPlainNames) {
  TemporaryFolder folder;
  const std::string program = script(folder.path() / "hone-test-tool", "exit 0\n");
  write_text(folder.path() / "hone-test-text", "not a program");
  const Variable path("PATH", "/nonexistent:" + folder.path().string());
  EXPECT_EQ(find_program("hone-test-tool"), program);
  EXPECT_EQ(find_program(program), program);
  EXPECT_EQ(find_program("hone-test-text"), std::nullopt);
  EXPECT_EQ(find_program("./hone-test-tool"), std::nullopt);
}

}  // namespace
}  // namespace hone
