// What the tests of the cpu backend share: sources written by hand, folders and variables of their
// own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "codegen/hash.h"
#include "codegen/source.h"

namespace hone {

// A folder that is there for the life of the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hone-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// An environment variable that gets its old value back.
class Variable {
 public:
  Variable(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* old = std::getenv(name_.c_str())) old_ = old;
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Variable() {
    if (old_) {
      ::setenv(name_.c_str(), old_->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
  std::optional<std::string> old_;
};

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

inline void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

// A program that /bin/sh runs.
inline std::string script(const std::filesystem::path& file, const std::string& text) {
  write_text(file, "#!/bin/sh\n" + text);
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  return file.string();
}

// What render() gives: types.h and a kernel.
inline Source source_of(const std::string& kernel, std::vector<std::string> entries) {
  std::string types = text_of(std::filesystem::path(HONE_ROOT) / "templates/include/types.h");
  types.erase(types.find("#pragma once"), 12);
  Source source;
  source.text = types + kernel;
  source.entries = std::move(entries);
  source.hash = hash_of(normalised(source.text));
  return source;
}

// Counts per block how often it ran, and which thread ran it last.
inline Source counting_source() {
  return source_of(R"(
struct Args { i64 *counts; i64 *threads; };
HONE_KERNEL(main) {
  i64 at = (b.z * b.grid_y + b.y) * b.grid_x + b.x;
  __atomic_fetch_add(a.counts + at, 1, __ATOMIC_RELAXED);
  a.threads[at] = b.thread;
}
)",
                   {"main"});
}

}  // namespace hone
