// What the lanes of a wave ask of memory together. They run one after another on the SIMT host: the
// n-th access of each lane at a site, since the wave last met, is taken for one request.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/simulator/simulator.h"

namespace hone::sim {

class Requests {
 public:
  enum class Kind : std::uint8_t { kLoad, kStore, kShared };

  // `base`: where the allocation begins; of shared memory any.
  void add(unsigned lane, const void* site, Kind kind, std::uintptr_t base, std::uintptr_t address,
           std::size_t bytes);
  // Counts what was added as sectors and wavefronts. To be called where lanes have met, and before
  // another wave runs.
  void count(Counters& counters);

 private:
  static constexpr unsigned kLanes = 64;
  struct Request {
    Kind kind;
    std::uint32_t bytes;  // of a lane
    std::uint64_t lanes = 0;
    std::uintptr_t base;
    std::array<std::uintptr_t, kLanes> address;
  };
  struct Site {
    std::array<std::uint32_t, kLanes> times{};  // that a lane was here
    std::vector<Request> requests;
  };
  void count_global(const Request& request, Counters& counters);
  static void count_shared(const Request& request, Counters& counters);

  std::unordered_map<const void*, Site> sites_;
  std::size_t pending_ = 0;
  // By allocation a bit for every sector that was read, and for every one that was written.
  std::map<std::uintptr_t, std::array<std::vector<bool>, 2>> touched_;
};

}  // namespace hone::sim
