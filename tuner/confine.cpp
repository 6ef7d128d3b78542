#include "tuner/confine.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tuner/guarded.h"

namespace hone {
namespace {

constexpr int kKillRounds = 50;  // against strays that strays start meanwhile
constexpr int kLooks = 50;       // on a machine where processes come and go all the time

std::atomic<int> report_descriptor{-1};

const char* name_of(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGILL:
      return "SIGILL";
    case SIGFPE:
      return "SIGFPE";
    case SIGABRT:
      return "SIGABRT";
    case SIGTRAP:
      return "SIGTRAP";
    default:
      return "a signal";
  }
}

void on_fatal_signal(int signal, siginfo_t* info, void*) {
  char fault[160] = "";
  if (signal == SIGSEGV || signal == SIGBUS) describe_address(info->si_addr, fault, sizeof fault);
  char line[256];
  const int size = std::snprintf(line, sizeof line, "{\"signal\":\"%s\",\"fault\":\"%s\"}\n",
                                 name_of(signal), fault);
  if (size > 0 && write(report_descriptor.load(), line, static_cast<std::size_t>(size)) < 0) {
    // Nobody listens any more; the signal itself still tells.
  }
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// Empty for a process that has ended, for a kernel's thread and for what isn't ours to read.
std::string environment_of(const std::filesystem::path& process) {
  std::ifstream file(process / "environ", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

bool forbid_new_processes() {
#if defined(__x86_64__)
  constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
  return false;
#endif
  constexpr unsigned kNumber = offsetof(seccomp_data, nr);
  constexpr unsigned kArch = offsetof(seccomp_data, arch);
  constexpr unsigned kFirstArgument = offsetof(seccomp_data, args);  // its low half: little endian
  constexpr unsigned kOtherAbi = 0x40000000;                         // x32 system calls
  const auto jump_equal = [](unsigned value, unsigned char then, unsigned char otherwise) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise);
  };
  const auto refuse_if = [&](std::vector<sock_filter>& filter, unsigned number, unsigned action) {
    filter.push_back(jump_equal(number, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, action));
  };
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch),
      jump_equal(kArchitecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kOtherAbi, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
#ifdef SYS_fork
  refuse_if(filter, SYS_fork, SECCOMP_RET_KILL_PROCESS);
  refuse_if(filter, SYS_vfork, SECCOMP_RET_KILL_PROCESS);
#endif
  refuse_if(filter, SYS_execve, SECCOMP_RET_KILL_PROCESS);
  refuse_if(filter, SYS_execveat, SECCOMP_RET_KILL_PROCESS);
  // The flags of clone3 lie in memory, out of a filter's sight; without it the C library falls back
  // to clone.
  refuse_if(filter, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
  filter.push_back(jump_equal(SYS_clone, 1, 0));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirstArgument));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x00010000 /* CLONE_THREAD */, 1, 0));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

void report_fatal_signals(int descriptor) {
  report_descriptor = descriptor;
  // A stack of its own: the fault may be a stack that has run out.
  static std::array<std::byte, 64 << 10> stack;
  stack_t alternative{};
  alternative.ss_sp = stack.data();
  alternative.ss_size = stack.size();
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fatal_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP})
    sigaction(signal, &action, nullptr);
}

bool adopt_orphans() { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0; }

std::string stray_mark(pid_t owner) { return fmt::format("HONE_WORKER_OF={}", owner); }

std::vector<pid_t> strays(pid_t known) {
  const std::string mark = stray_mark(getpid()) + '\0';
  // The listing is of one moment, the visits come later: a process that ends in between may leave a
  // child which isn't listed. So look until no process has newly gone.
  std::set<pid_t> gone;
  for (int look = 0; look < kLooks; ++look) {
    std::vector<pid_t> found;
    bool news = false;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto process = static_cast<pid_t>(std::stol(name));
      if (process == known || process == getpid()) continue;
      const std::string environment = environment_of(entry.path());
      if (environment.empty())
        news |= gone.insert(process).second;
      else if (environment.find(mark) != std::string::npos &&
               waitpid(process, nullptr, WNOHANG) != process)
        found.push_back(process);
    }
    if (!found.empty() || !news) return found;
  }
  return {};
}

void kill_strays(pid_t known) {
  for (int round = 0; round < kKillRounds; ++round) {
    const std::vector<pid_t> found = strays(known);
    if (found.empty()) return;
    for (pid_t process : found) {
      kill(process, SIGKILL);
      waitpid(process, nullptr, 0);  // ours by adoption; fails at once when it isn't
    }
  }
}

}  // namespace hone
