// Stacks that play threads: control goes to and fro by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hone::sim {

// Many stacks, each with an unmapped page below it, reused from launch to launch.
class FibreStacks {
 public:
  FibreStacks() = default;
  ~FibreStacks();
  FibreStacks(const FibreStacks&) = delete;
  FibreStacks& operator=(const FibreStacks&) = delete;

  static constexpr std::size_t kBytes = 256 << 10;  // of a stack, of which few are ever touched
  // Throws Error(kIo) when there is no room.
  void ensure(std::size_t count);
  std::uintptr_t low(std::size_t index) const;
  // A fresh context at the top of the stack that begins with `start()`, which never returns.
  void* prepare(std::size_t index, void (*start)()) const;

 private:
  char* base_ = nullptr;
  std::size_t count_ = 0;
};

// Saves where this one stands in `*from` and goes on with `to`.
void switch_fibre(void** from, void* to);

}  // namespace hone::sim
