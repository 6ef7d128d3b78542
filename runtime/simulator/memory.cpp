#include "runtime/simulator/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace hone::sim {
namespace {

constexpr std::size_t kAlignment = 512, kGuard = 4096;
// Larger allocations stay zero until they are written: filling them would take memory that nobody
// may ever touch.
constexpr std::size_t kPoisonedBytes = std::size_t{256} << 20;
constexpr std::size_t kKeptReleased = 64;

std::byte* map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

}  // namespace

Memory::Memory(std::size_t limit, bool track) : limit_(limit), track_(track) {}

Memory::~Memory() {
  while (!blocks_.empty()) release(blocks_.begin()->first);
}

Address Memory::allocate(std::size_t bytes) {
  const std::size_t rounded =
      (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > limit_ || rounded > limit_ - used_) return 0;
  auto block = std::make_unique<Block>();
  block->bytes = bytes;
  block->mapped = rounded;
  block->data = map(rounded);
  if (block->data == nullptr) return 0;
  block->own = true;
  if (track_) {
    block->written = reinterpret_cast<std::uint8_t*>(map(rounded));
    if (block->written == nullptr) {
      munmap(block->data, rounded);
      return 0;
    }
  }
  if (bytes <= kPoisonedBytes) std::memset(block->data, kPoison, bytes);
  block->start = next_;
  next_ += rounded + kGuard;
  used_ += rounded;
  const Address start = block->start;
  blocks_[start] = std::move(block);
  return start;
}

Address Memory::attach(void* host, std::size_t bytes) {
  auto block = std::make_unique<Block>();
  block->start = reinterpret_cast<Address>(host);
  block->bytes = bytes;
  block->data = static_cast<std::byte*>(host);
  const Address start = block->start;
  blocks_[start] = std::move(block);
  last_ = nullptr;
  return start;
}

bool Memory::release(Address address) {
  const auto found = blocks_.find(address);
  if (found == blocks_.end()) return false;
  Block& block = *found->second;
  if (block.own) {
    munmap(block.data, block.mapped);
    if (block.written != nullptr) munmap(block.written, block.mapped);
    used_ -= block.mapped;
    if (released_.size() >= kKeptReleased) released_.erase(released_.begin());
    released_.push_back({block.start, block.bytes});
  }
  if (last_ == &block) last_ = nullptr;
  blocks_.erase(found);
  return true;
}

Address Memory::heap_allocate(std::size_t bytes) {
  if (bytes > heap_limit_ - std::min(heap_used_, heap_limit_)) return 0;
  const Address address = allocate(bytes);
  if (address == 0) return 0;
  heap_.insert(address);
  heap_used_ += bytes;
  return address;
}

bool Memory::heap_release(Address address) {
  if (heap_.erase(address) == 0) return false;
  heap_used_ -= find_block(address)->bytes;
  return release(address);
}

void Memory::heap_clear() {
  while (!heap_.empty()) heap_release(*heap_.begin());
}

Memory::Block* Memory::find_block(Address address) const {
  if (last_ != nullptr && address - last_->start < last_->bytes) return last_;
  auto next = blocks_.upper_bound(address);
  if (next == blocks_.begin()) return nullptr;
  Block* block = std::prev(next)->second.get();
  if (address - block->start >= block->bytes) return nullptr;
  last_ = block;
  return block;
}

Memory::Block* Memory::block(Address address) { return find_block(address); }

bool Memory::contains(Address address, std::size_t bytes) const {
  const Block* block = find_block(address);
  return block != nullptr && bytes <= block->bytes - (address - block->start);
}

std::optional<Memory::Range> Memory::find(Address address) const {
  const Block* block = find_block(address);
  if (block == nullptr) return std::nullopt;
  return Range{block->start, block->bytes};
}

bool Memory::read(Address from, void* to, std::size_t bytes) const {
  if (bytes == 0) return true;
  if (!contains(from, bytes)) return false;
  const Block* block = find_block(from);
  std::memcpy(to, block->data + (from - block->start), bytes);
  return true;
}

bool Memory::write(Address to, const void* from, std::size_t bytes) {
  if (bytes == 0) return true;
  std::byte* data = host(to, bytes, true);
  if (data == nullptr) return false;
  std::memcpy(data, from, bytes);
  return true;
}

bool Memory::copy(Address to, Address from, std::size_t bytes) {
  if (bytes == 0) return true;
  if (!contains(to, bytes) || !contains(from, bytes)) return false;
  const Block& source = *find_block(from);
  const std::size_t from_offset = from - source.start;
  Block& target = *find_block(to);
  const std::size_t to_offset = to - target.start;
  std::memmove(target.data + to_offset, source.data + from_offset, bytes);
  if (target.written != nullptr) {
    if (source.written != nullptr) {
      std::memmove(target.written + to_offset, source.written + from_offset, bytes);
    } else {
      std::memset(target.written + to_offset, 1, bytes);
    }
  }
  return true;
}

bool Memory::fill(Address to, const void* pattern, std::size_t pattern_bytes, std::size_t count) {
  if (pattern_bytes == 0 || count == 0) return true;
  if (count > limit_ / pattern_bytes && count > ~std::size_t{0} / pattern_bytes) return false;
  std::byte* data = host(to, pattern_bytes * count, true);
  if (data == nullptr) return false;
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(data + i * pattern_bytes, pattern, pattern_bytes);
  return true;
}

std::byte* Memory::host(Address address, std::size_t bytes, bool writable) {
  if (!contains(address, bytes)) return nullptr;
  Block* block = find_block(address);
  const std::size_t offset = address - block->start;
  if (writable && block->written != nullptr) std::memset(block->written + offset, 1, bytes);
  return block->data + offset;
}

std::string Memory::describe(Address address) const {
  if (address < 4096) return fmt::format("address {:#x}: a null pointer", address);
  for (auto range = released_.rbegin(); range != released_.rend(); ++range) {
    if (address - range->start < range->bytes) {
      return fmt::format("{:#x} is in memory that was released ({} bytes at {:#x})", address,
                         range->bytes, range->start);
    }
  }
  auto next = blocks_.upper_bound(address);
  if (next != blocks_.begin()) {
    const Block& before = *std::prev(next)->second;
    const std::uint64_t distance = address - before.start - before.bytes;
    if (distance < (std::uint64_t{1} << 32)) {
      return fmt::format("{:#x} is {} bytes past the end of the allocation of {} bytes at {:#x}",
                         address, distance, before.bytes, before.start);
    }
  }
  if (next != blocks_.end() && next->second->start - address < (std::uint64_t{1} << 32)) {
    return fmt::format("{:#x} is {} bytes before the allocation of {} bytes at {:#x}", address,
                       next->second->start - address, next->second->bytes, next->second->start);
  }
  return fmt::format("{:#x} is in no allocation", address);
}

}  // namespace hone::sim
