#include "tests/simulator/support/nvrtc.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "codegen/hash.h"

namespace hone::test {
namespace {

namespace fs = std::filesystem;

struct Nvrtc {
  int (*version)(int*, int*) = nullptr;
  int (*create)(void**, const char*, const char*, int, const char* const*,
                const char* const*) = nullptr;
  int (*compile)(void*, int, const char* const*) = nullptr;
  int (*log_size)(void*, std::size_t*) = nullptr;
  int (*log)(void*, char*) = nullptr;
  int (*ptx_size)(void*, std::size_t*) = nullptr;
  int (*ptx)(void*, char*) = nullptr;
  std::string missing;
};

template <typename F>
void find(void* library, const char* name, F& function, std::string& missing) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) missing = fmt::format("NVRTC has no {}", name);
}

Nvrtc open_nvrtc() {
  Nvrtc nvrtc;
  const char* chosen = std::getenv("HONE_NVRTC");
  std::vector<std::string> paths;
  if (chosen != nullptr) {
    paths.emplace_back(chosen);
  } else {
    // Where scripts/fetch_gpu_compilers.sh puts it, then a toolkit's.
    const char* data = std::getenv("XDG_DATA_HOME");
    const char* home = std::getenv("HOME");
    const std::string own = data != nullptr   ? data
                            : home != nullptr ? std::string(home) + "/.local/share"
                                              : std::string("/");
    paths = {own + "/hone/nvrtc/libnvrtc.so.13", "/usr/local/cuda/lib64/libnvrtc.so.13",
             "libnvrtc.so.13"};
  }
  void* library = nullptr;
  for (const std::string& path : paths)
    if (library == nullptr) library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    nvrtc.missing = "no NVRTC here (HONE_NVRTC=libnvrtc.so.13 names one)";
    return nvrtc;
  }
  find(library, "nvrtcVersion", nvrtc.version, nvrtc.missing);
  find(library, "nvrtcCreateProgram", nvrtc.create, nvrtc.missing);
  find(library, "nvrtcCompileProgram", nvrtc.compile, nvrtc.missing);
  find(library, "nvrtcGetProgramLogSize", nvrtc.log_size, nvrtc.missing);
  find(library, "nvrtcGetProgramLog", nvrtc.log, nvrtc.missing);
  find(library, "nvrtcGetPTXSize", nvrtc.ptx_size, nvrtc.missing);
  find(library, "nvrtcGetPTX", nvrtc.ptx, nvrtc.missing);
  return nvrtc;
}

std::string toolkit_headers() {
  const char* home = std::getenv("CUDA_HOME");
  for (const std::string& place : {std::string(home == nullptr ? "" : home) + "/include",
                                   std::string("/usr/local/cuda/include")})
    if (fs::exists(place + "/cuda_fp16.h")) return place;
  return "";
}

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// In a process of its own: what NVRTC leaves behind crashes the leak checker of the one that called
// it. 0: `output` is PTX, 1: it is the compiler's log.
int compile_apart(const Nvrtc& nvrtc, const std::string& text, const std::string& name,
                  const std::vector<std::string>& options, const fs::path& output) {
  const pid_t child = fork();
  if (child == 0) {
    std::vector<const char*> words;
    for (const std::string& option : options) words.push_back(option.c_str());
    void* program = nullptr;
    nvrtc.create(&program, text.c_str(), name.c_str(), 0, nullptr, nullptr);
    const bool compiled = nvrtc.compile(program, static_cast<int>(words.size()), words.data()) == 0;
    std::size_t size = 0;
    (compiled ? nvrtc.ptx_size : nvrtc.log_size)(program, &size);
    std::string answer(size, '\0');
    (compiled ? nvrtc.ptx : nvrtc.log)(program, answer.data());
    std::ofstream out(output, std::ios::binary);
    out << answer.c_str();
    out.close();
    _exit(!out ? 2 : compiled ? 0 : 1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 2;
  return WEXITSTATUS(status);
}

constexpr const char* kKernels = HONE_ROOT "/tests/simulator/kernels";

}  // namespace

Compiled compile_text(const std::string& text, std::string_view name, std::string_view arch,
                      bool headers, const std::vector<std::string>& extra) {
  static const Nvrtc nvrtc = open_nvrtc();
  Compiled result;
  if (!nvrtc.missing.empty()) {
    result.missing = nvrtc.missing;
    return result;
  }
  std::vector<std::string> options = {fmt::format("--gpu-architecture=compute_{}", arch.substr(3)),
                                      "-lineinfo", "-std=c++17", "-device-int128",
                                      fmt::format("-I{}", kKernels)};
  if (headers) {
    const std::string place = toolkit_headers();
    if (place.empty()) {
      result.missing = "no CUDA headers here (CUDA_HOME names a toolkit)";
      return result;
    }
    options.push_back("-I" + place);
    options.push_back("-I" + place + "/cccl");
  }
  options.insert(options.end(), extra.begin(), extra.end());

  int major = 0, minor = 0;
  nvrtc.version(&major, &minor);
  std::string identity =
      fmt::format("{}.{}\n{}\n{}\n{}", major, minor, name, fmt::join(options, "\n"), text);
  identity += file_text(fs::path(kKernels) / "scalar.h");
  const fs::path kept = fs::path(HONE_PTX_CACHE) / (hash_of(identity).text() + ".ptx");
  if (fs::exists(kept)) {
    result.ptx = file_text(kept);
    return result;
  }

  fs::create_directories(kept.parent_path());
  const fs::path made = fmt::format("{}.{}", kept.string(), getpid());
  const int status = compile_apart(nvrtc, text, std::string(name), options, made);
  if (status == 0) {
    fs::rename(made, kept);
    result.ptx = file_text(kept);
  } else {
    result.log = status == 1 ? file_text(made) : "NVRTC died";
    fs::remove(made);
  }
  return result;
}

Compiled compile_file(std::string_view file, std::string_view arch, bool headers,
                      const std::vector<std::string>& options) {
  return compile_text(file_text(fs::path(kKernels) / file), file, arch, headers, options);
}

}  // namespace hone::test
