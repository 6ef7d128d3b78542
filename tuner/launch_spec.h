// A launch as a person writes it: "saxpy<<<4, 256>>>(out f32[1024], f32[1024]=index, 2.5f, 1024)".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

struct LaunchArgument {
  bool buffer = false;
  bool out = false;        // a buffer that nobody writes before, and that is shown afterwards
  std::string element;     // f32, s32 ...; of a number: its type
  std::int64_t count = 0;  // of a buffer
  // What a buffer holds: drawn numbers, i at index i, or one number everywhere.
  enum class Fill { kDrawn, kIndex, kNumber } fill = Fill::kDrawn;
  double number = 0;  // of kNumber, or the argument itself
};

struct LaunchSpec {
  std::string kernel;
  std::array<std::uint32_t, 3> grid{1, 1, 1}, block{1, 1, 1};
  std::uint32_t shared_bytes = 0;
  std::vector<LaunchArgument> arguments;
};

// KERNEL<<<GRID, BLOCK [, SHARED_BYTES]>>>(ARGUMENT, ...), GRID and BLOCK as 4 or 4x2x1. An
// argument is [out] TYPE[COUNT], with =NUMBER or =index behind it if its content isn't to be drawn;
// TYPE:NUMBER; or a number alone: s32, or f32 with a point or an f. Throws Error(kUsage) that says
// what was expected and where.
LaunchSpec parse_launch(std::string_view text);

}  // namespace hone
