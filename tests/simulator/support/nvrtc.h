// NVRTC as the tests use it: found where a toolkit usually lies, its answers kept on disk between
// tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone::test {

struct Compiled {
  std::string ptx;
  std::string missing;  // not empty: what isn't installed; the test skips with it
  std::string log;      // not empty: the compiler's errors
};

// Compiles tests/simulator/kernels/FILE for "sm_80" and the like, with source lines. `headers`: the
// file includes some of the toolkit's.
Compiled compile_file(std::string_view file, std::string_view arch, bool headers = false,
                      const std::vector<std::string>& options = {});

// The same for a text; `name` is what the compiler calls it.
Compiled compile_text(const std::string& text, std::string_view name, std::string_view arch,
                      bool headers = false, const std::vector<std::string>& options = {});

}  // namespace hone::test
