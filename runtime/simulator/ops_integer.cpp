#include <algorithm>
#include <limits>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// Integer arithmetic.
namespace hone::sim {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Wide = std::conditional_t<std::is_signed_v<T>,
                                std::conditional_t<sizeof(T) <= 2, std::int32_t, std::int64_t>,
                                std::conditional_t<sizeof(T) <= 2, std::uint32_t, std::uint64_t>>;

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

// Wraps around, as unsigned numbers of 64 bits do.
template <class T>
HONE_INLINE std::uint64_t raw(T value) {
  return static_cast<std::uint64_t>(value);
}

struct Add {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(raw(a) + raw(b)));
  }
};
struct Sub {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(raw(a) - raw(b)));
  }
};
struct MulLo {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if constexpr (sizeof(T) == 4) {
      return static_cast<T>(static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b));
    } else {
      return static_cast<T>(static_cast<Unsigned<T>>(raw(a) * raw(b)));
    }
  }
};
template <class T>
HONE_INLINE T multiply_high(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>((static_cast<Int128>(a) * b) >> 64);
    } else {
      return static_cast<T>((static_cast<Uint128>(a) * b) >> 64);
    }
  } else {
    const auto product =
        static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(a) *
        static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(b);
    return static_cast<T>(product >> (8 * sizeof(T)));
  }
}
struct MulHi {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return multiply_high(a, b);
  }
};
struct MulWide {
  template <class T>
  HONE_INLINE static Wide<T> run(T a, T b) {
    if constexpr (sizeof(T) >= 4) {
      return static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b);
    } else {
      return static_cast<Wide<T>>(static_cast<std::int64_t>(a) * static_cast<std::int64_t>(b));
    }
  }
};
struct MadLo {
  template <class T>
  HONE_INLINE static T run(T a, T b, T c) {
    return Add::run(MulLo::run(a, b), c);
  }
};
struct MadHi {
  template <class T>
  HONE_INLINE static T run(T a, T b, T c) {
    return Add::run(multiply_high(a, b), c);
  }
};
struct MadHiSat {
  HONE_INLINE static std::int32_t run(std::int32_t a, std::int32_t b, std::int32_t c) {
    const std::int64_t sum = static_cast<std::int64_t>(multiply_high(a, b)) + c;
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(sum, INT32_MIN, INT32_MAX));
  }
};
struct MadWide {
  template <class T>
  HONE_INLINE static Wide<T> run(T a, T b, Wide<T> c) {
    return Add::run(MulWide::run(a, b), c);
  }
};
struct Mul24 {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    const std::uint32_t x = static_cast<std::uint32_t>(a) << 8, y = static_cast<std::uint32_t>(b)
                                                                    << 8;
    if constexpr (std::is_signed_v<T>) {
      return MulLo::run(static_cast<T>(x) >> 8, static_cast<T>(y) >> 8);
    } else {
      return MulLo::run(static_cast<T>(x >> 8), static_cast<T>(y >> 8));
    }
  }
};
struct Mul24Hi {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    const auto narrow = [](T v) HONE_LAMBDA {
      return static_cast<std::int64_t>(static_cast<T>(static_cast<std::uint32_t>(v) << 8) >> 8);
    };
    return static_cast<T>(static_cast<std::uint64_t>(narrow(a) * narrow(b)) >> 16);
  }
};
struct Mad24 {
  template <class T>
  HONE_INLINE static T run(T a, T b, T c) {
    return Add::run(Mul24::run(a, b), c);
  }
};
struct Div {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if (b == 0) return static_cast<T>(~T{0});
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return Sub::run(T{0}, a);
    }
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a < b ? b : a;
  }
};
struct MinRelu {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return Max::run(T{0}, a < b ? a : b);
  }
};
struct MaxRelu {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return Max::run(T{0}, a < b ? b : a);
  }
};
struct AddSat {
  HONE_INLINE static std::int32_t run(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(
        std::clamp<std::int64_t>(std::int64_t{a} + b, INT32_MIN, INT32_MAX));
  }
};
struct SubSat {
  HONE_INLINE static std::int32_t run(std::int32_t a, std::int32_t b) {
    return static_cast<std::int32_t>(
        std::clamp<std::int64_t>(std::int64_t{a} - b, INT32_MIN, INT32_MAX));
  }
};
struct Neg {
  template <class T>
  HONE_INLINE static T run(T a) {
    return Sub::run(T{0}, a);
  }
};
struct Abs {
  template <class T>
  HONE_INLINE static T run(T a) {
    return a < T{0} ? Sub::run(T{0}, a) : a;
  }
};
struct Sad {
  template <class T>
  HONE_INLINE static T run(T a, T b, T c) {
    return Add::run(c, a < b ? Sub::run(b, a) : Sub::run(a, b));
  }
};
// Both halves of a word.
template <class T, class Op>
struct Pair {
  HONE_INLINE static std::uint32_t run(std::uint32_t a, std::uint32_t b) {
    const auto low = static_cast<std::uint16_t>(Op::run(static_cast<T>(a), static_cast<T>(b)));
    const auto high =
        static_cast<std::uint16_t>(Op::run(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
    return low | static_cast<std::uint32_t>(high) << 16;
  }
};

void dp4a(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<std::uint32_t>(in.o[1]), *b = w.row<std::uint32_t>(in.o[2]),
             *c = w.row<std::uint32_t>(in.o[3]);
  const bool a_signed = (in.aux & 1) != 0, b_signed = (in.aux & 2) != 0;
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) {
    std::uint32_t sum = c[i];
    for (int k = 0; k < 4; ++k) {
      const auto x = static_cast<std::uint8_t>(a[i] >> (8 * k)),
                 y = static_cast<std::uint8_t>(b[i] >> (8 * k));
      const int p = a_signed ? static_cast<std::int8_t>(x) : x,
                q = b_signed ? static_cast<std::int8_t>(y) : y;
      sum += static_cast<std::uint32_t>(p * q);
    }
    return sum;
  });
}
void dp2a(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<std::uint32_t>(in.o[1]), *b = w.row<std::uint32_t>(in.o[2]),
             *c = w.row<std::uint32_t>(in.o[3]);
  const bool a_signed = (in.aux & 1) != 0, b_signed = (in.aux & 2) != 0, high = (in.aux & 4) != 0;
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) {
    std::uint32_t sum = c[i];
    for (int k = 0; k < 2; ++k) {
      const auto x = static_cast<std::uint16_t>(a[i] >> (16 * k));
      const auto y = static_cast<std::uint8_t>(b[i] >> (8 * k + (high ? 16 : 0)));
      const int p = a_signed ? static_cast<std::int16_t>(x) : x,
                q = b_signed ? static_cast<std::int8_t>(y) : y;
      sum += static_cast<std::uint32_t>(p * q);
    }
    return sum;
  });
}

