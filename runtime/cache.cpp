#include "runtime/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "codegen/hash.h"

namespace hone {
namespace {

static_assert(std::endian::native == std::endian::little, "the entry's header is little endian");

struct Header {
  char magic[8];
  std::uint64_t size;
  std::uint64_t hash_high;
  std::uint64_t hash_low;
};
static_assert(sizeof(Header) == 32);
constexpr std::string_view kMagic = "HONEBIN1";
constexpr off_t kMaxEntryBytes = 256 << 20;

Header header_of(std::string_view key, std::string_view content) {
  std::string all;
  all.reserve(key.size() + 1 + content.size());
  all.append(key).append(1, '\0').append(content);
  const Hash hash = hash_of(all);
  Header header = {};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.size = content.size();
  header.hash_high = hash.high;
  header.hash_low = hash.low;
  return header;
}

bool read_all(int file, char* to, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t count = ::read(file, to, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    to += count;
    bytes -= static_cast<std::size_t>(count);
  }
  return true;
}

bool write_all(int file, const char* from, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t count = ::write(file, from, bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    from += count;
    bytes -= static_cast<std::size_t>(count);
  }
  return true;
}

std::optional<std::string> read_entry(int file, std::string_view key) {
  struct stat entry = {};
  if (::fstat(file, &entry) != 0 || !S_ISREG(entry.st_mode) || entry.st_size > kMaxEntryBytes)
    return std::nullopt;
  if (entry.st_uid != ::geteuid() && entry.st_uid != 0) return std::nullopt;
  Header found = {};
  if (!read_all(file, reinterpret_cast<char*>(&found), sizeof found)) return std::nullopt;
  if (found.size != static_cast<std::uint64_t>(entry.st_size) - sizeof found) return std::nullopt;
  std::string content(found.size, '\0');
  if (!read_all(file, content.data(), content.size())) return std::nullopt;
  const Header expected = header_of(key, content);
  if (std::memcmp(&found, &expected, sizeof found) != 0) return std::nullopt;
  return content;
}

}  // namespace

std::filesystem::path BinaryCache::file(std::string_view key) const {
  const std::string name = hash_of(key).text();
  return folder_ / "binaries" / name.substr(0, 2) / name.substr(2);
}

std::optional<std::string> BinaryCache::find(std::string_view key) const {
  if (folder_.empty()) return std::nullopt;
  const int descriptor = ::open(file(key).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::optional<std::string> content = read_entry(descriptor, key);
  ::close(descriptor);
  return content;
}

bool BinaryCache::put(std::string_view key, std::string_view content) const {
  if (folder_.empty()) return false;
  const std::filesystem::path target = file(key);
  std::error_code error;
  std::filesystem::create_directories(target.parent_path(), error);
  if (error) return false;
  std::string temporary = target.string() + ".XXXXXX";
  const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return false;
  const Header header = header_of(key, content);
  // No fsync: the hash finds an entry that a power cut has torn, and a flush costs more than the
  // smallest kernels take to compile.
  const bool written =
      write_all(descriptor, reinterpret_cast<const char*>(&header), sizeof header) &&
      write_all(descriptor, content.data(), content.size());
  const bool closed = ::close(descriptor) == 0;
  if (written && closed && ::rename(temporary.c_str(), target.c_str()) == 0) return true;
  ::unlink(temporary.c_str());
  return false;
}

std::filesystem::path default_cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (std::filesystem::path folder = variable("HONE_CACHE"); !folder.empty()) return folder;
  if (std::filesystem::path folder = variable("XDG_CACHE_HOME"); !folder.empty())
    return folder / "hone";
  if (std::filesystem::path folder = variable("HOME"); !folder.empty())
    return folder / ".cache" / "hone";
  return {};
}

}  // namespace hone
