#include "tuner/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "codegen/error.h"
#include "codegen/hash.h"

namespace hone {
namespace {

constexpr std::uint8_t kPattern = 0xA5;
constexpr std::int64_t kSlack =
    4096;  // bytes of pattern before the data, and behind it where there is no page to protect

// What the signal handler looks through: fixed slots, no lock.
struct Known {
  std::atomic<const std::byte*> begin{nullptr};
  const std::byte* end = nullptr;
  const std::byte* data = nullptr;
  std::int64_t bytes = 0;
  char name[32] = {};
};
std::array<Known, 64> known_buffers;

std::int64_t page_bytes() {
  static const std::int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

GuardedBuffer::GuardedBuffer(Device& device, std::string name, std::int64_t bytes,
                             std::int64_t alignment)
    : device_(device),
      name_(std::move(name)),
      bytes_(bytes),
      host_(device.identity().backend == "cpu") {
  const std::int64_t body = round_up(bytes + alignment, page_bytes()) + kSlack;
  if (host_) {
    const std::int64_t page = page_bytes();
    usable_begin_ = page;
    usable_end_ = page + round_up(body, page);
    total_ = usable_end_ + page;
    void* memory = mmap(nullptr, static_cast<std::size_t>(total_), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED ||
        mprotect(static_cast<std::byte*>(memory) + usable_begin_,
                 static_cast<std::size_t>(usable_end_ - usable_begin_), PROT_READ | PROT_WRITE))
      throw Error(Code::kDevice, "no memory for " + std::to_string(bytes) + " bytes of '" + name_ +
                                     "'; use a smaller problem");
    base_ = static_cast<std::byte*>(memory);
    data_ = base_ + (usable_end_ - bytes) / alignment * alignment;
    std::memset(base_ + usable_begin_, kPattern,
                static_cast<std::size_t>(data_ - base_ - usable_begin_));
    std::memset(data_ + bytes, kPattern,
                static_cast<std::size_t>(base_ + usable_end_ - data_ - bytes));
    for (Known& slot : known_buffers) {
      if (slot.begin.load() != nullptr) continue;
      slot.end = base_ + total_;
      slot.data = data_;
      slot.bytes = bytes_;
      std::snprintf(slot.name, sizeof slot.name, "%s", name_.c_str());
      slot.begin.store(base_);
      break;
    }
  } else {
    const bool exact = device.identity().simulated();
    const std::int64_t slack = exact ? 0 : kSlack;
    total_ = usable_end_ =
        exact ? std::max<std::int64_t>(bytes, 1) : slack + round_up(bytes, 64) + slack;
    base_ = static_cast<std::byte*>(device_.allocate(static_cast<std::size_t>(total_)));
    data_ = base_ + slack;
    const std::string pattern(static_cast<std::size_t>(total_), static_cast<char>(kPattern));
    device_.copy_in(base_, pattern.data(), pattern.size());
  }
}

GuardedBuffer::~GuardedBuffer() {
  if (!host_) {
    device_.release(base_);
    return;
  }
  for (Known& slot : known_buffers)
    if (slot.begin.load() == base_) slot.begin.store(nullptr);
  munmap(base_, static_cast<std::size_t>(total_));
}

void GuardedBuffer::fill(std::uint32_t pattern) {
  const auto count = static_cast<std::size_t>(bytes_);
  std::byte* to = data_;
  if (!host_) {
    staging_.resize(count);
    to = reinterpret_cast<std::byte*>(staging_.data());
  }
  for (std::size_t i = 0; i < count; i += sizeof pattern)
    std::memcpy(to + i, &pattern, std::min(sizeof pattern, count - i));
  if (!host_) device_.copy_in(data_, to, count);
}

void GuardedBuffer::write(const std::byte* host) {
  if (host_)
    std::memcpy(data_, host, static_cast<std::size_t>(bytes_));
  else
    device_.copy_in(data_, host, static_cast<std::size_t>(bytes_));
}

const std::byte* GuardedBuffer::read() const {
  if (host_) return data_;
  staging_.resize(static_cast<std::size_t>(bytes_));
  device_.copy_out(staging_.data(), data_, staging_.size());
  return reinterpret_cast<const std::byte*>(staging_.data());
}

void GuardedBuffer::protect(bool read_only) {
  protected_ = read_only;
  if (host_) {
    mprotect(base_ + usable_begin_, static_cast<std::size_t>(usable_end_ - usable_begin_),
             read_only ? PROT_READ : PROT_READ | PROT_WRITE);
  } else if (read_only) {
    const auto* content = reinterpret_cast<const char*>(read());
    before_ = hash_of({content, static_cast<std::size_t>(bytes_)});
  }
}

std::optional<std::string> GuardedBuffer::damage() const {
  const std::byte* whole = base_;
  std::string copy;
  if (!host_) {
    copy.resize(static_cast<std::size_t>(total_));
    device_.copy_out(copy.data(), base_, copy.size());
    whole = reinterpret_cast<const std::byte*>(copy.data());
  }
  const std::int64_t begin = data_ - base_;
  const std::int64_t end = begin + bytes_;
  for (std::int64_t i = begin - 1; i >= usable_begin_; --i)
    if (whole[i] != std::byte{kPattern})
      return "wrote " + std::to_string(begin - i) + " bytes before the beginning of '" + name_ +
             "'";
  for (std::int64_t i = end; i < usable_end_; ++i)
    if (whole[i] != std::byte{kPattern})
      return "wrote " + std::to_string(i - end) + " bytes behind the end of '" + name_ + "'";
  if (!host_ && protected_ &&
      hash_of({reinterpret_cast<const char*>(whole + begin), static_cast<std::size_t>(bytes_)}) !=
          before_)
    return "wrote to its input '" + name_ + "'";
  return std::nullopt;
}

const char* describe_address(const void* address, char* text, std::size_t size) noexcept {
  const auto* at = static_cast<const std::byte*>(address);
  for (const Known& slot : known_buffers) {
    const std::byte* begin = slot.begin.load();
    if (begin == nullptr || at < begin || at >= slot.end) continue;
    if (at < slot.data)
      std::snprintf(text, size, "touched memory %ld bytes before the beginning of '%s'",
                    static_cast<long>(slot.data - at), slot.name);
    else if (at >= slot.data + slot.bytes)
      std::snprintf(text, size, "touched memory %ld bytes behind the end of '%s'",
                    static_cast<long>(at - slot.data - slot.bytes), slot.name);
    else
      std::snprintf(text, size, "wrote to its input '%s'", slot.name);
    return text;
  }
  return nullptr;
}

}  // namespace hone
