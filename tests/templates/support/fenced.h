// Memory that ends right before a page nobody may touch, so that a kernel which reads or writes
// beyond its arguments faults, and one that writes into the gaps before and behind is seen.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>

namespace hone::prove {

class Fenced {
 public:
  // The data ends as close to the page as `alignment` allows.
  Fenced(std::size_t bytes, std::size_t alignment) : bytes_(bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
    inside_ = std::max((padded + page - 1) / page, std::size_t{1}) * page;
    total_ = inside_ + 2 * page;
    void* mapped = ::mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(mapped);
    begin_ = base_ + page;
    ::mprotect(begin_, inside_, PROT_READ | PROT_WRITE);
    std::memset(begin_, kPattern, inside_);
    data_ = begin_ + inside_ - padded;
  }
  ~Fenced() { ::munmap(base_, total_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  void fill(int byte) { std::memset(data_, byte, bytes_); }
  void make_read_only() { ::mprotect(begin_, inside_, PROT_READ); }
  bool gaps_intact() const {
    auto same = [](std::byte b) { return b == std::byte{kPattern}; };
    return std::all_of(begin_, data_, same) && std::all_of(data_ + bytes_, begin_ + inside_, same);
  }

 private:
  static constexpr unsigned char kPattern = 0xa5;
  std::size_t bytes_, inside_ = 0, total_ = 0;
  std::byte *base_ = nullptr, *begin_ = nullptr, *data_ = nullptr;
};

// What to say if the process dies now: a kernel that steps on a fence can't be survived.
inline char last_words[4096];

inline void say_before_dying(const std::string& words) {
  const std::size_t size = std::min(words.size(), sizeof last_words - 1);
  std::memcpy(last_words, words.data(), size);
  last_words[size] = '\0';
  static const bool installed = [] {
    for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE})
      std::signal(fault, [](int number) {
        [[maybe_unused]] auto written = ::write(STDERR_FILENO, last_words, std::strlen(last_words));
        std::signal(number, SIG_DFL);
        ::raise(number);
      });
    return true;
  }();
  static_cast<void>(installed);
}

}  // namespace hone::prove
