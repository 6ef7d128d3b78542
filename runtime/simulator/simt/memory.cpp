#include "runtime/simulator/simt/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace hone::sim {
namespace {

constexpr std::size_t kPage = 4096, kGuard = 16 * kPage, kAlignment = 256;

std::size_t round_up(std::size_t value, std::size_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

SimtMemory::~SimtMemory() {
  for (auto& [start, block] : blocks_) ::munmap(block->mapping, block->mapped);
}

void* SimtMemory::allocate(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (bytes > limit_ || used_ > limit_ - bytes) return nullptr;
  const std::size_t inner = round_up(bytes, kPage);
  auto block = std::make_unique<Block>();
  block->mapped = inner + 2 * kGuard;
  block->mapping =
      ::mmap(nullptr, block->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block->mapping == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(block->mapping) + kGuard;
  if (::mprotect(begin, inner, PROT_READ | PROT_WRITE) != 0) {
    ::munmap(block->mapping, block->mapped);
    return nullptr;
  }
  // At the end of its pages, as far as alignment lets it: what isn't instrumented faults there.
  begin += (inner - bytes) / kAlignment * kAlignment;
  std::memset(begin, kSimtPoison, bytes);
  block->start = reinterpret_cast<std::uintptr_t>(begin);
  block->bytes = bytes;
  block->written.assign(bytes, 0);
  used_ += bytes;
  blocks_[block->start] = std::move(block);
  return begin;
}

bool SimtMemory::release(void* memory) {
  const auto found = blocks_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == blocks_.end()) return false;
  used_ -= found->second->bytes;
  ::munmap(found->second->mapping, found->second->mapped);
  if (last_ == found->second.get()) last_ = nullptr;
  blocks_.erase(found);
  return true;
}

SimtMemory::Block* SimtMemory::block(std::uintptr_t address) {
  if (last_ != nullptr && last_->contains(address, 1)) return last_;
  const auto after = blocks_.upper_bound(address);
  if (after == blocks_.begin()) return nullptr;
  Block* found = std::prev(after)->second.get();
  return found->contains(address, 1) ? last_ = found : nullptr;
}

bool SimtMemory::contains(const void* memory, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const Block* found = block(address);
  return found != nullptr && found->contains(address, bytes);
}

void SimtMemory::mark_written(void* memory, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  if (Block* found = block(address))
    std::fill_n(found->written.begin() + static_cast<std::ptrdiff_t>(address - found->start),
                std::min(bytes, found->bytes - (address - found->start)), std::uint8_t{1});
}

std::string SimtMemory::describe(std::uintptr_t address) const {
  if (address < kPage) return "a null pointer";
  constexpr std::size_t kNear = 1 << 20;
  const auto after = blocks_.upper_bound(address);
  if (after != blocks_.begin()) {
    const Block& before = *std::prev(after)->second;
    if (before.contains(address, 1))
      return fmt::format("byte {} of an allocation of {} bytes", address - before.start,
                         before.bytes);
    if (address - before.start - before.bytes < kNear)
      return fmt::format("{} bytes past the end of an allocation of {} bytes",
                         address - before.start - before.bytes, before.bytes);
  }
  if (after != blocks_.end() && after->second->start - address < kNear)
    return fmt::format("{} bytes before an allocation of {} bytes", after->second->start - address,
                       after->second->bytes);
  return "no memory of the device's";
}

}  // namespace hone::sim
