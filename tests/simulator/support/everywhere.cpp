#include "tests/simulator/support/everywhere.h"

#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "tests/simulator/support/driver.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {

void in_child(const std::vector<std::pair<std::string, std::string>>& environment,
              const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    try {
      body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0) << (WIFSIGNALED(status) ? "killed by a signal" : "see the output above");
}

void everywhere(const Source& source, const std::function<void(Machine&, int sm)>& body) {
  int seed = 0;
  for (const std::string_view arch : kArchs) {
    int sm = 0;
    std::from_chars(arch.data() + 3, arch.data() + arch.size(), sm);
    ++seed;
    if (sm < source.least_sm) continue;
#ifdef HONE_SANITIZED
    // One of each of NVRTC's two back ends will do where everything is slow.
    if (sm != 90 && sm != 120) continue;
#endif
    SCOPED_TRACE(fmt::format("{} for {}", source.file, arch));
    const Compiled compiled = compile_file(source.file, arch, source.headers, source.options);
    if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
    ASSERT_EQ(compiled.log, "");
    const std::string gpu(arch.substr(0, arch.find('a')));
    in_child({{"HONE_SIM_DEVICE", gpu}, {"HONE_SIM_SEED", std::to_string(seed)}}, [&] {
      const Driver driver;
      DriverMachine machine(driver);
      machine.load(compiled.ptx);
      body(machine, sm);
    });
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace hone::test
