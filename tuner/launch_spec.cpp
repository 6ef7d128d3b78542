#include "tuner/launch_spec.h"

#include <fmt/format.h>

#include <charconv>

#include "codegen/element.h"
#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 32;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  LaunchSpec spec() {
    LaunchSpec spec;
    spec.kernel = name();
    expect("<<<");
    spec.grid = extent();
    expect(",");
    spec.block = extent();
    if (take(",")) spec.shared_bytes = static_cast<std::uint32_t>(integer(0, 1 << 30));
    expect(">>>");
    expect("(");
    if (!take(")")) {
      do {
        spec.arguments.push_back(argument());
      } while (take(","));
      expect(")");
    }
    skip();
    if (at_ != text_.size()) fail("the end");
    return spec;
  }

 private:
  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(Code::kUsage,
                fmt::format("--launch: expected {} at '{}'; write as in \"saxpy<<<4, 256>>>(out "
                            "f32[1024], f32[1024]=index, 2.5f, 1024)\"",
                            expected, text_.substr(at_)));
  }

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("'{}'", token));
  }

  static bool in_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$';
  }
  std::string name() {
    skip();
    const std::size_t begin = at_;
    while (at_ < text_.size() && in_name(text_[at_])) ++at_;
    if (at_ == begin) fail("a name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    skip();
    std::int64_t value = 0;
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || value < low || value > high)
      fail(fmt::format("a number from {} to {}", low, high));
    at_ += static_cast<std::size_t>(rest - begin);
    return value;
  }
  double number(bool* fractional) {
    skip();
    double value = 0;
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    const auto [rest, error] = std::from_chars(begin, end, value);
    if (error != std::errc()) fail("a number");
    const std::string_view digits(begin, static_cast<std::size_t>(rest - begin));
    at_ += digits.size();
    *fractional = digits.find_first_of(".en") != std::string_view::npos;
    if (at_ < text_.size() && text_[at_] == 'f') {
      ++at_;
      *fractional = true;
    }
    return value;
  }
  std::array<std::uint32_t, 3> extent() {
    std::array<std::uint32_t, 3> extent{1, 1, 1};
    for (std::size_t i = 0; i < 3; ++i) {
      extent[i] = static_cast<std::uint32_t>(integer(1, 2147483647));
      if (!take("x")) break;
    }
    return extent;
  }
  std::string element() {
    const std::string type = name();
    const Element* known = find_element(type);
    if (known == nullptr || known->block > 1) {
      std::string types;
      for (const Element& one : elements())
        if (one.block == 1) types += fmt::format(" {}", one.name);
      fail("a type, one of" + types + ", before this");
    }
    return type;
  }

  LaunchArgument argument() {
    LaunchArgument made;
    skip();
    const char first = at_ < text_.size() ? text_[at_] : '\0';
    bool fractional = false;
    if ((first >= '0' && first <= '9') || first == '-' || first == '.') {
      made.number = number(&fractional);
      made.element = fractional ? "f32" : "s32";
      return made;
    }
    if (take("out ")) made.out = true;
    made.element = element();
    if (!made.out && take(":")) {
      made.number = number(&fractional);
      return made;
    }
    expect("[");
    made.buffer = true;
    made.count = integer(1, kMostElements);
    expect("]");
    if (!take("=")) return made;
    if (take("index")) {
      made.fill = LaunchArgument::Fill::kIndex;
    } else {
      made.fill = LaunchArgument::Fill::kNumber;
      made.number = number(&fractional);
    }
    return made;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

LaunchSpec parse_launch(std::string_view text) { return Parser(text).spec(); }

}  // namespace hone
