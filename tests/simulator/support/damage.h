// Damages a text, or a container of bytes, in the ways that have hurt young parsers, reproducibly.
#pragma once

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "tests/simulator/support/everywhere.h"

namespace hone::test {

inline std::string damaged_bytes(std::string bytes, std::uint64_t seed) {
  Numbers numbers(seed);
  for (int left = numbers.integer(1, 3); left > 0 && !bytes.empty(); --left) {
    const auto at = static_cast<std::size_t>(numbers.next() % bytes.size());
    // Numbers of any width, at their edges; lengths that just miss.
    const std::uint64_t edges[] = {0,          1,          0x7f,         0xff,
                                   0xffff,     0x7fffffff, 0xffffffff,   1ULL << 40,
                                   1ULL << 62, ~0ULL,      bytes.size(), bytes.size() - at};
    const std::size_t width = std::min(std::size_t{1} << numbers.integer(0, 3), bytes.size() - at);
    switch (numbers.integer(0, 4)) {
      case 0:
        bytes[at] = static_cast<char>(numbers.integer(0, 255));
        break;
      case 1:
      case 2: {
        const std::uint64_t value = edges[numbers.next() % std::size(edges)] +
                                    static_cast<std::uint64_t>(numbers.integer(-1, 1));
        std::memcpy(bytes.data() + at, &value, width);
        break;
      }
      case 3:
        bytes.resize(at);
        break;
      default:
        bytes.erase(at, width);
        break;
    }
  }
  return bytes;
}

inline std::string damaged(std::string text, std::uint64_t seed) {
  static const std::vector<std::string> pieces = {"{",
                                                  "}",
                                                  "(",
                                                  ")",
                                                  "[",
                                                  "]",
                                                  ";",
                                                  ",",
                                                  "<",
                                                  ">",
                                                  ".",
                                                  "%",
                                                  "@",
                                                  "@!",
                                                  ":",
                                                  "\"",
                                                  "/*",
                                                  "//",
                                                  "-",
                                                  "+",
                                                  "|",
                                                  "0x",
                                                  "0f",
                                                  "0d",
                                                  "\n",
                                                  "99999999999999999999",
                                                  "4294967295",
                                                  "-1",
                                                  ".reg .b32 %r<4000000000>;",
                                                  ".shared .align 8 .b8 big[1000000000000];",
                                                  "{{{{{{{{{{{{{{{{",
                                                  ".param .b8 p[0]",
                                                  ".align 3",
                                                  ".align 0",
                                                  "ret;",
                                                  "bra $L;",
                                                  "call (r), f, (a);",
                                                  ".v4",
                                                  ".v3",
                                                  ".u8",
                                                  ".f64",
                                                  ".pred",
                                                  "%tid.w",
                                                  "bar.sync -1;",
                                                  ".loc 9 9 9",
                                                  ".func f()",
                                                  ".entry k()",
                                                  "1: bra 1;",
                                                  ".section .debug_str {",
                                                  ".file 1 \"",
                                                  "mma.sync.aligned.m16n8k16",
                                                  "_",
                                                  "$",
                                                  "\xff"};
  Numbers numbers(seed);
  const int times = numbers.integer(1, 4);
  for (int k = 0; k < times && !text.empty(); ++k) {
    const auto at = static_cast<std::size_t>(numbers.next() % text.size());
    const auto length =
        std::min(static_cast<std::size_t>(numbers.integer(1, 60)), text.size() - at);
    switch (numbers.integer(0, 6)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text[at] = static_cast<char>(numbers.integer(0, 255));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(static_cast<std::size_t>(numbers.next() % text.size()),
                    text.substr(at, length));
        break;
      case 4:
        text.insert(at, pieces[static_cast<std::size_t>(numbers.next() % pieces.size())]);
        break;
      case 5: {
        // One instruction's line in another's place.
        const std::size_t begin = text.rfind('\n', at), end = text.find('\n', at);
        if (begin == std::string::npos || end == std::string::npos) break;
        const std::string line = text.substr(begin, end - begin);
        const std::size_t to =
            text.find('\n', static_cast<std::size_t>(numbers.next() % text.size()));
        text.insert(to == std::string::npos ? 0 : to, line);
        break;
      }
      default: {
        // A digit becomes another.
        const std::size_t digit = text.find_first_of("0123456789", at);
        if (digit != std::string::npos)
          text[digit] = static_cast<char>('0' + numbers.integer(0, 9));
        break;
      }
    }
  }
  return text;
}

}  // namespace hone::test
