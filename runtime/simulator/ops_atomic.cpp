#include <bit>
#include <cstring>

#include "runtime/simulator/floats.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// atom and red: lane after lane.
namespace hone::sim {
namespace {

enum class Atomic : std::uint32_t { kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor, kExch, kCas };
// aux: the operation in the low byte, kOrderedAccess, then these.
constexpr std::uint32_t kElements = 16, kRelease = 1u << 20, kAcquireRelease = 1u << 21,
                        kReturns = 1u << 22;
// aux2: type: kind in the low byte, then bits of one number, then numbers in a register.

template <class T>
T minimum(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T maximum(T a, T b) {
  return a < b ? b : a;
}

template <class S, class U>
std::uint64_t integer(Atomic op, U old, U value, U compare) {
  switch (op) {
    case Atomic::kAdd:
      return static_cast<U>(old + value);
    case Atomic::kMin:
      return static_cast<U>(minimum(static_cast<S>(old), static_cast<S>(value)));
    case Atomic::kMax:
      return static_cast<U>(maximum(static_cast<S>(old), static_cast<S>(value)));
    case Atomic::kInc:
      return old >= value ? U{0} : static_cast<U>(old + 1);
    case Atomic::kDec:
      return old == 0 || old > value ? value : static_cast<U>(old - 1);
    case Atomic::kAnd:
      return static_cast<U>(old & value);
    case Atomic::kOr:
      return static_cast<U>(old | value);
    case Atomic::kXor:
      return static_cast<U>(old ^ value);
    case Atomic::kExch:
      return value;
    case Atomic::kCas:
      return old == compare ? value : old;
  }
  return old;
}

template <class H>
std::uint16_t half(Atomic op, std::uint16_t old, std::uint16_t value) {
  const float a = H::from_bits(old).f(), b = H::from_bits(value).f();
  const float result = op == Atomic::kAdd   ? a + b
                       : op == Atomic::kMin ? (b < a ? b : a)
                                            : (a < b ? b : a);
  return static_cast<std::uint16_t>(H::of(result).bits());
}

std::uint64_t apply(const Instruction& in, std::uint64_t old, std::uint64_t value,
                    std::uint64_t compare) {
  const auto op = static_cast<Atomic>(in.aux & 0xff);
  const char kind = static_cast<char>(in.aux2 & 0xff);
  const std::uint32_t bits = in.aux2 >> 8 & 0xff, numbers = in.aux2 >> 16 & 0xff;
  if ((kind == 'f' || kind == 'h') && op != Atomic::kExch && op != Atomic::kCas) {
    if (bits == 64) {
      return std::bit_cast<std::uint64_t>(std::bit_cast<double>(old) +
                                          std::bit_cast<double>(value));
    }
    if (bits == 32) {
      const float a = std::bit_cast<float>(static_cast<std::uint32_t>(old)),
                  b = std::bit_cast<float>(static_cast<std::uint32_t>(value));
      const float result = op == Atomic::kAdd   ? a + b
                           : op == Atomic::kMin ? (b < a ? b : a)
                                                : (a < b ? b : a);
      return std::bit_cast<std::uint32_t>(result);
    }
    std::uint64_t result = 0;
    for (std::uint32_t k = 0; k < numbers; ++k) {
      const auto a = static_cast<std::uint16_t>(old >> (16 * k)),
                 b = static_cast<std::uint16_t>(value >> (16 * k));
      result |=
          static_cast<std::uint64_t>(kind == 'h' ? half<Bfloat>(op, a, b) : half<Half>(op, a, b))
          << (16 * k);
    }
    return result;
  }
  if (in.bytes == 8) {
    return kind == 's' ? integer<std::int64_t, std::uint64_t>(op, old, value, compare)
                       : integer<std::uint64_t, std::uint64_t>(op, old, value, compare);
  }
  if (in.bytes == 2) {
    return integer<std::uint16_t, std::uint16_t>(op, static_cast<std::uint16_t>(old),
                                                 static_cast<std::uint16_t>(value),
                                                 static_cast<std::uint16_t>(compare));
  }
  const auto a = static_cast<std::uint32_t>(old), b = static_cast<std::uint32_t>(value),
             c = static_cast<std::uint32_t>(compare);
  return kind == 's' ? integer<std::int32_t, std::uint32_t>(op, a, b, c)
                     : integer<std::uint32_t, std::uint32_t>(op, a, b, c);
}

void perform(Warp& w, const Instruction& in, const Access& access) {
  const std::uint32_t elements = in.aux >> kElements & 0xf, bytes = in.bytes;
  const bool returns = (in.aux & kReturns) != 0,
             cas = static_cast<Atomic>(in.aux & 0xff) == Atomic::kCas, wide = bytes == 8;
  const std::size_t base = in.destinations;
  for (std::uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (std::uint32_t k = 0; k < elements; ++k) {
      std::byte* at = access.data[static_cast<std::size_t>(lane)] + k * bytes;
      std::uint64_t old = 0;
      std::memcpy(&old, at, bytes);
      const std::uint64_t first = lane_value(w, in, base + 1 + k, wide, lane);
      const std::uint64_t second = cas ? lane_value(w, in, base + 2, wide, lane) : 0;
      const std::uint64_t result = cas ? apply(in, old, second, first) : apply(in, old, first, 0);
      std::memcpy(at, &result, bytes);
      w.run->progress += std::memcmp(&result, &old, bytes) != 0;
      if (returns) {
        if (wide) {
          w.row<std::uint64_t>(in.o[k])[lane] = old;
        } else {
          w.row<std::uint32_t>(in.o[k])[lane] = static_cast<std::uint32_t>(old);
        }
      }
    }
  }
}

template <Space In>
void atom(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access access;
  const std::size_t base = in.destinations;
  if (w.checked) {
    check_address(w, in, base, mask);
    for (std::size_t k = base + 1; k < base + in.sources; ++k) {
      const std::uint32_t lanes = w.undefined[in.t[k]] & mask;
      if (lanes != 0) report_undefined(w, in, k, lanes, "is used in an atomic operation");
    }
  }
  const std::uint32_t elements = in.aux >> kElements & 0xf;
  ++w.block->spins;
  std::uint32_t rest = mask;
  while (rest != 0 && !w.stop) {
    gather_addresses(w, in, base, access);
    const std::uint32_t lanes = In == Space::kGeneric ? same_window(access, rest) : rest;
    rest &= ~lanes;
    if (!resolve(w, in, In, lanes, in.bytes * elements, Use::kAtomic, access)) return;
    if (w.races && (in.aux & (kRelease | kAcquireRelease)) != 0)
      w.block->shared_races->fence(w, /*wide=*/true);
    note_access(w, in, access, Use::kAtomic);
    if (w.checked) {
      for (std::uint32_t k = 0; k < elements; ++k) {
        const std::uint32_t undefined =
            access.tracked ? undefined_lanes(access, k * in.bytes, in.bytes) : 0;
        if ((in.aux & kReturns) != 0) w.set_undefined(in.t[k], undefined, lanes);
        if (undefined != 0 && static_cast<Atomic>(in.aux & 0xff) != Atomic::kExch) {
          report(w, in, Finding::Kind::kUninitialised, std::countr_zero(undefined), access.space,
                 access.address[static_cast<std::size_t>(std::countr_zero(undefined))],
                 "an atomic operation on memory that nobody wrote");
          if ((in.aux & kReturns) != 0) w.set_undefined(in.t[k], 0, lanes);
        }
      }
    }
    perform(w, in, access);
    if (w.checked && access.tracked) {
      for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
        std::uint8_t* written = access.written[static_cast<std::size_t>(std::countr_zero(k))];
        if (written != nullptr) std::memset(written, 1, access.bytes);
      }
    }
  }
}

}  // namespace

bool select_atomic(Selector& s) {
  const std::string_view root = s.root();
  if ((root != "atom" && root != "red") || s.has("async")) return false;
  const bool returns = root == "atom";
  Space space = Space::kGeneric;
  if (s.take("global")) space = Space::kGlobal;
  if (s.take("shared") || s.take("shared::cta")) space = Space::kShared;
  std::uint32_t flags = kOrderedAccess | (returns ? kReturns : 0);
  s.take("relaxed");
  s.take("acquire");
  if (s.take("release")) flags |= kRelease;
  if (s.take("acq_rel")) flags |= kAcquireRelease;
  for (const std::string_view scope : {"cta", "cluster", "gpu", "sys"}) s.take(scope);
  s.take("noftz");
  while (!s.take_prefix("L2::").empty()) {
  }
  static constexpr std::pair<std::string_view, Atomic> kNames[] = {
      {"add", Atomic::kAdd},   {"min", Atomic::kMin}, {"max", Atomic::kMax}, {"inc", Atomic::kInc},
      {"dec", Atomic::kDec},   {"and", Atomic::kAnd}, {"or", Atomic::kOr},   {"xor", Atomic::kXor},
      {"exch", Atomic::kExch}, {"cas", Atomic::kCas}};
  const std::pair<std::string_view, Atomic>* found = nullptr;
  for (const auto& name : kNames) {
    if (found == nullptr && s.take(name.first)) found = &name;
  }
  if (found == nullptr) s.fail("an operation is missing");
  const std::uint32_t elements = s.take("v2") ? 2 : s.take("v4") ? 4 : s.take("v8") ? 8 : 1;
  const Type type = s.take_type();
  const int bits = type.bits * type.lanes;
  if (bits != 16 && bits != 32 && bits != 64) s.unsupported("atomics of this size");
  if (bits == 64 && type.lanes == 2) s.unsupported("atomics of pairs of f32");
  const Type storage{'b', static_cast<std::uint8_t>(bits)};
  const bool cas = found->second == Atomic::kCas;
  const std::size_t first = returns ? 1 : 0, least = first + (cas ? 3 : 2);
  s.need(least, least + 1);
  const auto elements_of = [&](const Operand& operand, auto add) {
    if (elements == 1) {
      add(operand);
    } else {
      if (operand.kind != Operand::Kind::kVector || operand.parts.size() != elements)
        s.fail("a vector of that size is needed");
      for (const Operand& part : operand.parts) add(part);
    }
  };
  s.out.bytes = static_cast<std::uint8_t>(bits / 8);
  s.out.kind = Kind::kAtomic;
  s.out.taint = Taint::kHandler;
  if (returns) {
    elements_of(s.operand(0), [&](const Operand& operand) { s.destination(operand, storage); });
  }
  s.address(s.operand(first), space);
  s.out.aux2 = 0;
  elements_of(s.operand(first + 1), [&](const Operand& operand) {
    s.source(operand, operand.kind == Operand::Kind::kRegister ? storage
                      : type.lanes == 1 && type.kind == 'f'    ? type
                                                               : storage);
  });
  s.out.compares = cas;
  if (cas) s.source(first + 2, storage);
  s.out.aux = static_cast<std::uint32_t>(found->second) | elements << kElements | flags;
  s.out.aux2 = static_cast<std::uint32_t>(type.kind) | static_cast<std::uint32_t>(type.bits) << 8 |
               static_cast<std::uint32_t>(type.lanes) << 16;
  s.out.run = s.out.space == Space::kGlobal   ? &atom<Space::kGlobal>
              : s.out.space == Space::kShared ? &atom<Space::kShared>
                                              : &atom<Space::kGeneric>;
  return true;
}

}  // namespace hone::sim
