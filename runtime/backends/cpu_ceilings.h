// What this processor can do at most: the roofs that results are shown against.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/backends/cpu_identity.h"
#include "runtime/backends/cpu_memory.h"
#include "runtime/backends/cpu_pool.h"
#include "tuning_db/record.h"

namespace hone {

// Measures the ceilings of record.h in about `budget`, besides the time to touch the buffer (up to
// a second). Each is the best of many short samples spread over the whole budget, so that neither a
// noisy second nor a process that takes turns with this one spoils it. Types without an instruction
// of their own are absent. The calling thread stays pinned to its core meanwhile.
Ceilings measure_cpu_ceilings(const CpuArch& arch, const CpuTopology& topology, CpuPool& pool,
                              CpuMemory& memory, std::chrono::duration<double> budget);

}  // namespace hone
