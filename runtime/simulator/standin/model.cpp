// How long a launch would take, on paper: the slowest of the parts of the machine that it uses.
// Nothing here was ever compared with a GPU; the result ranks kernels and is called modelled
// wherever it is shown.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr double kLaunchS = 2.5e-6;
constexpr double kSectorBytes = 32;
constexpr double kIssuePerClock = 4;      // warp instructions, per unit
constexpr double kSharedPerClock = 1;     // wavefronts, per unit
constexpr double kSpecialPerClock = 0.5;  // warp instructions of exp, rsqrt ..., per unit
constexpr double kConvertPerClock = 0.5;
constexpr double kDramShare = 0.9;           // of the data sheet's bandwidth
constexpr double kUnitsForDram = 0.3;        // of all units are needed to draw all of it
constexpr double kClocksPerInstruction = 6;  // of a warp that waits for each result
constexpr double kWarp = 32;

double number_after(std::string_view text, char letter, std::size_t from) {
  const std::size_t at = text.find(letter, from);
  if (at == std::string_view::npos || at + 1 >= text.size()) return 0;
  double number = 0;
  for (std::size_t i = at + 1; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
    number = 10 * number + (text[i] - '0');
  return number;
}

// Seconds of the matrix units of all units together.
double matrix_seconds(const sim::Gpu& gpu, const sim::Counters& counters) {
  double seconds = 0;
  for (const auto& [name, count] : counters.by_opcode) {
    const std::string_view opcode = name;
    if (!opcode.starts_with("mma.") && !opcode.starts_with("wmma.mma")) continue;
    const std::size_t shape = opcode.find(".m");
    if (shape == std::string_view::npos) continue;
    const double operations = 2 * number_after(opcode, 'm', shape) *
                              number_after(opcode, 'n', shape) * number_after(opcode, 'k', shape) *
                              static_cast<double>(count);
    const auto has = [&](std::string_view type) {
      return opcode.find(type) != std::string_view::npos;
    };
    double peak = gpu.f16_flops;
    if (has(".s8") || has(".u8")) peak = gpu.int8_ops;
    if (has(".e4m3") || has(".e5m2")) peak = gpu.fp8_flops;
    if (has(".tf32")) peak = gpu.f16_flops / 2;
    if (has(".f64")) peak = gpu.f32_flops;
    if (peak > 0) seconds += operations / peak;
  }
  return seconds;
}

}  // namespace

double modelled_seconds(const sim::Gpu& gpu, const sim::Counters& counters,
                        const sim::KernelInfo& kernel, const sim::Launch& launch) {
  const auto real = [](std::uint64_t count) { return static_cast<double>(count); };
  const double units = gpu.units, clock = gpu.clock_hz;
  const double blocks = std::max(1.0, real(counters.blocks));
  const int threads = static_cast<int>(launch.block[0] * launch.block[1] * launch.block[2]);
  const double resident =
      std::max(1, sim::occupancy(gpu, kernel, threads, launch.dynamic_shared_bytes));

  // Lanes of the vector units, from the peak that they give.
  const double lanes = gpu.f32_flops / (2 * units * clock);
  const double double_lanes = gpu.sm == 80 || gpu.sm == 90 || gpu.sm == 100 ? 32 : 2;
  const double dram = kSectorBytes *
                      real(counters.unique_sectors_read + counters.unique_sectors_written) /
                      (gpu.bandwidth * kDramShare) /
                      std::min(1.0, std::min(blocks, units) / (kUnitsForDram * units));
  // What every unit does at its own pace, over all units.
  const std::array<double, 8> clocks = {
      kSectorBytes * real(counters.global_load_sectors + counters.global_store_sectors) /
          sim::kL2BytesPerClock,
      real(counters.shared_wavefronts) / kSharedPerClock,
      real(counters.instructions) / kIssuePerClock,
      real(counters.special) / kSpecialPerClock,
      real(counters.conversion) / kConvertPerClock,
      real(counters.floating + counters.integer) * kWarp / lanes,
      real(counters.half) * kWarp / (2 * lanes),
      real(counters.fp64) * kWarp / double_lanes,
  };
  double compute = *std::max_element(clocks.begin(), clocks.end()) / (units * clock);
  compute = std::max(compute, matrix_seconds(gpu, counters));
  // Units that have one block more than others, or none, set the pace.
  const double busiest = std::ceil(blocks / units);
  compute *= busiest * units / blocks;
  const double rounds = std::ceil(blocks / (units * resident));
  const double chain = real(counters.instructions) / std::max(1.0, real(counters.warps)) *
                       kClocksPerInstruction / clock * rounds;
  return kLaunchS + std::max({dram, compute, chain});
}

std::string ceilings_text(const sim::Gpu& gpu) {
  std::string text = fmt::format("{{\"launch_ns\":{}", kLaunchS * 1e9);
  for (const auto& [name, value] : sim::paper_ceilings(gpu))
    text += fmt::format(",\"{}\":{}", name, value);
  return text + "}";
}

}  // namespace hone::standin
