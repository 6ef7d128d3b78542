#include "runtime/simulator/lexer.h"

#include <fmt/format.h>

#include <bit>
#include <cstdlib>
#include <string>

#include "runtime/simulator/ptx.h"

namespace hone::sim {
namespace {

constexpr std::size_t kLongestText = std::size_t{1} << 28;

bool is_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' ||
         c == '.';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_inner(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || is_digit(c);
}
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(std::string_view word) {
  return word == ".reg" || word == ".param" || word == ".shared" || word == ".local" ||
         word == ".global" || word == ".const";
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    tokens.reserve(text_.size() / 5);
    for (;;) {
      skip_space();
      if (at_ >= text_.size()) break;
      tokens.push_back(next());
    }
    tokens.push_back({Token::Kind::kEnd, line_, {}, 0});
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void skip_space() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++line_;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == '\0') {
        ++at_;
      } else if (c == '/' && peek(1) == '/') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == '/' && peek(1) == '*') {
        const int start = line_;
        at_ += 2;
        while (at_ < text_.size() && !(text_[at_] == '*' && peek(1) == '/')) {
          if (text_[at_] == '\n') ++line_;
          ++at_;
        }
        if (at_ >= text_.size()) fail_at(start, "a comment without an end");
        at_ += 2;
      } else {
        return;
      }
    }
  }

  Token next() {
    const char c = peek();
    if (is_digit(c)) return number();
    if (is_start(c)) return word();
    if (c == '"') return string();
    static constexpr std::string_view kPunctuation = "{}()[]<>,;:=+-|!@*&~^?/#";
    if (kPunctuation.find(c) == std::string_view::npos) {
      fail_at(line_, fmt::format("unexpected character (byte {})", static_cast<unsigned char>(c)));
    }
    return {Token::Kind::kPunctuation, line_, text_.substr(at_++, 1), 0};
  }

  Token word() {
    const std::size_t start = at_++;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      // Inline assembly in headers writes ".reg.b32 t" without the space.
      if (c == '.' && is_space(text_.substr(start, at_ - start))) break;
      if (is_inner(c) || (c == '.' && is_inner(peek(1)))) {
        ++at_;
      } else if (c == ':' && peek(1) == ':' && is_inner(peek(2))) {
        at_ += 2;
      } else {
        break;
      }
    }
    return {Token::Kind::kWord, line_, text_.substr(start, at_ - start), 0};
  }

  Token string() {
    const std::size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      at_ += text_[at_] == '\\' && at_ + 1 < text_.size() ? 2 : 1;
    }
    if (peek() != '"') fail_at(line_, "a string without an end");
    Token token{Token::Kind::kString, line_, text_.substr(start, at_ - start), 0};
    ++at_;
    return token;
  }

  Token bits(int digits, Token::Kind kind) {
    const std::size_t start = at_;
    at_ += 2;
    std::uint64_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const int digit = hex_digit(peek());
      if (digit < 0)
        fail_at(line_, fmt::format("a float constant needs {} hexadecimal digits", digits));
      value = value << 4 | static_cast<std::uint64_t>(digit);
      ++at_;
    }
    return {kind, line_, text_.substr(start, at_ - start), value};
  }

  Token number() {
    const std::size_t start = at_;
    const char second = peek(1);
    if (peek() == '0' && (second == 'f' || second == 'F')) return bits(8, Token::Kind::kFloat32);
    if (peek() == '0' && (second == 'd' || second == 'D')) return bits(16, Token::Kind::kFloat);
    int base = 10;
    if (peek() == '0' && (second == 'x' || second == 'X')) {
      base = 16;
    } else if (peek() == '0' && (second == 'b' || second == 'B')) {
      base = 2;
    }
    if (base != 10) at_ += 2;
    std::uint64_t value = 0;
    bool any = base == 10, overflow = false;
    std::size_t end = at_;
    if (base == 10) {
      while (is_digit(end < text_.size() ? text_[end] : '\0')) ++end;
      const char after = end < text_.size() ? text_[end] : '\0';
      const char beyond = end + 1 < text_.size() ? text_[end + 1] : '\0';
      if ((after == '.' && is_digit(beyond)) || after == 'e' || after == 'E')
        return decimal_float(end);
      if (peek() == '0' && end - at_ > 1) base = 8;
    }
    for (;; ++at_, any = true) {
      const int digit = hex_digit(peek());
      if (digit < 0 || digit >= base) break;
      if (value > (~std::uint64_t{0} - static_cast<std::uint64_t>(digit)) /
                      static_cast<std::uint64_t>(base)) {
        overflow = true;
      }
      value = value * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(digit);
    }
    if (!any || overflow) fail_at(line_, "an integer that doesn't fit in 64 bits");
    if (peek() == 'U') ++at_;
    return {Token::Kind::kInteger, line_, text_.substr(start, at_ - start), value};
  }

  Token decimal_float(std::size_t end) {
    const std::size_t start = at_;
    if (text_[end] == '.') {
      ++end;
      while (end < text_.size() && is_digit(text_[end])) ++end;
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      ++end;
      if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
      while (end < text_.size() && is_digit(text_[end])) ++end;
    }
    at_ = end;
    const std::string digits(text_.substr(start, end - start));
    return {Token::Kind::kFloat, line_, text_.substr(start, end - start),
            std::bit_cast<std::uint64_t>(std::strtod(digits.c_str(), nullptr))};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::vector<Token> tokenize(std::string_view ptx) {
  if (ptx.size() > kLongestText) fail_at(1, "the text is longer than 256 MiB");
  return Lexer(ptx).run();
}

}  // namespace hone::sim
