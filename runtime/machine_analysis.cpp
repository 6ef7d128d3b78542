#include "runtime/machine_analysis.h"

#include <algorithm>
#include <bitset>

namespace hone {
namespace {

// Places of the analysis: vector registers, uniform ones, both kinds of predicates.
constexpr int kUniformPlace = 256, kPredicatePlace = 512, kUniformPredicatePlace = 520;
using Places = std::bitset<528>;

constexpr int kStackRegister = 1;

template <typename Visit>
void for_each_source(const Step& step, Visit&& visit) {
  for (const Operand& one : step.sources) {
    if (one.kind != Operand::Kind::kRegister && one.kind != Operand::Kind::kUniform) continue;
    if (one.index == kZeroRegister) continue;
    const int words = one.words;
    for (int i = 0; i < words; ++i)
      visit((one.kind == Operand::Kind::kUniform ? kUniformPlace : 0) +
            std::min(one.index + i, 254));
  }
  if (step.address64 && step.sources[0].index != kZeroRegister)
    visit(std::min(step.sources[0].index + 1, 254));
  for (const PredicateOperand& one : step.tests)
    if (one.index != kTruePredicate)
      visit((one.uniform ? kUniformPredicatePlace : kPredicatePlace) + one.index);
  if (step.act == Act::kPack)
    for (int i = 0; i < 7; ++i)
      visit((step.uniform ? kUniformPredicatePlace : kPredicatePlace) + i);
}

template <typename Visit>
void for_each_destination(const Step& step, Visit&& visit) {
  if (step.destination != kZeroRegister)
    for (int i = 0; i < step.words; ++i)
      visit((step.uniform ? kUniformPlace : 0) + std::min(step.destination + i, 254));
  for (const std::uint8_t one : step.predicates)
    if (one != kTruePredicate)
      visit((step.uniform ? kUniformPredicatePlace : kPredicatePlace) + one);
  if (step.act == Act::kUnpack)
    for (int i = 0; i < 7; ++i) visit(kPredicatePlace + i);
}

}  // namespace

bool is_float(Act act) {
  return act == Act::kFloatAdd || act == Act::kFloatMultiply || act == Act::kFloatFused ||
         act == Act::kFloatMinimum || act == Act::kFloatSelect || act == Act::kFunction;
}

bool MachineAnalysis::keeps(const Step& store) const {
  if (store.pipe != Pipe::kLocal) return reads_shared;
  if (reads_anywhere || store.sources[0].index != kStackRegister)
    return reads_anywhere || !read_slots.empty();
  for (int i = 0; i < std::max(1, store.bytes / 4); ++i)
    if (read_slots.count(store.offset + 4 * i) != 0) return true;
  return false;
}

MachineAnalysis analyse(const std::vector<Step>& steps, const CodeFlow& flow,
                        const std::vector<std::vector<int>>& next, bool follow_floats,
                        bool control_only) {
  MachineAnalysis result;
  result.needed.assign(steps.size(), false);
  result.read.assign(steps.size(), false);
  for (bool again = true; again;) {
    again = false;
    std::vector<Places> before(flow.blocks.size());
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t b = flow.blocks.size(); b-- > 0;) {
        Places live;
        for (const int to : next[b]) live |= before[static_cast<std::size_t>(to)];
        for (int at = flow.blocks[b].end - 1; at >= flow.blocks[b].begin; --at) {
          const Step& step = steps[static_cast<std::size_t>(at)];
          const bool access = step.act == Act::kAccess || step.act == Act::kLoadLocal ||
                              step.act == Act::kStoreLocal;
          const bool guarded = step.guard.index != kTruePredicate;
          const bool root = (access && (guarded || !control_only)) || step.act == Act::kBranch ||
                            step.act == Act::kCall || step.act == Act::kReturn ||
                            step.act == Act::kExit;
          bool wanted = false;
          for_each_destination(step, [&](int place) {
            wanted = wanted || live.test(static_cast<std::size_t>(place));
          });
          const bool stores_wanted = step.act == Act::kStoreLocal && result.keeps(step);
          if (!root && !wanted && !stores_wanted) continue;
          const bool unknown = !follow_floats && is_float(step.act);
          if (wanted && !guarded)
            for_each_destination(step,
                                 [&](int place) { live.reset(static_cast<std::size_t>(place)); });
          if (guarded)
            live.set(static_cast<std::size_t>(
                (step.guard.uniform ? kUniformPredicatePlace : kPredicatePlace) +
                step.guard.index));
          if (access && control_only && !wanted && !stores_wanted) {
            // Only whether it happens.
          } else if (step.act == Act::kStoreLocal || step.act == Act::kAccess) {
            // The address; what is stored only where somebody's control flow reads it back.
            Step address = step;
            if (step.pipe != Pipe::kAsyncCopy && !stores_wanted) address.sources[1] = {};
            for_each_source(address, [&](int place) { live.set(static_cast<std::size_t>(place)); });
          } else if (!unknown) {
            for_each_source(step, [&](int place) { live.set(static_cast<std::size_t>(place)); });
          }
          if (!result.needed[static_cast<std::size_t>(at)]) {
            result.needed[static_cast<std::size_t>(at)] = true;
            if (is_float(step.act)) ++result.floats;
          }
          if (wanted && access) result.read[static_cast<std::size_t>(at)] = true;
          if (!wanted || step.act != Act::kLoadLocal) continue;
          if (step.pipe != Pipe::kLocal) {
            again = again || !result.reads_shared;
            result.reads_shared = true;
          } else if (step.sources[0].index == kStackRegister) {
            for (int i = 0; i < std::max(1, step.bytes / 4); ++i)
              again = result.read_slots.insert(step.offset + 4 * i).second || again;
          } else {
            again = again || !result.reads_anywhere;
            result.reads_anywhere = true;
          }
        }
        if (live != before[b]) {
          before[b] = live;
          changed = true;
        }
      }
    }
  }
  return result;
}

}  // namespace hone
