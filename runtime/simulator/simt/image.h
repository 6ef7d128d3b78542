// What the SIMT host loads: a kernel's HIP text compiled for the host, and which line of the text
// an address of the code stands for.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/msgpack.h"

namespace hone::sim {

struct SimtImage {
  std::string code;  // a shared object
  std::string text;  // of the kernel
  // From this offset of the code on, up to the next one: lines[chain], the innermost first, then
  // those of the calls that were inlined.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
  std::vector<std::vector<std::uint32_t>> lines;
};

// Persistent, version 1: "HONESIMT", bytes of all that follows and of a MessagePack head (8 each,
// little endian), the head {"code":bytes,"text":bytes,"places":[..],"lines":[..]}, code, text.
inline constexpr std::string_view kSimtMagic = "HONESIMT";

inline std::string pack_simt(const SimtImage& image) {
  const Json head = {{"code", image.code.size()},
                     {"text", image.text.size()},
                     {"places", image.places},
                     {"lines", image.lines}};
  std::string packed;
  Json::to_msgpack(head, packed);
  const std::uint64_t sizes[] = {packed.size() + image.code.size() + image.text.size() + 8,
                                 packed.size()};
  std::string bytes(kSimtMagic);
  bytes.append(reinterpret_cast<const char*>(sizes), sizeof sizes);
  return bytes + packed + image.code + image.text;
}

// How many bytes the image that begins here has; 0: it is none. Reads its first 16 bytes only.
inline std::size_t simt_bytes(const void* begin) {
  std::uint64_t rest = 0;
  if (std::memcmp(begin, kSimtMagic.data(), kSimtMagic.size()) != 0) return 0;
  std::memcpy(&rest, static_cast<const char*>(begin) + kSimtMagic.size(), sizeof rest);
  return kSimtMagic.size() + sizeof rest + rest;
}

// An image is all that these bytes are.
inline bool is_simt(std::string_view bytes) {
  return bytes.size() >= kSimtMagic.size() + sizeof(std::uint64_t) &&
         simt_bytes(bytes.data()) == bytes.size();
}

// False for anything else than what pack_simt() gives.
inline bool unpack_simt(std::string_view bytes, SimtImage* image) {
  std::uint64_t sizes[2] = {};
  constexpr std::size_t kHead = 8 + sizeof sizes;
  if (bytes.size() < kHead || !is_simt(bytes)) return false;
  std::memcpy(sizes, bytes.data() + kSimtMagic.size(), sizeof sizes);
  bytes.remove_prefix(kHead);
  if (sizes[1] > bytes.size()) return false;
  try {
    const auto head = read_msgpack(bytes.substr(0, sizes[1]));
    if (!head) return false;
    bytes.remove_prefix(sizes[1]);
    const auto code = head->at("code").get<std::size_t>();
    if (code > bytes.size() || bytes.size() - code != head->at("text").get<std::size_t>())
      return false;
    image->code = bytes.substr(0, code);
    image->text = bytes.substr(code);
    head->at("places").get_to(image->places);
    head->at("lines").get_to(image->lines);
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace hone::sim
