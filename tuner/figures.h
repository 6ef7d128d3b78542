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
// {"registers","spills","shared","occupancy","code_bytes"}. Spills are bytes per thread, shared
// bytes of a block, static and dynamic together. Empty where the compiler doesn't tell. `scope`:
// dims, words and lets of a complete problem merged with the target's limits.
Figures resource_figures(Backend& backend, const Binary& binary, const Target& target,
                         const Template& variant, const Config& config, const Values& scope);

// Adds members to Trial::figures.
void add_figures(const Figures& more, Trial* trial);

}  // namespace hone
