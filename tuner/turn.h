// Tuners on one machine take turns at its devices: two that measure at once would measure each
// other.
#pragma once

#include <string>

namespace hone {

// A lock between processes of one user, by name; the end of a process gives it back. Where it can't
// be had (no folder for temporary files), there is none and nobody waits; nor with an empty name.
class DeviceTurns {
 public:
  explicit DeviceTurns(const std::string& device);
  ~DeviceTurns();
  DeviceTurns(const DeviceTurns&) = delete;
  DeviceTurns& operator=(const DeviceTurns&) = delete;

  class Turn {
   public:
    explicit Turn(int descriptor);  // waits for it
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    int descriptor_;
  };
  Turn take() const { return Turn(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace hone