// vabsdiff2 and 4: distances of halves or bytes, side by side or (aux 4) summed and added to c. aux
// 1, 2: a, b are signed.
template <class U>
void vabsdiff(Warp& w, const Instruction& in, std::uint32_t mask) {
  constexpr std::uint32_t kBits = 8 * sizeof(U);
  const auto *a = w.row<std::uint32_t>(in.o[1]), *b = w.row<std::uint32_t>(in.o[2]),
             *c = w.row<std::uint32_t>(in.o[3]);
  const bool a_signed = (in.aux & 1) != 0, b_signed = (in.aux & 2) != 0, adds = (in.aux & 4) != 0;
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) {
    std::uint32_t result = adds ? c[i] : 0;
    for (std::uint32_t at = 0; at < 32; at += kBits) {
      const auto x = static_cast<U>(a[i] >> at), y = static_cast<U>(b[i] >> at);
      const int p = a_signed ? static_cast<std::make_signed_t<U>>(x) : x,
                q = b_signed ? static_cast<std::make_signed_t<U>>(y) : y;
      const auto distance = static_cast<std::uint32_t>(p < q ? q - p : p - q);
      result += adds ? distance : static_cast<std::uint32_t>(static_cast<U>(distance)) << at;
    }
    return result;
  });
}

constexpr std::uint32_t kCarryIn = 1, kCarryOut = 2, kSubtract = 4, kMultiplyLow = 8,
                        kMultiplyHigh = 16;

// add.cc and its family: the carry is a bit per lane. A subtraction leaves it as the adder does,
// set where nothing was borrowed: libdevice reads it with addc.
template <class T>
void extended(Warp& w, const Instruction& in, std::uint32_t mask) {
  using U = Unsigned<T>;
  const auto *a = w.row<Stored<U>>(in.o[1]), *b = w.row<Stored<U>>(in.o[2]);
  const bool multiply = (in.aux & (kMultiplyLow | kMultiplyHigh)) != 0;
  const auto* c = w.row<Stored<U>>(in.o[multiply ? 3 : 2]);
  auto* d = w.row<Stored<U>>(in.o[0]);
  std::uint32_t carry_out = 0;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    U x = static_cast<U>(a[i]), y = static_cast<U>(b[i]);
    if (multiply) {
      const U product = (in.aux & kMultiplyLow) != 0
                            ? static_cast<U>(x * y)
                            : static_cast<U>(multiply_high(static_cast<T>(x), static_cast<T>(y)));
      x = product;
      y = static_cast<U>(c[i]);
    }
    const bool subtract = (in.aux & kSubtract) != 0;
    const U carry = (in.aux & kCarryIn) != 0 ? static_cast<U>(w.carry >> i & 1) : U{subtract};
    const Uint128 sum = static_cast<Uint128>(x) + (subtract ? static_cast<U>(~y) : y) + carry;
    const bool out = (sum >> (8 * sizeof(U))) != 0;
    d[i] = static_cast<U>(sum);
    if (out) carry_out |= 1u << i;
  }
  if ((in.aux & kCarryOut) != 0) w.carry = (w.carry & ~mask) | carry_out;
}

