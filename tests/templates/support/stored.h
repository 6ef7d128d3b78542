// Stored elements to doubles and back, written for the tests alone: nothing here is shared with
// kernels, checker or references, so that a mistake there can't hide itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "codegen/element.h"

namespace hone::prove {

inline std::uint16_t f16_bits(double value) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double size = std::fabs(value);
  if (std::isnan(value)) return 0x7e00;
  if (size >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00);  // rounds up to infinity
  if (size == 0) return sign;
  const int exponent = std::max(std::ilogb(size), -14);
  const double units = std::nearbyint(std::ldexp(size, 10 - exponent));
  return static_cast<std::uint16_t>(sign + ((exponent + 14) << 10) + static_cast<int>(units));
}

inline double f16_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double size = std::ldexp(exponent == 0 ? mantissa : 1024 + mantissa, std::max(exponent, 1) - 25);
  if (exponent == 31)
    size = mantissa == 0 ? std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  return (bits & 0x8000) != 0 ? -size : size;
}

inline std::uint16_t bf16_bits(double value) {
  const auto narrow = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &narrow, 4);
  if (std::isnan(narrow)) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline double bf16_value(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, 4);
  return static_cast<double>(value);
}

template <typename T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void write(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// One block of 32: a scale (f16), q4_1 also a minimum, then the quants. A NaN among the values
// becomes the scale: the whole block is NaN.
inline void encode_block(const std::string& element, const double* values, std::byte* to) {
  constexpr int kBlock = 32;
  double largest = 0, low = values[0], high = values[0];  // `largest` keeps its sign
  for (int i = 0; i < kBlock; ++i) {
    if (!(std::fabs(values[i]) <= std::fabs(largest))) largest = values[i];
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  const bool nan = std::any_of(values, values + kBlock, [](double v) { return std::isnan(v); });
  double scale = largest / (element == "q8_0" ? 127 : -8);
  if (element == "q4_1") scale = (high - low) / 15;
  write(to, f16_bits(nan ? std::numeric_limits<double>::quiet_NaN() : scale));
  if (element == "q4_1") write(to + 2, f16_bits(low));
  const double stored = f16_value(f16_bits(scale));
  auto quant = [&](int i, int least, int most) {
    const double offset = element == "q4_0" ? 8 : 0, base = element == "q4_1" ? low : 0;
    if (nan || stored == 0) return std::clamp(i, least, most);
    return std::clamp(static_cast<int>(std::nearbyint((values[i] - base) / stored + offset)), least,
                      most);
  };
  if (element == "q8_0") {
    for (int i = 0; i < kBlock; ++i)
      write(to + 2 + i, static_cast<std::int8_t>(quant(i, -128, 127)));
  } else {
    std::byte* quants = to + (element == "q4_1" ? 4 : 2);
    for (int i = 0; i < kBlock / 2; ++i)
      write(quants + i, static_cast<std::uint8_t>(quant(i, 0, 15) + 16 * quant(i + 16, 0, 15)));
  }
}

inline void decode_block(const std::string& element, const std::byte* from, double* values) {
  const double scale = f16_value(read<std::uint16_t>(from));
  for (int i = 0; i < 32; ++i) {
    if (element == "q8_0") {
      values[i] = scale * read<std::int8_t>(from + 2 + i);
      continue;
    }
    const int shift = i < 16 ? 0 : 4;
    const int header = element == "q4_1" ? 4 : 2;
    const int q = (read<std::uint8_t>(from + header + i % 16) >> shift) & 15;
    values[i] =
        element == "q4_1" ? scale * q + f16_value(read<std::uint16_t>(from + 2)) : scale * (q - 8);
  }
}

// An argument's content: bytes as a kernel sees them, and what they mean.
struct Tensor {
  std::string element;
  std::vector<double> values;
  std::vector<std::byte> bytes;

  // Replaces the bytes by those of the values, then the values by what the bytes mean.
  void store() {
    const Element* kind = find_element(element);
    bytes.assign(static_cast<std::size_t>(element_bytes(element, std::ssize(values))), {});
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(kind->block)) {
      std::byte* to = bytes.data() + i / static_cast<std::size_t>(kind->block) *
                                         static_cast<std::size_t>(kind->bytes);
      if (kind->block > 1) {
        encode_block(element, &values[i], to);
      } else if (element == "f32") {
        write(to, static_cast<float>(values[i]));
      } else if (element == "f16") {
        write(to, f16_bits(values[i]));
      } else if (element == "bf16") {
        write(to, bf16_bits(values[i]));
      } else if (element == "s8") {
        write(to, static_cast<std::int8_t>(std::clamp(std::nearbyint(values[i]), -128.0, 127.0)));
      } else if (element == "s32") {
        write(to, static_cast<std::int32_t>(values[i]));
      } else if (element == "s64") {
        write(to, static_cast<std::int64_t>(values[i]));
      } else {
        throw std::runtime_error("the tests don't know the element " + element);
      }
    }
    load();
  }

  // The values become what the bytes mean. `values` has the right size.
  void load() {
    const Element* kind = find_element(element);
    const auto size = static_cast<std::size_t>(kind->bytes);
    const auto block = static_cast<std::size_t>(kind->block);
    for (std::size_t i = 0; i < values.size(); i += block) {
      const std::byte* from = bytes.data() + i / block * size;
      if (block > 1) {
        decode_block(element, from, &values[i]);
      } else if (element == "f32") {
        values[i] = static_cast<double>(read<float>(from));
      } else if (element == "f16") {
        values[i] = f16_value(read<std::uint16_t>(from));
      } else if (element == "bf16") {
        values[i] = bf16_value(read<std::uint16_t>(from));
      } else if (element == "s8") {
        values[i] = read<std::int8_t>(from);
      } else if (element == "s32") {
        values[i] = read<std::int32_t>(from);
      } else {
        values[i] = static_cast<double>(read<std::int64_t>(from));
      }
    }
  }
};

}  // namespace hone::prove
