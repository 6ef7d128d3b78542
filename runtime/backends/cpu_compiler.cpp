#include "runtime/backends/cpu_compiler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>

#include "codegen/error.h"
#include "codegen/hash.h"
#include "runtime/own_files.h"
#include "runtime/process.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kVersionLimit{10};
constexpr std::chrono::seconds kPrefixLimit{30};
constexpr std::uint64_t kMemoryBytes = 4ULL << 30;
constexpr std::uint64_t kFileBytes = 256ULL << 20;
constexpr const char* kInstall = "install one (apt-get install g++) or set HONE_CXX to its path";

std::vector<std::string> compile_flags(const CpuCompiler& compiler, const CpuArch& arch) {
  std::vector<std::string> flags = {"-std=c++20",
                                    "-O2",
                                    "-fPIC",
                                    "-fno-exceptions",
                                    "-fno-rtti",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-ffp-contract=fast",
                                    "-fno-stack-protector",
                                    "-fno-strict-aliasing",
                                    "-fvisibility=hidden",
                                    "-fno-asynchronous-unwind-tables",
                                    "-fno-ident",
                                    "-fdiagnostics-color=never",
                                    "-w",
                                    compiler.clang ? "-ferror-limit=8" : "-fmax-errors=8"};
  for (std::string& flag : arch.compiler_flags()) flags.push_back(std::move(flag));
  return flags;
}

// The libraries are for what compilers call on their own (memcpy, half-precision conversions) and
// for __builtin_ functions of the references; one that isn't used isn't loaded. What stays
// undefined is an error here, with a name, and not at load time.
const std::vector<std::string> kLinkFlags = {
    // Two segments instead of four, and nothing to protect afterwards: an engine loads hundreds of
    // these.
    "-shared",
    "-nostdlib",
    "-Wl,-z,noseparate-code",
    "-Wl,-z,norelro",
    "-Wl,--build-id=none",
    "-Wl,-z,defs",
    "-Wl,--as-needed",
    "-lm",
    "-lc",
    "-lgcc"};

ProcessResult run_compiler(const CpuCompiler& compiler, const std::vector<std::string>& arguments,
                           const fs::path& folder, std::chrono::duration<double> limit) {
  std::vector<std::string> command = {compiler.path};
  command.insert(command.end(), arguments.begin(), arguments.end());
  ProcessLimits limits;
  limits.wall = limit;
  limits.cpu = std::chrono::seconds(static_cast<std::int64_t>(std::ceil(limit.count())) + 1);
  limits.memory_bytes = kMemoryBytes;
  limits.file_bytes = kFileBytes;
  // Compilers leave their own temporary files behind when they are killed: those go with the
  // folder.
  return run_process(command, limits, folder, {"TMPDIR=" + folder.string(), "LC_ALL=C"});
}

// Writes prefix.h unless it is there: clang compares its time with the one that it saw when
// precompiling.
bool publish_header(const fs::path& header) {
  std::error_code error;
  if (fs::exists(header, error)) return true;
  std::string temporary = header.string() + ".XXXXXX";
  const int file = ::mkstemp(temporary.data());
  if (file < 0) return false;
  ::close(file);
  write_file(temporary, "#include <immintrin.h>\n");
  fs::create_hard_link(temporary, header, error);
  fs::remove(temporary, error);
  return fs::exists(header, error);
}

bool precompile(const CpuCompiler& compiler, const CpuArch& arch, const fs::path& header,
                const fs::path& compiled) {
  std::error_code error;
  fs::create_directories(header.parent_path(), error);
  try {
    if (error || !publish_header(header)) return false;
    const WorkFolder work;
    const fs::path temporary = compiled.string() + "." + work.path().filename().string();
    std::vector<std::string> arguments = compile_flags(compiler, arch);
    arguments.insert(arguments.end(),
                     {"-x", "c++-header", header.string(), "-o", temporary.string()});
    const bool made = run_compiler(compiler, arguments, work.path(), kPrefixLimit).ok();
    // Of two processes the last wins, with the same content.
    if (made) fs::rename(temporary, compiled, error);
    const bool published = made && !error;
    fs::remove(temporary, error);
    return published;
  } catch (const Error&) {
    // Without a prefix compilation still works, or fails with the error that matters.
    return false;
  }
}

// The compiler option that brings in the precompiled prefix of this build, made when it isn't
// there. Empty when the cache can't hold it.
std::vector<std::string> prefix_flags(const CpuCompiler& compiler, const CpuArch& arch,
                                      const fs::path& cache) {
  if (cache.empty()) return {};
  const fs::path header =
      cache / "prefixes" / hash_of(cpu_build_text(compiler, arch)).text() / "prefix.h";
  const fs::path compiled = header.string() + (compiler.clang ? ".pch" : ".gch");
  std::error_code error;
  if (!fs::exists(compiled, error) && !precompile(compiler, arch, header, compiled)) return {};
  if (compiler.clang) return {"-include-pch", compiled.string()};
  return {"-include", header.string()};
}

