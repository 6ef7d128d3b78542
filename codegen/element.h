// Element types: what one element, or one block of elements, looks like in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hone {

struct Element {
  std::string_view name;    // f32 f16 bf16 s8 u8 s32 s64 f64 q8_0 q4_0 q4_1
  std::int64_t block;       // elements per block: 1, or 32 for the GGUF block formats
  std::int64_t bytes;       // bytes per block
  std::string_view c_type;  // its type in templates/include/numeric.h
};

std::span<const Element> elements();
const Element* find_element(std::string_view name);  // nullptr when unknown
// Bytes of `count` elements, rounded up to whole blocks. Throws Error(kUsage) for an unknown type.
std::int64_t element_bytes(std::string_view name, std::int64_t count);

}  // namespace hone
