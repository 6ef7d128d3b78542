#include "runtime/simulator/counters.h"

#include <nlohmann/json.hpp>

namespace hone::sim {
namespace {

void count(const Instruction& in, std::uint64_t warps, std::uint64_t threads, Counters& c) {
  switch (in.kind) {
    case Kind::kInteger:
      c.integer += warps;
      break;
    case Kind::kFloat:
      c.floating += warps;
      break;
    case Kind::kHalf:
      c.half += warps;
      break;
    case Kind::kDouble:
      c.fp64 += warps;
      break;
    case Kind::kSpecial:
      c.special += warps;
      break;
    case Kind::kConvert:
      c.conversion += warps;
      break;
    case Kind::kMove:
      c.move += warps;
      break;
    case Kind::kMatrix:
      c.matrix += warps;
      c.matrix_flops += warps * in.flops * 256;
      return;
    case Kind::kLoad:
      (in.space == Space::kShared  ? c.shared_loads
       : in.space == Space::kLocal ? c.local_loads
                                   : c.global_loads) += warps;
      break;
    case Kind::kStore:
      (in.space == Space::kShared  ? c.shared_stores
       : in.space == Space::kLocal ? c.local_stores
                                   : c.global_stores) += warps;
      break;
    case Kind::kAtomic:
      (in.space == Space::kShared ? c.shared_atomics : c.global_atomics) += warps;
      break;
    case Kind::kAsync:
      c.async_copies += warps;
      break;
    case Kind::kMatrixLoad:
      c.matrix_loads += warps;
      break;
    case Kind::kBarrier:
      c.barriers += warps;
      break;
    case Kind::kWarpSync:
      c.warp_syncs += warps;
      break;
    case Kind::kShuffle:
      c.shuffles += warps;
      break;
    default:
      break;
  }
  c.flops += threads * in.flops;
}

// Names and members, for text and sums.
template <class C, class F>
void each_field(C& c, F f) {
  f("instructions", c.instructions);
  f("thread_instructions", c.thread_instructions);
  f("integer", c.integer);
  f("float", c.floating);
  f("half", c.half);
  f("double", c.fp64);
  f("special", c.special);
  f("conversion", c.conversion);
  f("move", c.move);
  f("matrix", c.matrix);
  f("matrix_flops", c.matrix_flops);
  f("flops", c.flops);
  f("global_loads", c.global_loads);
  f("global_stores", c.global_stores);
  f("global_atomics", c.global_atomics);
  f("async_copies", c.async_copies);
  f("global_load_bytes", c.global_load_bytes);
  f("global_store_bytes", c.global_store_bytes);
  f("global_load_sectors", c.global_load_sectors);
  f("global_store_sectors", c.global_store_sectors);
  f("global_load_sectors_ideal", c.global_load_sectors_ideal);
  f("global_store_sectors_ideal", c.global_store_sectors_ideal);
  f("unique_sectors_read", c.unique_sectors_read);
  f("unique_sectors_written", c.unique_sectors_written);
  f("shared_loads", c.shared_loads);
  f("shared_stores", c.shared_stores);
  f("shared_atomics", c.shared_atomics);
  f("matrix_loads", c.matrix_loads);
  f("shared_wavefronts", c.shared_wavefronts);
  f("shared_wavefronts_ideal", c.shared_wavefronts_ideal);
  f("local_loads", c.local_loads);
  f("local_stores", c.local_stores);
  f("barriers", c.barriers);
  f("warp_syncs", c.warp_syncs);
  f("shuffles", c.shuffles);
  f("fences", c.fences);
  f("branches", c.branches);
  f("divergent_branches", c.divergent_branches);
  f("blocks", c.blocks);
  f("warps", c.warps);
}

}  // namespace

std::vector<const Function*> reached_functions(const Module::Body& body, const Function& entry) {
  std::vector<bool> seen(body.functions.size(), false);
  std::vector<const Function*> result = {&entry};
  seen[static_cast<std::size_t>(entry.index)] = true;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const auto add = [&](int index) {
      if (seen[static_cast<std::size_t>(index)]) return;
      seen[static_cast<std::size_t>(index)] = true;
      result.push_back(body.functions[static_cast<std::size_t>(index)].get());
    };
    for (const int callee : result[i]->callees) add(callee);
    if (!result[i]->calls_address) continue;
    for (const auto& function : body.functions) {
      if (!function->entry) add(function->index);
    }
  }
  return result;
}

void collect_counters(Run& run) {
  Counters& c = run.result.counters;
  for (const auto& function : run.body.functions) {
    const FunctionCounts& counts = run.counts[static_cast<std::size_t>(function->index)];
    for (std::size_t i = 0; i < function->code.size(); ++i) {
      const std::uint64_t warps = counts.warps[i], threads = counts.threads[i];
      if (warps == 0) continue;
      const Instruction& in = function->code[i];
      c.instructions += warps;
      c.thread_instructions += threads;
      if (in.flow == Flow::kBranch || in.flow == Flow::kTable) {
        c.branches += warps;
        c.divergent_branches += counts.divergent[i];
      }
      count(in, warps, threads, c);
      if (in.opcode < run.body.opcodes.size() && !function->texts[i].empty())
        c.by_opcode[run.body.opcodes[in.opcode]] += warps;
    }
  }
}

Counters& Counters::operator+=(const Counters& other) {
  std::vector<const std::uint64_t*> values;
  each_field(other, [&](const char*, const std::uint64_t& value) { values.push_back(&value); });
  std::size_t at = 0;
  each_field(*this, [&](const char*, std::uint64_t& value) { value += *values[at++]; });
  for (const auto& [name, number] : other.by_opcode) by_opcode[name] += number;
  return *this;
}

std::string Counters::json() const {
  nlohmann::ordered_json object;
  each_field(*this, [&](const char* name, const std::uint64_t& value) { object[name] = value; });
  nlohmann::json opcodes = nlohmann::json::object();
  for (const auto& [name, number] : by_opcode) opcodes[name] = number;
  object["by_opcode"] = opcodes;
  return object.dump();
}

}  // namespace hone::sim
