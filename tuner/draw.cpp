#include "tuner/draw.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "codegen/element.h"
#include "codegen/error.h"
#include "codegen/space.h"
#include "tuner/numbers.h"

namespace hone {
namespace {

// Beyond this many elements the drawn ones repeat. A prime number of blocks: no row length divides
// it, so rows differ.
constexpr std::int64_t kPeriodBlocks = 131'071;

struct How {
  std::string name;
  std::vector<double> numbers;
};

[[noreturn]] void refuse(const std::string& how, const Location& where, const std::string& why) {
  throw Error(Code::kTemplate, where.text() + ": draw \"" + how + "\": " + why +
                                   "; known: normal(mean,deviation) uniform(low,high) "
                                   "constant(c) permutation(n) range(low,high)");
}

double number_of(const std::string& text, const Location& where, const Values& scope) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  // Expressions are whole numbers; the ends of a choice may be any: `w==s8?25:0.05`.
  if (const std::size_t question = text.find('?'); question != std::string::npos) {
    int depth = 0;
    for (std::size_t i = question + 1; i < text.size(); ++i) {
      depth += text[i] == '?' ? 1 : 0;
      if (text[i] != ':' || depth-- > 0) continue;
      const bool first = Expression::parse(text.substr(0, question), where).truth(lookup_in(scope));
      return number_of(first ? text.substr(question + 1, i - question - 1) : text.substr(i + 1),
                       where, scope);
    }
  }
  return static_cast<double>(Expression::parse(text, where).integer(lookup_in(scope)));
}

How parse_how(const std::string& how, const Location& where, const Values& scope) {
  const std::size_t open = how.find('(');
  How result{how.substr(0, open), {}};
  std::erase(result.name, ' ');
  if (open == std::string::npos) return result;
  if (how.back() != ')') refuse(how, where, "unbalanced parentheses");
  std::string part;
  int depth = 0;
  const auto finish = [&] {
    if (!part.empty()) result.numbers.push_back(number_of(part, where, scope));
    part.clear();
  };
  for (char c : how.substr(open + 1, how.size() - open - 2)) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0)
      finish();
    else if (c != ' ')
      part += c;
  }
  finish();
  return result;
}

// SplitMix64: fast, and good enough for inputs.
class Fast {
 public:
  explicit Fast(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Sum of four uniforms, scaled to deviation 1: close to normal, within +-3.47.
  double normal() {
    const std::uint64_t bits = next();
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>((bits >> (16 * i)) & 0xFFFFu);
    return (sum / 65535 - 2) * 1.7320508075688772;
  }

 private:
  std::uint64_t state_;
};

void fill_periodic(std::byte* to, std::int64_t period, std::int64_t total) {
  for (std::int64_t done = period; done < total; done += std::min(done, total - done))
    std::memcpy(to + done, to, static_cast<std::size_t>(std::min(done, total - done)));
}

}  // namespace

void draw(const std::string& how, const Location& where, const Values& scope,
          const std::string& element, std::int64_t count, std::uint64_t seed, std::byte* to) {
  How parsed = parse_how(how, where, scope);
  const auto arguments = [&](std::size_t wanted, std::vector<double> defaults) {
    if (parsed.numbers.empty()) parsed.numbers = std::move(defaults);
    if (parsed.numbers.size() != wanted)
      refuse(how, where, "takes " + std::to_string(wanted) + " arguments");
  };
  const Element& type = *find_element(element);
  const bool integers = element == "s8" || element == "u8" || element == "s16" ||
                        element == "s32" || element == "s64";
  const std::int64_t blocks = (count + type.block - 1) / type.block;
  Fast random(seed);
  std::vector<double> values;

  if (parsed.name == "permutation") {
    arguments(1, {});
    const auto n = static_cast<std::size_t>(std::max(1.0, parsed.numbers[0]));
    std::vector<double> order(n);
    std::iota(order.begin(), order.end(), 0.0);
    for (std::size_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.next() % (i + 1)]);
    values.resize(static_cast<std::size_t>(blocks * type.block));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = order[i % n];
    return encode(element, values, to);
  }

  const std::int64_t drawn = std::min(blocks, kPeriodBlocks * (type.block > 1 ? 1 : 17));
  values.resize(static_cast<std::size_t>(drawn * type.block));
  const auto whole = [&](double low, double high) {
    const double span = std::max(0.0, high - low) + 1;
    for (double& value : values) value = low + std::floor(random.unit() * span);
  };
  if (parsed.name == "normal") {
    arguments(2, {0, 1});
    for (double& value : values) value = parsed.numbers[0] + parsed.numbers[1] * random.normal();
  } else if (parsed.name == "uniform") {
    arguments(2, {});
    const double low = parsed.numbers[0], high = parsed.numbers[1];
    if (integers)
      whole(low, high);
    else
      for (double& value : values) value = low + (high - low) * random.unit();
  } else if (parsed.name == "range") {
    arguments(2, {});
    whole(parsed.numbers[0], parsed.numbers[1]);
  } else if (parsed.name == "constant") {
    arguments(1, {});
    std::fill(values.begin(), values.end(), parsed.numbers[0]);
  } else {
    refuse(how, where, "unknown");
  }
  encode(element, values, to);
  fill_periodic(to, drawn * type.bytes, blocks * type.bytes);
}

}  // namespace hone
