#include "tuner/turn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

namespace hone {

DeviceTurns::DeviceTurns(const std::string& device) : descriptor_(-1) {
  if (device.empty()) return;
  std::error_code none;
  const auto file =
      std::filesystem::temp_directory_path(none) / fmt::format("hone-{}-{}.lock", getuid(), device);
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

DeviceTurns::~DeviceTurns() {
  if (descriptor_ >= 0) close(descriptor_);
}

DeviceTurns::Turn::Turn(int descriptor) : descriptor_(descriptor) {
  // Whoever has it gives it back after one trial.
  if (descriptor_ >= 0) flock(descriptor_, LOCK_EX);
}

DeviceTurns::Turn::~Turn() {
  if (descriptor_ >= 0) flock(descriptor_, LOCK_UN);
}

}  // namespace hone
