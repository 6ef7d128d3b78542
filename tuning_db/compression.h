// zstd, for the code in a database. Persistent: frames with their size and a checksum.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hone {

// More code than this is no kernel.
inline constexpr std::size_t kMaxCodeBytes = std::size_t{256} << 20;

std::string compressed(std::string_view bytes);
// nullopt when the frame is damaged, carries no size, or would grow beyond kMaxCodeBytes.
std::optional<std::string> decompressed(std::string_view frame);

}  // namespace hone
