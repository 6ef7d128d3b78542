// The cpu backend: kernels compiled by the system's compiler to shared objects, run on a pinned
// thread pool.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "runtime/backends/cpu_ceilings.h"
#include "runtime/backends/cpu_compiler.h"
#include "runtime/backends/cpu_identity.h"
#include "runtime/backends/cpu_memory.h"
#include "runtime/backends/cpu_pool.h"
#include "runtime/cache.h"

namespace hone {
namespace {

// Why the last launch of this thread was refused. A literal: setting it allocates nothing.
thread_local const char* refusal = "";

bool refuse(const char* why) {
  refusal = why;
  return false;
}

// A shared object in memory. The descriptor stays open: the loader knows an object by its path, and
// a number that is free again could name another one.
class SharedObject {
 public:
  explicit SharedObject(const std::string& code)
      : file_(::memfd_create("hone-kernel", MFD_CLOEXEC)) {
    if (file_ < 0)
      throw Error(Code::kDevice,
                  fmt::format("no memory file for a kernel: {}; close files or raise `ulimit -n`",
                              std::strerror(errno)));
    for (std::size_t at = 0; at < code.size();) {
      const ssize_t count = ::write(file_, code.data() + at, code.size() - at);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail(std::strerror(errno));
      at += static_cast<std::size_t>(count);
    }
    library_ = ::dlopen(fmt::format("/proc/self/fd/{}", file_).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) fail(::dlerror());
  }
  ~SharedObject() {
    ::dlclose(library_);
    ::close(file_);
  }
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  void* symbol(const std::string& name) const { return ::dlsym(library_, name.c_str()); }

 private:
  [[noreturn]] void fail(const char* why) {
    ::close(file_);
    throw Error(
        Code::kDevice,
        fmt::format(
            "can't load a kernel's code: {}; build it again (hone db gc, or clear the cache)",
            why));
  }

  int file_;
  void* library_ = nullptr;
};

using PackEntry = void (*)(const void* slots, const void* from, void* to);

class CpuModule final : public Module {
 public:
  CpuModule(const Binary& binary, std::span<const std::string> entries,
            std::shared_ptr<CpuPool> pool)
      : object_(binary.code), pool_(std::move(pool)) {
    for (const std::string& entry : entries) {
      void* function = object_.symbol("hone_" + entry);
      if (function == nullptr)
        throw Error(Code::kDevice,
                    fmt::format("the code of {} has no entry hone_{}; build it again",
                                binary.source.text(), entry));
      entries_.push_back(function);
    }
  }

  bool run(const Dispatch& dispatch, Stream) noexcept override {
    if (!known(dispatch.entry)) return refuse("no such entry");
    const std::int64_t* grid = dispatch.grid;
    if (grid[0] <= 0 || grid[1] <= 0 || grid[2] <= 0 || dispatch.threads <= 0)
      return refuse("grid and threads must be positive");
    std::int64_t blocks = 0;
    if (__builtin_mul_overflow(grid[0], grid[1], &blocks) ||
        __builtin_mul_overflow(blocks, grid[2], &blocks)) {
      return refuse("the grid has more than 2^63 blocks");
    }
    pool_->run(reinterpret_cast<CpuEntry>(entries_[static_cast<std::size_t>(dispatch.entry)]),
               dispatch.slots, grid, blocks, dispatch.threads);
    return true;
  }

  bool pack(int entry, const std::uint64_t* slots, int, const void* from, void* to, std::int64_t,
            Stream) noexcept override {
    if (!known(entry)) return refuse("no such entry");
    reinterpret_cast<PackEntry>(entries_[static_cast<std::size_t>(entry)])(slots, from, to);
    return true;
  }

 private:
  bool known(int entry) const {
    return entry >= 0 && static_cast<std::size_t>(entry) < entries_.size();
  }

  SharedObject object_;
  std::vector<void*> entries_;
  std::shared_ptr<CpuPool> pool_;  // a module may outlive its device
};

class CpuDevice final : public Device {
 public:
  CpuDevice()
      : arch_(this_cpu_arch()),
        topology_(this_cpu_topology(arch_)),
        target_(cpu_target(arch_, topology_)),
        identity_(this_cpu_identity(arch_, topology_)),
        pool_(std::make_shared<CpuPool>(topology_.cpus)) {}

  const DeviceIdentity& identity() const override { return identity_; }
  const Target& target() const override { return target_; }

