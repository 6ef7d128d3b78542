#include <bit>
#include <cstdlib>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// Logic, shifts and bit fields.
namespace hone::sim {
namespace {

struct And {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a ^ b;
  }
};
struct Not {
  template <class T>
  HONE_INLINE static T run(T a) {
    return static_cast<T>(~a);
  }
};
struct Cnot {
  template <class T>
  HONE_INLINE static T run(T a) {
    return a == 0 ? T{1} : T{0};
  }
};
// Amounts beyond the width count as the width.
struct Shl {
  template <class T>
  HONE_INLINE static T run(T a, std::uint32_t n) {
    return n >= 8 * sizeof(T) ? T{0} : static_cast<T>(static_cast<std::uint64_t>(a) << (n & 63));
  }
};
struct Shr {
  template <class T>
  HONE_INLINE static T run(T a, std::uint32_t n) {
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(a >> (n >= kBits ? kBits - 1 : n));
    } else {
      return n >= kBits ? T{0} : static_cast<T>(a >> (n & (kBits - 1)));
    }
  }
};
struct Popc {
  template <class T>
  HONE_INLINE static std::uint32_t run(T a) {
    return static_cast<std::uint32_t>(std::popcount(a));
  }
};
struct Clz {
  template <class T>
  HONE_INLINE static std::uint32_t run(T a) {
    return static_cast<std::uint32_t>(std::countl_zero(a));
  }
};
struct Brev {
  template <class T>
  HONE_INLINE static T run(T a) {
    T result = 0;
    for (std::size_t i = 0; i < 8 * sizeof(T); ++i)
      result = static_cast<T>(result << 1 | (a >> i & 1));
    return result;
  }
};
template <bool Amount>
struct Bfind {
  template <class T>
  HONE_INLINE static std::uint32_t run(T value) {
    using U = std::make_unsigned_t<T>;
    U a = static_cast<U>(value);
    if constexpr (std::is_signed_v<T>) {
      if (value < 0) a = static_cast<U>(~a);
    }
    if (a == 0) return 0xffffffffu;
    const auto zeros = static_cast<std::uint32_t>(std::countl_zero(a));
    return Amount ? zeros : static_cast<std::uint32_t>(8 * sizeof(T)) - 1 - zeros;
  }
};
struct Bfe {
  template <class T>
  HONE_INLINE static T run(T a, std::uint32_t b, std::uint32_t c) {
    constexpr std::uint32_t kTop = 8 * sizeof(T) - 1;
    using U = std::make_unsigned_t<T>;
    const std::uint32_t position = b & 0xff, length = c & 0xff;
    const U value = static_cast<U>(a);
    U sign = 0;
    if (std::is_signed_v<T> && length != 0) {
      const std::uint32_t at = position + length - 1 < kTop ? position + length - 1 : kTop;
      sign = value >> at & 1;
    }
    U result = sign != 0 ? static_cast<U>(~U{0}) : U{0};
    for (std::uint32_t i = 0; i <= kTop && i < length && position + i <= kTop; ++i) {
      const U bit = value >> (position + i) & 1;
      result = static_cast<U>((result & ~(U{1} << i)) | bit << i);
    }
    return static_cast<T>(result);
  }
};
struct Szext {
  template <class T>
  HONE_INLINE static T run(T a, std::uint32_t n) {
    if (n >= 32) return a;
    if (n == 0) return 0;
    return static_cast<T>(static_cast<T>(static_cast<std::uint32_t>(a) << (32 - n)) >> (32 - n));
  }
};
struct Bmsk {
  HONE_INLINE static std::uint32_t run(std::uint32_t a, std::uint32_t b) {
    if (a >= 32 || b == 0) return 0;
    const std::uint32_t ones = b >= 32 ? ~0u : (1u << b) - 1;
    return ones << a;
  }
};
struct Prmt {
  HONE_INLINE static std::uint32_t run(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    const std::uint64_t both = static_cast<std::uint64_t>(b) << 32 | a;
    std::uint32_t result = 0;
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t selector = c >> (4 * i) & 0xf;
      std::uint32_t byte = static_cast<std::uint32_t>(both >> (8 * (selector & 7))) & 0xff;
      byte = (selector & 8) != 0 ? ((byte & 0x80) != 0 ? 0xff : 0) : byte;
      result |= byte << (8 * i);
    }
    return result;
  }
};
template <int Mode>  // 0 f4e, 1 b4e, 2 rc8, 3 ecl, 4 ecr, 5 rc16
struct PrmtMode {
  HONE_INLINE static std::uint32_t run(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    static constexpr std::uint32_t kSelectors[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
        {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
        {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    return Prmt::run(a, b, kSelectors[Mode][c & 3]);
  }
};
// The nth set bit from a place on, upwards or downwards; the place itself may be the first.
struct Fns {
  HONE_INLINE static std::uint32_t run(std::uint32_t mask, std::uint32_t base, std::uint32_t n) {
    const auto offset = static_cast<std::int32_t>(n);
    const std::int32_t step = offset < 0 ? -1 : 1;
    std::int64_t left = offset == 0 ? 1 : std::abs(std::int64_t{offset});
    for (std::int64_t bit = base; bit >= 0 && bit < 32; bit += step) {
      if ((mask >> bit & 1) != 0 && --left == 0) return static_cast<std::uint32_t>(bit);
      if (offset == 0) break;
    }
    return 0xffffffffu;
  }
};
template <bool Left, bool Wrap>
struct Shf {
  HONE_INLINE static std::uint32_t run(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    const std::uint32_t n = Wrap ? c & 31 : (c > 32 ? 32 : c);
    const std::uint64_t both = static_cast<std::uint64_t>(b) << 32 | a;
    return Left ? static_cast<std::uint32_t>((both << n) >> 32)
                : static_cast<std::uint32_t>(both >> n);
  }
};

template <class T>
void bfi(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<T>(in.o[1]), *b = w.row<T>(in.o[2]);
  const auto *c = w.row<std::uint32_t>(in.o[3]), *n = w.row<std::uint32_t>(in.o[4]);
  each_lane<T>(w.row<T>(in.o[0]), mask, [&](int i) -> T {
    constexpr std::uint32_t kBits = 8 * sizeof(T);
    const std::uint32_t position = c[i] & 0xff, length = n[i] & 0xff;
    if (position >= kBits || length == 0) return b[i];
    const T ones = length >= kBits ? ~T{0} : static_cast<T>((T{1} << length) - 1);
    const T field = static_cast<T>(ones << position);
    return static_cast<T>((b[i] & ~field) | (static_cast<T>(a[i] << position) & field));
  });
}

void lop3(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<std::uint32_t>(in.o[1]), *b = w.row<std::uint32_t>(in.o[2]),
             *c = w.row<std::uint32_t>(in.o[3]);
  const std::uint32_t table = in.aux;
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) {
    std::uint32_t result = 0;
    for (std::uint32_t k = 0; k < 8; ++k) {
      if ((table >> k & 1) == 0) continue;
      result |= ((k & 4) != 0 ? a[i] : ~a[i]) & ((k & 2) != 0 ? b[i] : ~b[i]) &
                ((k & 1) != 0 ? c[i] : ~c[i]);
    }
    return result;
  });
}

enum class Logic { kAnd, kOr, kXor, kNot };
template <Logic Op>
void logic_predicate(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t a = w.predicate(in.o[1]);
  const std::uint32_t b = Op == Logic::kNot ? 0 : w.predicate(in.o[2]);
  const std::uint32_t result = Op == Logic::kAnd   ? a & b
                               : Op == Logic::kOr  ? a | b
                               : Op == Logic::kXor ? a ^ b
                                                   : ~a;
  w.set_predicate(in.o[0], result, mask);
  if ((Op == Logic::kAnd || Op == Logic::kOr) && w.checked) {
    // A defined false decides a conjunction, a defined true a disjunction, whatever the other is.
    const std::uint32_t ua = w.undefined[in.t[1]], ub = w.undefined[in.t[2]];
    const std::uint32_t decided =
        Op == Logic::kAnd ? (~a & ~ua) | (~b & ~ub) : (a & ~ua) | (b & ~ub);
    const std::uint32_t undefined = (ua | ub) & ~decided, origin = w.origin[in.t[ua != 0 ? 1 : 2]];
    w.set_undefined(in.t[0], undefined, mask);
    if ((undefined & mask) != 0) w.origin[in.t[0]] = origin;
  }
}

template <class Op>
Handler logic_of(Type type) {
  switch (type.bits) {
    case 16:
      return binary<std::uint16_t, std::uint16_t, std::uint16_t, Op>();
    case 32:
      return binary<std::uint32_t, std::uint32_t, std::uint32_t, Op>();
    default:
      return binary<std::uint64_t, std::uint64_t, std::uint64_t, Op>();
  }
}

}  // namespace

