// One statement on its way to an Instruction: its modifiers are consumed, its operands added. What
// is left over is an error, so that nothing is guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/simulator/program.h"

namespace hone::sim {

// PTX that the simulator lacks: an error of the kernels that reach it.
struct Unsupported {
  std::string message;
};

// An operand before registers have their rows.
struct Place {
  enum class Kind : std::uint8_t { kRegister, kConstant, kSpecial, kSink };
  Kind kind = Kind::kSink;
  std::uint8_t width = 32;  // 1, 32, 64
  bool negated = false;
  std::uint64_t id = 0;  // register, value, special
};

// In Instruction::aux2 of accesses to .param: the thread's frame, not the kernel's parameters.
inline constexpr std::uint32_t kInFrame = 1u << 31;

class Selector {
 public:
  Selector(DecodeContext& context, const ParsedFunction& parsed, Function& function,
           const Statement& statement);

  // The first word of the opcode, and the modifiers that are left.
  std::string_view root() const { return root_; }
  bool take(std::string_view modifier);  // consumes it when it is there
  std::string_view take_prefix(
      std::string_view p);  // consumes the first that begins so; empty: none
  bool has(std::string_view modifier) const;
  Type take_type();  // consumes the next type; throws when there is none
  std::optional<Type> maybe_type();
  bool modifiers_left() const;
  std::string_view first_left() const;

  std::size_t count() const { return statement_.operands.size(); }
  const Operand& operand(std::size_t i) const;
  void need(std::size_t least, std::size_t most) const;  // operands

  // Adding operands, destinations first. A register must be as wide as the type says (8 to 32 bits,
  // 64 bits, predicate).
  void destination(const Operand& operand, Type type);
  void source(const Operand& operand, Type type);
  void destination(std::size_t i, Type type) { destination(operand(i), type); }
  void source(std::size_t i, Type type) { source(operand(i), type); }
  // Any width: what it is.
  int source_any(const Operand& operand, Type type);
  int destination_any(const Operand& operand, Type type);
  void constant(std::uint64_t value, int width);
  void always();  // the predicate that is true
  void sink(int width);
  // [address]: its base becomes a source (64 bits, or a constant) and its offset `imm`.
  // In `space` kNone the address is of the space that the symbol lies in.
  void address(const Operand& operand, Space space);
  // The value of a symbol, number or register's name as an address; nullopt: not constant.
  std::optional<std::uint64_t> symbol(const Operand& operand, Space* space);
  std::uint64_t integer(const Operand& operand) const;
  bool is_register(const Operand& operand) const {
    return operand.kind == Operand::Kind::kRegister;
  }
  Type register_type(const Operand& operand) const;
  Function::Slot parameter_slot(const Operand& operand);

  [[noreturn]] void fail(const std::string& message) const;         // isn't PTX
  [[noreturn]] void unsupported(const std::string& message) const;  // PTX that isn't done here

  Instruction out;
  std::vector<Place> places;
  DecodeContext& context;
  const ParsedFunction& parsed;
  Function& function;
  int line() const { return statement_.line; }

 private:
  Place place(const Operand& operand, Type type, bool any, bool destination);
  const Statement& statement_;
  std::string_view root_;
  std::vector<std::string_view> modifiers_;
};

// Each looks at the root; true: it was theirs, and `out.run` is set.
bool select_integer(Selector& s);
bool select_bits(Selector& s);
bool select_float(Selector& s);
bool select_half(Selector& s);
bool select_compare(Selector& s);
bool select_convert(Selector& s);
bool select_move(Selector& s);
bool select_memory(Selector& s);
bool select_atomic(Selector& s);
bool select_async(Selector& s);
bool select_mbarriers(Selector& s);
bool select_matrix(Selector& s);
bool select_warpgroup(Selector& s);
bool select_warp(Selector& s);
bool select_control(Selector& s);

}  // namespace hone::sim
