// The system's C++ compiler, found at run time and run as a child process.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "codegen/source.h"
#include "runtime/backends/cpu_identity.h"

namespace hone {

struct CpuCompiler {
  std::string path;
  std::string version;  // the first line of --version
  bool clang = false;

  std::string toolchain() const;  // "g++ 12.2.0"
  bool operator==(const CpuCompiler&) const = default;
};

// $HONE_CXX (a path or a name, without options), else the first of c++, g++ and clang++ on $PATH.
// Its version is asked for once per process and path. Any thread. Throws Error(kCompile) that says
// what to install when there is none, or when it doesn't answer.
CpuCompiler find_cpu_compiler();

// What a compiled Source depends on besides its text: compiler, version, flags. Part of the cache's
// key.
std::string cpu_build_text(const CpuCompiler& compiler, const CpuArch& arch);

// Compiles to a shared object. `cache` holds precompiled prefixes (<immintrin.h>), one per
// cpu_build_text(); when it is empty or can't be written compilation takes longer. Any thread.
// Throws Error(kCompile) with the compiler's log when it refuses, crashes or takes longer than
// `limit`; Error(kIo) when there is no room for its files.
std::string compile_shared_object(const CpuCompiler& compiler, const CpuArch& arch,
                                  const Source& source, const std::filesystem::path& cache,
                                  std::chrono::duration<double> limit);

}  // namespace hone
