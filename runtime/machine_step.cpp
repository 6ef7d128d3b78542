#include "runtime/machine_step.h"

#include <algorithm>

namespace hone {
namespace {

class StepReader {
 public:
  StepReader(const MachineInstruction& instruction, int sm, bool uniform)
      : code_(instruction), sm_(sm), uniform_(uniform) {}

  Operand first() const {
    Operand operand = in_register(24, uniform_);
    operand.negative = code_.bit(72);
    operand.absolute = code_.bit(73);
    return operand;
  }

  // The operand at bits 32 to 63: what it is, the form says.
  Operand at_32() const {
    switch (code_.form()) {
      case 2:
      case 4:
        return immediate();
      case 3:
      case 5:
        return constant();
      case 6:
      case 7:
        return modified(in_register(32, true), 63, 62);
      default:
        return modified(in_register(32, uniform_), 63, 62);
    }
  }
  Operand at_64() const { return modified(in_register(64, uniform_), 75, 74); }

  // In forms 2, 3 and 7 the second and the third change places.
  bool swapped() const { return code_.form() == 2 || code_.form() == 3 || code_.form() == 7; }
  Operand second() const { return swapped() ? at_64() : at_32(); }
  Operand third() const { return swapped() ? at_32() : at_64(); }

  Operand immediate() const {
    Operand operand;
    operand.kind = Operand::Kind::kImmediate;
    operand.value = static_cast<std::uint32_t>(code_.low >> 32);
    return operand;
  }

  Operand constant() const {
    Operand operand;
    operand.kind = Operand::Kind::kConstant;
    operand.bank = static_cast<std::uint8_t>(code_.bits(54, 5));
    operand.index = static_cast<std::int32_t>(code_.bits(38, 16));
    return modified(operand, 63, 62);
  }

  Operand in_register(int bit, bool uniform) const {
    Operand operand;
    operand.kind = uniform ? Operand::Kind::kUniform : Operand::Kind::kRegister;
    operand.index = static_cast<std::int32_t>(code_.bits(bit, 8));
    if (uniform && sm_ < 100) {
      operand.index &= 63;
      if (operand.index == 63) operand.index = kZeroRegister;
    }
    return operand;
  }

  PredicateOperand predicate(int bit, bool uniform) const {
    return {static_cast<std::uint8_t>(code_.bits(bit, 3)), code_.bit(bit + 3), uniform};
  }

 private:
  Operand modified(Operand operand, int negative, int absolute) const {
    operand.negative = code_.bit(negative);
    operand.absolute = code_.bit(absolute);
    return operand;
  }

