// What this processor can do at most: the roofs that results are shown against.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/backends/cpu_identity.h"
#include "runtime/backends/cpu_memory.h"
#include "runtime/backends/cpu_pool.h"
#include "tuning_db/record.h"

namespace hone {

// Measures the ceilings of record.h in about `budget` (and the time to touch the buffer, at most
// about a second), each as the best of rounds that are spread over the whole budget, so that a
// noisy second spoils none. Types without an instruction of their own are absent.
Ceilings measure_cpu_ceilings(const CpuArch& arch, const CpuTopology& topology, CpuPool& pool,
                              CpuMemory& memory, std::chrono::duration<double> budget);

}  // namespace hone
