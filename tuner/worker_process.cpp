#include "tuner/worker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "codegen/error.h"
#include "tuner/confine.h"
#include "tuner/worker.h"

namespace hone {
namespace {

constexpr int kChannel = 3;  // the worker's descriptor
constexpr std::chrono::milliseconds kLastBreath{
    500};  // between the end of the channel and the end of the process
constexpr std::chrono::milliseconds kReapStep{2};

Deadline in(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(seconds));
}

}  // namespace

WorkerProcess::WorkerProcess(const std::filesystem::path& program) {
  adopt_orphans();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(Code::kIo,
                fmt::format("can't make a channel for a worker: {}", std::strerror(errno)));
  wire_ = std::make_unique<Wire>(ends[0]);
  // Everything that allocates happens before the fork: other threads may hold the heap's lock.
  const pid_t parent = getpid();
  const std::string path = program.string(), mark = stray_mark(parent);
  const std::string channel = std::to_string(kChannel);
  const std::vector<const char*> words = {path.c_str(), "worker", "--channel", channel.c_str(),
                                          nullptr};
  std::vector<const char*> environment = {mark.c_str()};
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("HONE_WORKER_OF=")) environment.push_back(*entry);
  environment.push_back(nullptr);

  process_ = fork();
  if (process_ < 0) {
    close(ends[1]);
    throw Error(Code::kIo, fmt::format("can't start a worker: {}", std::strerror(errno)));
  }
  if (process_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    const int nothing = open("/dev/null", O_RDWR);
    for (int standard = 0; standard < 3; ++standard) dup2(nothing, standard);
    // dup2 drops close-on-exec, unless both are the same.
    if (ends[1] == kChannel)
      fcntl(kChannel, F_SETFD, 0);
    else
      dup2(ends[1], kChannel);
    close_range(kChannel + 1, ~0u, 0);
    execve(words[0], const_cast<char* const*>(words.data()),
           const_cast<char* const*>(environment.data()));
    _exit(127);
  }
  setpgid(process_, process_);  // whoever is first
  close(ends[1]);
}

WorkerProcess::~WorkerProcess() { end(); }

void WorkerProcess::end() {
  if (process_ <= 0) return;
  kill(-process_, SIGKILL);
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  kill(-process_, SIGKILL);  // what was started between the two
  process_ = -1;
  kill_strays(-1);
}

WorkerEnd WorkerProcess::reap(const std::string& stage, const Json& last_words) {
  WorkerEnd result;
  result.stage = stage;
  int status = 0;
  pid_t done = 0;
  for (const Deadline deadline = std::chrono::steady_clock::now() + kLastBreath;
       (done = waitpid(process_, &status, WNOHANG)) == 0 &&
       std::chrono::steady_clock::now() < deadline;)
    std::this_thread::sleep_for(kReapStep);
  const pid_t gone = process_;
  if (done == 0) {
    end();
    result.reason = "closed the tuner's channel, or wrote to it";
    return result;
  }
  process_ = -1;
  kill(-gone, SIGKILL);
  kill_strays(-1);
  const std::string fault = last_words.value("fault", "");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    result.status = Status::kForked;
    result.reason = "tried to start a process";
  } else if (!fault.empty()) {
    result.status = Status::kOutOfBounds;
    result.reason = fault;
  } else if (WIFSIGNALED(status)) {
    result.reason =
        fmt::format("ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WTERMSIG(status) == SIGKILL) result.reason += "; out of memory?";
  } else if (WEXITSTATUS(status) == kChannelLost) {
    result.reason = "closed the tuner's channel, or wrote to it";
  } else {
    result.reason = fmt::format("ended the process with exit status {}", WEXITSTATUS(status));
  }
  return result;
}

std::variant<Message, WorkerEnd> WorkerProcess::request(Json head, std::string_view blob,
                                                        double limit_s, bool (*interrupted)()) {
  std::string stage;
  Json last_words = Json::object();
  if (!alive()) return WorkerEnd{Status::kCrashed, "the worker is gone", "", false};
  const std::int64_t id = ++requests_;
  head["id"] = id;
  const Deadline deadline = in(limit_s);
  try {
    wire_->send(std::move(head), blob, deadline);
    while (std::optional<Message> message = wire_->receive(deadline, interrupted)) {
      const Json& answer = message->head;
      if (answer.contains("signal")) {
        last_words = answer;
      } else if (answer.value("id", std::int64_t{0}) != id) {
        throw Error(Code::kIo, "an answer to another question");
      } else if (answer.contains("stage")) {
        stage = answer.value("stage", stage);
      } else {
        return std::move(*message);
      }
    }
  } catch (const Error&) {
    return reap(stage, last_words);
  } catch (const Json::exception&) {
    return reap(stage, last_words);
  }
  const bool asked = interrupted != nullptr && interrupted();
  end();
  return WorkerEnd{Status::kTimeout, fmt::format("no end of '{}' after {:.1f} s", stage, limit_s),
                   stage, asked};
}

}  // namespace hone
