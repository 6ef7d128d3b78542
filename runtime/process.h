// Runs a program as a child process that can neither hang nor fill the machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

struct ProcessLimits {
  std::chrono::duration<double> wall{60.0};  // then the whole process group is killed
  std::chrono::seconds cpu{60};              // per process of the group
  std::uint64_t memory_bytes = 4ULL << 30;   // address space, per process
  std::uint64_t file_bytes = 256ULL << 20;   // per file written
  std::size_t output_bytes = 16ULL
                             << 10;  // kept of stdout and stderr; what follows is read and dropped
};

struct ProcessResult {
  int exit_status = -1;  // -1: ended by a signal
  int signal = 0;
  bool timed_out = false;  // killed because of ProcessLimits::wall
  std::string output;      // stdout and stderr as they came
  double wall_seconds = 0;
  double cpu_seconds = 0;  // of the process and of the children that it waited for

  bool ok() const { return exit_status == 0 && !timed_out; }
  // "exit status 1", "signal 11 (Segmentation fault)", "no end after 2.0 s".
  std::string summary() const;
};

// Runs `command` (its first word is a path) in `directory` with `environment` ("NAME=value") added
// to this process's own, stdin empty, in a process group of its own that is killed as a whole when
// the program ends, or at the limit, or when the calling thread dies. Returns when it has ended.
// Any thread may call it. Throws Error(kNotFound) when the program can't be started, Error(kIo)
// when there is no pipe or process to be had.
ProcessResult run_process(const std::vector<std::string>& command, const ProcessLimits& limits,
                          const std::filesystem::path& directory,
                          const std::vector<std::string>& environment = {});

// `name` itself when it holds a slash and may be executed, else the first such file on $PATH.
std::optional<std::string> find_program(std::string_view name);

}  // namespace hone
