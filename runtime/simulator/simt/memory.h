// Device memory of the SIMT host: ordinary memory at its own address, with guards around each
// allocation and a note of what was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hone::sim {

// What memory holds that nobody wrote: NaN in every floating-point format.
inline constexpr int kSimtPoison = 0xFF;

class SimtMemory {
 public:
  explicit SimtMemory(std::size_t limit) : limit_(limit) {}
  ~SimtMemory();
  SimtMemory(const SimtMemory&) = delete;
  SimtMemory& operator=(const SimtMemory&) = delete;

  // Aligned to 256 bytes, full of poison, nothing of it written. nullptr: over the limit.
  void* allocate(std::size_t bytes);
  bool release(void* memory);  // false: not the start of an allocation

  // One side of the last accesses to four bytes, for the race detector.
  struct Access {
    std::uint32_t block = 0, epoch = 0, site = 0;
    std::uint16_t thread = 0;
    std::uint8_t bytes = 0;  // a bit each
    bool atomic = false, compare = false;
  };
  struct Cell {
    Access write, read;
  };
  struct Block {
    std::uintptr_t start = 0;
    std::size_t bytes = 0;
    std::vector<std::uint8_t> written;  // a byte each
    std::unique_ptr<Cell[]> cells;      // made on demand
    void* mapping = nullptr;
    std::size_t mapped = 0;
    bool contains(std::uintptr_t address, std::size_t size) const {
      return address >= start && address - start <= bytes && size <= bytes - (address - start);
    }
  };
  Block* block(std::uintptr_t address);  // whose range holds the address; nullptr: none
  bool contains(const void* memory, std::size_t bytes);
  void mark_written(void* memory, std::size_t bytes);

  // "byte 16 after the end of an allocation of 1024 bytes", "no memory of the device's".
  std::string describe(std::uintptr_t address) const;
  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_; }

 private:
  std::map<std::uintptr_t, std::unique_ptr<Block>> blocks_;
  Block* last_ = nullptr;
  std::size_t limit_, used_ = 0;
};

}  // namespace hone::sim
