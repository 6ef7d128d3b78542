// Inputs of a check or a timing: seeded, never trivial, as op.json's "draw" says
// (templates/README.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "codegen/expression.h"
#include "codegen/values.h"

namespace hone {

// Fills `to` with `count` elements. Arguments of `how` may be expressions over `scope`. Same
// arguments, same bytes. Throws Error(kTemplate) that quotes `how` when it isn't understood.
void draw(const std::string& how, const Location& where, const Values& scope,
          const std::string& element, std::int64_t count, std::uint64_t seed, std::byte* to);

}  // namespace hone
