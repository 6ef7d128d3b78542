#include "codegen/element.h"

#include <fmt/format.h>

#include <array>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::array<Element, 12> kElements = {{
    {"f32", 1, 4, "f32"},
    {"f16", 1, 2, "f16"},
    {"bf16", 1, 2, "bf16"},
    {"f64", 1, 8, "f64"},
    {"s8", 1, 1, "i8"},
    {"u8", 1, 1, "u8"},
    {"s16", 1, 2, "i16"},
    {"s32", 1, 4, "i32"},
    {"s64", 1, 8, "i64"},
    {"q8_0", 32, 34, "q8_0"},
    {"q4_0", 32, 18, "q4_0"},
    {"q4_1", 32, 20, "q4_1"},
}};

}  // namespace

std::span<const Element> elements() { return kElements; }

const Element* find_element(std::string_view name) {
  for (const Element& element : kElements)
    if (element.name == name) return &element;
  return nullptr;
}

std::int64_t element_bytes(std::string_view name, std::int64_t count) {
  const Element* element = find_element(name);
  if (element == nullptr)
    throw Error(Code::kUsage, fmt::format("'{}' is not an element type", name));
  return (count + element->block - 1) / element->block * element->bytes;
}

}  // namespace hone
