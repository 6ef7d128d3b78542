// Addresses of a warp's lanes: bounds, alignment, where their bytes lie, what they cost.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "runtime/simulator/races.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

constexpr std::uint32_t kSector = 32, kBanks = 32;

bool special_window(std::uint64_t address) {
  const std::uint64_t window = address & kWindowMask;
  return window == kSharedWindow || window == kLocalWindow || window == kParamWindow;
}

void out_of_bounds(Warp& w, const Instruction& in, Space space, int lane, std::uint64_t address,
                   std::uint32_t bytes, Use use, const std::string& where) {
  const char* what = use == Use::kRead    ? "a load"
                     : use == Use::kWrite ? "a store"
                                          : "an atomic operation";
  report(w, in, Finding::Kind::kOutOfBounds, lane, space, address,
         fmt::format("{} of {} bytes out of bounds: {}", what, bytes, where));
  w.stop = true;
}

int misaligned_lane(const Access& access, std::uint32_t mask, std::uint32_t bytes) {
  std::uint64_t bits = 0;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) bits |= access.address[static_cast<std::size_t>(i)];
  }
  if ((bits & (bytes - 1)) == 0) return -1;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0 && (access.address[static_cast<std::size_t>(i)] & (bytes - 1)) != 0)
      return i;
  }
  return -1;
}

// An area that begins at address 0: shared memory, or a thread's own.
bool resolve_area(Warp& w, const Instruction& in, std::uint32_t bytes, Use use, std::size_t size,
                  std::byte* data, std::uint8_t* written, std::size_t stride, Access& access) {
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const auto l = static_cast<std::size_t>(i);
    const std::uint64_t address = access.address[l];
    if (address > size || size - address < bytes) {
      out_of_bounds(w, in, access.space, i, address, bytes, use,
                    fmt::format("{} bytes of {} memory are there", size, space_name(access.space)));
      return false;
    }
    access.data[l] = data + l * stride + address;
    access.written[l] = written == nullptr ? nullptr : written + l * stride + address;
  }
  access.tracked = written != nullptr;
  return true;
}

bool resolve_global(Warp& w, const Instruction& in, std::uint32_t bytes, Use use, Access& access) {
  std::uint64_t low = ~std::uint64_t{0}, high = 0;
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const std::uint64_t address = access.address[static_cast<std::size_t>(i)];
    low = std::min(low, address);
    high = std::max(high, address);
  }
  Memory::Block* block = w.run->memory.block(low);
  const bool one = block != nullptr && high - block->start <= block->bytes &&
                   block->bytes - (high - block->start) >= bytes;
  access.block = one ? block : nullptr;
  access.tracked = false;
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const auto l = static_cast<std::size_t>(i);
    const std::uint64_t address = access.address[l];
    Memory::Block* its = one ? block : w.run->memory.block(address);
    if (its == nullptr || its->bytes - (address - its->start) < bytes) {
      out_of_bounds(w, in, Space::kGlobal, i, address, bytes, use,
                    w.run->memory.describe(its == nullptr ? address : its->start + its->bytes));
      return false;
    }
    const std::uint64_t offset = address - its->start;
    access.data[l] = its->data + offset;
    access.written[l] = its->written == nullptr ? nullptr : its->written + offset;
    access.tracked |= its->written != nullptr;
  }
  return true;
}

bool resolve_parameters(Warp& w, const Instruction& in, std::uint32_t bytes, Use use,
                        Access& access) {
  const auto& parameters = w.run->launch.parameters;
  access.space = Space::kParam;
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const auto l = static_cast<std::size_t>(i);
    const std::uint64_t address = access.address[l];
    if (use != Use::kRead || address > parameters.size() || parameters.size() - address < bytes) {
      out_of_bounds(w, in, Space::kParam, i, address, bytes, use,
                    fmt::format("{} bytes of parameters, read only", parameters.size()));
      return false;
    }
    access.data[l] = const_cast<std::byte*>(parameters.data()) + address;
    access.written[l] = nullptr;
  }
  access.tracked = false;
  return true;
}