  std::unique_ptr<Module> load(const Binary& binary,
                               std::span<const std::string> entries) override {
    const std::size_t slash = binary.target.find('/');
    const auto arch = slash == std::string::npos
                          ? std::nullopt
                          : parse_cpu_arch(std::string_view(binary.target).substr(slash + 1));
    if (!arch || !binary.target.starts_with("cpu/") || !arch_.runs(*arch)) {
      throw Error(
          Code::kDevice,
          fmt::format("code for {} does not run on this processor ({}); build it for this one",
                      binary.target, target_.text()));
    }
    return std::make_unique<CpuModule>(binary, entries, pool_);
  }

  void* allocate(std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(void* memory) noexcept override { memory_.release(memory); }
  void copy_in(void* device, const void* host, std::size_t bytes) override {
    std::memcpy(device, host, bytes);
  }
  void copy_out(void* host, const void* device, std::size_t bytes) override {
    std::memcpy(host, device, bytes);
  }
  void synchronize() override {}
  std::string last_error() const override { return refusal; }

  double time(const std::function<void()>& work, int repeats) override {
    // A thread that is moved between cores loses its caches; the kernels of virtual machines also
    // move it onto a worker's core.
    const CpuPin pin;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  Ceilings measure_ceilings(std::chrono::duration<double> budget) override {
    return measure_cpu_ceilings(arch_, topology_, *pool_, memory_, budget);
  }

 private:
  CpuArch arch_;
  CpuTopology topology_;
  Target target_;
  DeviceIdentity identity_;
  CpuMemory memory_;
  std::shared_ptr<CpuPool> pool_;
};

class CpuBackend final : public Backend {
 public:
  std::string name() const override { return "cpu"; }

  std::vector<DeviceIdentity> devices(std::vector<std::string>* missing) override {
    try {
      find_cpu_compiler();
    } catch (const Error& error) {
      if (missing != nullptr) missing->push_back(fmt::format("cpu: {}", error.what()));
    }
    const CpuArch arch = this_cpu_arch();
    return {this_cpu_identity(arch, this_cpu_topology(arch))};
  }

  std::unique_ptr<Device> open(int index) override {
    if (index != 0)
      throw Error(Code::kNotFound,
                  fmt::format("no device cpu:{}; the whole processor is cpu:0", index));
    return std::make_unique<CpuDevice>();
  }

  std::optional<Target> target(const std::string& text) override {
    const std::optional<CpuArch> arch = parse_cpu_arch(text);
    if (!arch) return std::nullopt;
    return cpu_target(*arch, this_cpu_topology(*arch));
  }

  Binary compile(const Source& source, const Target& target,
                 std::chrono::duration<double> limit) override {
    const CpuArch arch = arch_of(target);
    const CpuCompiler compiler = find_cpu_compiler();
    const BinaryCache cache(default_cache_folder());
    const std::string key = cache_key(source.hash, target, compiler, arch);
    Binary binary = {source.hash, target.text(), {}};
    if (std::optional<std::string> code = cache.find(key)) {
      binary.code = std::move(*code);
    } else {
      binary.code = compile_shared_object(compiler, arch, source, cache.folder(), limit);
      cache.put(key, binary.code);
    }
    return binary;
  }

  std::optional<Binary> cached(const Hash& source, const Target& target) override {
    const CpuArch arch = arch_of(target);
    try {
      const CpuCompiler compiler = find_cpu_compiler();
      std::optional<std::string> code =
          BinaryCache(default_cache_folder()).find(cache_key(source, target, compiler, arch));
      if (!code) return std::nullopt;
      return Binary{source, target.text(), std::move(*code)};
    } catch (const Error&) {
      // What no compiler here would make can't have been made here.
      return std::nullopt;
    }
  }

  std::string toolchain() override { return find_cpu_compiler().toolchain(); }

 private:
  static CpuArch arch_of(const Target& target) {
    const std::optional<CpuArch> arch = parse_cpu_arch(target.arch);
    if (target.backend == "cpu" && arch) return *arch;
    throw Error(Code::kUnsupported,
                fmt::format("the cpu backend does not know {}; give cpu/x86-64, -v2, -v3 or -v4, "
                            "v4 with +bf16 and +vnni",
                            target.text()));
  }

  static std::string cache_key(const Hash& source, const Target& target,
                               const CpuCompiler& compiler, const CpuArch& arch) {
    return fmt::format("{}\n{}\n{}", source.text(), target.text(), cpu_build_text(compiler, arch));
  }
};

const RegisterBackend kCpuRegistered(std::make_unique<CpuBackend>());

}  // namespace
}  // namespace hone
