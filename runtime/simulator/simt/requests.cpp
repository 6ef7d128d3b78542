#include "runtime/simulator/simt/requests.h"

#include <algorithm>
#include <bit>

namespace hone::sim {
namespace {

constexpr std::uint64_t kSector = 32, kBanks = 32;
// Lanes that go through shared memory's banks at once when each has 4 bytes.
constexpr unsigned kAtOnce = 32;
// Of a wave between two meetings, half a kilobyte each; what comes behind isn't counted.
constexpr std::size_t kMostPending = 1 << 16;

}  // namespace

void Requests::add(unsigned lane, const void* place, Kind kind, std::uintptr_t base,
                   std::uintptr_t address, std::size_t bytes) {
  if (lane >= kLanes) return;
  Site& site = sites_[place];
  const std::uint32_t time = site.times[lane]++;
  if (time >= site.requests.size()) {
    if (pending_ == kMostPending) return;
    ++pending_;
    site.requests.push_back({kind, static_cast<std::uint32_t>(bytes), 0, base, {}});
  }
  if (time >= site.requests.size()) return;
  Request& request = site.requests[time];
  request.lanes |= std::uint64_t{1} << lane;
  request.address[lane] = address;
}

void Requests::count(Counters& counters) {
  if (pending_ == 0) return;
  for (auto& [place, site] : sites_) {
    for (const Request& request : site.requests)
      if (request.kind == Kind::kShared)
        count_shared(request, counters);
      else
        count_global(request, counters);
    site.requests.clear();
    site.times = {};
  }
  pending_ = 0;
}

void Requests::count_global(const Request& request, Counters& counters) {
  std::vector<std::uint64_t> sectors;
  for (std::uint64_t rest = request.lanes; rest != 0; rest &= rest - 1) {
    const std::uintptr_t at =
        request.address[static_cast<std::size_t>(std::countr_zero(rest))] - request.base;
    for (std::uint64_t sector = at / kSector; sector <= (at + request.bytes - 1) / kSector;
         ++sector)
      if (sectors.empty() || sectors.back() != sector) sectors.push_back(sector);
  }
  std::sort(sectors.begin(), sectors.end());
  sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
  const std::uint64_t count = sectors.size();
  const auto asked = static_cast<std::uint64_t>(std::popcount(request.lanes)) * request.bytes;
  const bool write = request.kind == Kind::kStore;
  (write ? counters.global_store_sectors : counters.global_load_sectors) += count;
  // Lanes that read the same bytes need fewer than the bytes they ask for.
  (write ? counters.global_store_sectors_ideal : counters.global_load_sectors_ideal) +=
      std::min(count, (asked + kSector - 1) / kSector);
  std::vector<bool>& touched = touched_[request.base][write ? 1 : 0];
  if (touched.size() <= sectors.back()) touched.resize(sectors.back() + 1);
  for (const std::uint64_t sector : sectors) {
    if (touched[sector]) continue;
    touched[sector] = true;
    ++(write ? counters.unique_sectors_written : counters.unique_sectors_read);
  }
}

// Accesses of 8 and 16 bytes go by fewer lanes at once. A bank that has several words to give takes
// as many passes.
void Requests::count_shared(const Request& request, Counters& counters) {
  const std::uint32_t words = std::max<std::uint32_t>(1, request.bytes / 4);
  const unsigned lanes = std::max(1u, kAtOnce / words);
  for (unsigned first = 0; first < kLanes; first += lanes) {
    std::array<std::vector<std::uint64_t>, kBanks> banks;
    std::size_t most = 0;
    for (unsigned lane = first; lane < first + lanes; ++lane) {
      if ((request.lanes >> lane & 1) == 0) continue;
      for (std::uint32_t i = 0; i < words; ++i) {
        const std::uint64_t word = request.address[lane] / 4 + i;
        auto& bank = banks[word % kBanks];
        if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
        most = std::max(most, bank.size());
      }
    }
    counters.shared_wavefronts += most;
    counters.shared_wavefronts_ideal += most > 0 ? 1 : 0;
  }
}

}  // namespace hone::sim
