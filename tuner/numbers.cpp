#include "tuner/numbers.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "codegen/element.h"
#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::size_t kBlock = 32;  // elements of a GGUF block

template <typename T>
void store(std::byte* to, std::size_t index, T value) {
  std::memcpy(to + index * sizeof(T), &value, sizeof(T));
}

template <typename T>
T fetch(const std::byte* from, std::size_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof(T));
  return value;
}

std::uint16_t to_bf16(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

double from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t to_f16(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::fabs(value);
  const auto with = [sign](unsigned magnitude) {
    return static_cast<std::uint16_t>(sign | magnitude);
  };
  if (std::isnan(value)) return with(0x7E00);
  if (size >= 65520.0) return with(0x7C00);
  if (size == 0) return with(0);
  int exponent = 0;
  std::frexp(size, &exponent);                    // size = f * 2^exponent, f in [0.5, 1)
  const int unit = std::max(exponent - 11, -24);  // exponent of the last place
  const auto places = static_cast<unsigned>(std::nearbyint(std::ldexp(size, -unit)));
  // Normal numbers hold 1024..2048 places: adding carries into the exponent as it should.
  return with(unit == -24 ? places : static_cast<unsigned>(unit + 24) * 1024u + places);
}

double from_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  double size = 0;
  if (exponent == 31)
    size = fraction ? std::numeric_limits<double>::quiet_NaN()
                    : std::numeric_limits<double>::infinity();
  else if (exponent == 0)
    size = std::ldexp(fraction, -24);
  else
    size = std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) ? -size : size;
}

template <typename T>
T to_integer(double value) {
  const double rounded = std::nearbyint(value);
  if (rounded <= static_cast<double>(std::numeric_limits<T>::lowest()))
    return std::numeric_limits<T>::lowest();
  if (rounded >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  return static_cast<T>(rounded);
}

void encode_q8_0(std::span<const double> block, std::byte* to) {
  double top = 0;
  for (double value : block) top = std::max(top, std::fabs(value));
  const std::uint16_t scale = to_f16(top / 127);
  store(to, 0, scale);
  const double step = from_f16(scale);
  for (std::size_t i = 0; i < kBlock; ++i)
    store(to + 2, i,
          static_cast<std::int8_t>(
              step > 0 ? std::clamp(std::nearbyint(block[i] / step), -127.0, 127.0) : 0));
}

// Low nibbles hold elements 0..15, high nibbles 16..31.
void store_nibbles(std::span<const double> block, double step, double origin, std::byte* to) {
  const auto code = [&](std::size_t i) {
    return static_cast<unsigned>(
        step != 0 ? std::clamp(std::nearbyint((block[i] - origin) / step), 0.0, 15.0) : 0);
  };
  for (std::size_t i = 0; i < kBlock / 2; ++i)
    store(to, i, static_cast<std::uint8_t>(code(i) | code(i + kBlock / 2) << 4));
}

void encode_q4_0(std::span<const double> block, std::byte* to) {
  double extreme = 0;
  for (double value : block)
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  const std::uint16_t scale = to_f16(extreme / -8);
  store(to, 0, scale);
  const double step = from_f16(scale);
  store_nibbles(block, step, -8 * step, to + 2);
}

void encode_q4_1(std::span<const double> block, std::byte* to) {
  const auto [low, high] = std::minmax_element(block.begin(), block.end());
  const std::uint16_t scale = to_f16((*high - *low) / 15);
  const std::uint16_t minimum = to_f16(*low);
  store(to, 0, scale);
  store(to, 1, minimum);
  store_nibbles(block, from_f16(scale), from_f16(minimum), to + 4);
}

double nibble(const std::byte* codes, std::size_t i) {
  const auto pair = std::to_integer<unsigned>(codes[i % (kBlock / 2)]);
  return i < kBlock / 2 ? pair & 15u : pair >> 4;
}

}  // namespace

void encode(std::string_view element, std::span<const double> values, std::byte* to) {
  const auto each = [&](auto convert) {
    for (std::size_t i = 0; i < values.size(); ++i) store(to, i, convert(values[i]));
  };
  const auto blocks = [&](std::size_t bytes, auto convert) {
    for (std::size_t i = 0; i * kBlock < values.size(); ++i)
      convert(values.subspan(i * kBlock, kBlock), to + i * bytes);
  };
  if (element == "f32") return each([](double value) { return static_cast<float>(value); });
  if (element == "f64") return each([](double value) { return value; });
  if (element == "f16") return each(to_f16);
  if (element == "bf16") return each(to_bf16);
  if (element == "s8") return each(to_integer<std::int8_t>);
  if (element == "u8") return each(to_integer<std::uint8_t>);
  if (element == "s16") return each(to_integer<std::int16_t>);
  if (element == "s32") return each(to_integer<std::int32_t>);
  if (element == "s64") return each(to_integer<std::int64_t>);
  if (element == "q8_0") return blocks(34, encode_q8_0);
  if (element == "q4_0") return blocks(18, encode_q4_0);
  if (element == "q4_1") return blocks(20, encode_q4_1);
  throw Error(Code::kUsage, "unknown element type '" + std::string(element) + "'");
}

void decode(std::string_view element, const std::byte* from, std::int64_t first,
            std::span<double> values) {
  const auto start = static_cast<std::size_t>(first);
  const auto each = [&](auto convert) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = convert(start + i);
  };
  const auto number = [&]<typename T>(T) {
    each([&](std::size_t i) { return static_cast<double>(fetch<T>(from, i)); });
  };
  if (element == "f32") return number(float{});
  if (element == "f64") return number(double{});
  if (element == "s8") return number(std::int8_t{});
  if (element == "u8") return number(std::uint8_t{});
  if (element == "s16") return number(std::int16_t{});
  if (element == "s32") return number(std::int32_t{});
  if (element == "s64") return number(std::int64_t{});
  if (element == "f16")
    return each([&](std::size_t i) { return from_f16(fetch<std::uint16_t>(from, i)); });
  if (element == "bf16")
    return each([&](std::size_t i) { return from_bf16(fetch<std::uint16_t>(from, i)); });
  if (element == "q8_0")
    return each([&](std::size_t i) {
      const std::byte* block = from + i / kBlock * 34;
      return from_f16(fetch<std::uint16_t>(block, 0)) * fetch<std::int8_t>(block + 2, i % kBlock);
    });
  if (element == "q4_0")
    return each([&](std::size_t i) {
      const std::byte* block = from + i / kBlock * 18;
      return from_f16(fetch<std::uint16_t>(block, 0)) * (nibble(block + 2, i % kBlock) - 8);
    });
  if (element == "q4_1")
    return each([&](std::size_t i) {
      const std::byte* block = from + i / kBlock * 20;
      return from_f16(fetch<std::uint16_t>(block, 0)) * nibble(block + 4, i % kBlock) +
             from_f16(fetch<std::uint16_t>(block, 1));
    });
  throw Error(Code::kUsage, "unknown element type '" + std::string(element) + "'");
}

}  // namespace hone
