#include "codegen/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

#include "codegen/error.h"

namespace hone {

std::string Hash::text() const { return fmt::format("{:016x}{:016x}", high, low); }

Hash Hash::parse(std::string_view digits) {
  Hash hash;
  if (digits.size() == 32) {
    const char* text = digits.data();
    auto high = std::from_chars(text, text + 16, hash.high, 16);
    auto low = std::from_chars(text + 16, text + 32, hash.low, 16);
    if (high.ptr == text + 16 && low.ptr == text + 32) return hash;
  }
  throw Error(Code::kUsage, fmt::format("'{}' is not a hash of 32 hexadecimal digits", digits));
}

Hash hash_of(std::string_view bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

std::string normalised(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool space = false;         // white space is pending
  bool line_start = true;     // nothing but white space since the last line end
  bool preprocessor = false;  // inside a # line, whose end counts
  auto put = [&](char c) {
    if (space && !out.empty() && out.back() != '\n') out += ' ';
    space = false;
    line_start = false;
    out += c;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '/' && next == '/') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
      space = true;
    } else if (c == '/' && next == '*') {
      std::size_t end = text.find("*/", i + 2);
      i = end == std::string_view::npos ? text.size() : end + 1;
      space = true;
    } else if (c == '"' || c == '\'') {
      put(c);
      while (++i < text.size()) {
        out += text[i];
        if (text[i] == '\\' && i + 1 < text.size()) {
          out += text[++i];
        } else if (text[i] == c || text[i] == '\n') {
          break;
        }
      }
    } else if (c == '\\' && next == '\n') {
      ++i;
      space = true;
    } else if (c == '\n') {
      if (preprocessor) out += '\n';
      preprocessor = false;
      space = true;
      line_start = true;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      space = true;
    } else {
      if (c == '#' && line_start) {
        if (!out.empty() && out.back() != '\n') out += '\n';
        space = false;
        preprocessor = true;
      }
      put(c);
    }
  }
  return out;
}

}  // namespace hone
