#include "runtime/backends/cpu_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::size_t kAlignment = 64;  // bytes
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = kHugePage / 2;  // bytes; smaller ones waste too much of a huge page
constexpr std::size_t kMaxIdle = std::size_t{2}
                                 << 30;  // bytes kept for reuse; beyond it mappings go back
// An idle mapping serves a request of at least three quarters of it.
constexpr bool wastes_too_much(std::size_t wanted, std::size_t mapping) {
  return wanted < mapping / 4 * 3;
}

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

[[noreturn]] void refuse(std::size_t bytes) {
  throw Error(
      Code::kDevice,
      fmt::format("no memory for a buffer of {} bytes: {}; use smaller shapes or fewer buffers",
                  bytes, std::strerror(errno)));
}

// Aligned to a huge page: the kernel gives alignment to small pages only, so more is asked for and
// the ends are given back.
void* map_huge(std::size_t bytes) {
  void* raw = ::mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* const first = static_cast<char*>(raw);
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(raw);
  const std::size_t head = round_up(address, kHugePage) - address;
  if (head > 0) ::munmap(first, head);
  ::munmap(first + head + bytes, kHugePage - head);
  ::madvise(first + head, bytes, MADV_HUGEPAGE);
  return first + head;
}

}  // namespace

CpuMemory::~CpuMemory() {
  for (const auto& [memory, bytes] : large_) ::munmap(memory, bytes);
}

void* CpuMemory::allocate(std::size_t bytes) {
  if (bytes < kLarge) {
    void* memory = std::aligned_alloc(kAlignment, round_up(bytes + (bytes == 0), kAlignment));
    if (memory == nullptr) refuse(bytes);
    return memory;
  }
  if (bytes > SIZE_MAX / 2) {
    errno = ENOMEM;
    refuse(bytes);
  }
  const std::size_t size = round_up(bytes, kHugePage);
  const std::lock_guard lock(mutex_);
  if (const auto found = idle_.lower_bound(size);
      found != idle_.end() && !wastes_too_much(size, found->first)) {
    void* memory = found->second;
    idle_bytes_ -= found->first;
    idle_.erase(found);
    return memory;
  }
  void* memory = map_huge(size);
  if (memory == nullptr) refuse(bytes);
  large_.emplace(memory, size);
  return memory;
}

void CpuMemory::release(void* memory) noexcept {
  if (memory == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = large_.find(memory); found != large_.end()) {
      const std::size_t size = found->second;
      if (idle_bytes_ + size <= kMaxIdle) {
        idle_.emplace(size, memory);
        idle_bytes_ += size;
      } else {
        ::munmap(memory, size);
        large_.erase(found);
      }
      return;
    }
  }
  std::free(memory);
}

}  // namespace hone
