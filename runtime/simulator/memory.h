// The device's address space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hone::sim {

using Address = std::uint64_t;

// What memory holds that nobody wrote.
inline constexpr std::uint8_t kPoison = 0xcb;

// Every address of an allocation is outside what a host process can map, so that a host that
// follows one faults.
inline constexpr Address kDeviceBase = 0x0010'0000'0000'0000;

class Memory {
 public:
  // `limit` in bytes. `track`: keep which bytes were written, so that reads of others can be found.
  Memory(std::size_t limit, bool track);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Aligned to 512 bytes, filled with poison; guard space lies between allocations. 0: over the
  // limit.
  Address allocate(std::size_t bytes);
  // The caller's own memory, seen by kernels at its own address (pinned, managed): counts as
  // written.
  Address attach(void* host, std::size_t bytes);
  bool release(Address address);  // false: not the start of an allocation

  // The heap of malloc and free in kernels; 0: its limit is reached.
  Address heap_allocate(std::size_t bytes);
  bool heap_release(Address address);  // false: not from there
  void heap_clear();
  void set_heap_limit(std::size_t bytes) { heap_limit_ = bytes; }

  // The whole range lies in one allocation.
  bool contains(Address address, std::size_t bytes) const;
  struct Range {
    Address start = 0;
    std::size_t bytes = 0;
  };
  std::optional<Range> find(Address address) const;  // the allocation around an address

  // false: the range isn't inside one allocation; nothing is done.
  bool read(Address from, void* to, std::size_t bytes) const;
  bool write(Address to, const void* from, std::size_t bytes);
  bool copy(Address to, Address from,
            std::size_t bytes);  // may overlap; unwritten bytes stay unwritten
  bool fill(Address to, const void* pattern, std::size_t pattern_bytes, std::size_t count);
  // The host's view of a range, or nullptr; counts as written when `writable`.
  std::byte* host(Address address, std::size_t bytes, bool writable);

  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_; }
  bool tracked() const { return track_; }

  // "byte 16 after the end of the allocation of 1024 bytes at 0x..., "in memory that was released",
  // "null pointer".
  std::string describe(Address address) const;

  // One allocation, for the interpreter.
  struct Block {
    Address start = 0;
    std::size_t bytes = 0;
    std::byte* data = nullptr;
    std::uint8_t* written =
        nullptr;  // a byte each: not zero when written; nullptr: all count as written
    std::size_t mapped = 0;
    bool own = false;
  };
  Block* block(Address address);  // around the address; nullptr: none

 private:
  Block* find_block(Address address) const;
  std::map<Address, std::unique_ptr<Block>> blocks_;
  mutable Block* last_ = nullptr;
  std::vector<Range> released_;  // the latest ones, for describe()
  std::set<Address> heap_;
  std::size_t heap_limit_ = std::size_t{8} << 20, heap_used_ = 0;
  std::size_t limit_;
  std::size_t used_ = 0;
  Address next_ = kDeviceBase;
  bool track_;
};

}  // namespace hone::sim
