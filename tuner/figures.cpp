#include "tuner/figures.h"

#include <algorithm>

#include "codegen/error.h"

namespace hone {

Figures resource_figures(Backend& backend, const Binary& binary, const Target& target,
                         const Template& variant, const Config& config, const Values& scope) {
  const std::vector<EntryResources> entries = backend.resources(binary);
  if (entries.empty()) return Figures::object();
  Values all = scope;
  all.merge(config);
  const auto value_of = [&](const Expression& expression) {
    return expression.with(variant.lets).integer(lookup_in(all));
  };
  std::int64_t registers = 0, spills = 0, shared = 0;
  for (const EntryResources& entry : entries) {
    registers = std::max(registers, entry.registers);
    spills = std::max(spills, entry.spill_bytes);
    shared = std::max(shared, entry.shared_bytes);
  }
  std::optional<double> occupancy;
  for (const Launch& launch : variant.launches) {
    const auto entry = std::find_if(entries.begin(), entries.end(), [&](const EntryResources& one) {
      return one.entry == launch.entry;
    });
    if (entry == entries.end()) continue;
    try {
      if (!launch.when.empty() && value_of(launch.when) == 0) continue;
      const std::int64_t dynamic = launch.shared.empty() ? 0 : value_of(launch.shared);
      shared = std::max(shared, entry->shared_bytes + dynamic);
      const auto own = backend.occupancy(target, *entry, dynamic, value_of(launch.threads));
      if (own) occupancy = std::min(occupancy.value_or(1.0), *own);
    } catch (const Error&) {
      continue;  // geometry that has no value here
    }
  }
  Figures figures = {{"registers", registers}, {"spills", spills}, {"shared", shared}};
  if (occupancy)
    figures["occupancy"] = *occupancy;
  else
    figures["occupancy"] = nullptr;
  figures["code_bytes"] = binary.code.size();
  return figures;
}

void add_figures(const Figures& more, Trial* trial) {
  if (more.empty()) return;
  Figures figures = trial->figures.empty() ? Figures::object() : Figures::parse(trial->figures);
  figures.update(more);
  trial->figures = figures.dump(-1, ' ', false, Figures::error_handler_t::replace);
}

}  // namespace hone
