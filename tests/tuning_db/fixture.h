// What the tests of this room share: folders that go away, trials that can be believed.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "codegen/error.h"
#include "tuning_db/database.h"

namespace hone {

// A folder of this test, readable by everybody, gone at the end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "hone-db-XXXXXX").string();
    path_ = mkdtemp(name.data());
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms(0755), ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A small file system of its own; needs the right to mount.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path where, int kibibytes) : where_(std::move(where)) {
    std::filesystem::create_directories(where_);
    const std::string size = fmt::format("size={}k", kibibytes);
    mounted_ = mount("tmpfs", where_.c_str(), "tmpfs", 0, size.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  bool make_read_only() const {
    return mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  std::filesystem::path where_;
  bool mounted_ = false;
};

// Permissions don't bind root: this makes the process nobody for a while.
class AsNobody {
 public:
  AsNobody() {
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0) changed_ = setresuid(kNobody, kNobody, 0) == 0;
  }
  ~AsNobody() {
    if (changed_ && setresuid(0, 0, 0) != 0) abort();
  }
  AsNobody(const AsNobody&) = delete;
  static bool possible() { return AsNobody().unprivileged(); }

 private:
  bool unprivileged() const { return geteuid() != 0; }
  bool changed_ = false;
};

inline DeviceIdentity some_device(std::int64_t units = 2) {
  return {.backend = "cpu",
          .vendor = "AuthenticAMD",
          .arch = "x86-64-v4",
          .model = "25.17.1",
          .units = units,
          .memory_bytes = std::int64_t{16} << 30,
          .driver = "6.1",
          .name = "A chip"};
}

inline const std::string kDevice = some_device().key();
inline const std::string kHandle = "softmax:cols=64,x=bf16";
inline const std::string kProblem = "softmax:rows=32,cols=64,x=bf16";

// Differs in its config only.
inline Trial some_trial(int config = 0, std::int64_t median_ns = 1000) {
  return {.device = kDevice,
          .problem = kProblem,
          .handle = kHandle,
          .variant = "rowwise",
          .template_hash = hash_of("rowwise.cpp"),
          .config = fmt::format("U={},threads=2", config),
          .layout = "",
          .source = hash_of(fmt::format("source {}", config)),
          .status = Status::kOk,
          .median_ns = median_ns,
          .spread = 0.0125,
          .samples = 31,
          .bound_ns = 700,
          .error = 1.5e-7,
          .checked = "all rows",
          .timed = "cold 6 copies, 2 threads",
          .toolchain = "g++ 12.2.0",
          .reason = "",
          .compile_ms = 80,
          .figures = "",
          .when = 1'750'000'000,
          .final_ns = 0,
          .preference = 0,
          .is_default = false};
}

inline Trial with_layout(Trial trial, const std::string& layout) {
  trial.layout = layout;
  return trial;
}

inline Trial failed(Trial trial, Status status) {
  trial.status = status;
  trial.median_ns = 0;
  trial.reason = "it failed";
  return trial;
}

inline bool any(const Trial&) { return true; }

inline std::vector<std::string> configs(const std::vector<Trial>& trials) {
  std::vector<std::string> all;
  for (const Trial& trial : trials) all.push_back(trial.config);
  return all;
}

// A writable database that knows the device.
inline Database fresh(const std::filesystem::path& file) {
  Database database(file, Database::Mode::kWrite);
  database.put_device(some_device());
  return database;
}

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

// The message of the Error that `action` throws; "" when it throws none.
template <class Action>
std::string message_of(const Action& action, Code code = Code::kDatabase) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "";
}

inline std::string opening(const std::filesystem::path& file, Database::Mode mode) {
  return message_of([&] { Database database(file, mode); });
}

}  // namespace hone
