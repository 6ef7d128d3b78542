// Files that come with Hone and lie beside it: helper programs, the stand-in driver.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace hone {

// `name` as in "hone-rtc" or "standin/libcuda.so.1": beside the program or library that holds this
// code (a build folder), in hone/ beside it, or where an installed program finds its library's
// files. Absolute; nullopt when it is nowhere.
std::optional<std::filesystem::path> find_own_file(const std::string& name);

// An empty folder for one piece of work, removed with all that it holds. In memory where that is
// possible: nothing in it outlives the object. Throws Error(kIo) when there is no room.
class WorkFolder {
 public:
  WorkFolder();
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Throws Error(kIo).
void write_file(const std::filesystem::path& file, const std::string& content);
std::optional<std::string> read_file(const std::filesystem::path& file);

}  // namespace hone
