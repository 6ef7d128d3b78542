// Images: PTX text, and the containers of the CUDA toolkit that hold it.
#include <fmt/format.h>
#include <zstd.h>

#include <cstring>
#include <optional>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr std::uint32_t kFatbin = 0xBA55ED50;   // a container
constexpr std::uint32_t kWrapper = 0x466243B1;  // what a program's data segment holds: a pointer
constexpr std::uint32_t kElf = 0x464C457F;
constexpr std::uint16_t kKindPtx = 1;
constexpr std::uint64_t kCompressedLz4 = 0x2000, kCompressedZstd = 0x8000;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;      // of a container
constexpr std::uint64_t kMostTextBytes = std::uint64_t{1} << 28;  // of one text, unpacked

struct FatbinHeader {
  std::uint32_t magic;
  std::uint16_t version, header_bytes;
  std::uint64_t bytes;  // behind the header
};
struct Entry {
  std::uint16_t kind, version;
  std::uint32_t header_bytes;
  std::uint64_t bytes;  // of the payload, padded
  std::uint32_t compressed_bytes, options_offset;
  std::uint16_t minor, major;
  std::uint32_t arch;
  std::uint32_t name_offset, name_bytes;
  std::uint64_t flags;
  std::uint64_t reserved;
  std::uint64_t plain_bytes;  // when compressed
};
static_assert(sizeof(FatbinHeader) == 16 && sizeof(Entry) == 64);

template <typename T>
T read_as(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The LZ4 block format: runs of literals, and matches in what was written before.
std::optional<std::string> unpack_lz4(std::string_view in, std::size_t size) {
  std::string out;
  std::size_t at = 0;
  const auto length = [&](std::size_t nibble) -> std::optional<std::size_t> {
    if (nibble != 15) return nibble;
    for (;;) {
      if (at >= in.size()) return std::nullopt;
      const auto more = static_cast<unsigned char>(in[at++]);
      nibble += more;
      if (more != 255) return nibble;
    }
  };
  while (at < in.size()) {
    const auto token = static_cast<unsigned char>(in[at++]);
    const auto literals = length(token >> 4);
    if (!literals || *literals > in.size() - at || *literals > size - out.size())
      return std::nullopt;
    out.append(in.substr(at, *literals));
    at += *literals;
    if (at == in.size()) break;  // the last run has no match
    if (in.size() - at < 2) return std::nullopt;
    const auto offset = read_as<std::uint16_t>(in.data() + at);
    at += 2;
    const auto match = length(token & 15);
    constexpr std::size_t kShortestMatch = 4;
    if (!match || offset == 0 || offset > out.size() || *match + kShortestMatch > size - out.size())
      return std::nullopt;
    for (std::size_t i = 0; i < *match + kShortestMatch; ++i)
      out.push_back(out[out.size() - offset]);
  }
  if (out.size() != size) return std::nullopt;
  return out;
}

std::optional<std::string> unpack_zstd(std::string_view in, std::size_t size) {
  // Asked before there is room made for it.
  const unsigned long long told = ZSTD_getFrameContentSize(in.data(), in.size());
  if (told != ZSTD_CONTENTSIZE_UNKNOWN && told != size) return std::nullopt;
  std::string out(size, '\0');
  const std::size_t made = ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
  if (ZSTD_isError(made) || made != size) return std::nullopt;
  return out;
}

std::optional<std::string> payload(const Entry& entry, std::string_view bytes) {
  if ((entry.flags & (kCompressedLz4 | kCompressedZstd)) == 0) return std::string(bytes);
  if (entry.compressed_bytes > bytes.size() || entry.plain_bytes > kMostTextBytes)
    return std::nullopt;
  const std::string_view packed = bytes.substr(0, entry.compressed_bytes);
  const auto size = static_cast<std::size_t>(entry.plain_bytes);
  return (entry.flags & kCompressedZstd) != 0 ? unpack_zstd(packed, size)
                                              : unpack_lz4(packed, size);
}

std::string ptx_of_fatbin(std::string_view bytes, const sim::Gpu& gpu, std::string* log) {
  std::string best;
  std::uint32_t best_arch = 0;
  std::string found;
  for (std::size_t at = 0; bytes.size() - at >= sizeof(Entry);) {
    const auto entry = read_as<Entry>(bytes.data() + at);
    const std::size_t left = bytes.size() - at;
    if (entry.header_bytes < sizeof(Entry) || entry.header_bytes > left ||
        entry.bytes > left - entry.header_bytes)
      fail(kInvalidImage);
    const std::string_view content = bytes.substr(at + entry.header_bytes, entry.bytes);
    at += entry.header_bytes + entry.bytes;
    found += fmt::format(" {} sm_{}", entry.kind == kKindPtx ? "PTX" : "machine code", entry.arch);
    if (entry.kind != kKindPtx || entry.arch > static_cast<std::uint32_t>(gpu.sm) ||
        entry.arch < best_arch)
      continue;
    std::optional<std::string> text = payload(entry, content);
    if (!text) fail(kInvalidImage);
    while (!text->empty() && text->back() == '\0') text->pop_back();
    best = std::move(*text);
    best_arch = entry.arch;
  }
  if (best.empty()) {
    *log = fmt::format("the simulator runs PTX for sm_{} or older; this image holds:{}", gpu.sm,
                       found.empty() ? " nothing" : found);
    fail(kNoBinaryForGpu);
  }
  return best;
}

}  // namespace

std::string ptx_of_image(std::string_view bytes, const sim::Gpu& gpu, std::string* log) {
  const std::uint32_t magic = bytes.size() >= 4 ? read_as<std::uint32_t>(bytes.data()) : 0;
  if (magic == kFatbin && bytes.size() >= sizeof(FatbinHeader)) {
    const auto header = read_as<FatbinHeader>(bytes.data());
    if (header.header_bytes < sizeof header || header.header_bytes > bytes.size() ||
        header.bytes > bytes.size() - header.header_bytes)
      fail(kInvalidImage);
    return ptx_of_fatbin(bytes.substr(header.header_bytes, header.bytes), gpu, log);
  }
  if (magic == kElf) {
    *log = "the simulator runs PTX, and this is machine code (a cubin)";
    fail(kNoBinaryForGpu);
  }
  while (!bytes.empty() && bytes.back() == '\0') bytes.remove_suffix(1);
  return std::string(bytes);
}

std::string ptx_of_image(const void* image, const sim::Gpu& gpu, std::string* log) {
  // Byte by byte: a text may be shorter than a magic number.
  const auto* bytes = static_cast<const unsigned char*>(image);
  std::uint32_t magic = 0;
  for (unsigned i = 0; i < 4 && bytes[i] != 0; ++i) magic |= std::uint32_t{bytes[i]} << (8 * i);
  if (magic == kWrapper) {
    const auto* inner = read_as<const void*>(bytes + 8);
    require(inner != nullptr && read_as<std::uint32_t>(inner) == kFatbin, kInvalidImage);
    return ptx_of_image(inner, gpu, log);
  }
  if (magic == kFatbin) {
    const auto header = read_as<FatbinHeader>(bytes);
    require(header.bytes <= kMostBytes, kInvalidImage);
    return ptx_of_image({reinterpret_cast<const char*>(bytes), header.header_bytes + header.bytes},
                        gpu, log);
  }
  if (magic == kElf)
    return ptx_of_image({reinterpret_cast<const char*>(bytes), sizeof magic}, gpu, log);
  return ptx_of_image(
      {reinterpret_cast<const char*>(bytes), std::strlen(reinterpret_cast<const char*>(bytes))},
      gpu, log);
}

}  // namespace hone::standin
