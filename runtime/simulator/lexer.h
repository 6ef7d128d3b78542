// PTX text cut into tokens.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hone::sim {

struct Token {
  enum class Kind : std::uint8_t { kWord, kInteger, kFloat, kFloat32, kString, kPunctuation, kEnd };
  Kind kind = Kind::kEnd;
  int line = 0;
  std::string_view text;
  std::uint64_t value = 0;  // an integer, or the bits of a float
};

// Words hold dots and `::` (`ld.global.v2.f32`, `%tid.x`, `.shared::cta`). Throws Error(kCompile).
// The last token is kEnd.
std::vector<Token> tokenize(std::string_view ptx);

}  // namespace hone::sim
