// Runs the built program the way a user does.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "codegen/json.h"

namespace hone {

// A folder that goes with the object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// One run of build/hone. Killed with the object if it is still there.
class Program {
 public:
  Program(const std::vector<std::string>& words, const std::vector<std::string>& environment = {});
  ~Program();

  pid_t process() const { return process_; }
  std::optional<std::string> line();  // the next of stdout; nullopt at its end
  std::string rest();                 // of stdout
  std::string errors();               // stderr so far; all of it after wait()
  int wait();                         // exit status, or 128 + signal
  void kill();                        // SIGKILL; waits

  // Every JSON line of the rest of stdout; others are left out.
  std::vector<Json> objects();

 private:
  pid_t process_ = -1;
  int output_ = -1;
  std::string buffer_;
  Scratch scratch_;
  std::filesystem::path error_file_;
};

// Processes that a tuner's worker, or what it started, left behind: empty within a few seconds when
// all is well.
bool nothing_left_of(pid_t tuner);

// A database that knows this machine and its ceilings, so that nothing measures them.
void prepare_database(const std::filesystem::path& file);

}  // namespace hone