bool select_bits(Selector& s) {
  const std::string_view root = s.root();
  s.out.kind = Kind::kInteger;
  const Type word{'u', 32};
  if (root == "and" || root == "or" || root == "xor" || root == "not") {
    const Type type = s.take_type();
    const bool inverts = root == "not";
    s.need(inverts ? 2 : 3, inverts ? 2 : 3);
    s.destination(0, type);
    s.source(1, type);
    if (!inverts) s.source(2, type);
    if (type.kind == 'p') {
      if (root == "and" || root == "or") s.out.taint = Taint::kHandler;
      s.out.run = root == "and"   ? &logic_predicate<Logic::kAnd>
                  : root == "or"  ? &logic_predicate<Logic::kOr>
                  : root == "xor" ? &logic_predicate<Logic::kXor>
                                  : &logic_predicate<Logic::kNot>;
    } else if (inverts) {
      s.out.run = type.bits == 64   ? unary<std::uint64_t, std::uint64_t, Not>()
                  : type.bits == 16 ? unary<std::uint16_t, std::uint16_t, Not>()
                                    : unary<std::uint32_t, std::uint32_t, Not>();
    } else {
      s.out.run = root == "and"  ? logic_of<And>(type)
                  : root == "or" ? logic_of<Or>(type)
                                 : logic_of<Xor>(type);
    }
    return true;
  }
  if (root == "cnot") {
    const Type type = s.take_type();
    s.need(2, 2);
    s.destination(0, type);
    s.source(1, type);
    s.out.run = type.bits == 64   ? unary<std::uint64_t, std::uint64_t, Cnot>()
                : type.bits == 16 ? unary<std::uint16_t, std::uint16_t, Cnot>()
                                  : unary<std::uint32_t, std::uint32_t, Cnot>();
    return true;
  }
  if (root == "shl" || root == "shr") {
    const Type type = s.take_type();
    s.need(3, 3);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, word);
    s.out.run = by_integer(type, [&](auto t) {
      using T = decltype(t);
      return root == "shl" ? binary<T, T, std::uint32_t, Shl>()
                           : binary<T, T, std::uint32_t, Shr>();
    });
    return true;
  }
  if (root == "popc" || root == "clz" || root == "brev") {
    const Type type = s.take_type();
    s.need(2, 2);
    s.destination(0, root == "brev" ? type : word);
    s.source(1, type);
    const bool wide = type.bits == 64;
    using U = std::uint32_t;
    using L = std::uint64_t;
    s.out.run = root == "popc"  ? (wide ? unary<U, L, Popc>() : unary<U, U, Popc>())
                : root == "clz" ? (wide ? unary<U, L, Clz>() : unary<U, U, Clz>())
                                : (wide ? unary<L, L, Brev>() : unary<U, U, Brev>());
    return true;
  }
  if (root == "bfind") {
    const bool amount = s.take("shiftamt");
    const Type type = s.take_type();
    s.need(2, 2);
    s.destination(0, word);
    s.source(1, type);
    s.out.run = by_integer(type, [&](auto t) -> Handler {
      using T = decltype(t);
      if constexpr (sizeof(T) >= 4) {
        return amount ? unary<std::uint32_t, T, Bfind<true>>()
                      : unary<std::uint32_t, T, Bfind<false>>();
      } else {
        return nullptr;
      }
    });
    return true;
  }
  if (root == "bfe") {
    const Type type = s.take_type();
    s.need(4, 4);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, word);
    s.source(3, word);
    s.out.run = by_integer(type, [&](auto t) -> Handler {
      using T = decltype(t);
      if constexpr (sizeof(T) >= 4) {
        return ternary<T, T, std::uint32_t, std::uint32_t, Bfe>();
      } else {
        return nullptr;
      }
    });
    return true;
  }
  if (root == "bfi") {
    const Type type = s.take_type();
    s.need(5, 5);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, type);
    s.source(3, word);
    s.source(4, word);
    s.out.run = type.bits == 64 ? &bfi<std::uint64_t> : &bfi<std::uint32_t>;
    return true;
  }
  if (root == "szext" || root == "bmsk") {
    const bool wraps = s.take("wrap");
    s.take("clamp");
    if (wraps) s.unsupported(".wrap");
    const Type type = s.take_type();
    s.need(3, 3);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, word);
    s.out.run = root == "bmsk"     ? binary<std::uint32_t, std::uint32_t, std::uint32_t, Bmsk>()
                : type.kind == 's' ? binary<std::int32_t, std::int32_t, std::uint32_t, Szext>()
                                   : binary<std::uint32_t, std::uint32_t, std::uint32_t, Szext>();
    return true;
  }
  if (root == "prmt") {
    using U = std::uint32_t;
    const Type type = s.take_type();
    s.need(4, 4);
    s.destination(0, type);
    for (std::size_t i = 1; i < 4; ++i) s.source(i, type);
    s.out.run = s.take("f4e")    ? ternary<U, U, U, U, PrmtMode<0>>()
                : s.take("b4e")  ? ternary<U, U, U, U, PrmtMode<1>>()
                : s.take("rc8")  ? ternary<U, U, U, U, PrmtMode<2>>()
                : s.take("ecl")  ? ternary<U, U, U, U, PrmtMode<3>>()
                : s.take("ecr")  ? ternary<U, U, U, U, PrmtMode<4>>()
                : s.take("rc16") ? ternary<U, U, U, U, PrmtMode<5>>()
                                 : ternary<U, U, U, U, Prmt>();
    return true;
  }
  if (root == "fns") {
    using U = std::uint32_t;
    s.take("b32");
    s.need(4, 4);
    s.destination(0, word);
    for (std::size_t i = 1; i < 4; ++i) s.source(i, word);
    s.out.run = ternary<U, U, U, U, Fns>();
    return true;
  }
  if (root == "shf") {
    using U = std::uint32_t;
    const bool left = s.take("l");
    if (!left && !s.take("r")) s.fail("a direction is missing");
    const bool wrap = s.take("wrap");
    if (!wrap && !s.take("clamp")) s.fail(".wrap or .clamp is missing");
    const Type type = s.take_type();
    s.need(4, 4);
    s.destination(0, type);
    for (std::size_t i = 1; i < 4; ++i) s.source(i, word);
    s.out.run = left ? (wrap ? ternary<U, U, U, U, Shf<true, true>>()
                             : ternary<U, U, U, U, Shf<true, false>>())
                     : (wrap ? ternary<U, U, U, U, Shf<false, true>>()
                             : ternary<U, U, U, U, Shf<false, false>>());
    return true;
  }
  if (root == "lop3") {
    if (s.has("BoolOp") || s.has("or") || s.has("and")) s.unsupported("a predicate result");
    const Type type = s.take_type();
    s.need(5, 5);
    s.destination(0, type);
    for (std::size_t i = 1; i < 4; ++i) s.source(i, type);
    s.out.aux = static_cast<std::uint32_t>(s.integer(s.operand(4))) & 0xff;
    s.out.run = &lop3;
    return true;
  }
  return false;
}

}  // namespace hone::sim
