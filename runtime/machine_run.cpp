#include "runtime/machine_run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "runtime/machine_analysis.h"
#include "runtime/machine_step.h"

namespace hone {
namespace {

constexpr int kWarp = 32;
constexpr std::uint32_t kAll = 0xffffffffu;
// Executions of an access that are looked at in full, per warp.
constexpr int kLookedAt = 16;
// What one such look costs, in instructions that are worked out.
constexpr std::int64_t kLookCost = 10;
// Executions of a basic block that a lone warp is walked through; later ones take as long as the
// last of these.
constexpr int kWalked = 4;
// Float instructions that may decide control flow before they count as unknown, like a tensor
// core's results.
constexpr int kFloatLimit = 64;
// A warp may take so many times the effort of a block, for its loops are worth knowing; the first
// three together so many.
constexpr std::int64_t kFirstWarp = 12, kFewWarps = 3;
constexpr double kHeld = 12;  // cycles until an access has read its operands

using Lanes = std::array<std::uint32_t, kWarp>;

float as_float(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t as_bits(float value) { return std::bit_cast<std::uint32_t>(value); }

}  // namespace

// Sectors of 32 bytes that a block touched, with what touched them first.
class TouchedSectors {
 public:
  // True when the sector is new.
  bool add(std::uint64_t sector) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    std::size_t at = place(sector);
    while (slots_[at] != 0) {
      if (slots_[at] == sector + 1) return false;
      at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = sector + 1;
    ++count_;
    return true;
  }
  void clear() {
    if (count_ > 0) std::fill(slots_.begin(), slots_.end(), 0);
    count_ = 0;
  }
  std::size_t count() const { return count_; }

 private:
  std::size_t place(std::uint64_t sector) const {
    return static_cast<std::size_t>((sector * 0x9e3779b97f4a7c15ULL) >> 32) & (slots_.size() - 1);
  }
  void grow() {
    std::vector<std::uint64_t> old = std::move(slots_);
    slots_.assign(std::max<std::size_t>(1024, 2 * old.size()), 0);
    count_ = 0;
    for (const std::uint64_t one : old)
      if (one != 0) add(one - 1);
  }
  std::vector<std::uint64_t> slots_;
  std::size_t count_ = 0;
};

struct MachineRun::Body {
  const MachineKernel& kernel;
  int sm;
  MachineLaunch launch;
  MachineLatencies latencies;
  std::int64_t effort;

  std::vector<Step> steps;
  CodeFlow flow;
  std::vector<int> block_at;  // instruction -> basic block that begins there, or -1
  // By basic block the instructions that are worked out: at first, and once its accesses have been
  // looked at often enough.
  std::vector<std::vector<int>> work, quiet;
  std::vector<std::vector<int>> accesses;  // by basic block
  std::array<std::string, 8> banks;

  // Of the block of threads at hand.
  std::array<std::uint32_t, 3> index{};
  std::unordered_map<std::uint32_t, std::uint32_t> shared;
  TouchedSectors loaded, lines;
  struct Looked {
    std::int64_t executions = 0, looked_at = 0;
    double wavefronts = 0, lines = 0, sectors = 0;
    // Sectors new to the block: of the first half of what was looked at in a warp, of the
    // second; what those that weren't looked at would have brought.
    double early = 0, late = 0, unseen = 0;
    double latency = 0;
  };
  std::vector<Looked> looked;
  std::vector<std::int64_t> entered;  // by basic block, over the warps that ran
  std::int64_t spent = 0;
  std::unordered_map<std::uint64_t, int> conflicts;  // by pattern of addresses

  // Of the warp at hand.
  std::vector<Lanes> registers;
  std::array<std::uint32_t, 256> uniforms{};
  std::array<std::uint32_t, 8> predicates{};  // masks of lanes
  std::array<bool, 8> uniform_predicates{};
  std::unordered_map<std::uint64_t, Lanes> local;  // by the first lane's address
  int warp = 0;
  bool counting = false;                 // nothing is looked at
  std::vector<std::int64_t> own;         // entries of this warp by basic block
  std::vector<std::int64_t> own_looked;  // executions of this warp by instruction
  std::vector<double> own_early, own_late;
  std::vector<double> duration;  // of a basic block the last time it was walked
  double clock = 0;
  std::array<double, 6> boards{};

  Body(const MachineKernel& of, int architecture, MachineLaunch given,
       const MachineLatencies& cycles, std::int64_t limit)
      : kernel(of), sm(architecture), launch(std::move(given)), latencies(cycles), effort(limit) {
    flow = flow_of(kernel, sm);
    const std::size_t count = kernel.code.size();
    steps.reserve(count);
    for (std::size_t at = 0; at < count; ++at)
      steps.push_back(step_of(kernel.code[at], static_cast<std::int64_t>(at), sm));
    block_at.assign(count, -1);
    std::vector<int> block_of(count, 0);
    for (std::size_t b = 0; b < flow.blocks.size(); ++b) {
      block_at[static_cast<std::size_t>(flow.blocks[b].begin)] = static_cast<int>(b);
      for (int at = flow.blocks[b].begin; at < flow.blocks[b].end; ++at)
        block_of[static_cast<std::size_t>(at)] = static_cast<int>(b);
    }
    // A call goes to its function, every return to behind every call.
    std::vector<std::vector<int>> next;
    std::vector<int> behind;
    for (const CodeFlow::Block& block : flow.blocks) next.push_back(block.next);
    for (std::size_t b = 0; b < flow.blocks.size(); ++b) {
      const Step& last = steps[static_cast<std::size_t>(flow.blocks[b].end - 1)];
      if (last.act != Act::kCall) continue;
      if (last.target >= 0 && last.target < static_cast<std::int64_t>(count))
        next[b].push_back(block_of[static_cast<std::size_t>(last.target)]);
      if (b + 1 < flow.blocks.size()) behind.push_back(static_cast<int>(b) + 1);
    }
    for (std::size_t b = 0; b < flow.blocks.size(); ++b)
      if (steps[static_cast<std::size_t>(flow.blocks[b].end - 1)].act == Act::kReturn)
        next[b].insert(next[b].end(), behind.begin(), behind.end());
    bool follow = true;
    MachineAnalysis analysis = analyse(steps, flow, next, follow, false);
    if (analysis.floats > kFloatLimit) {
      follow = false;
      for (Step& step : steps)
        if (is_float(step.act)) step.act = Act::kOpaque;
      analysis = analyse(steps, flow, next, follow, false);
    }
    const MachineAnalysis control = analyse(steps, flow, next, follow, true);
    work.resize(flow.blocks.size());
    quiet.resize(flow.blocks.size());
    accesses.resize(flow.blocks.size());
    for (std::size_t at = 0; at < count; ++at) {
      Step& step = steps[at];
      const auto b = static_cast<std::size_t>(block_of[at]);
      if (step.act == Act::kNothing) continue;
      if (analysis.needed[at]) work[b].push_back(static_cast<int>(at));
      if (control.needed[at]) quiet[b].push_back(static_cast<int>(at));
      const bool access =
          step.act == Act::kAccess || step.act == Act::kLoadLocal || step.act == Act::kStoreLocal;
      if (access && step.guard.index == kTruePredicate && !step.guard.negated)
        accesses[b].push_back(static_cast<int>(at));
      // What nobody reads isn't written.
      if (access && !analysis.read[at]) {
        step.destination = kZeroRegister;
        if (step.act == Act::kLoadLocal) step.act = Act::kAccess;
        if (step.act == Act::kStoreLocal && !analysis.keeps(step)) step.act = Act::kAccess;
      }
    }
    for (const MachineKernel::Bank& bank : kernel.constants)
      if (bank.index < 8) banks[static_cast<std::size_t>(bank.index)] = bank.bytes;
    fill_parameters();
  }