template <class Op>
Handler binary_of(Type type) {
  return by_integer(type,
                    [](auto t) { return binary<decltype(t), decltype(t), decltype(t), Op>(); });
}
template <class Op>
Handler ternary_of(Type type) {
  return by_integer(type, [](auto t) {
    return ternary<decltype(t), decltype(t), decltype(t), decltype(t), Op>();
  });
}

void three(Selector& s, Type type) {
  s.need(3, 3);
  s.destination(0, type);
  s.source(1, type);
  s.source(2, type);
}
void four(Selector& s, Type type, Type last) {
  s.need(4, 4);
  s.destination(0, last);
  s.source(1, type);
  s.source(2, type);
  s.source(3, last);
}
Type widened(Type type) {
  type.bits = static_cast<std::uint8_t>(type.bits * 2);
  return type;
}

bool select_extended(Selector& s, std::uint32_t flags) {
  const Type type = s.take_type();
  if (s.take("lo")) flags |= kMultiplyLow;
  if (s.take("hi")) flags |= kMultiplyHigh;
  if ((flags & (kMultiplyLow | kMultiplyHigh)) != 0) {
    four(s, type, type);
  } else {
    three(s, type);
  }
  s.out.aux = flags;
  s.out.run = by_integer(type, [](auto t) -> Handler { return &extended<decltype(t)>; });
  return true;
}

Handler pair_of(Type type, std::string_view root, bool relu) {
  const bool is_signed = type.kind == 's';
  const auto make = [&]<class Op>(Op) {
    return is_signed
               ? binary<std::uint32_t, std::uint32_t, std::uint32_t, Pair<std::int16_t, Op>>()
               : binary<std::uint32_t, std::uint32_t, std::uint32_t, Pair<std::uint16_t, Op>>();
  };
  if (root == "add") return make(Add{});
  if (root == "sub") return make(Sub{});
  if (root == "min") return relu ? make(MinRelu{}) : make(Min{});
  return relu ? make(MaxRelu{}) : make(Max{});
}

bool integer_modifier(const Selector& s) {
  for (const char* name :
       {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "u16x2", "s16x2", "b32", "b64"}) {
    if (s.has(name)) return true;
  }
  return false;
}

}  // namespace

