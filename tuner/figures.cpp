#include "tuner/figures.h"

#include <algorithm>
#include <utility>

#include "codegen/error.h"
#include "runtime/backends/gpu_code.h"
#include "runtime/machine_code.h"

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
      const std::int64_t threads = value_of(launch.threads) *
                                   (launch.threads_y.empty() ? 1 : value_of(launch.threads_y)) *
                                   (launch.threads_z.empty() ? 1 : value_of(launch.threads_z));
      const auto own = backend.occupancy(target, *entry, dynamic, threads);
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
  if (target.backend == "cuda") figures["loop"] = loop_figures(binary);
  return figures;
}

Figures loop_figures(const Binary& binary) {
  const std::optional<MachineCode> code = parse_cubin(unpack_gpu_code(binary.code).code);
  if (!code) return nullptr;
  std::optional<LoopFigures> best;
  const auto tensor = [](const LoopFigures& loop) { return loop.tensor + loop.warpgroup; };
  const auto rank = [&](const LoopFigures& loop) {
    return std::pair(tensor(loop), loop.loaded_bytes);
  };
  for (const MachineKernel& kernel : code->kernels)
    if (const auto loop = hottest_loop(kernel, code->sm))
      if (!best || rank(*loop) > rank(*best)) best = loop;
  if (!best) return nullptr;
  const double instructions = best->instructions;
  Figures figures = {
      {"instructions", best->instructions},
      {"tensor", best->tensor},
      {"warpgroup", best->warpgroup},
      {"share", tensor(*best) / instructions},
      {"ldmatrix_per_tensor", nullptr},
      {"copies_per_tensor", nullptr},
      {"stall_cycles", best->stall_cycles},
      {"tensor_cycles", best->tensor_cycles},
      {"stall_per_tensor", nullptr},
      {"shared_per_tensor", nullptr},
      {"bytes_per_instruction", static_cast<double>(best->loaded_bytes) / instructions}};
  if (tensor(*best) > 0) {
    figures["ldmatrix_per_tensor"] = best->matrix_loads / static_cast<double>(tensor(*best));
    figures["copies_per_tensor"] = best->copies / static_cast<double>(tensor(*best));
  }
  if (best->floor_cycles > 0) {
    figures["stall_per_tensor"] = best->stall_cycles / best->floor_cycles;
    figures["shared_per_tensor"] = 4 * best->shared_cycles / best->floor_cycles;
  }
  return figures;
}

void add_figures(const Figures& more, Trial* trial) {
  if (more.empty()) return;
  Figures figures = trial->figures.empty() ? Figures::object() : Figures::parse(trial->figures);
  figures.update(more);
  trial->figures = figures.dump(-1, ' ', false, Figures::error_handler_t::replace);
}

}  // namespace hone