  void put(std::string& bank, std::size_t at, std::uint32_t value) {
    if (bank.size() < at + 4) bank.resize(at + 4, '\0');
    std::memcpy(bank.data() + at, &value, 4);
  }

  // Bank 0: the launch's geometry where this architecture keeps it, and the parameters.
  void fill_parameters() {
    std::string& bank = banks[0];
    const auto at = static_cast<std::size_t>(kernel.parameter_at);
    if (bank.size() < at + launch.parameters.size())
      bank.resize(at + launch.parameters.size(), '\0');
    std::copy(launch.parameters.begin(), launch.parameters.end(),
              bank.begin() + kernel.parameter_at);
    const std::size_t geometry = sm >= 100 ? 0x360 : 0;
    for (std::size_t i = 0; i < 3; ++i) {
      put(bank, geometry + 4 * i, launch.block[i]);
      put(bank, geometry + (sm >= 100 ? 0x10 : 0xc) + 4 * i, launch.grid[i]);
    }
    constexpr std::uint32_t kStack = 0x00ff'ff00;
    put(bank, sm >= 100 ? 0x37c : 0x28, kStack);
  }

  std::uint32_t constant(int bank, std::int64_t at) const {
    std::uint32_t value = 0;
    const std::string& bytes = banks[static_cast<std::size_t>(bank & 7)];
    if (at >= 0 && static_cast<std::size_t>(at) + 4 <= bytes.size())
      std::memcpy(&value, bytes.data() + at, 4);
    return value;
  }

  // Word `word` of an operand, in every lane, signs not applied.
  Lanes value_of(const Operand& operand, int word) const {
    Lanes lanes;
    std::uint32_t value = 0;
    switch (operand.kind) {
      case Operand::Kind::kRegister:
        return operand.index == kZeroRegister
                   ? registers[kZeroRegister]
                   : registers[static_cast<std::size_t>(std::min(operand.index + word, 254))];
      case Operand::Kind::kUniform:
        if (operand.index != kZeroRegister)
          value = uniforms[static_cast<std::size_t>(std::min(operand.index + word, 254))];
        break;
      case Operand::Kind::kImmediate:
        value = word == 0
                    ? operand.value
                    : static_cast<std::uint32_t>(static_cast<std::int32_t>(operand.value) >> 31);
        break;
      case Operand::Kind::kConstant:
        value = constant(operand.bank, operand.index + 4 * word);
        break;
      case Operand::Kind::kNone:
        break;
    }
    lanes.fill(value);
    return lanes;
  }

  Lanes float_of(const Operand& operand) const {
    Lanes lanes = value_of(operand, 0);
    if (operand.absolute)
      for (std::uint32_t& one : lanes) one &= 0x7fffffffu;
    if (operand.negative)
      for (std::uint32_t& one : lanes) one ^= 0x80000000u;
    return lanes;
  }

  std::uint32_t mask_of(const PredicateOperand& operand) const {
    std::uint32_t mask = kAll;
    if (operand.index != kTruePredicate)
      mask = operand.uniform ? (uniform_predicates[operand.index] ? kAll : 0)
                             : predicates[operand.index];
    return operand.negated ? ~mask : mask;
  }

  void store(const Step& step, int word, const Lanes& lanes, std::uint32_t mask) {
    if (step.destination == kZeroRegister || word >= step.words) return;
    const auto place = static_cast<std::size_t>(std::min(step.destination + word, 254));
    if (step.uniform) {
      // The scalar pipe works out one lane; what comes from vectors has all.
      if (mask != 0)
        uniforms[place] =
            lanes[step.pipe == Pipe::kUniform ? 0
                                              : static_cast<std::size_t>(std::countr_zero(mask))];
      return;
    }
    Lanes& row = registers[place];
    if (mask == kAll) {
      row = lanes;
      return;
    }
    for (std::size_t i = 0; i < kWarp; ++i)
      if (mask >> i & 1) row[i] = lanes[i];
  }

  void store_predicate(const Step& step, int which, std::uint32_t value, std::uint32_t mask) {
    const std::uint8_t place = step.predicates[static_cast<std::size_t>(which)];
    if (place == kTruePredicate) return;
    if (step.uniform) {
      if (mask != 0)
        uniform_predicates[place] = (value & (step.pipe == Pipe::kUniform ? 1 : mask)) != 0;
    } else {
      predicates[place] = (predicates[place] & ~mask) | (value & mask);
    }
  }

  static std::size_t lanes_of(const Step& step) { return step.pipe == Pipe::kUniform ? 1 : kWarp; }

  template <typename Compute>
  Lanes each(Compute&& compute) const {
    Lanes lanes;
    for (std::size_t i = 0; i < kWarp; ++i) lanes[i] = compute(i);
    return lanes;
  }

  // The lanes of which a condition holds, as a mask.
  template <typename Holds>
  static std::uint32_t which(std::size_t count, Holds&& holds) {
    std::uint32_t mask = 0;
    for (std::size_t i = 0; i < count; ++i) mask |= static_cast<std::uint32_t>(holds(i)) << i;
    return mask;
  }

  std::uint32_t special_register(int which, std::size_t lane) const {
    const std::uint32_t thread =
        static_cast<std::uint32_t>(warp) * kWarp + static_cast<std::uint32_t>(lane);
    const std::uint32_t bx = launch.block[0], by = launch.block[1];
    switch (which) {
      case 0x00:
        return static_cast<std::uint32_t>(lane);
      case 0x21:
        return thread % bx;
      case 0x22:
        return thread / bx % by;
      case 0x23:
        return thread / bx / by;
      case 0x20:
        return thread % bx | thread / bx % by << 16 | thread / bx / by << 26;
      case 0x25:
      case 0x26:
      case 0x27:
        return index[static_cast<std::size_t>(which - 0x25)];
      case 0x38:
        return 1u << lane;
      case 0x39:
        return (1u << lane) - 1;
      case 0x3a:
        return (2u << lane) - 1;
      default:
        return 0;
    }
  }

  static std::uint64_t joined(std::uint32_t low, std::uint32_t high) {
    return static_cast<std::uint64_t>(high) << 32 | low;
  }

