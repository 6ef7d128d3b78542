// A folder of compiled code, found by what it was made from. Losing it costs time and nothing else.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace hone {

// Entries are published by rename, so readers see a whole entry or none; of two writers the last
// wins, with equal content. An entry is ignored when it is damaged, written for another key, or
// owned by another user (it is code). Any thread and any process may use it at once.
//
// Persistent, version 1: binaries/<2 digits>/<30 digits> of the key's hash, holding "HONEBIN1", the
// content's size (8 bytes, little endian), the hash of key, a zero byte and content (16 bytes), the
// content.
class BinaryCache {
 public:
  explicit BinaryCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }
  std::optional<std::string> find(
      std::string_view key) const;  // nullopt also when it can't be read
  bool put(std::string_view key, std::string_view content)
      const;  // false when it can't be written: a full disk, no permission
  std::filesystem::path file(std::string_view key) const;  // where the entry lies

 private:
  std::filesystem::path folder_;
};

// $HONE_CACHE, else $XDG_CACHE_HOME/hone, else ~/.cache/hone. Empty when the environment names none
// of them.
std::filesystem::path default_cache_folder();

}  // namespace hone
