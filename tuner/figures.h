// What a trial tells besides its time: what its compiler said of it, what a simulator counted.
#pragma once

#include "codegen/json.h"
#include "codegen/template.h"
#include "codegen/values.h"
#include "runtime/backend.h"
#include "tuning_db/record.h"

namespace hone {

using Figures = Json;

// Of all entries the most that one takes, and the least occupancy of the launches of `config`:
// {"registers","spills","shared","occupancy","code_bytes"}, and "loop" on cuda targets. Spills are
// bytes per thread, shared bytes of a block, static and dynamic together. Empty where the compiler
// doesn't tell. `scope`: dims, words and lets of a complete problem merged with the target's
// limits.
Figures resource_figures(Backend& backend, const Binary& binary, const Target& target,
                         const Template& variant, const Config& config, const Values& scope);

// What the machine code of a cuda binary's hottest loop says (runtime/machine_code.h), statically:
// {"instructions","tensor","warpgroup","share","ldmatrix_per_tensor","copies_per_tensor",
// "stall_cycles","tensor_cycles","stall_per_tensor","shared_per_tensor","bytes_per_instruction"}.
// "share" is that of the tensor instructions; "stall_per_tensor" the issue cycles of one warp over
// those that its tensor instructions take, "shared_per_tensor" the same of the shared memory's
// cycles for four warps; "bytes_per_instruction" what a warp loads from global memory. Figures that
// are per tensor instruction are null in a loop without any. Null where there is no loop.
Figures loop_figures(const Binary& binary);

// Adds members to Trial::figures.
void add_figures(const Figures& more, Trial* trial);

}  // namespace hone