  // Lanes in the order that a comparison's number names: less, equal, less or equal ...
  template <typename Value>
  static std::uint32_t ordered(int mode, std::size_t count, Value&& a, Value&& b) {
    switch (mode & 7) {
      case 0:
        return 0;
      case 1:
        return which(count, [&](std::size_t i) { return a(i) < b(i); });
      case 2:
        return which(count, [&](std::size_t i) { return a(i) == b(i); });
      case 3:
        return which(count, [&](std::size_t i) { return a(i) <= b(i); });
      case 4:
        return which(count, [&](std::size_t i) { return a(i) > b(i); });
      case 5:
        return which(count, [&](std::size_t i) { return a(i) != b(i); });
      case 6:
        return which(count, [&](std::size_t i) { return a(i) >= b(i); });
      default:
        return kAll;
    }
  }
  template <typename Value>
  static std::uint32_t ordered_lanes(int mode, std::size_t count, const Lanes& a, const Lanes& b,
                                     Value&& as) {
    const auto of = [&](const Lanes& lanes) {
      return [&lanes, &as](std::size_t i) { return as(lanes[i]); };
    };
    return ordered(mode, count, of(a), of(b));
  }

  void compare(const Step& step, std::uint32_t mask) {
    const std::size_t count = lanes_of(step);
    const auto as_signed = [](std::uint32_t value) { return static_cast<std::int32_t>(value); };
    const auto as_it_is = [](std::uint32_t value) { return value; };
    std::uint32_t holds = 0;
    if (step.act == Act::kFloatCompare) {
      const Lanes a = float_of(step.sources[0]), b = float_of(step.sources[1]);
      const std::uint32_t unordered = which(count, [&](std::size_t i) {
        return std::isnan(as_float(a[i])) || std::isnan(as_float(b[i]));
      });
      constexpr int kNumbers = 7, kNotNumbers = 8;  // NUM, NAN; above them: or unordered
      if (step.mode == kNumbers)
        holds = ~unordered;
      else if (step.mode == kNotNumbers)
        holds = unordered;
      else
        holds = (ordered_lanes(step.mode, count, a, b, as_float) & ~unordered) |
                (step.mode > kNotNumbers ? unordered : 0);
    } else {
      const Lanes a = value_of(step.sources[0], 0), b = value_of(step.sources[1], 0);
      if (step.wide) {
        const Lanes ah = value_of(step.sources[0], 1), bh = value_of(step.sources[1], 1);
        const auto wide = [&](const Lanes& low, const Lanes& high) {
          std::array<std::uint64_t, kWarp> values{};
          for (std::size_t i = 0; i < count; ++i) values[i] = joined(low[i], high[i]);
          return values;
        };
        const auto x = wide(a, ah), y = wide(b, bh);
        const auto number = [](const auto& values) {
          return [&values](std::size_t i) { return values[i]; };
        };
        const auto signed_number = [](const auto& values) {
          return [&values](std::size_t i) { return static_cast<std::int64_t>(values[i]); };
        };
        holds = step.is_signed ? ordered(step.mode, count, signed_number(x), signed_number(y))
                               : ordered(step.mode, count, number(x), number(y));
      } else {
        holds = step.is_signed ? ordered_lanes(step.mode, count, a, b, as_signed)
                               : ordered_lanes(step.mode, count, a, b, as_it_is);
        // The upper halves of wide numbers: where they are equal the lower ones decided.
        if (step.extended) {
          const std::uint32_t equal = which(count, [&](std::size_t i) { return a[i] == b[i]; });
          holds = (holds & ~equal) | (mask_of(step.tests[1]) & equal);
        }
      }
    }
    const std::uint32_t with = mask_of(step.tests[0]);
    const auto join = [&](std::uint32_t value) {
      return step.joins == 0 ? value & with : step.joins == 1 ? value | with : value ^ with;
    };
    store_predicate(step, 0, join(holds), mask);
    store_predicate(step, 1, join(~holds), mask);
  }

  // Three-operand sums of one or two words with carries in and out.
  void add(const Step& step, std::uint32_t mask) {
    std::array<Lanes, 3> low;
    for (std::size_t k = 0; k < 3; ++k) low[k] = value_of(step.sources[k], 0);
    if (step.words == 2) {
      std::array<Lanes, 3> high;
      for (std::size_t k = 0; k < 3; ++k) high[k] = value_of(step.sources[k], 1);
      Lanes out, up;
      for (std::size_t i = 0; i < kWarp; ++i) {
        std::uint64_t sum = 0;
        for (std::size_t k = 0; k < 3; ++k) {
          const std::uint64_t one = joined(low[k][i], high[k][i]);
          sum += step.sources[k].negative ? 0 - one : one;
        }
        out[i] = static_cast<std::uint32_t>(sum);
        up[i] = static_cast<std::uint32_t>(sum >> 32);
      }
      store(step, 0, out, mask);
      store(step, 1, up, mask);
      return;
    }
    const std::size_t count = lanes_of(step);
    if (!step.extended && step.predicates[0] == kTruePredicate &&
        step.predicates[1] == kTruePredicate) {
      for (std::size_t k = 0; k < 3; ++k)
        if (step.sources[k].negative)
          for (std::uint32_t& one : low[k]) one = 0 - one;
      Lanes out;
      for (std::size_t i = 0; i < kWarp; ++i) out[i] = low[0][i] + low[1][i] + low[2][i];
      store(step, 0, out, mask);
      return;
    }
    const std::uint32_t in = step.extended ? mask_of(step.tests[0]) : 0;
    const std::uint32_t in2 = step.extended ? mask_of(step.tests[1]) : 0;
    std::uint32_t carry = 0, carry2 = 0;
    Lanes out{};
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t sum = (in >> i & 1) + (in2 >> i & 1);
      for (std::size_t k = 0; k < 3; ++k) {
        const bool negative = step.sources[k].negative;
        sum += negative ? static_cast<std::uint32_t>(~low[k][i]) : low[k][i];
        if (negative && !step.extended) sum += 1;
      }
      out[i] = static_cast<std::uint32_t>(sum);
      if (sum >> 32 & 3) carry |= 1u << i;
      if (sum >> 33 & 1) carry2 |= 1u << i;
    }
    store(step, 0, out, mask);
    store_predicate(step, 0, carry, mask);
    store_predicate(step, 1, carry2, mask);
  }

  void shift_add(const Step& step, std::uint32_t mask) {
    const Lanes a = value_of(step.sources[0], 0), b = value_of(step.sources[1], 0),
                c = value_of(step.sources[2], 0);
    const std::size_t count = lanes_of(step);
    const std::uint32_t in = step.extended ? mask_of(step.tests[0]) : 0;
    std::uint32_t carry = 0;
    Lanes out{};
    if (!step.extended && !step.high && step.predicates[0] == kTruePredicate) {
      const std::uint32_t first = step.sources[0].negative ? ~0u : 1u,
                          second = step.sources[1].negative ? ~0u : 1u;
      for (std::size_t i = 0; i < kWarp; ++i)
        out[i] = ((a[i] * first) << step.shift) + b[i] * second;
      store(step, 0, out, mask);
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t wide = joined(
          a[i], step.is_signed ? static_cast<std::uint32_t>(static_cast<std::int32_t>(a[i]) >> 31)
                               : c[i]);
      if (step.sources[0].negative) wide = 0 - wide;
      wide <<= step.shift;
      const auto shifted = static_cast<std::uint32_t>(step.high ? wide >> 32 : wide);
      std::uint64_t sum = shifted + (in >> i & 1);
      if (step.sources[1].negative)
        sum += std::uint64_t{static_cast<std::uint32_t>(~b[i])} + (step.extended ? 0 : 1);
      else
        sum += b[i];
      out[i] = static_cast<std::uint32_t>(sum);
      if (sum >> 32 != 0) carry |= 1u << i;
    }
    store(step, 0, out, mask);
    store_predicate(step, 0, carry, mask);
  }

