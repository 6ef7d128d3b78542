// Cores and caches as Linux tells them. Read straight from /proc and /sys: hwloc would load its
// plug-ins, with OpenCL and X11 behind them, into the process of every user of the library.
#include <dirent.h>
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>

#include "codegen/error.h"
#include "runtime/backends/cpu_identity.h"

namespace hone {
namespace {

constexpr int kMostCpus = 1 << 16;

// Adds the CPUs that one thread may use; the mask grows until the kernel's fits.
void add_affinity(pid_t thread, std::set<int>* cpus) {
  for (int count = CPU_SETSIZE; count <= kMostCpus; count *= 2) {
    std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(
        CPU_ALLOC(static_cast<std::size_t>(count)), [](cpu_set_t* set) { CPU_FREE(set); });
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(count));
    if (::sched_getaffinity(thread, bytes, mask.get()) != 0) continue;
    for (int cpu = 0; cpu < count; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, mask.get())) cpus->insert(cpu);
    return;
  }
}

// Of all threads of this process together.
std::set<int> allowed_cpus() {
  std::set<int> cpus;
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(::opendir("/proc/self/task"), &::closedir);
  while (const dirent* entry = tasks ? ::readdir(tasks.get()) : nullptr)
    if (const int thread = std::atoi(entry->d_name); thread > 0) add_affinity(thread, &cpus);
  if (cpus.empty()) add_affinity(0, &cpus);
  return cpus;
}

std::string word_of(const std::string& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

// One per core: the first of its hardware threads that is allowed.
std::vector<int> usable_cpus(const std::string& folder) {
  const std::set<int> allowed = allowed_cpus();
  std::set<std::string> cores;  // each as the list of its hardware threads
  std::vector<int> cpus;
  for (const int cpu : allowed) {
    const std::string core =
        word_of(fmt::format("{}/cpu{}/topology/thread_siblings_list", folder, cpu));
    if (core.empty() || cores.insert(core).second) cpus.push_back(cpu);
  }
  if (cpus.empty())
    throw Error(Code::kDevice,
                "no processor that this process may use; check its affinity (taskset -p)");
  return cpus;
}

// "32K" in bytes; 0 for what isn't a size.
std::int64_t parse_size(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc()) return 0;
  return rest == end ? value : *rest == 'K' ? value << 10 : *rest == 'M' ? value << 20 : 0;
}

// Of the data caches above one CPU, by level; 0 where none is exposed.
void read_caches(const std::string& cpu, CpuTopology* topology) {
  for (int index = 0;; ++index) {
    const std::string cache = fmt::format("{}/cache/index{}/", cpu, index);
    const std::string level = word_of(cache + "level");
    if (level.empty()) return;
    if (word_of(cache + "type") == "Instruction") continue;
    const std::int64_t bytes = parse_size(word_of(cache + "size"));
    if (level == "1") topology->l1_bytes = bytes;
    if (level == "2") topology->l2_bytes = bytes;
    if (level == "3") topology->l3_bytes = bytes;
  }
}

std::optional<std::size_t> thread_limit() {
  const char* text = std::getenv("HONE_THREADS");
  if (text == nullptr || *text == '\0') return std::nullopt;
  std::size_t count = 0;
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, count);
  if (error != std::errc() || rest != end || count == 0) {
    throw Error(Code::kUsage,
                fmt::format("HONE_THREADS={}: give the number of threads to use, 1 or more", text));
  }
  return count;
}

}  // namespace

CpuTopology this_cpu_topology(const CpuArch& arch, const std::string& cpus) {
  CpuTopology topology;
  topology.cpus = usable_cpus(cpus);
  read_caches(fmt::format("{}/cpu{}", cpus, topology.cpus[0]), &topology);
  if (const auto limit = thread_limit(); limit && *limit < topology.cpus.size())
    topology.cpus.resize(*limit);
  // Servers and desktops with AVX-512 have at least these; too small a guess costs less than too
  // large a one.
  if (topology.l1_bytes == 0) topology.l1_bytes = 32 << 10;
  if (topology.l2_bytes == 0) topology.l2_bytes = arch.level == 4 ? 1 << 20 : 256 << 10;
  if (topology.l3_bytes == 0) topology.l3_bytes = arch.level == 4 ? 16 << 20 : 4 << 20;
  return topology;
}

}  // namespace hone
