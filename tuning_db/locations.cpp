// Where databases lie when nobody says.
#include <dlfcn.h>

#include <cstdlib>

#include "codegen/error.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

constexpr const char* kFileName = "tuning.db";

std::optional<std::filesystem::path> from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

// <prefix> of the <prefix>/bin/hone or <prefix>/lib[/machine]/libhone.so that this code lies in.
std::optional<std::filesystem::path> prefix() {
  Dl_info where = {};
  if (dladdr(reinterpret_cast<const void*>(&prefix), &where) == 0 || where.dli_fname == nullptr) {
    return std::nullopt;
  }
  std::error_code error;
  std::filesystem::path folder = std::filesystem::canonical(where.dli_fname, error).parent_path();
  if (error) return std::nullopt;
  for (int level = 0; level < 2; ++level, folder = folder.parent_path()) {
    const std::string name = folder.filename().string();
    if (name == "bin" || name == "lib" || name == "lib64") return folder.parent_path();
  }
  return std::nullopt;
}

}  // namespace

std::filesystem::path user_database() {
  if (const auto file = from_environment("HONE_DB")) return *file;
  if (const auto data = from_environment("XDG_DATA_HOME")) return *data / "hone" / kFileName;
  if (const auto home = from_environment("HOME")) {
    return *home / ".local" / "share" / "hone" / kFileName;
  }
  throw Error(Code::kUsage, "neither HONE_DB nor HOME is set: name a tuning database");
}

std::optional<std::filesystem::path> system_database() {
  if (const auto file = from_environment("HONE_SYSTEM_DB")) return file;
  const auto root = prefix();
  if (!root) return std::nullopt;
  const std::filesystem::path file = *root / "share" / "hone" / kFileName;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return std::nullopt;
  return file;
}

}  // namespace hone
