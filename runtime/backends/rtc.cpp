#include "runtime/backends/rtc.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>

#include "codegen/error.h"
#include "runtime/cache.h"
#include "runtime/own_files.h"
#include "runtime/process.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kRtcVersionLimit{30};
constexpr std::uint64_t kRtcMemoryBytes = 8ULL << 30;
constexpr std::uint64_t kRtcFileBytes = 256ULL << 20;
constexpr std::size_t kRtcOutputBytes = 256 << 10;
constexpr int kRefused = 1;  // hone-rtc's exit status for a bad source

struct RtcKind {
  const char* variable;
  std::vector<const char*> names;
  std::vector<const char*> folders;
  const char* fetch;
};

const RtcKind& kind_of(const std::string& name) {
  static const std::map<std::string, RtcKind> kinds = {
      {"nvrtc",
       {"HONE_NVRTC",
        {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"},
        {"/usr/local/cuda/lib64", "/opt/cuda/lib64"},
        "scripts/fetch_gpu_compilers.sh nvrtc fetches it; or set HONE_NVRTC to libnvrtc.so.N"}},
      {"hiprtc",
       {"HONE_HIPRTC",
        {"libhiprtc.so.7", "libhiprtc.so.6", "libhiprtc.so.5", "libhiprtc.so", "libamdhip64.so.5",
         "libamdhip64.so"},
        {"/opt/rocm/lib"},
        "scripts/fetch_gpu_compilers.sh hiprtc installs it (Debian: libamdhip64-dev "
        "libhiprtc-builtins5); or set HONE_HIPRTC to libhiprtc.so or libamdhip64.so.5"}}};
  return kinds.at(name);
}

std::vector<fs::path> folders_of(const RtcKind& kind, const std::string& name) {
  std::vector<fs::path> folders;
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data != nullptr && *data == '/')
    folders.push_back(fs::path(data) / "hone" / name);
  else if (home != nullptr)
    folders.push_back(fs::path(home) / ".local/share/hone" / name);
  if (const char* paths = std::getenv("LD_LIBRARY_PATH"); paths != nullptr) {
    const std::string text = paths;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(':', at), text.size());
      if (end > at) folders.emplace_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  for (const char* folder : kind.folders) folders.emplace_back(folder);
  for (const char* folder : {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                             "/usr/lib64", "/usr/lib", "/usr/local/lib"})
    folders.emplace_back(folder);
  return folders;
}

std::optional<fs::path> find_library(const RtcKind& kind, const std::string& name) {
  std::error_code error;
  for (const fs::path& folder : folders_of(kind, name))
    for (const char* file : kind.names)
      if (fs::exists(folder / file, error)) return folder / file;
  return std::nullopt;
}

std::string helper() {
  if (const auto path = find_own_file("hone-rtc")) return path->string();
  throw Error(Code::kCompile,
              "the helper program hone-rtc isn't beside Hone; build or install it again");
}

ProcessResult run_helper(const std::vector<std::string>& words, const fs::path& folder,
                         std::chrono::duration<double> limit) {
  std::vector<std::string> command = {helper()};
  command.insert(command.end(), words.begin(), words.end());
  ProcessLimits limits;
  limits.wall = limit;
  limits.cpu = std::chrono::seconds(static_cast<std::int64_t>(std::ceil(limit.count())) + 1);
  limits.memory_bytes = kRtcMemoryBytes;
  limits.file_bytes = kRtcFileBytes;
  limits.output_bytes = kRtcOutputBytes;
  return run_process(command, limits, folder, {"TMPDIR=" + folder.string(), "LC_ALL=C"});
}

std::string version_of(const std::string& kind, const fs::path& library) {
  static std::mutex mutex;
  static std::map<std::string, std::string> known;
  const std::lock_guard lock(mutex);
  std::error_code error;
  const fs::path real = fs::canonical(library, error);
  const auto size = fs::file_size(real, error);
  const auto time = fs::last_write_time(real, error).time_since_epoch().count();
  const std::string key =
      fmt::format("rtc version\n{}\n{}\n{}\n{}", kind, real.string(), size, time);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  const BinaryCache cache(default_cache_folder());
  if (auto found = cache.find(key)) return known[key] = *found;
  const ProcessResult result =
      run_helper({kind, library.string(), "version"}, "/", kRtcVersionLimit);
  std::string version = result.output.substr(0, result.output.find('\n'));
  if (!result.ok() || version.empty())
    throw Error(Code::kCompile, fmt::format("{} can't be used: {}: {}; {}", library.string(),
                                            result.summary(), result.output, kind_of(kind).fetch));
  cache.put(key, version);
  return known[key] = version;
}

}  // namespace

Rtc find_rtc(const std::string& name) {
  const RtcKind& kind = kind_of(name);
  Rtc rtc{name, {}, {}};
  if (const char* chosen = std::getenv(kind.variable); chosen != nullptr && *chosen != '\0') {
    std::error_code error;
    rtc.library = fs::absolute(chosen, error);  // the compiler works in another folder
    if (!fs::exists(rtc.library, error))
      throw Error(Code::kCompile,
                  fmt::format("{}={}: no such file; {}", kind.variable, chosen, kind.fetch));
  } else if (const auto found = find_library(kind, name)) {
    rtc.library = *found;
  } else {
    throw Error(Code::kCompile, fmt::format("no {} library; {}", name, kind.fetch));
  }
  rtc.version = version_of(name, rtc.library);
  return rtc;
}

RtcOutput run_rtc(const Rtc& rtc, const std::string& source,
                  const std::vector<std::string>& options, std::chrono::duration<double> limit) {
  const WorkFolder work;
  const fs::path input = work.path() / "kernel.cu", output = work.path() / "kernel";
  write_file(input, source);
  std::vector<std::string> words = {rtc.kind, rtc.library.string(), "compile", input.string(),
                                    output.string()};
  words.insert(words.end(), options.begin(), options.end());
  const ProcessResult result = run_helper(words, work.path(), limit);
  if (result.timed_out)
    throw Error(Code::kCompile, fmt::format("{} took longer than {:.1f} s and was killed; raise "
                                            "the limit or simplify the kernel",
                                            rtc.toolchain(), limit.count()));
  if (!result.ok())
    throw Error(Code::kCompile, fmt::format("{} {}; its log:\n{}", rtc.toolchain(),
                                            result.exit_status == kRefused
                                                ? std::string("refused the source")
                                                : "ended with " + result.summary() +
                                                      " (does it know this architecture?)",
                                            result.output));
  RtcOutput made;
  made.log = result.output;
  made.code = read_file(output.string() + ".code").value_or("");
  if (rtc.kind == "nvrtc") made.ptx = read_file(output.string() + ".ptx").value_or("");
  if (made.code.empty() && made.ptx.empty())
    throw Error(Code::kCompile,
                fmt::format("{} ended well but wrote nothing:\n{}", rtc.toolchain(), made.log));
  return made;
}

}  // namespace hone
