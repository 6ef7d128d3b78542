// The parent's side of a worker: a child process in a group of its own that runs untested kernels.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include "tuner/wire.h"
#include "tuning_db/record.h"

namespace hone {

// How a worker ended instead of answering.
struct WorkerEnd {
  Status status = Status::kCrashed;  // crashed, timeout, out_of_bounds or forked
  std::string reason;
  std::string stage;  // how far it got: "" when it never took the request
  bool interrupted = false;
};

// Made on the thread that lives as long as it does: the worker dies with that thread. Nothing of
// it, nor of what it started, outlives this object or this process. Not thread safe.
class WorkerProcess {
 public:
  // `program`: a hone binary, whose `worker` command is run. Throws Error(kIo).
  explicit WorkerProcess(const std::filesystem::path& program);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  bool alive() const { return process_ > 0; }
  pid_t process() const { return process_; }
  // After a WorkerEnd the worker is gone. `interrupted` as in Wire::receive.
  std::variant<Message, WorkerEnd> request(Json head, std::string_view blob, double limit_s,
                                           bool (*interrupted)() = nullptr);
  // Kills the process group, and strays wherever they went.
  void end();

 private:
  WorkerEnd reap(const std::string& stage, const Json& last_words);
  pid_t process_ = -1;
  std::unique_ptr<Wire> wire_;
  std::int64_t requests_ = 0;
};

}  // namespace hone