std::uint32_t distinct_sectors(const Access& access,
                               std::array<std::uint64_t, 2 * kLanes>& sectors) {
  std::uint32_t count = 0;
  bool sorted = true;
  const auto add = [&](std::uint64_t sector) {
    if (count != 0 && sectors[count - 1] == sector) return;
    sorted = sorted && (count == 0 || sectors[count - 1] < sector);
    sectors[count++] = sector;
  };
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const std::uint64_t address = access.address[static_cast<std::size_t>(i)];
    add(address / kSector);
    const std::uint64_t last = (address + access.bytes - 1) / kSector;
    if (last != address / kSector) add(last);
  }
  if (sorted) return count;
  std::sort(sectors.begin(), sectors.begin() + count);
  return static_cast<std::uint32_t>(std::unique(sectors.begin(), sectors.begin() + count) -
                                    sectors.begin());
}

}  // namespace

void gather_addresses(const Warp& w, const Instruction& in, std::size_t operand, Access& access) {
  const std::uint64_t offset = in.imm;
  if (in.narrow) {
    const auto* base = w.row<std::uint32_t>(in.o[operand]);
    const auto small = static_cast<std::uint32_t>(offset);
    for (std::size_t i = 0; i < kLanes; ++i) access.address[i] = base[i] + small;
  } else {
    const auto* base = w.row<std::uint64_t>(in.o[operand]);
    for (std::size_t i = 0; i < kLanes; ++i) access.address[i] = base[i] + offset;
  }
}

std::uint32_t same_window(const Access& access, std::uint32_t mask) {
  const auto first = static_cast<std::size_t>(std::countr_zero(mask));
  const bool special = special_window(access.address[first]);
  const std::uint64_t window = access.address[first] & kWindowMask;
  std::uint32_t lanes = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::uint64_t address = access.address[i];
    if (special ? (address & kWindowMask) == window : !special_window(address)) lanes |= 1u << i;
  }
  return lanes & mask;
}

bool resolve(Warp& w, const Instruction& in, Space space, std::uint32_t mask, std::uint32_t bytes,
             Use use, Access& access) {
  access.mask = mask;
  access.bytes = bytes;
  access.block = nullptr;
  if (space == Space::kGeneric) {
    const std::uint64_t window =
        access.address[static_cast<std::size_t>(std::countr_zero(mask))] & kWindowMask;
    space = window == kSharedWindow  ? Space::kShared
            : window == kLocalWindow ? Space::kLocal
            : window == kParamWindow ? Space::kParam
                                     : Space::kGlobal;
    if (space != Space::kGlobal) {
      for (std::uint64_t& address : access.address) address &= 0xffffffffu;
    }
  } else if (space == Space::kShared || space == Space::kLocal) {
    // A shared address in 64 bits may carry what a 32-bit one would have dropped.
    for (std::uint64_t& address : access.address) {
      if ((address & kWindowMask) == (space == Space::kShared ? kSharedWindow : kLocalWindow))
        address &= 0xffffffffu;
    }
  }
  access.space = space == Space::kConst ? Space::kGlobal : space;
  if (const int lane = misaligned_lane(access, mask, std::bit_ceil(bytes)); lane >= 0) {
    report(w, in, Finding::Kind::kMisaligned, lane, access.space,
           access.address[static_cast<std::size_t>(lane)],
           fmt::format("an access of {} bytes at an address that isn't a multiple of it", bytes));
    w.stop = true;
    return false;
  }
  switch (access.space) {
    case Space::kShared:
      return resolve_area(w, in, bytes, use, w.block->shared_bytes, w.block->shared.get(),
                          w.block->shared_written.get(), 0, access);
    case Space::kLocal:
      return resolve_area(w, in, bytes, use, w.run->body.local_bytes, w.local, w.local_written,
                          w.run->body.local_bytes, access);
    case Space::kParam:
      return resolve_parameters(w, in, bytes, use, access);
    default:
      return resolve_global(w, in, bytes, use, access);
  }
}

bool resolve_global_bytes(Warp& w, const Instruction& in, std::uint32_t mask, std::uint32_t bytes,
                          Access& access) {
  access.mask = mask;
  access.bytes = bytes;
  access.space = Space::kGlobal;
  return resolve_global(w, in, bytes, Use::kRead, access);
}

std::uint32_t undefined_lanes(const Access& access, std::uint32_t offset, std::uint32_t bytes) {
  std::uint32_t result = 0;
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    const std::uint8_t* written = access.written[static_cast<std::size_t>(i)];
    if (written == nullptr) continue;
    written += offset;
    // A value with some bytes written is a struct with padding.
    bool any = false;
    if (bytes == 4) {
      std::uint32_t marks = 0;
      std::memcpy(&marks, written, 4);
      any = marks != 0;
    } else {
      for (std::uint32_t b = 0; b < bytes; ++b) any = any || written[b] != 0;
    }
    if (!any) result |= 1u << i;
  }
  return result;
}

