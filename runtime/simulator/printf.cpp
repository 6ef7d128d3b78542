// What CUDA's device runtime gives to kernels: printf, assert, malloc and free.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <string>

#include "runtime/simulator/races.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

constexpr std::size_t kLongestString = 4096, kMostOutput = std::size_t{1} << 20;
constexpr std::int32_t kWidest = 500;  // characters

std::uint64_t argument(const Warp& w, const Function::CallSite& site, std::size_t i, int lane) {
  std::uint64_t value = 0;
  if (i >= site.arguments.size()) return 0;
  const auto& slot = site.arguments[i];
  std::memcpy(&value,
              w.local + static_cast<std::size_t>(lane) * w.run->body.local_bytes + slot.offset,
              std::min<std::size_t>(slot.bytes, 8));
  return value;
}

// Bytes at a generic address; false: not readable.
bool read_bytes(const Warp& w, int lane, std::uint64_t address, void* to, std::size_t bytes) {
  if ((address & kWindowMask) == kLocalWindow) {
    const std::uint64_t offset = address & 0xffffffffu;
    if (offset + bytes > w.run->body.local_bytes) return false;
    std::memcpy(to, w.local + static_cast<std::size_t>(lane) * w.run->body.local_bytes + offset,
                bytes);
    return true;
  }
  if ((address & kWindowMask) == kSharedWindow) {
    const std::uint64_t offset = address & 0xffffffffu;
    if (offset + bytes > w.block->shared_bytes) return false;
    std::memcpy(to, w.block->shared.get() + offset, bytes);
    return true;
  }
  return w.run->memory.read(address, to, bytes);
}

std::string read_string(const Warp& w, int lane, std::uint64_t address) {
  std::string text;
  char c = 0;
  while (text.size() < kLongestString && read_bytes(w, lane, address + text.size(), &c, 1) &&
         c != '\0')
    text += c;
  return text;
}

// What CUDA's printf prints, and in `taken` the number of arguments that it read. Only what it
// knows of a conversion goes on to the host's.
std::string formatted(const Warp& w, int lane, const std::string& format, std::uint64_t arguments,
                      std::uint64_t* taken) {
  std::string result;
  std::uint64_t offset = 0;
  std::size_t i = 0;
  const auto take = [&](std::size_t bytes) {
    offset = (offset + bytes - 1) / bytes * bytes;
    std::uint64_t value = 0;
    read_bytes(w, lane, arguments + offset, &value, bytes);
    offset += bytes;
    ++*taken;
    return value;
  };
  const auto any_of = [&](std::string_view set) {
    return i < format.size() && set.find(format[i]) != std::string_view::npos;
  };
  // Of a width or a precision.
  const auto number = [&] {
    std::int32_t value = 0;
    if (any_of("*")) {
      ++i;
      value = static_cast<std::int32_t>(take(4));
    }
    for (; any_of("0123456789"); ++i) value = std::min(value * 10 + (format[i] - '0'), kWidest);
    return std::clamp(value, -kWidest, kWidest);
  };
  for (; i < format.size(); ++i) {
    if (format[i] != '%') {
      result += format[i];
      continue;
    }
    std::string spec = "%";
    for (++i; any_of("-+ #0"); ++i) spec += format[i];
    // One that is negative is the flag and a width.
    if (const int width = number(); width != 0) spec += std::to_string(width);
    if (any_of(".")) {
      ++i;
      if (const int precision = number(); precision >= 0) spec += fmt::format(".{}", precision);
    }
    bool wide = false;
    for (; any_of("hlzjt"); ++i) wide |= format[i] != 'h';
    if (i == format.size()) break;
    const char kind = format[i];
    // The longest number has 309 digits before its point.
    char buffer[512 + 2 * kWidest] = "";
    switch (kind) {
      case '%':
        result += '%';
        break;
      case 'd':
      case 'i': {
        const std::uint64_t value = take(wide ? 8 : 4);
        std::snprintf(buffer, sizeof buffer, (spec + "lld").c_str(),
                      wide ? static_cast<long long>(value)
                           : static_cast<long long>(static_cast<std::int32_t>(value)));
        break;
      }
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        std::snprintf(buffer, sizeof buffer, (spec + "ll" + kind).c_str(),
                      static_cast<unsigned long long>(take(wide ? 8 : 4)));
        break;
      case 'c':
        std::snprintf(buffer, sizeof buffer, (spec + "c").c_str(), static_cast<int>(take(4)));
        break;
      case 'p':
        std::snprintf(buffer, sizeof buffer, "0x%llx", static_cast<unsigned long long>(take(8)));
        break;
      case 's': {
        const std::string text = read_string(w, lane, take(8));
        std::string padded(text.size() + kWidest + 1, '\0');
        std::snprintf(padded.data(), padded.size(), (spec + "s").c_str(), text.c_str());
        result += padded.c_str();
        break;
      }
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
      case 'a':
      case 'A':
        std::snprintf(buffer, sizeof buffer, (spec + kind).c_str(), std::bit_cast<double>(take(8)));
        break;
      default:
        break;
    }
    result += buffer;
  }
  return result;
}

// A freed allocation takes along what was noted about it.
bool release(Run& run, Address address) {
  const Memory::Block* block = run.memory.block(address);
  if (block == nullptr) return false;
  if (run.global_races != nullptr) run.global_races->forget(*block);
  run.sectors.erase(block);
  run.sector_block = nullptr;
  return run.memory.heap_release(address);
}

}  // namespace

bool is_builtin(std::string_view name) {
  return name == "vprintf" || name == "__assertfail" || name == "malloc" || name == "free";
}

bool call_builtin(Warp& w, const Instruction& in, std::string_view name,
                  const Function::CallSite& site, std::uint32_t mask) {
  const auto give = [&](int lane, std::uint64_t value) {
    if (site.results.empty()) return;
    const std::size_t at =
        static_cast<std::size_t>(lane) * w.run->body.local_bytes + site.results[0].offset;
    const std::size_t bytes = std::min<std::size_t>(site.results[0].bytes, 8);
    std::memcpy(w.local + at, &value, bytes);
    if (w.local_written != nullptr) std::memset(w.local_written + at, 1, bytes);
  };
  if (name == "vprintf") {
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      std::string& output = w.run->result.output;
      std::uint64_t taken = 0;
      const std::string text = formatted(w, lane, read_string(w, lane, argument(w, site, 0, lane)),
                                         argument(w, site, 1, lane), &taken);
      if (output.size() + text.size() <= kMostOutput) output += text;
      give(lane, taken);
    }
    return true;
  }
  if (name == "__assertfail") {
    const int lane = std::countr_zero(mask);
    report(w, in, Finding::Kind::kAssert, lane, Space::kNone, 0,
           fmt::format("assertion failed: {}:{}: {}: {}",
                       read_string(w, lane, argument(w, site, 1, lane)), argument(w, site, 2, lane),
                       read_string(w, lane, argument(w, site, 3, lane)),
                       read_string(w, lane, argument(w, site, 0, lane))));
    w.stop = true;
    return true;
  }
  if (name == "malloc") {
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      give(lane, w.run->memory.heap_allocate(argument(w, site, 0, lane)));
    }
    return true;
  }
  if (name == "free") {
    for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      const std::uint64_t address = argument(w, site, 0, lane);
      if (address == 0 || release(*w.run, address)) continue;
      report(w, in, Finding::Kind::kOutOfBounds, lane, Space::kGlobal, address,
             "free of what malloc didn't give: " + w.run->memory.describe(address));
      w.stop = true;
      break;
    }
    return true;
  }
  return false;
}

}  // namespace hone::sim
