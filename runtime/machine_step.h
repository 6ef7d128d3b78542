// An instruction as the emulation of a warp takes it: what it reads, what it writes, what it does.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/machine_code.h"

namespace hone {

inline constexpr int kZeroRegister = 255;
inline constexpr int kTruePredicate = 7;

enum class Act : std::uint8_t {
  kNothing,
  kOpaque,  // writes something that isn't worked out: zeros
  kMove,
  kSelect,
  kAdd,       // three operands
  kShiftAdd,  // LEA
  kLogic,
  kShift,
  kMultiply,
  kMultiplyWide,
  kMultiplyHigh,
  kCompare,
  kPredicateLogic,
  kSpecialRegister,
  kAbsolute,
  kMinimum,
  kAddMinimum,
  kPermute,
  kExtend,   // SGXT
  kBitMask,  // BMSK
  kCount,    // POPC
  kLeading,  // FLO
  kReverse,
  kPack,    // P2R
  kUnpack,  // R2P
  kToUniform,
  kVote,
  kExchange,  // SHFL
  kLoadConstant,
  kIntegerToFloat,
  kFloatToInteger,
  kFunction,  // MUFU
  kFloatCompare,
  kFloatSelect,
  kFloatMinimum,
  kFloatAdd,
  kFloatMultiply,
  kFloatFused,
  kLoadLocal,
  kStoreLocal,
  kAccess,  // memory that isn't worked out
  kBranch,
  kCall,
  kReturn,
  kExit,
};

struct Operand {
  enum class Kind : std::uint8_t { kNone, kRegister, kUniform, kImmediate, kConstant };
  Kind kind = Kind::kNone;
  bool negative = false, absolute = false;
  std::uint8_t words = 1;  // of 32 bits
  std::uint8_t bank = 0;
  std::int32_t index = 0;  // of the register, or bytes into the bank
  std::uint32_t value = 0;
};

struct PredicateOperand {
  std::uint8_t index = kTruePredicate;
  bool negated = false, uniform = false;
};

struct Step {
  Act act = Act::kNothing;
  Pipe pipe = Pipe::kOther;
  bool uniform = false;  // the destination is a uniform register or predicate
  bool is_signed = false, extended = false, wide = false, high = false, right = false, wrap = false;
  std::uint8_t mode = 0;   // comparison, function, special register, logic table
  std::uint8_t joins = 0;  // how a comparison joins its predicate: and, or, xor
  std::uint8_t shift = 0;
  std::uint8_t bytes = 0;  // of an access
  std::uint8_t scale = 0;  // of the address's register, as a power of two
  bool address64 = false;
  PredicateOperand guard;
  std::array<Operand, 3> sources;
  std::array<PredicateOperand, 3> tests;
  int destination = kZeroRegister, words = 0;                              // registers written
  std::array<std::uint8_t, 2> predicates{kTruePredicate, kTruePredicate};  // written
  std::int64_t offset = 0;                                                 // of an address
  std::int64_t target = -1;                                                // of a branch
};

Step step_of(const MachineInstruction& instruction, std::int64_t at, int sm);

}  // namespace hone
