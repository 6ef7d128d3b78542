#include "runtime/backends/gpu_arch.h"

#include <algorithm>
#include <array>

namespace hone {
namespace {

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * 1024;
constexpr std::int64_t kMaxThreads = 1024;  // of a block, everywhere

constexpr GpuArch nvidia(const char* name, int sm, std::int64_t max_shared_kib,
                         std::int64_t shared_per_unit_kib, std::int64_t threads,
                         std::int64_t blocks, const char* product, std::int64_t units,
                         std::int64_t l2_bytes) {
  const bool ampere = sm >= 80;
  return {"cuda",
          name,
          sm,
          32,
          max_shared_kib * kKiB,
          shared_per_unit_kib * kKiB,
          ampere ? kKiB : 0,
          ampere ? 128 : 256,
          threads,
          blocks,
          64 * kKiB,
          255,
          256,
          true,
          ampere,
          ampere,
          false,
          product,
          units,
          l2_bytes};
}

constexpr GpuArch amd(const char* name, int wave, std::int64_t threads, std::int64_t registers_kib,
                      std::int64_t addressable, std::int64_t granule, bool mfma, bool bf16,
                      const char* product, std::int64_t units, std::int64_t l2_bytes) {
  return {"hip",
          name,
          0,
          wave,
          64 * kKiB,
          64 * kKiB,
          0,
          512,
          threads,
          threads / wave,
          registers_kib * kKiB,
          addressable,
          granule,
          false,
          bf16,
          false,
          mfma,
          product,
          units,
          l2_bytes};
}

constexpr std::array kArchs = {
    nvidia("sm_75", 75, 64, 64, 1024, 16, "T4", 40, 4 * kMiB),
    nvidia("sm_80", 80, 163, 164, 2048, 32, "A100", 108, 40 * kMiB),
    nvidia("sm_86", 86, 99, 100, 1536, 16, "RTX 3090", 82, 6 * kMiB),
    nvidia("sm_89", 89, 99, 100, 1536, 24, "RTX 4090", 128, 72 * kMiB),
    nvidia("sm_90a", 90, 227, 228, 2048, 32, "H100", 132, 50 * kMiB),
    nvidia("sm_100a", 100, 227, 228, 2048, 32, "B200", 148, 126 * kMiB),
    nvidia("sm_120a", 120, 99, 100, 1536, 24, "RTX 5090", 170, 96 * kMiB),
    amd("gfx906", 64, 2560, 64, 256, 256, false, false, "MI60", 64, 4 * kMiB),
    amd("gfx908", 64, 2560, 128, 512, 256, true, true, "MI100", 120, 8 * kMiB),
    amd("gfx90a", 64, 2048, 128, 512, 512, true, true, "MI250X", 110, 8 * kMiB),
    amd("gfx942", 64, 2048, 128, 512, 512, true, true, "MI300X", 304, 32 * kMiB),
    amd("gfx1030", 32, 1024, 64, 256, 512, false, false, "RX 6900 XT", 80, 4 * kMiB),
    amd("gfx1100", 32, 1024, 96, 256, 768, false, true, "RX 7900 XTX", 96, 6 * kMiB),
};

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

std::span<const GpuArch> gpu_archs() { return kArchs; }

const GpuArch* find_gpu_arch(std::string_view backend, std::string_view name) {
  const auto found = std::find_if(kArchs.begin(), kArchs.end(), [&](const GpuArch& arch) {
    return backend == arch.backend && name == arch.name;
  });
  return found == kArchs.end() ? nullptr : &*found;
}

const GpuArch* nvidia_arch(int major, int minor) {
  const GpuArch* best = nullptr;
  for (const GpuArch& arch : kArchs) {
    if (arch.sm / 10 != major || arch.sm > 10 * major + minor) continue;
    // Code for an architecture with an `a` runs on that very one only.
    const bool exact = std::string_view(arch.name).ends_with('a');
    if (exact && arch.sm != 10 * major + minor) continue;
    if (best == nullptr || best->sm < arch.sm) best = &arch;
  }
  return best;
}

Target gpu_target(const GpuArch& arch, std::int64_t units, std::int64_t l2_bytes) {
  Target target;
  target.backend = arch.backend;
  target.arch = arch.name;
  target.limits.set("units", units);
  target.limits.set("wave", std::int64_t{arch.wave});
  target.limits.set("max_shared", arch.max_shared);
  target.limits.set("max_threads", kMaxThreads);
  target.limits.set("registers", arch.registers_per_unit);
  target.limits.set("l2_bytes", l2_bytes);
  target.limits.set("has_mma", std::int64_t{arch.mma});
  target.limits.set("has_bf16", std::int64_t{arch.bf16});
  target.limits.set("has_cp_async", std::int64_t{arch.cp_async});
  target.limits.set("has_mfma", std::int64_t{arch.mfma});
  target.limits.set("sm", std::int64_t{arch.sm});
  return target;
}

double gpu_occupancy(const GpuArch& arch, std::int64_t registers, std::int64_t shared_bytes,
                     std::int64_t threads) {
  if (threads < 1 || threads > kMaxThreads || shared_bytes > arch.max_shared ||
      registers > arch.registers_per_thread)
    return 0;
  const std::int64_t waves = (threads + arch.wave - 1) / arch.wave;
  const std::int64_t per_wave =
      round_up(std::max<std::int64_t>(registers, 1) * arch.wave, arch.register_granule);
  const std::int64_t by_registers = arch.registers_per_unit / per_wave / waves;
  const std::int64_t shared = round_up(shared_bytes + arch.shared_reserved, arch.shared_granule);
  const std::int64_t by_shared = shared > 0 ? arch.shared_per_unit / shared : arch.blocks_per_unit;
  const std::int64_t by_threads = arch.threads_per_unit / (waves * arch.wave);
  const std::int64_t blocks = std::min({by_registers, by_shared, by_threads, arch.blocks_per_unit});
  return static_cast<double>(blocks * waves * arch.wave) /
         static_cast<double>(arch.threads_per_unit);
}

}  // namespace hone