  const MachineInstruction& code_;
  int sm_;
  bool uniform_;
};

Act act_of(int opcode, int sm) {
  switch (opcode) {
    case 0x002:
    case 0x082:
      return Act::kMove;
    case 0x003:
    case 0x083:
      return Act::kPack;
    case 0x004:
      return Act::kUnpack;
    case 0x005:
    case 0x119:
    case 0x1c3:
      return Act::kSpecialRegister;
    case 0x006:
    case 0x086:
      return Act::kVote;
    case 0x007:
    case 0x087:
      return Act::kSelect;
    case 0x008:
    case 0x051:
      return Act::kFloatSelect;
    case 0x009:
      return Act::kFloatMinimum;
    case 0x00b:
    case 0x053:
      return Act::kFloatCompare;
    case 0x00c:
    case 0x08c:
      return Act::kCompare;
    case 0x010:
    case 0x090:
    case 0x097:
    case 0x036:
      return Act::kAdd;
    case 0x035:
      return sm >= 100 ? Act::kAdd : Act::kOpaque;
    case 0x011:
    case 0x091:
      return Act::kShiftAdd;
    case 0x012:
    case 0x092:
      return Act::kLogic;
    case 0x013:
      return Act::kAbsolute;
    case 0x016:
    case 0x096:
      return Act::kPermute;
    case 0x017:
    case 0x048:
    case 0x04a:
    case 0x085:
      return Act::kMinimum;
    case 0x046:
      return Act::kAddMinimum;
    case 0x019:
    case 0x099:
      return Act::kShift;
    case 0x01a:
    case 0x09a:
      return Act::kExtend;
    case 0x01b:
    case 0x09b:
      return Act::kBitMask;
    case 0x01c:
    case 0x09c:
      return Act::kPredicateLogic;
    case 0x020:
    case 0x056:
      return Act::kFloatMultiply;
    case 0x021:
      return Act::kFloatAdd;
    case 0x023:
      return Act::kFloatFused;
    case 0x024:
    case 0x0a4:
      return Act::kMultiply;
    case 0x025:
    case 0x0a5:
      return Act::kMultiplyWide;
    case 0x027:
    case 0x0a6:
      return Act::kMultiplyHigh;
    case 0x100:
    case 0x0bd:
      return Act::kLeading;
    case 0x101:
      return Act::kReverse;
    case 0x109:
    case 0x0bf:
      return Act::kCount;
    case 0x045:
    case 0x106:
    case 0x112:
    case 0x05a:
      return Act::kIntegerToFloat;
    case 0x105:
    case 0x111:
    case 0x05c:
      return Act::kFloatToInteger;
    case 0x108:
      return Act::kFunction;
    case 0x0ca:
    case 0x1c2:
      return Act::kToUniform;
    case 0x182:
    case 0x0b9:
    case 0x1ac:
      return Act::kLoadConstant;
    case 0x183:
    case 0x184:
      return Act::kLoadLocal;
    case 0x187:
    case 0x188:
      return Act::kStoreLocal;
    case 0x189:
      return Act::kExchange;
    case 0x147:
    case 0x149:
      return Act::kBranch;
    case 0x144:
      return Act::kCall;
    case 0x150:
      return Act::kReturn;
    case 0x14d:
      return Act::kExit;
    default:
      return Act::kOpaque;
  }
}

bool is_access(Pipe pipe) {
  return pipe == Pipe::kGlobalLoad || pipe == Pipe::kGlobalStore || pipe == Pipe::kSharedLoad ||
         pipe == Pipe::kSharedStore || pipe == Pipe::kMatrixLoad || pipe == Pipe::kAsyncCopy ||
         pipe == Pipe::kLocal || pipe == Pipe::kAtomic;
}

void read_access(const MachineInstruction& code, int sm, const StepReader& reader, Step& step) {
  const int opcode = code.opcode();
  step.bytes = static_cast<std::uint8_t>(access_bytes(code, sm));
  step.sources[0] = reader.in_register(24, false);
  step.offset = static_cast<std::int64_t>(code.low) >> 40;
  const bool global = step.pipe == Pipe::kGlobalLoad || step.pipe == Pipe::kGlobalStore ||
                      step.pipe == Pipe::kAsyncCopy || opcode == 0x1a8 || opcode == 0x1a9 ||
                      opcode == 0x18e;
  step.address64 = global;
  if (!global) step.scale = static_cast<std::uint8_t>(code.bits(78, 2));
  if (step.scale > 0) ++step.scale;  // X4, X8, X16
  if (step.pipe == Pipe::kMatrixLoad) step.scale = 0;
  // A uniform register is part of the address, but for where it only describes the memory.
  if (code.bit(91) && !global) step.sources[2] = reader.in_register(32, true);
  const bool stores =
      step.pipe == Pipe::kGlobalStore || step.pipe == Pipe::kSharedStore || opcode == 0x187;
  const int words = std::max(1, step.bytes / 4);
  if (stores) {
    step.sources[1] = reader.in_register(32, false);
    step.sources[1].words = static_cast<std::uint8_t>(words);
    if (code.bit(91) && !global) step.sources[2] = reader.in_register(64, true);
  } else if (step.pipe == Pipe::kAsyncCopy) {
    // Shared memory is the other side: its address lies where a destination does.
    step.sources[1] = reader.in_register(16, false);
    step.shift = 0;
    step.offset = 0;
  } else {
    step.destination = static_cast<int>(code.bits(16, 8));
    step.words = step.pipe == Pipe::kMatrixLoad ? matrices_of(code) : words;
  }
  if (step.act == Act::kLoadLocal || step.act == Act::kStoreLocal) return;
  step.act = Act::kAccess;
}

}  // namespace

Step step_of(const MachineInstruction& code, std::int64_t at, int sm) {
  Step step;
  const int opcode = code.opcode();
  step.pipe = pipe_of(code, sm);
  step.uniform = step.pipe == Pipe::kUniform;
  step.act = act_of(opcode, sm);
  step.guard = {static_cast<std::uint8_t>(code.guard()), code.guard_negated(), step.uniform};
  const StepReader reader(code, sm, step.uniform);
  if (is_access(step.pipe)) {
    read_access(code, sm, reader, step);
    return step;
  }
  const auto to_register = [&](int words) {
    step.destination = static_cast<int>(code.bits(16, 8));
    if (step.uniform && sm < 100 && step.destination == 63) step.destination = kZeroRegister;
    step.words = words;
  };
  const auto to_predicates = [&] {
    step.predicates = {static_cast<std::uint8_t>(code.bits(81, 3)),
                       static_cast<std::uint8_t>(code.bits(84, 3))};
  };
  const auto test = [&](int bit) { return reader.predicate(bit, step.uniform); };
  const auto plain = [](Operand operand) {
    operand.negative = operand.absolute = false;
    return operand;
  };
  switch (step.act) {
    case Act::kMove:
      to_register(code.bit(80) && sm >= 100 ? 2 : 1);
      step.sources[0] = plain(reader.at_32());
      step.sources[0].words = static_cast<std::uint8_t>(step.words);
      break;
    case Act::kSelect:
    case Act::kFloatSelect: {
      const bool wide = sm >= 100 && step.act == Act::kSelect &&
                        (reader.swapped() || (step.uniform && code.form() == 6));
      to_register(wide ? 2 : 1);
      step.sources = {reader.first(), reader.at_32(), {}};
      if (wide && code.form() == 3) step.sources[1] = reader.in_register(32, false);
      if (step.act == Act::kSelect)
        for (Operand& one : step.sources) one = plain(one);
      for (Operand& one : step.sources) one.words = static_cast<std::uint8_t>(step.words);
      step.tests[0] = test(87);
      break;
    }
    case Act::kAdd: {
      const bool wide = opcode == 0x097 || (opcode == 0x035 && code.bit(73));
      to_register(wide ? 2 : 1);
      step.sources = {reader.first(), reader.second(), reader.third()};
      if (opcode == 0x036 || opcode == 0x035) step.sources = {reader.first(), reader.at_32(), {}};
      for (Operand& one : step.sources) {
        one.absolute = false;
        if (one.kind != Operand::Kind::kNone) one.words = static_cast<std::uint8_t>(step.words);
        if (one.kind == Operand::Kind::kImmediate) one.negative = false;
      }
      if (opcode == 0x010 || opcode == 0x090 || opcode == 0x097) {
        to_predicates();
        step.extended = code.bit(74);
        step.tests = {test(87), test(77), {}};
      }
      break;
    }
    case Act::kShiftAdd:
      to_register(1);
      to_predicates();
      step.predicates[1] = kTruePredicate;
      step.sources = {reader.first(), reader.second(), plain(reader.third())};
      step.sources[0].absolute = step.sources[1].absolute = false;
      step.shift = static_cast<std::uint8_t>(code.bits(75, 5));
      step.high = code.bit(80);
      step.is_signed = code.bit(73);
      step.extended = code.bit(74);
      step.tests[0] = test(87);
      break;
    case Act::kLogic:
      to_register(1);
      to_predicates();
      step.sources = {plain(reader.first()), plain(reader.second()), plain(reader.third())};
      step.mode = static_cast<std::uint8_t>(code.bits(72, 8));
      step.tests[0] = test(87);
      step.predicates[1] = kTruePredicate;
      break;
    case Act::kShift:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.second()), plain(reader.third())};
      step.mode = static_cast<std::uint8_t>(code.bits(73, 2));
      step.wrap = code.bit(75);
      step.right = code.bit(76);
      step.high = code.bit(80);
      break;
    case Act::kMultiply:
    case Act::kMultiplyWide:
    case Act::kMultiplyHigh:
      to_register(step.act == Act::kMultiplyWide ? 2 : 1);
      step.sources = {plain(reader.first()), reader.second(), reader.third()};
      step.is_signed = code.bit(73);
      step.extended = code.bit(74);
      step.sources[1].absolute = step.sources[2].absolute = false;
      if (step.sources[1].kind == Operand::Kind::kImmediate) step.sources[1].negative = false;
      if (step.sources[2].kind == Operand::Kind::kImmediate) step.sources[2].negative = false;
      if (step.act != Act::kMultiply) step.sources[2].words = 2;
      step.tests[0] = test(87);
      if (step.act != Act::kMultiply)
        step.predicates[0] = static_cast<std::uint8_t>(code.bits(81, 3));
      break;
    case Act::kCompare:
      to_predicates();
      step.sources = {plain(reader.first()), plain(reader.at_32()), {}};
      step.mode = static_cast<std::uint8_t>(code.bits(76, 3));
      step.is_signed = code.bit(73);
      step.extended = code.bit(72);
      step.joins = static_cast<std::uint8_t>(code.bits(74, 2));
      step.wide = code.bit(80) && sm >= 100;
      if (step.wide) step.sources[0].words = step.sources[1].words = 2;
      step.tests = {test(87), test(68), {}};
      break;
    case Act::kFloatCompare:
      to_predicates();
      step.sources = {reader.first(), reader.at_32(), {}};
      step.mode = static_cast<std::uint8_t>(code.bits(76, 4));
      step.joins = static_cast<std::uint8_t>(code.bits(74, 2));
      step.tests[0] = test(87);
      break;
    case Act::kPredicateLogic:
      to_predicates();
      step.mode = static_cast<std::uint8_t>(code.bits(72, 5) << 3 | code.bits(64, 3));
      step.shift = static_cast<std::uint8_t>(code.bits(16, 8));  // the second table
      step.tests = {test(87), test(77), reader.predicate(68, step.uniform || code.bit(67))};
      break;
    case Act::kSpecialRegister:
      step.uniform = opcode == 0x1c3;
      to_register(opcode == 0x005 && code.bit(80) ? 2 : 1);
      step.mode = static_cast<std::uint8_t>(code.bits(72, 8));
      break;
    case Act::kAbsolute:
    case Act::kCount:
    case Act::kLeading:
    case Act::kReverse:
      to_register(1);
      step.sources[0] = plain(reader.at_32());
      step.is_signed = code.bit(73);
      break;
    case Act::kMinimum:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.at_32()), {}};
      step.is_signed = opcode == 0x017 || opcode == 0x085 ? code.bit(73) : code.bit(72);
      step.tests[0] = test(87);
      break;
    case Act::kAddMinimum:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.second()), plain(reader.third())};
      step.is_signed = code.bit(72);
      step.tests[0] = test(87);
      break;
    case Act::kPermute:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.second()), plain(reader.third())};
      break;
    case Act::kExtend:
    case Act::kBitMask:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.at_32()), {}};
      step.is_signed = code.bit(73);
      break;
    case Act::kPack:
      to_register(1);
      step.sources = {plain(reader.first()), plain(reader.at_32()), {}};
      break;
    case Act::kUnpack:
      step.sources = {plain(reader.first()), plain(reader.at_32()), {}};
      break;
    case Act::kToUniform:
      step.uniform = true;
      to_register(1);
      step.sources[0] = plain(reader.in_register(24, false));
      break;
    case Act::kVote:
      to_register(1);
      to_predicates();
      step.predicates[1] = kTruePredicate;
      step.mode = static_cast<std::uint8_t>(code.bits(72, 2));
      step.tests[0] = reader.predicate(87, false);
      break;
    case Act::kExchange:
      to_register(1);
      step.predicates[0] = static_cast<std::uint8_t>(code.bits(81, 3));
      step.sources[0] = reader.in_register(24, false);
      step.mode = static_cast<std::uint8_t>(code.bits(58, 2));
      step.wide = code.form() == 7;  // lane and clamp are immediate
      step.shift = static_cast<std::uint8_t>(code.bits(53, 5));
      step.offset = static_cast<std::int64_t>(code.bits(40, 13));
      break;
    case Act::kLoadConstant: {
      const int bytes = access_bytes(code, sm);
      to_register(std::max(1, bytes / 4));
      step.bytes = static_cast<std::uint8_t>(bytes);
      step.sources[0] = plain(reader.in_register(24, step.uniform));
      step.sources[1].kind = Operand::Kind::kConstant;
      step.sources[1].bank = static_cast<std::uint8_t>(code.bits(54, 5));
      step.sources[1].index = static_cast<std::int16_t>(code.bits(38, 16));
      if (opcode == 0x0b9) step.sources[0] = {};
      // LDCU: the place lies three bits lower.
      if (opcode == 0x1ac) step.sources[1].index = static_cast<std::int32_t>(code.bits(37, 16));
      break;
    }
    case Act::kIntegerToFloat:
      to_register(1);
      step.sources[0] = plain(reader.at_32());
      step.is_signed = opcode == 0x045 || code.bit(74);
      step.bytes = static_cast<std::uint8_t>(opcode == 0x045 ? 4 : 1 << code.bits(84, 2));
      if (opcode == 0x112 && code.bits(84, 2) == 3) step.sources[0].words = 2;
      // 2: upwards, which divisions count on.
      step.mode = static_cast<std::uint8_t>(opcode == 0x045 ? 0 : code.bits(78, 2));
      break;
    case Act::kFloatToInteger:
      step.wide = opcode == 0x111 && code.bits(84, 2) != 3;
      to_register(step.wide ? 2 : 1);
      step.sources[0] = reader.at_32();
      step.is_signed = code.bit(72);
      break;
    case Act::kFunction:
      to_register(1);
      step.sources[0] = reader.at_32();
      step.mode = static_cast<std::uint8_t>(code.bits(74, 4));
      break;
    case Act::kFloatMinimum:
      to_register(1);
      step.sources = {reader.first(), reader.at_32(), {}};
      step.tests[0] = test(87);
      break;
    case Act::kFloatAdd:
    case Act::kFloatMultiply:
      to_register(1);
      step.sources = {reader.first(), reader.at_32(), {}};
      break;
    case Act::kFloatFused:
      to_register(1);
      step.sources = {reader.first(), reader.second(), reader.third()};
      step.sources[0].negative = step.sources[0].absolute = false;
      break;
    case Act::kBranch: {
      if (opcode == 0x147)
        if (const auto target = branch_target(code, at, sm)) step.target = *target;
      // BRA.DIV is for warps that come apart where they shouldn't.
      if (opcode == 0x147 && code.form() == 2 && !(sm >= 90 && code.bit(32))) {
        step.act = Act::kNothing;
        break;
      }
      // BRA.U tests a uniform predicate, which sm_90 keeps elsewhere.
      if (sm >= 90 && code.bit(32))
        step.tests[0] = {static_cast<std::uint8_t>(code.bits(24, 3)), code.bit(27), true};
      else
        step.tests[0] = reader.predicate(87, false);
      break;
    }
    case Act::kCall:
      if (const auto target = branch_target(code, at, sm)) step.target = *target;
      break;
    case Act::kReturn:
      step.sources[0] = reader.in_register(24, false);
      step.offset = 16 * (at + 1) + branch_distance(code, sm);
      break;
    case Act::kExit:
    case Act::kNothing:
    case Act::kAccess:
    case Act::kLoadLocal:
    case Act::kStoreLocal:
      break;
    case Act::kOpaque:
      if (step.pipe == Pipe::kBranch || step.pipe == Pipe::kBarrier || step.pipe == Pipe::kNone) {
        // FCHK, barriers and the like leave a predicate at most, which stays what it is.
        step.act = Act::kNothing;
        if (opcode == 0x1b2) {  // SYNCS: whoever waits has waited
          to_predicates();
          step.act = Act::kOpaque;
          step.mode = 1;
        }
        break;
      }
      if (opcode == 0x102) {  // FCHK: no division needs its slow path
        to_predicates();
        break;
      }
      if (opcode == 0x034 || opcode == 0x02a) {
        to_predicates();
        break;
      }
      // Zero times zero plus a constant: how the compiler moves one through the other pipe.
      if ((opcode == 0x031 || opcode == 0x035) && code.form() == 2 &&
          code.bits(24, 8) == kZeroRegister && code.bits(64, 8) == kZeroRegister) {
        step.act = Act::kMove;
        to_register(1);
        step.sources[0] = reader.immediate();
        break;
      }
      to_register(step.pipe == Pipe::kTensor ? 4 : step.pipe == Pipe::kDouble ? 2 : 1);
      break;
  }
  return step;
}

}  // namespace hone
