// 128-bit content hashes (xxHash XXH3), the identity of sources, templates and binaries.
// Persistent: stored in databases.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

struct Hash {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const Hash&) const = default;
  std::string text() const;                    // 32 hexadecimal digits
  static Hash parse(std::string_view digits);  // throws Error(kUsage)
};

Hash hash_of(std::string_view bytes);

// The text without comments and with white space folded: two texts with equal results compile to
// the same thing. String and character literals are kept as they are; preprocessor lines keep their
// line ends.
std::string normalised(std::string_view cpp_text);

}  // namespace hone
