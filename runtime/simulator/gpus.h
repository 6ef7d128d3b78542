// The GPUs that the simulator can stand in for: public figures of the vendors' data sheets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hone::sim {

struct Gpu {
  std::string_view name;   // "a100", as HONE_SIM_DEVICE takes it
  std::string_view label;  // as a driver says it
  int sm = 0;              // 80; 90 for sm_90a
  bool specific = false;   // the architecture has an `a`: 90a, 100a, 120a
  int units = 0;
  std::size_t shared_per_unit = 0;  // bytes
  std::size_t shared_per_block = 48 << 10;
  std::size_t shared_opt_in = 0;  // bytes per block at most
  int threads_per_unit = 0;
  int blocks_per_unit = 0;
  int registers_per_unit = 64 << 10;
  std::size_t l2_bytes = 0;
  std::size_t memory_bytes = 0;
  double bandwidth = 0;  // bytes per second
  double f16_flops = 0, bf16_flops = 0, fp8_flops = 0,
         int8_ops = 0;  // dense matrix units, per second
  double f32_flops = 0;
  double clock_hz = 0;  // boost
};

inline constexpr double kL2BytesPerClock = 64;  // to each unit

std::span<const Gpu> gpus();
// By name ("a100", "A100-80", "rtx4090") or architecture ("sm_80": the first GPU of it); nullptr
// when unknown.
const Gpu* find_gpu(std::string_view name);

// What the data sheet allows at most, under the names of tuning_db/record.h: GB/s and GFLOP/s.
std::map<std::string, double> paper_ceilings(const Gpu& gpu);

}  // namespace hone::sim