void check_address(Warp& w, const Instruction& in, std::size_t operand, std::uint32_t mask) {
  const std::uint32_t lanes = w.undefined[in.t[operand]] & mask;
  if (lanes != 0) report_undefined(w, in, operand, lanes, "is an address");
}

void count_global(Run& run, const Access& access, bool write) {
  const auto lanes = static_cast<std::uint32_t>(std::popcount(access.mask));
  Counters& c = run.result.counters;
  std::array<std::uint64_t, 2 * kLanes> sectors;
  const std::uint32_t count = distinct_sectors(access, sectors);
  // Lanes that read the same bytes need fewer than the bytes they ask for.
  const std::uint64_t ideal = std::min<std::uint64_t>(
      count,
      std::min<std::uint64_t>(
          count, (static_cast<std::uint64_t>(lanes) * access.bytes + kSector - 1) / kSector));
  (write ? c.global_store_bytes : c.global_load_bytes) +=
      static_cast<std::uint64_t>(lanes) * access.bytes;
  (write ? c.global_store_sectors : c.global_load_sectors) += count;
  (write ? c.global_store_sectors_ideal : c.global_load_sectors_ideal) += ideal;
  if (access.block == nullptr) return;
  if (run.sector_block != access.block) {
    run.sector_block = access.block;
    auto& maps = run.sectors[access.block];
    const std::size_t words = access.block->bytes / (kSector * 64) + 2;
    maps.first.resize(words);
    maps.second.resize(words);
    run.sector_maps = &maps;
  }
  auto& map = write ? run.sector_maps->second : run.sector_maps->first;
  const std::uint64_t first = access.block->start / kSector;
  std::uint64_t& unique = write ? c.unique_sectors_written : c.unique_sectors_read;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint64_t at = sectors[k] - first;
    const std::uint64_t bit = std::uint64_t{1} << (at % 64);
    if ((map[at / 64] & bit) == 0) {
      map[at / 64] |= bit;
      ++unique;
    }
  }
}

void count_shared(Run& run, const Access& access) {
  // A wavefront serves 32 banks of 4 bytes; accesses of 8 and 16 bytes go by halves and quarters of
  // the warp.
  const std::uint32_t phases = access.bytes <= 4 ? 1 : access.bytes / 4;
  const std::uint32_t per_phase = kLanes / phases;
  Counters& c = run.result.counters;
  for (std::uint32_t phase = 0; phase < phases; ++phase) {
    const std::uint32_t lanes =
        access.mask &
        (static_cast<std::uint32_t>((std::uint64_t{1} << per_phase) - 1) << (phase * per_phase));
    if (lanes == 0) continue;
    std::array<std::uint32_t, kBanks> used{};
    std::array<std::uint32_t, kBanks> last;
    std::array<std::array<std::uint32_t, kLanes>, kBanks> words;
    std::uint32_t most = 1;
    for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
      const auto first = static_cast<std::uint32_t>(access.address[lane] / 4);
      const std::uint32_t count = access.bytes <= 4 ? 1 : access.bytes / 4;
      for (std::uint32_t k = 0; k < count; ++k) {
        const std::uint32_t word = first + k, bank = word % kBanks;
        std::uint32_t& n = used[bank];
        if (n != 0 && last[bank] == word) continue;
        bool known = false;
        for (std::uint32_t i = 0; i + 1 < n && !known; ++i) known = words[bank][i] == word;
        if (known) continue;
        words[bank][n] = word;
        last[bank] = word;
        most = std::max(most, ++n);
      }
    }
    c.shared_wavefronts += most;
    ++c.shared_wavefronts_ideal;
  }
}

void note_access(Warp& w, const Instruction& in, const Access& access, Use use) {
  Run& run = *w.run;
  if (access.space == Space::kGlobal) {
    count_global(run, access, use != Use::kRead);
    if (w.races) run.global_races->access(w, in, access, use);
  } else if (access.space == Space::kShared) {
    count_shared(run, access);
    if (w.checked) check_pending(w, in, access);
    if (w.races) w.block->shared_races->access(w, in, access, use);
  }
}

}  // namespace hone::sim
