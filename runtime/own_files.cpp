#include "runtime/own_files.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "codegen/error.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

fs::path own_folder() {
  Dl_info info = {};
  std::error_code error;
  if (::dladdr(reinterpret_cast<const void*>(&find_own_file), &info) != 0 &&
      info.dli_fname != nullptr && std::strchr(info.dli_fname, '/') != nullptr) {
    const fs::path file = fs::canonical(info.dli_fname, error);
    if (!error) return file.parent_path();
  }
  // A program that was found on $PATH.
  return fs::canonical("/proc/self/exe", error).parent_path();
}

}  // namespace

std::optional<fs::path> find_own_file(const std::string& name) {
  const fs::path folder = own_folder();
  for (const fs::path& candidate : {folder / name, folder / "hone" / name,
                                    folder / HONE_LIBRARY_FROM_PROGRAM / "hone" / name}) {
    std::error_code error;
    if (fs::exists(candidate, error)) return fs::weakly_canonical(candidate, error);
  }
  return std::nullopt;
}

WorkFolder::WorkFolder() {
  std::string tried;
  const char* temporary = std::getenv("TMPDIR");
  for (const char* parent : {"/dev/shm", temporary == nullptr ? "/tmp" : temporary, "/tmp"}) {
    std::string name = fmt::format("{}/hone-{}-XXXXXX", parent, ::getpid());
    if (::mkdtemp(name.data()) != nullptr) {
      path_ = name;
      return;
    }
    tried += fmt::format(" {} ({})", parent, std::strerror(errno));
  }
  throw Error(
      Code::kIo,
      fmt::format("no folder to compile in; tried{}; free some space or set TMPDIR", tried));
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_file(const fs::path& file, const std::string& content) {
  std::ofstream out(file, std::ios::binary);
  out << content;
  out.close();
  if (!out)
    throw Error(Code::kIo, fmt::format("can't write {}: no space left? Free some or set TMPDIR",
                                       file.string()));
}

std::optional<std::string> read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!(text << in.rdbuf())) return std::nullopt;
  return std::move(text).str();
}

}  // namespace hone
