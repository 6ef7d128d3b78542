// What this processor is: its instruction set as a Target's arch text, its cores, caches and names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/target.h"
#include "tuning_db/record.h"

namespace hone {

// An instruction set. Text: a level of the x86-64 psABI (`x86-64`, `x86-64-v2` ... `x86-64-v4`),
// then the extensions beyond it that kernels use, sorted, each after a plus: `bf16` (AVX512_BF16)
// and `vnni` (AVX512_VNNI), both for v4 only.
struct CpuArch {
  int level = 1;
  bool bf16 = false;
  bool vnni = false;

  std::string text() const;
  std::vector<std::string> compiler_flags() const;  // one -m flag per feature, g++ and clang
  bool runs(const CpuArch& other) const;            // may code for `other` run here?
  bool operator==(const CpuArch&) const = default;
};
std::optional<CpuArch> parse_cpu_arch(
    std::string_view text);  // nullopt unless text() would give it
CpuArch this_cpu_arch();     // what processor and kernel support

// Where threads may run, and the data caches.
struct CpuTopology {
  std::vector<int> cpus;      // one per core that this process may use (the first hardware thread
                              // allowed); HONE_THREADS limits how many
  std::int64_t l1_bytes = 0;  // of one core
  std::int64_t l2_bytes = 0;  // of one core
  std::int64_t l3_bytes = 0;  // of the core's cluster
};
// Reads sysfs and the affinity of the process (of all its threads together, so one pinned thread
// doesn't hide the rest). Sizes that a virtual machine hides are those usual for the arch. Throws
// Error(kUsage) for a HONE_THREADS that is no positive number. `cpus`: where sysfs has a folder per
// hardware thread.
CpuTopology this_cpu_topology(const CpuArch& arch,
                              const std::string& cpus = "/sys/devices/system/cpu");

Target cpu_target(const CpuArch& arch, const CpuTopology& topology);
DeviceIdentity this_cpu_identity(const CpuArch& arch, const CpuTopology& topology);

}  // namespace hone
