#include "runtime/simulator/selector.h"

#include <fmt/format.h>

#include <bit>

#include "runtime/simulator/specials.h"

namespace hone::sim {
namespace {

int width_of(Type type) {
  if (type.kind == 'p') return 1;
  const int bits = type.bits * type.lanes;
  return bits <= 32 ? 32 : bits;
}

std::uint64_t constant_bits(const Operand& operand, Type type) {
  const int bits = type.bits * type.lanes;
  std::uint64_t value = operand.value;
  if (operand.kind == Operand::Kind::kFloat && bits == 32 && type.lanes == 1) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(value)));
  }
  if (operand.kind == Operand::Kind::kFloat32 && bits == 64 && type.kind == 'f') {
    return std::bit_cast<std::uint64_t>(
        static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value))));
  }
  if (operand.kind == Operand::Kind::kInteger && type.kind == 'f' && type.lanes == 1) {
    const double number = static_cast<double>(static_cast<std::int64_t>(value));
    if (bits == 32) return std::bit_cast<std::uint32_t>(static_cast<float>(number));
    if (bits == 64) return std::bit_cast<std::uint64_t>(number);
  }
  if (bits < 32) return value & ((std::uint64_t{1} << bits) - 1);
  return bits == 32 ? value & 0xffffffffu : value;
}

}  // namespace

Selector::Selector(DecodeContext& context_in, const ParsedFunction& parsed_in,
                   Function& function_in, const Statement& statement)
    : context(context_in), parsed(parsed_in), function(function_in), statement_(statement) {
  std::string_view rest = statement.opcode;
  std::size_t dot = rest.find('.');
  root_ = rest.substr(0, dot);
  while (dot != std::string_view::npos) {
    rest.remove_prefix(dot + 1);
    dot = rest.find('.');
    modifiers_.push_back(rest.substr(0, dot));
  }
}

