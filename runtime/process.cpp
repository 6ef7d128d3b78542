#include "runtime/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "codegen/error.h"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitPollMs = 1;  // between looks at a child whose output has ended
constexpr int kOutputPollMs =
    10;  // between looks at a child whose output may be held open by a grandchild

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  int get() const { return descriptor_; }
  void reset() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  result.reserve(words.size() + 1);
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced = std::any_of(extra.begin(), extra.end(), [&](const std::string& other) {
      return other.starts_with(name);
    });
    if (!replaced) result.emplace_back(text);
  }
  result.insert(result.end(), extra.begin(), extra.end());
  return result;
}

void limit(int resource, std::uint64_t amount) {
  const struct rlimit value = {amount, amount};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &value);
}

struct Start {
  char* const* command;
  char* const* environment;
  const char* directory;
  int input;
  int output;
  const ProcessLimits* limits;
  pid_t parent;
  int error;  // errno of the child's execve
};

// vfork and not fork: a process with gigabytes mapped would pay for its page tables at fork, and
// for a fault on every page that it writes afterwards. The child shares this memory until execve,
// so it makes system calls only.
[[gnu::noinline]] pid_t start_child(Start* start) {
  struct sigaction normal = {};
  normal.sa_handler = SIG_DFL;
  sigset_t none;
  ::sigemptyset(&none);
  // posix_spawn would be the tame way, but sets no limits.
  const pid_t child = ::vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork)
  if (child != 0) return child;
  // NOLINTNEXTLINE(clang-analyzer-unix.Vfork): the parent never looks at `number`.
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &normal, nullptr);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != start->parent) ::_exit(127);
  ::dup2(start->input, STDIN_FILENO);
  ::dup2(start->output, STDOUT_FILENO);
  ::dup2(start->output, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU,
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, start->limits->cpu.count())));
  limit(RLIMIT_AS, start->limits->memory_bytes);
  limit(RLIMIT_FSIZE, start->limits->file_bytes);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::chdir(start->directory) == 0)
    ::execve(start->command[0], start->command, start->environment);
  start->error = errno;
  ::_exit(127);
}

bool has_ended(pid_t child) {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == child;
}

// Reads what is there. False when the output has ended.
bool read_some(int pipe, std::size_t most, std::string* output) {
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(pipe, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    output->append(buffer, std::min(static_cast<std::size_t>(count), most - output->size()));
  }
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

std::string ProcessResult::summary() const {
  if (timed_out) return fmt::format("no end after {:.1f} s", wall_seconds);
  if (signal != 0) return fmt::format("signal {} ({})", signal, ::strsignal(signal));
  return fmt::format("exit status {}", exit_status);
}

ProcessResult run_process(const std::vector<std::string>& command, const ProcessLimits& limits,
                          const std::filesystem::path& directory,
                          const std::vector<std::string>& environment) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw Error(Code::kIo, fmt::format("no pipe for {}: {}; close files or raise `ulimit -n`",
                                       command.at(0), std::strerror(errno)));
  }
  Descriptor output(ends[0]);
  Descriptor input_of_pipe(ends[1]);
  Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  // The child's end blocks: a compiler doesn't expect EAGAIN.
  ::fcntl(input_of_pipe.get(), F_SETFL, 0);

  std::vector<std::string> words = command;
  std::vector<std::string> variables = merged_environment(environment);
  const std::vector<char*> word_pointers = pointers(words);
  const std::vector<char*> variable_pointers = pointers(variables);
  Start start = {word_pointers.data(), variable_pointers.data(),
                 directory.c_str(),    nothing.get(),
                 input_of_pipe.get(),  &limits,
                 ::getpid(),           0};

  // Until the child has its own handlers, none of this process's may run in it.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const Clock::time_point began = Clock::now();
  const pid_t child = start_child(&start);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) {
    throw Error(Code::kIo, fmt::format("no process for {}: {}; see `ulimit -u`", command[0],
                                       std::strerror(fork_error)));
  }
  input_of_pipe.reset();

  ProcessResult result;
  bool open = true;
  while (!has_ended(child)) {
    if (std::chrono::duration<double>(Clock::now() - began) >= limits.wall) {
      result.timed_out = true;
      break;
    }
    pollfd wait = {output.get(), POLLIN, 0};
    ::poll(&wait, open ? 1 : 0, open ? kOutputPollMs : kExitPollMs);
    if (open) open = read_some(output.get(), limits.output_bytes, &result.output);
  }
  // Before the child is reaped: until then its number, which names the group, can't be anybody
  // else's.
  ::kill(-child, SIGKILL);
  int status = 0;
  struct rusage usage = {};
  pid_t reaped = 0;
  do {
    reaped = ::wait4(child, &status, 0, &usage);
  } while (reaped < 0 && errno == EINTR);
  if (open) read_some(output.get(), limits.output_bytes, &result.output);
  result.wall_seconds = std::chrono::duration<double>(Clock::now() - began).count();
  result.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  if (start.error != 0) {
    throw Error(Code::kNotFound, fmt::format("can't start {} in {}: {}", command[0],
                                             directory.string(), std::strerror(start.error)));
  }
  if (reaped < 0) {
    throw Error(
        Code::kIo,
        fmt::format("the exit status of {} is lost: {}; this process must not ignore SIGCHLD",
                    command[0], std::strerror(errno)));
  }
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

std::optional<std::string> find_program(std::string_view name) {
  const auto runs = [](const std::string& path) {
    struct stat entry = {};
    return ::stat(path.c_str(), &entry) == 0 && S_ISREG(entry.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string_view::npos) {
    return runs(std::string(name)) ? std::optional(std::string(name)) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = fmt::format("{}/{}", rest.substr(0, end), name);
    if (end > 0 && runs(candidate)) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

}  // namespace hone