  void multiply(const Step& step, std::uint32_t mask) {
    const Lanes a = value_of(step.sources[0], 0), b = value_of(step.sources[1], 0),
                c = value_of(step.sources[2], 0);
    const std::uint32_t in = step.extended ? mask_of(step.tests[0]) : 0;
    if (step.act == Act::kMultiply) {
      const std::uint32_t sign = step.sources[1].negative ? ~0u : 1u;
      const bool minus = step.sources[2].negative;
      const bool carried = step.extended;
      store(step, 0, each([&](std::size_t i) {
              const std::uint32_t third = minus ? (carried ? ~c[i] : 0 - c[i]) : c[i];
              return a[i] * b[i] * sign + third + (in >> i & 1);
            }),
            mask);
      return;
    }
    const Lanes ch = value_of(step.sources[2], 1);
    std::uint32_t carry = 0;
    Lanes low{}, high{};
    for (std::size_t i = 0; i < lanes_of(step); ++i) {
      const std::uint64_t product =
          step.is_signed
              ? static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(a[i])} *
                                           static_cast<std::int32_t>(b[i]))
              : std::uint64_t{a[i]} * b[i];
      std::uint64_t third = joined(c[i], ch[i]);
      if (step.sources[2].negative) third = 0 - third;
      const std::uint64_t sum = product + third;
      const std::uint64_t total = sum + (in >> i & 1);
      if (sum < product || total < sum) carry |= 1u << i;
      low[i] = static_cast<std::uint32_t>(total);
      high[i] = static_cast<std::uint32_t>(total >> 32);
    }
    store(step, 0, step.act == Act::kMultiplyHigh ? high : low, mask);
    store(step, 1, high, mask);
    store_predicate(step, 0, carry, mask);
  }

  void shift(const Step& step, std::uint32_t mask) {
    const Lanes a = value_of(step.sources[0], 0), b = value_of(step.sources[1], 0),
                c = value_of(step.sources[2], 0);
    const bool wide = step.mode < 2, is_signed = step.mode % 2 == 0;
    store(step, 0, each([&](std::size_t i) -> std::uint32_t {
            const std::uint64_t value = joined(a[i], c[i]);
            const std::uint32_t most = wide ? 63 : 32;
            const std::uint32_t by = step.wrap ? b[i] & (wide ? 63 : 31) : std::min(b[i], most);
            if (!step.right) {
              const std::uint64_t moved = by > 63 ? 0 : value << by;
              return static_cast<std::uint32_t>(step.high ? moved >> 32 : moved);
            }
            if (!step.high) {
              const std::uint64_t moved =
                  is_signed ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value) >> by)
                            : value >> by;
              return static_cast<std::uint32_t>(moved);
            }
            if (is_signed)
              return static_cast<std::uint32_t>(static_cast<std::int32_t>(c[i]) >>
                                                std::min<std::uint32_t>(by, 31));
            return by > 31 ? 0 : c[i] >> by;
          }),
          mask);
  }

  void logic(const Step& step, std::uint32_t mask) {
    const Lanes a = value_of(step.sources[0], 0), b = value_of(step.sources[1], 0),
                c = value_of(step.sources[2], 0);
    Lanes out{};
    for (int k = 0; k < 8; ++k) {
      if (!(step.mode >> k & 1)) continue;
      const std::uint32_t ma = k & 4 ? 0 : ~0u, mb = k & 2 ? 0 : ~0u, mc = k & 1 ? 0 : ~0u;
      for (std::size_t i = 0; i < kWarp; ++i) out[i] |= (a[i] ^ ma) & (b[i] ^ mb) & (c[i] ^ mc);
    }
    store(step, 0, out, mask);
    if (step.predicates[0] == kTruePredicate) return;
    std::uint32_t any = mask_of(step.tests[0]);
    for (std::size_t i = 0; i < kWarp; ++i)
      if (out[i] != 0) any |= 1u << i;
    store_predicate(step, 0, any, mask);
  }

  void predicate_logic(const Step& step, std::uint32_t mask) {
    const std::uint32_t a = mask_of(step.tests[0]), b = mask_of(step.tests[1]),
                        c = mask_of(step.tests[2]);
    const auto by_table = [&](int table) {
      std::uint32_t out = 0;
      for (int k = 0; k < 8; ++k)
        if (table >> k & 1) out |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
      return out;
    };
    const std::uint32_t first = by_table(step.mode), second = by_table(step.shift);
    store_predicate(step, 0, first, mask);
    store_predicate(step, 1, second, mask);
  }

  void exchange(const Step& step, std::uint32_t mask) {
    const Lanes from = value_of(step.sources[0], 0);
    if (!step.wide) {  // lanes from registers: taken as the own one
      store(step, 0, from, mask);
      return;
    }
    const auto clamp = static_cast<std::uint32_t>(step.offset & 31);
    const auto segment = static_cast<std::uint32_t>(step.offset >> 8 & 31);
    store(step, 0, each([&](std::size_t i) {
            const auto lane = static_cast<std::uint32_t>(i);
            const std::uint32_t first = lane & segment, last = first | (clamp & ~segment);
            std::uint32_t to = lane;
            switch (step.mode) {
              case 0:
                to = first | (step.shift & ~segment);
                break;
              case 1:
                to = lane - step.shift;
                if (static_cast<std::int32_t>(to) < static_cast<std::int32_t>(last)) to = lane;
                break;
              case 2:
                to = lane + step.shift;
                if (to > last) to = lane;
                break;
              default:
                to = lane ^ step.shift;
                if (to > last) to = lane;
                break;
            }
            return from[to & 31];
          }),
          mask);
  }

  void integer_to_float(const Step& step, std::uint32_t mask) {
    const Lanes a = value_of(step.sources[0], 0);
    const bool wide = step.sources[0].words == 2;
    const Lanes up = wide ? value_of(step.sources[0], 1) : a;
    store(step, 0, each([&](std::size_t i) {
            double value = 0;
            if (wide)
              value = step.is_signed
                          ? static_cast<double>(static_cast<std::int64_t>(joined(a[i], up[i])))
                          : static_cast<double>(joined(a[i], up[i]));
            else if (step.bytes == 1)
              value = step.is_signed ? static_cast<double>(static_cast<std::int8_t>(a[i]))
                                     : static_cast<double>(a[i] & 0xff);
            else if (step.bytes == 2)
              value = step.is_signed ? static_cast<double>(static_cast<std::int16_t>(a[i]))
                                     : static_cast<double>(a[i] & 0xffff);
            else
              value = step.is_signed ? static_cast<double>(static_cast<std::int32_t>(a[i]))
                                     : static_cast<double>(a[i]);
            float rounded = static_cast<float>(value);
            constexpr int kUpwards = 2;
            if (step.mode == kUpwards && static_cast<double>(rounded) < value)
              rounded = std::nextafter(rounded, HUGE_VALF);
            return as_bits(rounded);
          }),
          mask);
  }

  void float_to_integer(const Step& step, std::uint32_t mask) {
    const Lanes a = float_of(step.sources[0]);
    Lanes low, high{};
    for (std::size_t i = 0; i < kWarp; ++i) {
      double value = std::trunc(static_cast<double>(as_float(a[i])));
      if (std::isnan(value)) value = 0;
      if (step.wide) {
        value = std::clamp(value, step.is_signed ? -9.2e18 : 0.0,
                           step.is_signed ? 9.2e18 : 1.8446744e19);
        const std::uint64_t whole =
            value < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value))
                      : static_cast<std::uint64_t>(value);
        low[i] = static_cast<std::uint32_t>(whole);
        high[i] = static_cast<std::uint32_t>(whole >> 32);
      } else {
        value = std::clamp(value, step.is_signed ? -2147483648.0 : 0.0,
                           step.is_signed ? 2147483647.0 : 4294967295.0);
        low[i] = step.is_signed ? static_cast<std::uint32_t>(static_cast<std::int32_t>(value))
                                : static_cast<std::uint32_t>(value);
      }
    }
    store(step, 0, low, mask);
    store(step, 1, high, mask);
  }

  void work_out(const Step& step, std::uint32_t mask) {
    const auto source = [&](std::size_t k) { return value_of(step.sources[k], 0); };
    const auto floats = [&](auto&& compute) {
      const Lanes a = float_of(step.sources[0]), b = float_of(step.sources[1]),
                  c = float_of(step.sources[2]);
      store(step, 0, each([&](std::size_t i) {
              return as_bits(compute(as_float(a[i]), as_float(b[i]), as_float(c[i])));
            }),
            mask);
    };
    switch (step.act) {
      case Act::kMove:
        for (int word = 0; word < step.words; ++word)
          store(step, word, value_of(step.sources[0], word), mask);
        break;
      case Act::kSelect:
      case Act::kFloatSelect: {
        const std::uint32_t first = mask_of(step.tests[0]);
        for (int word = 0; word < step.words; ++word) {
          const bool is_float_one = step.act == Act::kFloatSelect;
          const Lanes a =
              is_float_one ? float_of(step.sources[0]) : value_of(step.sources[0], word);
          const Lanes b =
              is_float_one ? float_of(step.sources[1]) : value_of(step.sources[1], word);
          store(step, word, each([&](std::size_t i) { return first >> i & 1 ? a[i] : b[i]; }),
                mask);
        }
        break;
      }
      case Act::kAdd:
        add(step, mask);
        break;
      case Act::kShiftAdd:
        shift_add(step, mask);
        break;
      case Act::kLogic:
        logic(step, mask);
        break;
      case Act::kShift:
        shift(step, mask);
        break;
      case Act::kMultiply:
      case Act::kMultiplyWide:
      case Act::kMultiplyHigh:
        multiply(step, mask);
        break;
      case Act::kCompare:
        compare(step, mask);
        break;
      case Act::kFloatCompare: {
        compare(step, mask);
        break;
      }
      case Act::kPredicateLogic:
        predicate_logic(step, mask);
        break;
      case Act::kSpecialRegister:
        store(step, 0, each([&](std::size_t i) { return special_register(step.mode, i); }), mask);
        store(step, 1, Lanes{}, mask);
        break;
      case Act::kAbsolute: {
        const Lanes a = source(0);
        store(step, 0, each([&](std::size_t i) {
                return static_cast<std::int32_t>(a[i]) < 0 ? 0 - a[i] : a[i];
              }),
              mask);
        break;
      }
      case Act::kCount: {
        const Lanes a = source(0);
        store(step, 0,
              each([&](std::size_t i) { return static_cast<std::uint32_t>(std::popcount(a[i])); }),
              mask);
        break;
      }
      case Act::kLeading: {
        const Lanes a = source(0);
        store(step, 0, each([&](std::size_t i) {
                std::uint32_t value = a[i];
                if (step.is_signed && static_cast<std::int32_t>(value) < 0) value = ~value;
                return value == 0 ? kAll : static_cast<std::uint32_t>(std::bit_width(value)) - 1;
              }),
              mask);
        break;
      }
      case Act::kReverse: {
        const Lanes a = source(0);
        store(step, 0, each([&](std::size_t i) {
                std::uint32_t out = 0;
                for (int k = 0; k < 32; ++k) out |= (a[i] >> k & 1) << (31 - k);
                return out;
              }),
              mask);
        break;
      }
      case Act::kMinimum:
      case Act::kAddMinimum: {
        Lanes a = source(0), b = source(1);
        if (step.act == Act::kAddMinimum) {
          for (std::size_t i = 0; i < kWarp; ++i) a[i] += b[i];
          b = source(2);
        }
        const std::uint32_t least = mask_of(step.tests[0]);
        store(step, 0, each([&](std::size_t i) {
                const bool less = step.is_signed ? static_cast<std::int32_t>(a[i]) <
                                                       static_cast<std::int32_t>(b[i])
                                                 : a[i] < b[i];
                return less == static_cast<bool>(least >> i & 1) ? a[i] : b[i];
              }),
              mask);
        break;
      }
      case Act::kPermute: {
        const Lanes a = source(0), b = source(1), c = source(2);
        store(step, 0, each([&](std::size_t i) {
                const std::uint64_t bytes = joined(a[i], c[i]);
                std::uint32_t out = 0;
                for (int k = 0; k < 4; ++k) {
                  const std::uint32_t select = b[i] >> (4 * k) & 15;
                  auto byte = static_cast<std::uint32_t>(bytes >> (8 * (select & 7)) & 0xff);
                  if (select & 8) byte = byte & 0x80 ? 0xff : 0;
                  out |= byte << (8 * k);
                }
                return out;
              }),
              mask);
        break;
      }
      case Act::kExtend: {
        const Lanes a = source(0), b = source(1);
        store(step, 0, each([&](std::size_t i) -> std::uint32_t {
                const std::uint32_t bits = std::min<std::uint32_t>(b[i], 32);
                if (bits == 0) return 0;
                const std::uint32_t up = 32 - bits;
                return step.is_signed
                           ? static_cast<std::uint32_t>(static_cast<std::int32_t>(a[i] << up) >> up)
                           : a[i] << up >> up;
              }),
              mask);
        break;
      }
      case Act::kBitMask: {
        const Lanes a = source(0), b = source(1);
        store(step, 0, each([&](std::size_t i) {
                const std::uint64_t ones =
                    (std::uint64_t{1} << std::min<std::uint32_t>(b[i], 32)) - 1;
                return static_cast<std::uint32_t>(ones << std::min<std::uint32_t>(a[i], 32));
              }),
              mask);
        break;
      }
      case Act::kPack: {
        const Lanes a = source(0), b = source(1);
        store(step, 0, each([&](std::size_t i) {
                std::uint32_t held = 0;
                for (std::size_t k = 0; k < 7; ++k)
                  if (step.uniform ? uniform_predicates[k] : (predicates[k] >> i & 1) != 0)
                    held |= 1u << k;
                return (a[i] & ~b[i]) | (held & b[i]);
              }),
              mask);
        break;
      }
      case Act::kUnpack: {
        const Lanes a = source(0), b = source(1);
        for (std::size_t i = 0; i < kWarp; ++i)
          for (std::size_t k = 0; k < 7; ++k)
            if ((mask >> i & 1) && (b[i] >> k & 1))
              predicates[k] = (predicates[k] & ~(1u << i)) | ((a[i] >> k & 1) << i);
        break;
      }
      case Act::kToUniform:
        store(step, 0, source(0), mask);
        break;
      case Act::kVote: {
        const std::uint32_t held = mask_of(step.tests[0]) & mask;
        Lanes lanes;
        lanes.fill(held);
        const bool result = step.mode == 0   ? held == mask
                            : step.mode == 1 ? held != 0
                                             : held == mask || held == 0;
        store(step, 0, lanes, mask);
        store_predicate(step, 0, result ? kAll : 0, mask);
        break;
      }
      case Act::kExchange:
        exchange(step, mask);
        store_predicate(step, 0, kAll, mask);
        break;
      case Act::kLoadConstant: {
        const Lanes at = source(0);
        for (int word = 0; word < step.words; ++word)
          store(step, word, each([&](std::size_t i) {
                  const std::int64_t place =
                      static_cast<std::int32_t>(at[i]) + step.sources[1].index;
                  std::uint32_t value = constant(step.sources[1].bank, place / 4 * 4 + 4 * word);
                  if (step.bytes < 4)
                    value = value >> (8 * (place & 3)) & (step.bytes == 1 ? 0xffu : 0xffffu);
                  return value;
                }),
                mask);
        break;
      }
      case Act::kIntegerToFloat:
        integer_to_float(step, mask);
        break;
      case Act::kFloatToInteger:
        float_to_integer(step, mask);
        break;
      case Act::kFunction:
        floats([&](float a, float, float) -> float {
          switch (step.mode) {
            case 0:
              return std::cos(a);
            case 1:
              return std::sin(a);
            case 2:
              return std::exp2(a);
            case 3:
              return std::log2(a);
            case 4:
              return 1 / a;
            case 5:
              return 1 / std::sqrt(a);
            case 8:
              return std::sqrt(a);
            case 9:
              return std::tanh(a);
            default:
              return 0;
          }
        });
        break;
      case Act::kFloatMinimum: {
        const std::uint32_t least = mask_of(step.tests[0]);
        const Lanes a = float_of(step.sources[0]), b = float_of(step.sources[1]);
        store(step, 0, each([&](std::size_t i) {
                const float x = as_float(a[i]), y = as_float(b[i]);
                return as_bits(least >> i & 1 ? std::fmin(x, y) : std::fmax(x, y));
              }),
              mask);
        break;
      }
      case Act::kFloatAdd:
        floats([](float a, float b, float) { return a + b; });
        break;
      case Act::kFloatMultiply:
        floats([](float a, float b, float) { return a * b; });
        break;
      case Act::kFloatFused:
        floats([](float a, float b, float c) { return std::fma(a, b, c); });
        break;
      case Act::kOpaque:
        for (int word = 0; word < step.words; ++word) store(step, word, Lanes{}, mask);
        store_predicate(step, 0, step.mode == 1 ? kAll : 0, mask);
        store_predicate(step, 1, 0, mask);
        break;
      default:
        break;
    }
  }

  struct Addresses {
    std::array<std::uint64_t, kWarp> at{};
    std::uint32_t mask = 0;
  };

  Addresses addresses_of(const Step& step, std::uint32_t mask) const {
    Addresses result;
    result.mask = mask;
    const Lanes low = value_of(step.sources[0], 0);
    const Lanes high = step.address64 ? value_of(step.sources[0], 1) : Lanes{};
    const Lanes more =
        step.sources[2].kind == Operand::Kind::kUniform ? value_of(step.sources[2], 0) : Lanes{};
    for (std::size_t i = 0; i < kWarp; ++i) {
      const std::uint64_t base =
          step.address64 ? joined(low[i], step.sources[0].index == kZeroRegister ? 0 : high[i])
                         : std::uint64_t{low[i]} << step.scale;
      result.at[i] = base + more[i] + static_cast<std::uint64_t>(step.offset);
      if (!step.address64) result.at[i] &= kAll;
    }
    return result;
  }

  // Passes through the 32 banks that the lanes' accesses take.
  int wavefronts_of(const Step& step, const Addresses& lanes) {
    const int bytes = step.bytes;
    const int phase = bytes >= 16 ? 8 : bytes == 8 ? 16 : 32;
    // Moving all addresses alike by whole words changes nothing.
    std::uint64_t pattern = static_cast<std::uint64_t>(bytes) * 0x9e3779b97f4a7c15ULL + lanes.mask;
    const auto first = static_cast<std::size_t>(std::countr_zero(lanes.mask));
    const std::uint64_t base = lanes.at[first] & ~std::uint64_t{3};
    for (std::size_t i = 0; i < kWarp; ++i) {
      const std::uint64_t place = lanes.mask >> i & 1 ? lanes.at[i] - base : 0;
      pattern = (pattern ^ place) * 0xff51afd7ed558ccdULL;
      pattern ^= pattern >> 29;
    }
    if (const auto known = conflicts.find(pattern); known != conflicts.end()) return known->second;
    int total = 0;
    const int words = std::max(1, bytes / 4);
    for (int begin = 0; begin < kWarp; begin += phase) {
      std::array<std::vector<std::uint64_t>, 32> banks_hit;
      int most = 0;
      for (int i = begin; i < begin + phase; ++i) {
        if (!(lanes.mask >> i & 1)) continue;
        for (int word = 0; word < words; ++word) {
          const std::uint64_t at =
              lanes.at[static_cast<std::size_t>(i)] / 4 + static_cast<std::uint64_t>(word);
          auto& bank = banks_hit[at % 32];
          if (std::find(bank.begin(), bank.end(), at) == bank.end()) bank.push_back(at);
          most = std::max(most, static_cast<int>(bank.size()));
        }
      }
      total += most;
    }
    conflicts[pattern] = total;
    return total;
  }

  // Counts an access by these lanes; how long a lone warp waits for it.
  void look_at(int at, const Step& step, std::uint32_t mask) {
    Looked& one = looked[static_cast<std::size_t>(at)];
    ++one.executions;
    std::int64_t& seen = own_looked[static_cast<std::size_t>(at)];
    ++seen;
    if (counting || seen > kLookedAt) return;
    Addresses lanes = addresses_of(step, mask);
    spent += kLookCost;
    const bool shared_side = step.pipe == Pipe::kSharedLoad || step.pipe == Pipe::kSharedStore ||
                             step.pipe == Pipe::kMatrixLoad;
    ++one.looked_at;
    if (shared_side) {
      int wavefronts = 0;
      if (step.pipe == Pipe::kMatrixLoad) {
        // Lanes 8i to 8i + 7 hold the addresses of matrix i's rows.
        lanes.mask &= step.words == 4 ? kAll : step.words == 2 ? 0xffffu : 0xffu;
        if (lanes.mask == 0) lanes.mask = mask;
      }
      wavefronts = wavefronts_of(step, lanes);
      one.wavefronts += wavefronts;
      one.latency = step.pipe == Pipe::kSharedStore ? latencies.shared_store
                                                    : latencies.shared + wavefronts - 1;
      return;
    }
    if (step.pipe == Pipe::kLocal || step.pipe == Pipe::kAtomic) {
      one.latency = step.pipe == Pipe::kLocal ? latencies.hit : latencies.line;
      one.wavefronts += 1;
      one.lines += 1;
      one.sectors += 1;
      return;
    }
    const int phase = step.bytes >= 16 ? 8 : step.bytes == 8 ? 16 : 32;
    int touched_lines = 0, touched_sectors = 0, fresh = 0, fresh_lines = 0;
    std::uint64_t last_sector = ~std::uint64_t{0};
    std::array<std::uint64_t, kWarp> in_phase{};
    for (int begin = 0; begin < kWarp; begin += phase) {
      int count = 0;
      for (int i = begin; i < begin + phase; ++i) {
        if (!(lanes.mask >> i & 1)) continue;
        const std::uint64_t address = lanes.at[static_cast<std::size_t>(i)];
        const std::uint64_t line = address / 128;
        if (count == 0 || in_phase[static_cast<std::size_t>(count) - 1] != line)
          if (std::find(in_phase.begin(), in_phase.begin() + count, line) ==
              in_phase.begin() + count)
            in_phase[static_cast<std::size_t>(count++)] = line;
        const std::uint64_t first = address / 32, end = (address + step.bytes - 1) / 32;
        for (std::uint64_t sector = first; sector <= end; ++sector) {
          if (sector == last_sector) continue;
          last_sector = sector;
          ++touched_sectors;
          if (step.pipe != Pipe::kGlobalStore && loaded.add(sector)) {
            ++fresh;
            if (lines.add(sector / 4)) ++fresh_lines;
          }
        }
      }
      touched_lines += count;
    }
    spent += fresh / 4;
    one.lines += touched_lines;
    one.sectors += touched_sectors;
    if (step.pipe == Pipe::kAsyncCopy) {
      Step side = step;
      side.sources[0] = step.sources[1];
      side.address64 = false;
      side.offset = 0;
      one.wavefronts += wavefronts_of(step, addresses_of(side, mask));
    }
    (seen <= kLookedAt / 2 ? own_early : own_late)[static_cast<std::size_t>(at)] += fresh;
    one.latency = fresh_lines == 0 ? latencies.hit : seen == 1 ? latencies.fill : latencies.line;
  }

  // The warp's own memory: lanes that share an instruction share the place.
  void local_access(const Step& step, std::uint32_t mask) {
    const Addresses lanes = addresses_of(step, mask);
    const auto first = static_cast<std::size_t>(std::countr_zero(mask));
    for (int word = 0; word < std::max(1, static_cast<int>(step.bytes) / 4); ++word) {
      const std::uint64_t more = 4 * static_cast<std::uint64_t>(word);
      if (step.pipe == Pipe::kLocal) {
        Lanes& row = local[lanes.at[first] + more];
        if (step.act == Act::kLoadLocal) {
          store(step, word, row, mask);
          continue;
        }
        const Lanes value = value_of(step.sources[1], word);
        for (std::size_t i = 0; i < kWarp; ++i)
          if (mask >> i & 1) row[i] = value[i];
      } else if (step.act == Act::kStoreLocal) {
        const Lanes value = value_of(step.sources[1], word);
        for (std::size_t i = 0; i < kWarp; ++i)
          if (mask >> i & 1) shared[static_cast<std::uint32_t>(lanes.at[i] + more)] = value[i];
      } else {
        store(step, word, each([&](std::size_t i) -> std::uint32_t {
                const auto found = shared.find(static_cast<std::uint32_t>(lanes.at[i] + more));
                return found == shared.end() ? 0 : found->second;
              }),
              mask);
      }
    }
  }

  double latency_of(int at, const Step& step) const {
    switch (step.pipe) {
      case Pipe::kSharedLoad:
      case Pipe::kSharedStore:
      case Pipe::kMatrixLoad:
      case Pipe::kGlobalLoad:
      case Pipe::kGlobalStore:
      case Pipe::kAsyncCopy:
      case Pipe::kLocal:
      case Pipe::kAtomic:
        return looked[static_cast<std::size_t>(at)].latency;
      case Pipe::kSpecial:
        return kernel.code[static_cast<std::size_t>(at)].opcode() == 0x119 ? latencies.system
                                                                           : latencies.special;
      case Pipe::kConstant:
        return latencies.constant;
      case Pipe::kUniform:
        return latencies.constant;
      case Pipe::kShuffle:
        return latencies.shared;
      case Pipe::kTensor:
      case Pipe::kWarpgroup:
        return latencies.tensor;
      case Pipe::kDouble:
        return 2 * latencies.special;
      default:
        return latencies.special;
    }
  }

  // A warp alone through a basic block: issue slots, and waits for scoreboards.
  void walk(const CodeFlow::Block& block) {
    for (int at = block.begin; at < block.end; ++at) {
      const MachineInstruction& one = kernel.code[static_cast<std::size_t>(at)];
      if (const int waits = one.wait_mask(); waits != 0)
        for (std::size_t k = 0; k < boards.size(); ++k)
          if (waits >> k & 1) clock = std::max(clock, boards[k]);
      const int write = one.write_barrier(), read = one.read_barrier();
      if (write < 6) {
        double& board = boards[static_cast<std::size_t>(write)];
        board = std::max(board, clock + latency_of(at, steps[static_cast<std::size_t>(at)]));
      }
      if (read < 6) {
        double& board = boards[static_cast<std::size_t>(read)];
        board = std::max(board, clock + kHeld);
      }
      clock += std::max(1, one.stall());
    }
  }

  // False: it didn't end.
  bool run_warp(std::int64_t limit) {
    const std::int64_t threads = std::int64_t{launch.block[0]} * launch.block[1] * launch.block[2];
    const std::int64_t left = threads - std::int64_t{warp} * kWarp;
    const std::uint32_t alive = left >= kWarp ? kAll : (1u << left) - 1;
    registers.assign(256, Lanes{});
    uniforms.fill(0);
    predicates.fill(0);
    predicates[kTruePredicate] = kAll;
    uniform_predicates.fill(false);
    local.clear();
    std::fill(own.begin(), own.end(), 0);
    std::fill(own_looked.begin(), own_looked.end(), 0);
    std::fill(own_early.begin(), own_early.end(), 0);
    std::fill(own_late.begin(), own_late.end(), 0);
    std::fill(duration.begin(), duration.end(), 0);
    clock = 0;
    boards.fill(0);
    // Lanes wait at places; the lowest goes on first, so that those behind catch up.
    std::vector<std::pair<int, std::uint32_t>> groups = {{0, alive}};
    const std::int64_t begin = spent;
    bool complete = true;
    const auto arrive = [&](int to, std::uint32_t mask) {
      if (mask == 0 || to < 0 || to >= static_cast<int>(flow.blocks.size())) return;
      for (auto& [place, lanes] : groups)
        if (place == to) {
          lanes |= mask;
          return;
        }
      groups.emplace_back(to, mask);
    };
    while (!groups.empty()) {
      const auto lowest = std::min_element(groups.begin(), groups.end());
      const auto [place, lanes] = *lowest;
      groups.erase(lowest);
      const auto b = static_cast<std::size_t>(place);
      const CodeFlow::Block& block = flow.blocks[b];
      ++own[b];
      ++spent;
      std::uint32_t on = lanes;
      int to = place + 1;
      std::uint32_t jumping = 0;
      for (const int at : counting || own[b] > kLookedAt ? quiet[b] : work[b]) {
        const Step& step = steps[static_cast<std::size_t>(at)];
        const std::uint32_t mask = on & mask_of(step.guard);
        ++spent;
        switch (step.act) {
          case Act::kAccess:
            if (mask != 0) {
              look_at(at, step, mask);
              if (step.destination != kZeroRegister)
                for (int word = 0; word < step.words; ++word) store(step, word, Lanes{}, mask);
            }
            break;
          case Act::kLoadLocal:
          case Act::kStoreLocal:
            if (mask != 0) {
              look_at(at, step, mask);
              local_access(step, mask);
            }
            break;
          case Act::kBranch:
            jumping = mask & mask_of(step.tests[0]);
            if (step.target >= 0 && step.target < static_cast<std::int64_t>(block_at.size()) &&
                jumping != 0) {
              arrive(block_at[static_cast<std::size_t>(step.target)], jumping);
              on &= ~jumping;
            } else if (step.target < 0) {
              on &= ~jumping;  // a branch through a register: nobody knows where to
            }
            break;
          case Act::kCall:
            if (step.target >= 0 && step.target < static_cast<std::int64_t>(block_at.size())) {
              arrive(block_at[static_cast<std::size_t>(step.target)], mask);
              on &= ~mask;
            }
            break;
          case Act::kReturn: {
            const Lanes from = value_of(step.sources[0], 0);
            for (std::size_t i = 0; i < kWarp; ++i) {
              if (!(mask >> i & 1)) continue;
              const std::int64_t target =
                  (static_cast<std::int64_t>(static_cast<std::int32_t>(from[i])) + step.offset) /
                  16;
              if (target >= 0 && target < static_cast<std::int64_t>(block_at.size()))
                arrive(block_at[static_cast<std::size_t>(target)], 1u << i);
            }
            on &= ~mask;
            break;
          }
          case Act::kExit:
            on &= ~mask;
            break;
          default:
            if (mask != 0 || step.uniform) work_out(step, step.uniform && mask != 0 ? mask : mask);
            break;
        }
      }
      if (counting) {
        clock = 0;
      } else if (own[b] <= kWalked) {
        const double from = clock;
        walk(block);
        duration[b] = clock - from;
        spent += (block.end - block.begin) / 4;
      } else {
        clock += duration[b];
        for (double& board : boards) board += duration[b];
      }
      arrive(to, on);
      if (spent - begin > limit) {
        complete = false;
        break;
      }
    }
    for (std::size_t b = 0; b < own.size(); ++b) {
      entered[b] += own[b];
      for (const int at : accesses[b]) {
        std::int64_t& seen = own_looked[static_cast<std::size_t>(at)];
        looked[static_cast<std::size_t>(at)].executions += own[b] - seen;
        seen = own[b];
      }
    }
    for (std::size_t at = 0; at < own_looked.size(); ++at) {
      Looked& one = looked[at];
      one.early += own_early[at];
      one.late += own_late[at];
      if (own_looked[at] > kLookedAt)
        one.unseen += own_late[at] / (kLookedAt - kLookedAt / 2) *
                      static_cast<double>(own_looked[at] - kLookedAt);
    }
    return complete;
  }

  BlockFigures run_block(std::array<std::uint32_t, 3> at, int most_warps, bool counts_only) {
    counting = counts_only;
    index = at;
    shared.clear();
    loaded.clear();
    lines.clear();
    conflicts.clear();
    spent = 0;
    const std::size_t count = kernel.code.size();
    looked.assign(count, {});
    entered.assign(flow.blocks.size(), 0);
    own.assign(flow.blocks.size(), 0);
    own_looked.assign(count, 0);
    own_early.assign(count, 0);
    own_late.assign(count, 0);
    duration.assign(flow.blocks.size(), 0);
    const std::int64_t threads = std::int64_t{launch.block[0]} * launch.block[1] * launch.block[2];
    BlockFigures figures;
    figures.warps = static_cast<int>((threads + kWarp - 1) / kWarp);
    // The first, the last and the middle ones first, then all in order.
    std::vector<int> order = {0};
    const auto also = [&](int one) {
      if (std::find(order.begin(), order.end(), one) == order.end()) order.push_back(one);
    };
    also(figures.warps - 1);
    also(figures.warps / 2);
    also(1 % figures.warps);
    also(figures.warps / 4);
    also(3 * figures.warps / 4);
    for (int i = 0; i < figures.warps; ++i) also(i);
    int ran = 0;
    std::vector<double> after;  // sectors loaded after each warp
    for (const int one : order) {
      if (ran >= most_warps) break;
      // Room for a warp like those before it?
      if (ran > 0 && spent + spent / ran > (ran < 3 ? kFewWarps : 1) * effort) break;
      warp = one;
      const bool complete = run_warp(effort * kFirstWarp);
      figures.complete = figures.complete && complete;
      ++ran;
      after.push_back(static_cast<double>(loaded.count()));
      figures.lone_cycles = std::max(figures.lone_cycles, clock);
    }
    figures.executions.assign(count, 0);
    figures.access.assign(count, {});
    for (std::size_t b = 0; b < flow.blocks.size(); ++b)
      for (int i = flow.blocks[b].begin; i < flow.blocks[b].end; ++i)
        figures.executions[static_cast<std::size_t>(i)] = static_cast<double>(entered[b]) / ran;
    double sectors = static_cast<double>(loaded.count()), stored = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Looked& one = looked[i];
      if (one.executions == 0) continue;
      const auto seen = static_cast<double>(std::max<std::int64_t>(1, one.looked_at));
      figures.access[i] = {static_cast<double>(one.executions) / ran, one.wavefronts / seen,
                           one.lines / seen, one.sectors / seen};
      sectors += one.unseen;
      if (steps[i].pipe == Pipe::kGlobalStore)
        stored += figures.access[i].executions * figures.access[i].sectors * figures.warps;
    }
    // The warps that didn't run bring in what the ones that ran did, as far as these didn't share.
    if (ran < figures.warps && ran > 1 && after[0] > 0) {
      const double growth = std::log(std::max(1.0, after.back() / after[0])) / std::log(ran);
      sectors *= std::pow(static_cast<double>(figures.warps) / ran, std::min(1.0, growth));
    } else if (ran < figures.warps) {
      sectors *= static_cast<double>(figures.warps) / ran;
    }
    figures.loaded_bytes = 32 * sectors;
    figures.stored_bytes = 32 * stored;
    return figures;
  }
};

MachineRun::MachineRun(const MachineKernel& kernel, int sm, MachineLaunch launch,
                       const MachineLatencies& latencies, std::int64_t effort)
    : body_(std::make_unique<Body>(kernel, sm, std::move(launch), latencies, effort)) {}
MachineRun::~MachineRun() = default;

BlockFigures MachineRun::block(std::array<std::uint32_t, 3> index, int most_warps) {
  return body_->run_block(index, most_warps, false);
}

BlockFigures MachineRun::count(std::array<std::uint32_t, 3> index, int most_warps) {
  return body_->run_block(index, most_warps, true);
}

}  // namespace hone
