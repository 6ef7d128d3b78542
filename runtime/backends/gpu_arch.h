// What every GPU of an architecture can do, whichever product it is: facts, no policy.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "codegen/target.h"

namespace hone {

struct GpuArch {
  const char* backend;  // cuda, hip
  const char* name;     // sm_80, gfx90a
  int sm;               // 10 * major + minor; 0 on AMD
  int wave;
  std::int64_t max_shared;            // bytes that a block may opt in to
  std::int64_t shared_per_unit;       // bytes, what the blocks of one unit share
  std::int64_t shared_reserved;       // bytes taken per block on top of its own
  std::int64_t shared_granule;        // bytes
  std::int64_t threads_per_unit;      // resident
  std::int64_t blocks_per_unit;       // resident
  std::int64_t registers_per_unit;    // 32 bits wide
  std::int64_t registers_per_thread;  // addressable
  std::int64_t register_granule;      // registers, allocated per wave
  bool mma, bf16, cp_async, mfma;
  // The product that stands for the architecture where no device does.
  const char* product;
  std::int64_t units;
  std::int64_t l2_bytes;
};

std::span<const GpuArch> gpu_archs();
const GpuArch* find_gpu_arch(std::string_view backend, std::string_view name);  // or nullptr
// The architecture whose code a device of this compute capability runs best: the same, else the
// highest of its major version below it. nullptr when there is none.
const GpuArch* nvidia_arch(int major, int minor);

// Limits as codegen/target.h lists them.
Target gpu_target(const GpuArch& arch, std::int64_t units, std::int64_t l2_bytes);

// Resident threads over the most that a unit holds, for blocks of `threads`, each thread with
// `registers`, and `shared_bytes` per block. 0: such a block doesn't fit at all.
double gpu_occupancy(const GpuArch& arch, std::int64_t registers, std::int64_t shared_bytes,
                     std::int64_t threads);

}  // namespace hone