// The log of a compiler that can't use a prefix names it.
bool blames_prefix(const std::string& log) {
  return log.find("prefix.h") != std::string::npos || log.find("PCH") != std::string::npos ||
         log.find("precompiled") != std::string::npos;
}

std::string version_of(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::string> known;
  const std::lock_guard lock(mutex);
  struct stat entry = {};
  ::stat(path.c_str(), &entry);
  const std::string key =
      fmt::format("{} {} {}", path, entry.st_mtim.tv_sec, entry.st_mtim.tv_nsec);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  ProcessLimits limits;
  limits.wall = kVersionLimit;
  const ProcessResult result = run_process({path, "--version"}, limits, "/", {"LC_ALL=C"});
  if (!result.ok() || result.output.empty()) {
    throw Error(Code::kCompile, fmt::format("the compiler {} does not answer --version: {}; {}\n{}",
                                            path, result.summary(), kInstall, result.output));
  }
  return known[key] = result.output.substr(0, result.output.find('\n'));
}

std::string find_path() {
  if (const char* chosen = std::getenv("HONE_CXX"); chosen != nullptr && *chosen != '\0') {
    if (const auto path = find_program(chosen)) return *path;
    throw Error(Code::kCompile,
                fmt::format("HONE_CXX={} is no program that can be run; {}", chosen, kInstall));
  }
  for (const char* name : {"c++", "g++", "clang++"}) {
    if (const auto path = find_program(name)) return *path;
  }
  throw Error(Code::kCompile,
              fmt::format("no C++ compiler: c++, g++ and clang++ are not on PATH; {}", kInstall));
}

}  // namespace

std::string CpuCompiler::toolchain() const {
  // "g++ (Debian 12.2.0-14+deb12u1) 12.2.0" and "Debian clang version 14.0.6": the last word that
  // begins with a digit.
  std::string number;
  std::istringstream words(version);
  for (std::string word; words >> word;) {
    if (word[0] >= '0' && word[0] <= '9') number = word;
  }
  return fmt::format("{} {}", clang ? "clang++" : "g++", number.empty() ? version : number);
}

CpuCompiler find_cpu_compiler() {
  CpuCompiler compiler;
  compiler.path = find_path();
  compiler.version = version_of(compiler.path);
  compiler.clang = compiler.version.find("clang") != std::string::npos;
  return compiler;
}

std::string cpu_build_text(const CpuCompiler& compiler, const CpuArch& arch) {
  return fmt::format("{}\n{}\n{} {}", compiler.path, compiler.version,
                     fmt::join(compile_flags(compiler, arch), " "), fmt::join(kLinkFlags, " "));
}

std::string compile_shared_object(const CpuCompiler& compiler, const CpuArch& arch,
                                  const Source& source, const std::filesystem::path& cache,
                                  std::chrono::duration<double> limit) {
  const WorkFolder work;
  write_file(work.path() / "kernel.cpp", source.text);
  const auto compile = [&](const std::vector<std::string>& prefix) {
    std::vector<std::string> arguments = compile_flags(compiler, arch);
    arguments.insert(arguments.end(), prefix.begin(), prefix.end());
    arguments.insert(arguments.end(), {"kernel.cpp", "-o", "kernel.so"});
    arguments.insert(arguments.end(), kLinkFlags.begin(), kLinkFlags.end());
    return run_compiler(compiler, arguments, work.path(), limit);
  };
  const std::vector<std::string> prefix = prefix_flags(compiler, arch, cache);
  ProcessResult result = compile(prefix);
  if (!result.ok() && !result.timed_out && !prefix.empty() && blames_prefix(result.output)) {
    // A damaged prefix is removed, for the next compilation to make it again.
    std::error_code ignored;
    fs::remove_all(fs::path(prefix[1]).parent_path(), ignored);
    result = compile({});
  }
  if (result.timed_out) {
    throw Error(
        Code::kCompile,
        fmt::format(
            "{} took longer than {:.1f} s and was killed; raise the limit or simplify the kernel",
            compiler.path, limit.count()));
  }
  if (!result.ok()) {
    throw Error(Code::kCompile, fmt::format("{} failed with {}; its log:\n{}", compiler.path,
                                            result.summary(), result.output));
  }
  std::optional<std::string> code = read_file(work.path() / "kernel.so");
  if (!code || code->empty()) {
    throw Error(Code::kCompile,
                fmt::format("{} ended well but wrote nothing; is HONE_CXX a C++ compiler?\n{}",
                            compiler.path, result.output));
  }
  return std::move(*code);
}

}  // namespace hone
