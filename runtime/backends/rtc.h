// The vendors' runtime compilers, NVRTC and hiprtc: found at run time, run in child processes.
// They abort and crash on what they don't know, and a loaded library can't be thrown away.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace hone {

struct Rtc {
  std::string kind;  // nvrtc, hiprtc
  std::filesystem::path library;
  std::string version;  // "13.0"

  std::string toolchain() const { return kind + " " + version; }
};

// The library of $HONE_NVRTC or $HONE_HIPRTC, else where scripts/fetch_gpu_compilers.sh puts it,
// else the usual places of a toolkit and of the system. Asked for its version once per file (kept
// in the cache). Any thread. Throws Error(kCompile) that says how to get it when there is none.
Rtc find_rtc(const std::string& kind);

struct RtcOutput {
  std::string ptx;   // nvrtc only
  std::string code;  // cubin or code object
  std::string log;
};
// Any thread. Throws Error(kCompile) with the compiler's log when it refuses, crashes or takes
// longer than `limit`.
RtcOutput run_rtc(const Rtc& rtc, const std::string& source,
                  const std::vector<std::string>& options, std::chrono::duration<double> limit);

}  // namespace hone
