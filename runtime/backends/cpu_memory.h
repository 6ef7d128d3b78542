// Buffers that are cheap to get again: page faults cost more than most kernels.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace hone {

// Large buffers are mapped on huge pages where the kernel has them, and kept for reuse when
// released; small ones come from malloc. Any thread may use it.
class CpuMemory {
 public:
  CpuMemory() = default;
  ~CpuMemory();  // unmaps the large ones, released or not
  CpuMemory(const CpuMemory&) = delete;
  CpuMemory& operator=(const CpuMemory&) = delete;

  void* allocate(std::size_t bytes);    // aligned to 64 bytes, any content; throws Error(kDevice)
  void release(void* memory) noexcept;  // null is fine

 private:
  std::mutex mutex_;
  std::unordered_map<void*, std::size_t> large_;  // bytes of every mapping, in use or idle
  std::multimap<std::size_t, void*> idle_;        // by bytes
  std::size_t idle_bytes_ = 0;
};

}  // namespace hone
