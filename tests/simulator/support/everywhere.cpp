#include "tests/simulator/support/everywhere.h"

#include <charconv>

#include "tests/simulator/support/direct.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {

void everywhere(const Source& source, const std::function<void(Machine&, int sm)>& body) {
  for (const std::string_view arch : kArchs) {
    int sm = 0;
    std::from_chars(arch.data() + 3, arch.data() + arch.size(), sm);
    if (sm < source.least_sm) continue;
    SCOPED_TRACE(fmt::format("{} for {}", source.file, arch));
    const Compiled compiled = compile_file(source.file, arch, source.headers, source.options);
    if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
    ASSERT_EQ(compiled.log, "");
    Direct machine(arch.substr(0, arch.find('a')));
    ASSERT_NO_THROW(machine.load(compiled.ptx));
    body(machine, sm);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace hone::test
