// Stored elements to doubles and back, on the host: independent of what kernels use
// (templates/include/), so that a mistake there can't hide itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hone {

// Requires a whole number of blocks. Rounds to nearest; block formats choose their scale per block.
// Throws Error(kUsage) for an unknown element type.
void encode(std::string_view element, std::span<const double> values, std::byte* to);

// values[i] = element `first + i` of what lies at `from`. `first` is a multiple of the element's
// block.
void decode(std::string_view element, const std::byte* from, std::int64_t first,
            std::span<double> values);

}  // namespace hone