bool Selector::take(std::string_view modifier) {
  for (std::size_t i = 0; i < modifiers_.size(); ++i) {
    if (modifiers_[i] != modifier) continue;
    modifiers_.erase(modifiers_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

std::string_view Selector::take_prefix(std::string_view prefix) {
  for (std::size_t i = 0; i < modifiers_.size(); ++i) {
    if (!modifiers_[i].starts_with(prefix)) continue;
    const std::string_view found = modifiers_[i];
    modifiers_.erase(modifiers_.begin() + static_cast<std::ptrdiff_t>(i));
    return found;
  }
  return {};
}

bool Selector::has(std::string_view modifier) const {
  for (const std::string_view other : modifiers_) {
    if (other == modifier) return true;
  }
  return false;
}

std::optional<Type> Selector::maybe_type() {
  for (std::size_t i = 0; i < modifiers_.size(); ++i) {
    const Type type = parse_type(modifiers_[i]);
    if (type.bits == 0) continue;
    modifiers_.erase(modifiers_.begin() + static_cast<std::ptrdiff_t>(i));
    return type;
  }
  return std::nullopt;
}

Type Selector::take_type() {
  const auto type = maybe_type();
  if (!type) fail("a type is missing");
  return *type;
}

bool Selector::modifiers_left() const { return !modifiers_.empty(); }
std::string_view Selector::first_left() const { return modifiers_.front(); }

const Operand& Selector::operand(std::size_t i) const {
  if (i >= statement_.operands.size()) fail("operands are missing");
  return statement_.operands[i];
}

void Selector::need(std::size_t least, std::size_t most) const {
  if (count() < least || count() > most) fail(fmt::format("{} operands", count()));
}

void Selector::fail(const std::string& message) const {
  fail_at(statement_.line, fmt::format("{}: {}", statement_.opcode, message));
}
void Selector::unsupported(const std::string& message) const {
  throw Unsupported{
      fmt::format("ptx line {}: {}: {}", statement_.line, statement_.opcode, message)};
}

Type Selector::register_type(const Operand& operand) const {
  return parsed.registers[static_cast<std::size_t>(operand.index)].type;
}

Place Selector::place(const Operand& operand, Type type, bool any, bool is_destination) {
  const int width = width_of(type);
  Place result;
  result.width = static_cast<std::uint8_t>(width);
  if (width > 64) unsupported("values of 128 bits");
  switch (operand.kind) {
    case Operand::Kind::kRegister: {
      const int actual = width_of(register_type(operand));
      if (actual > 64) unsupported("registers of 128 bits");
      if (any && (actual == 1) == (width == 1)) {
        result.width = static_cast<std::uint8_t>(actual);
      } else if (actual != width) {
        fail(fmt::format("'{}' has {} bits where {} are needed", operand.name, actual, width));
      }
      if (operand.negated && width != 1) fail("'!' needs a predicate");
      result.kind = Place::Kind::kRegister;
      result.id = static_cast<std::uint64_t>(operand.index);
      result.negated = operand.negated;
      return result;
    }
    case Operand::Kind::kSink:
      if (!is_destination) {
        result.kind = Place::Kind::kConstant;
        return result;
      }
      result.kind = Place::Kind::kSink;
      return result;
    default:
      break;
  }
  if (is_destination)
    fail(fmt::format("'{}' isn't a register; a destination must be one", operand.name));
  if (width == 1) fail("a predicate is needed");
  switch (operand.kind) {
    case Operand::Kind::kInteger:
    case Operand::Kind::kFloat:
    case Operand::Kind::kFloat32:
      result.kind = Place::Kind::kConstant;
      result.id = constant_bits(operand, type);
      return result;
    case Operand::Kind::kSpecial: {
      const int special = find_special(operand.name);
      if (special < 0) fail(fmt::format("'{}' is no register", operand.name));
      result.kind = Place::Kind::kSpecial;
      result.id = static_cast<std::uint64_t>(special);
      return result;
    }
    case Operand::Kind::kSymbol: {
      if (operand.name == "WARP_SZ") {
        result.kind = Place::Kind::kConstant;
        result.id = kLanes;
        return result;
      }
      Space space = Space::kNone;
      const auto value = symbol(operand, &space);
      if (!value) {
        result.kind = Place::Kind::kSpecial;
        result.id = static_cast<std::uint64_t>(Special::kDynamicSharedBase);
        if (operand.value != 0) unsupported("an offset from dynamic shared memory here");
        return result;
      }
      result.kind = Place::Kind::kConstant;
      result.id = width == 32 ? *value & 0xffffffffu : *value;
      return result;
    }
    default:
      fail("an operand of another kind is needed");
  }
}

void Selector::destination(const Operand& operand, Type type) {
  places.push_back(place(operand, type, false, true));
  ++out.destinations;
}
void Selector::source(const Operand& operand, Type type) {
  places.push_back(place(operand, type, false, false));
  ++out.sources;
}
int Selector::source_any(const Operand& operand, Type type) {
  places.push_back(place(operand, type, true, false));
  ++out.sources;
  return places.back().width;
}
int Selector::destination_any(const Operand& operand, Type type) {
  places.push_back(place(operand, type, true, true));
  ++out.destinations;
  return places.back().width;
}
void Selector::constant(std::uint64_t value, int width) {
  Place result;
  result.kind = Place::Kind::kConstant;
  result.width = static_cast<std::uint8_t>(width);
  result.id = value;
  places.push_back(result);
  ++out.sources;
}
void Selector::always() {
  Place result;
  result.kind = Place::Kind::kConstant;
  result.width = 1;
  result.id = 1;
  places.push_back(result);
  ++out.sources;
}
void Selector::sink(int width) {
  Place result;
  result.width = static_cast<std::uint8_t>(width);
  places.push_back(result);
  ++out.destinations;
}

std::optional<std::uint64_t> Selector::symbol(const Operand& operand, Space* space) {
  const SymbolValue value = find_symbol(context, operand.name);
  if (value.space == Space::kNone) fail(fmt::format("'{}' isn't declared", operand.name));
  *space = value.space;
  if (value.dynamic) return std::nullopt;
  return value.address + operand.value;
}

std::uint64_t Selector::integer(const Operand& operand) const {
  if (operand.kind != Operand::Kind::kInteger) fail("a number is needed");
  return operand.value;
}

Function::Slot Selector::parameter_slot(const Operand& operand) {
  if (operand.kind != Operand::Kind::kSymbol) fail("a .param variable is needed");
  const SymbolValue value = find_symbol(context, operand.name);
  if (value.space != Space::kParam) fail(fmt::format("'{}' isn't a .param variable", operand.name));
  return {static_cast<std::uint32_t>(value.address), value.bytes};
}

void Selector::address(const Operand& operand, Space space) {
  const Type wide{'u', 64};
  const Operand* base = &operand;
  if (operand.kind == Operand::Kind::kAddress) {
    if (operand.parts.size() != 1) unsupported("coordinates");
    base = &operand.parts[0];
    out.imm = operand.value;
  } else if (operand.kind == Operand::Kind::kRegister) {
    fail("an address stands in brackets");
  }
  out.space = space;
  switch (base->kind) {
    case Operand::Kind::kRegister: {
      const int width = source_any(*base, wide);
      if (width == 1) fail("an address can't be a predicate");
      out.narrow = width == 32;
      return;
    }
    case Operand::Kind::kSymbol: {
      const SymbolValue value = find_symbol(context, base->name);
      if (value.space == Space::kNone) fail(fmt::format("'{}' isn't declared", base->name));
      if (space == Space::kNone || space == Space::kGeneric) {
        out.space = value.space;
      } else if (space != value.space &&
                 !(space == Space::kGlobal && value.space == Space::kConst)) {
        fail(fmt::format("'{}' isn't in .{} memory", base->name, space_name(space)));
      }
      if (value.dynamic) {
        Place base_place;
        base_place.kind = Place::Kind::kSpecial;
        base_place.width = 64;
        base_place.id = static_cast<std::uint64_t>(Special::kDynamicSharedBase);
        places.push_back(base_place);
        ++out.sources;
      } else {
        constant(value.address, 64);
      }
      if (value.frame) out.aux2 |= kInFrame;
      return;
    }
    case Operand::Kind::kInteger:
      constant(0, 64);
      return;
    default:
      fail("an address is a register, a variable or a number");
  }
}

}  // namespace hone::sim
