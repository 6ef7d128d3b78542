// What the matrix instructions share.
#pragma once

#include <cstdint>

namespace hone::sim {

enum class Element : std::uint8_t { kF16, kBf16, kTf32, kF32, kF64, kS8, kU8, kS32, kE4m3, kE5m2 };

class Selector;
bool select_matrix_move(Selector& s);  // ldmatrix, stmatrix, movmatrix
bool select_wmma(Selector& s);

}  // namespace hone::sim
