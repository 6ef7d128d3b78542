// Memory in which a kernel can't step out of line unseen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/backend.h"

namespace hone {

// One argument's memory. On devices whose memory is the host's (backend "cpu") the data ends right
// before a page that nobody may touch, as closely as the alignment allows, and begins behind
// another such page; the gaps hold a pattern that is checked. Elsewhere the pattern alone guards
// both sides, but for simulated devices, which watch the bounds of allocations themselves. Not
// thread safe.
class GuardedBuffer {
 public:
  // `name` is for messages. Throws Error(kDevice) when there isn't enough memory.
  GuardedBuffer(Device& device, std::string name, std::int64_t bytes, std::int64_t alignment);
  ~GuardedBuffer();
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  void* data() const { return data_; }  // on the device
  std::int64_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

  void fill(std::uint32_t pattern);  // the data, repeated
  void write(const std::byte* host);
  // The content, readable on the host until the next call of this or fill().
  const std::byte* read() const;

  // Read-only while set: writing faults (host memory), or is seen by damage().
  void protect(bool read_only);
  // What happened outside, or to protected data; nullopt when all is well.
  std::optional<std::string> damage() const;

 private:
  Device& device_;
  std::string name_;
  std::int64_t bytes_ = 0;
  bool host_ = false;
  std::byte* base_ = nullptr;  // whole mapping or allocation
  std::int64_t total_ = 0;
  std::byte* data_ = nullptr;
  std::int64_t usable_begin_ = 0,
               usable_end_ = 0;  // offsets from base_: what the pattern and the data share
  bool protected_ = false;
  Hash before_;  // of protected data, where pages can't be protected
  mutable std::string staging_;
};

// For signal handlers: what an address means if it lies in or next to a GuardedBuffer on the host,
// else nullptr. Allocates nothing; writes into `text`.
const char* describe_address(const void* address, char* text, std::size_t size) noexcept;

}  // namespace hone