bool select_integer(Selector& s) {
  const std::string_view root = s.root();
  s.out.kind = Kind::kInteger;
  if (root == "dp4a" || root == "dp2a") {
    if (root == "dp2a") {
      if (s.take("hi")) s.out.aux |= 4;
      s.take("lo");
    }
    const Type a = s.take_type(), b = s.take_type(), word{'b', 32};
    four(s, word, word);
    s.out.aux |= (a.kind == 's' ? 1u : 0u) | (b.kind == 's' ? 2u : 0u);
    s.out.run = root == "dp2a" ? &dp2a : &dp4a;
    return true;
  }
  if (root == "vabsdiff2" || root == "vabsdiff4") {
    const Type d = s.take_type(), a = s.take_type(), b = s.take_type(), word{'b', 32};
    if (d.bits != 32 || s.has("sat")) s.unsupported("this form");
    if (s.take("add")) s.out.aux |= 4;
    four(s, word, word);
    s.out.aux |= (a.kind == 's' ? 1u : 0u) | (b.kind == 's' ? 2u : 0u);
    s.out.run = root == "vabsdiff2" ? &vabsdiff<std::uint16_t> : &vabsdiff<std::uint8_t>;
    return true;
  }
  if (root == "addc" || root == "subc" || root == "madc") {
    std::uint32_t flags = kCarryIn | (root == "subc" ? kSubtract : 0);
    if (s.take("cc")) flags |= kCarryOut;
    return select_extended(s, flags);
  }
  if (!integer_modifier(s)) return false;
  if ((root == "add" || root == "sub" || root == "mad") && s.take("cc")) {
    return select_extended(s, kCarryOut | (root == "sub" ? kSubtract : 0));
  }
  if (root == "add" || root == "sub" || root == "min" || root == "max") {
    const bool saturates = s.take("sat"), relu = s.take("relu");
    const Type type = s.take_type();
    three(s, type);
    if (type.lanes == 2) {
      s.out.run = pair_of(type, root, relu);
      if (saturates) s.unsupported("saturation of pairs");
    } else if (saturates) {
      if (type != Type{'s', 32}) s.fail("only s32 saturates");
      s.out.run = root == "add" ? binary<std::int32_t, std::int32_t, std::int32_t, AddSat>()
                                : binary<std::int32_t, std::int32_t, std::int32_t, SubSat>();
    } else if (relu) {
      s.out.run = root == "min" ? binary_of<MinRelu>(type) : binary_of<MaxRelu>(type);
    } else {
      s.out.run = root == "add"   ? binary_of<Add>(type)
                  : root == "sub" ? binary_of<Sub>(type)
                  : root == "min" ? binary_of<Min>(type)
                                  : binary_of<Max>(type);
    }
    return true;
  }
  if (root == "mul") {
    const bool wide = s.take("wide"), high = s.take("hi");
    s.take("lo");
    const Type type = s.take_type();
    if (wide) {
      if (type.bits > 32) s.fail("mul.wide takes 16 or 32 bits");
      s.need(3, 3);
      s.destination(0, widened(type));
      s.source(1, type);
      s.source(2, type);
      s.out.run = by_integer(type, [](auto t) -> Handler {
        if constexpr (sizeof(t) == 2 || sizeof(t) == 4) {
          return binary<Wide<decltype(t)>, decltype(t), decltype(t), MulWide>();
        } else {
          return nullptr;
        }
      });
      return true;
    }
    three(s, type);
    s.out.run = high ? binary_of<MulHi>(type) : binary_of<MulLo>(type);
    return true;
  }
  if (root == "mad") {
    const bool wide = s.take("wide"), high = s.take("hi"), saturates = s.take("sat");
    s.take("lo");
    const Type type = s.take_type();
    if (wide) {
      if (type.bits > 32) s.fail("mad.wide takes 16 or 32 bits");
      four(s, type, widened(type));
      s.out.run = by_integer(type, [](auto t) -> Handler {
        if constexpr (sizeof(t) == 2 || sizeof(t) == 4) {
          return ternary<Wide<decltype(t)>, decltype(t), decltype(t), Wide<decltype(t)>, MadWide>();
        } else {
          return nullptr;
        }
      });
      return true;
    }
    four(s, type, type);
    if (saturates) {
      if (!high || type != Type{'s', 32}) s.fail("only mad.hi.s32 saturates");
      s.out.run = ternary<std::int32_t, std::int32_t, std::int32_t, std::int32_t, MadHiSat>();
    } else {
      s.out.run = high ? ternary_of<MadHi>(type) : ternary_of<MadLo>(type);
    }
    return true;
  }
  if (root == "mul24") {
    const bool high = s.take("hi");
    s.take("lo");
    const Type type = s.take_type();
    three(s, type);
    if (type.bits != 32) s.fail("24-bit multiplication has 32-bit operands");
    if (type.kind == 's') {
      s.out.run = high ? binary<std::int32_t, std::int32_t, std::int32_t, Mul24Hi>()
                       : binary<std::int32_t, std::int32_t, std::int32_t, Mul24>();
    } else {
      s.out.run = high ? binary<std::uint32_t, std::uint32_t, std::uint32_t, Mul24Hi>()
                       : binary<std::uint32_t, std::uint32_t, std::uint32_t, Mul24>();
    }
    return true;
  }
  if (root == "mad24") {
    s.take("lo");
    const Type type = s.take_type();
    four(s, type, type);
    s.out.run = type.kind == 's'
                    ? ternary<std::int32_t, std::int32_t, std::int32_t, std::int32_t, Mad24>()
                    : ternary<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, Mad24>();
    return true;
  }
  if (root == "div" || root == "rem") {
    const Type type = s.take_type();
    three(s, type);
    s.out.run = root == "div" ? binary_of<Div>(type) : binary_of<Rem>(type);
    return true;
  }
  if (root == "neg" || root == "abs") {
    const Type type = s.take_type();
    s.need(2, 2);
    s.destination(0, type);
    s.source(1, type);
    s.out.run =
        root == "neg"
            ? by_integer(type, [](auto t) { return unary<decltype(t), decltype(t), Neg>(); })
            : by_integer(type, [](auto t) { return unary<decltype(t), decltype(t), Abs>(); });
    return true;
  }
  if (root == "sad") {
    const Type type = s.take_type();
    four(s, type, type);
    s.out.run = ternary_of<Sad>(type);
    return true;
  }
  return false;
}

}  // namespace hone::sim
