// render: one Config becomes a self-contained text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/hash.h"
#include "codegen/target.h"
#include "codegen/values.h"

namespace hone {

// The whole text of a kernel with its headers inlined. Same inputs, same bytes.
struct Source {
  std::string text;
  std::vector<std::string>
      entries;  // exported symbols without their `hone_` prefix: launches, then pack_<argument>
  Hash hash;    // of normalised(text): identity; the Target completes it
};

// The names of the #include "name" lines of a text, each with its line number.
std::vector<std::pair<int, std::string>> includes_of(std::string_view text);

// Every #include "name" of templates/include/ is put in place, once; `#include <...>` lines stay.
// Throws Error(kTemplate) for one that the catalog lacks. Launch parameters are not compiled in:
// configs that differ only in them render to the same Source.
Source render(const Catalog& catalog, const Template& variant, const Problem& problem,
              const Config& config, const Target& target);

// The operator's reference for the words of `problem`; entry `reference`. Dims arrive at run time.
Source render_reference(const Catalog& catalog, const Problem& problem, const Target& target);

// The slots of a call, in order: present arguments, dynamic dims, launch parameters, workspace.
// Each is 8 bytes. `fixed` empty and `reference`: every dim arrives in a slot.
struct Slot {
  enum class Kind { kPointer, kScalar, kDim, kLaunchParameter, kWorkspace };
  Kind kind;
  std::string name;
};
std::vector<Slot> slots_of(const Op& op, const Template& variant, const Values& scope);
std::vector<Slot> reference_slots(const Op& op, const Values& scope);

}  // namespace hone
