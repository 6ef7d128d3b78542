#include <cmath>
#include <limits>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// f32 and f64 arithmetic, approximate functions.
namespace hone::sim {
namespace {

template <class T>
HONE_INLINE T canonical_nan() {
  if constexpr (sizeof(T) == 4) {
    return std::bit_cast<float>(0x7fffffffu);
  } else {
    return std::bit_cast<double>(0xfff8000000000000ull);
  }
}

struct Add {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    return a / b;
  }
};
struct Fma {
  HONE_INLINE static float run(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  HONE_INLINE static double run(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
struct Neg {
  template <class T>
  HONE_INLINE static T run(T a) {
    return -a;
  }
};
struct Abs {
  HONE_INLINE static float run(float a) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) & 0x7fffffffu);
  }
  HONE_INLINE static double run(double a) {
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(a) & 0x7fffffffffffffffull);
  }
};
struct Min {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if (a != a) return b != b ? canonical_nan<T>() : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if (a != a) return b != b ? canonical_nan<T>() : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a < b ? b : a;
  }
};
template <class Op>
struct WithNan {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    if (a != a || b != b) return canonical_nan<T>();
    return Op::run(a, b);
  }
};
template <class Op>
struct XorSign {
  template <class T>
  HONE_INLINE static T run(T a, T b) {
    const T magnitude = Op::run(std::fabs(a), std::fabs(b));
    return std::signbit(a) != std::signbit(b) ? -magnitude : magnitude;
  }
};
template <class Op>
struct Three {
  template <class T>
  HONE_INLINE static T run(T a, T b, T c) {
    return Op::run(Op::run(a, b), c);
  }
};
struct Copysign {
  template <class T>
  HONE_INLINE static T run(T a, T b) {  // the sign of a, the rest of b
    return std::copysign(b, a);
  }
};
struct Rcp {
  template <class T>
  HONE_INLINE static T run(T a) {
    return T{1} / a;
  }
};
struct Sqrt {
  template <class T>
  HONE_INLINE static T run(T a) {
    return std::sqrt(a);
  }
};
struct Rsqrt {
  HONE_INLINE static float run(float a) {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a)));
  }
  HONE_INLINE static double run(double a) { return 1.0 / std::sqrt(a); }
};
struct Sin {
  static float run(float a) { return std::sin(a); }
};
struct Cos {
  static float run(float a) { return std::cos(a); }
};
struct Ex2 {
  static float run(float a) { return std::exp2(a); }
};
struct Lg2 {
  static float run(float a) { return std::log2(a); }
};
struct Tanh {
  static float run(float a) { return std::tanh(a); }
};
// Only the upper word of operand and result counts.
struct RcpUpper {
  HONE_INLINE static double run(double a) {
    const auto upper = [](double x) HONE_LAMBDA {
      return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & 0xffffffff00000000ull);
    };
    const double value = upper(a);
    if (std::fabs(value) < std::numeric_limits<double>::min())
      return std::copysign(HUGE_VAL, value);
    const double result = upper(1.0 / value);
    return std::fabs(result) < std::numeric_limits<double>::min() ? std::copysign(0.0, value)
                                                                  : result;
  }
};
struct RsqrtUpper {
  HONE_INLINE static double run(double a) {
    const double value =
        std::bit_cast<double>(std::bit_cast<std::uint64_t>(a) & 0xffffffff00000000ull);
    if (std::fabs(value) < std::numeric_limits<double>::min())
      return std::copysign(HUGE_VAL, value);
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(1.0 / std::sqrt(value)) &
                                 0xffffffff00000000ull);
  }
};
template <class Op>
struct Ftz {
  HONE_INLINE static float run(float a) { return flush(Op::run(flush(a))); }
  HONE_INLINE static float run(float a, float b) { return flush(Op::run(flush(a), flush(b))); }
  HONE_INLINE static float run(float a, float b, float c) {
    return flush(Op::run(flush(a), flush(b), flush(c)));
  }
};
template <class Op>
struct Sat {
  template <class... T>
  HONE_INLINE static auto run(T... a) {
    const auto value = Op::run(a...);
    return value > 0 ? (value < 1 ? value : static_cast<decltype(value)>(1))
                     : static_cast<decltype(value)>(0);
  }
};
// Two floats in 64 bits.
template <class Op>
struct PairOp {
  template <class... T>
  HONE_INLINE static std::uint64_t run(T... v) {
    const auto low = std::bit_cast<std::uint32_t>(
        Op::run(std::bit_cast<float>(static_cast<std::uint32_t>(v))...));
    const auto high = std::bit_cast<std::uint32_t>(
        Op::run(std::bit_cast<float>(static_cast<std::uint32_t>(v >> 32))...));
    return static_cast<std::uint64_t>(high) << 32 | low;
  }
};

// In a rounding other than to the nearest.
template <class T, int Count, class Op>
[[gnu::noinline]] void rounded(Warp& w, const Instruction& in, std::uint32_t mask) {
  const RoundingScope scope(static_cast<Rounding>(in.aux2));
  if constexpr (Count == 1) {
    unary_body<T, T, Op>(w, in, mask);
  } else if constexpr (Count == 2) {
    binary_body<T, T, T, Op>(w, in, mask);
  } else {
    ternary_body<T, T, T, T, Op>(w, in, mask);
  }
}

struct Modes {
  Rounding rounding = Rounding::kNearest;
  bool ftz = false, sat = false;
};

template <class T, int Count, class Op>
Handler make(const Modes& o) {
  if (o.rounding != Rounding::kNearest) {
    if constexpr (sizeof(T) == 4) {
      if (o.ftz && o.sat) return &rounded<T, Count, Sat<Ftz<Op>>>;
      if (o.ftz) return &rounded<T, Count, Ftz<Op>>;
      if (o.sat) return &rounded<T, Count, Sat<Op>>;
    }
    return &rounded<T, Count, Op>;
  }
  const auto pick = []<class O>(O) {
    if constexpr (Count == 1) {
      return unary<T, T, O>();
    } else if constexpr (Count == 2) {
      return binary<T, T, T, O>();
    } else {
      return ternary<T, T, T, T, O>();
    }
  };
  if constexpr (sizeof(T) == 4) {
    if (o.ftz && o.sat) return pick(Sat<Ftz<Op>>{});
    if (o.ftz) return pick(Ftz<Op>{});
    if (o.sat) return pick(Sat<Op>{});
  }
  return pick(Op{});
}

template <int Count, class Op>
Handler by_float(Type type, const Modes& o) {
  if (type.lanes == 2) {
    if constexpr (Count == 2) {
      return o.ftz ? binary<std::uint64_t, std::uint64_t, std::uint64_t, PairOp<Ftz<Op>>>()
                   : binary<std::uint64_t, std::uint64_t, std::uint64_t, PairOp<Op>>();
    } else if constexpr (Count == 3) {
      return o.ftz ? ternary<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                             PairOp<Ftz<Op>>>()
                   : ternary<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                             PairOp<Op>>();
    }
  }
  return type.bits == 32 ? make<float, Count, Op>(o) : make<double, Count, Op>(o);
}

Modes options(Selector& s) {
  Modes o;
  s.take("rn");
  if (s.take("rz")) o.rounding = Rounding::kZero;
  if (s.take("rm")) o.rounding = Rounding::kDown;
  if (s.take("rp")) o.rounding = Rounding::kUp;
  o.ftz = s.take("ftz");
  o.sat = s.take("sat");
  s.out.aux2 = static_cast<std::uint32_t>(o.rounding);
  return o;
}

void operands(Selector& s, Type type, std::size_t sources) {
  s.need(sources + 1, sources + 1);
  s.destination(0, type);
  for (std::size_t i = 1; i <= sources; ++i) s.source(i, type);
}

template <class Op>
Handler special(bool ftz) {
  return ftz ? unary<float, float, Ftz<Op>>() : unary<float, float, Op>();
}

bool is_float(const Selector& s) { return s.has("f32") || s.has("f64") || s.has("f32x2"); }

template <class Op>
Handler minimum(Type type, bool nan, bool xor_sign, std::size_t sources, const Modes& o) {
  if (sources == 3)
    return nan ? by_float<3, Three<WithNan<Op>>>(type, o) : by_float<3, Three<Op>>(type, o);
  if (xor_sign)
    return nan ? by_float<2, XorSign<WithNan<Op>>>(type, o) : by_float<2, XorSign<Op>>(type, o);
  return nan ? by_float<2, WithNan<Op>>(type, o) : by_float<2, Op>(type, o);
}

bool select_special(Selector& s) {
  const std::string_view root = s.root();
  s.out.kind = Kind::kSpecial;
  const bool approx = s.take("approx");
  Modes o = options(s);
  const Type type = s.take_type();
  operands(s, type, 1);
  if (type.bits == 64) {
    if (root == "rcp") {
      s.out.run = approx ? unary<double, double, RcpUpper>() : by_float<1, Rcp>(type, o);
    } else if (root == "sqrt") {
      s.out.run = by_float<1, Sqrt>(type, o);
    } else if (root == "rsqrt") {
      s.out.run = o.ftz ? unary<double, double, RsqrtUpper>() : unary<double, double, Rsqrt>();
    } else {
      s.fail("f32 only");
    }
    return true;
  }
  s.out.run = root == "rcp"     ? by_float<1, Rcp>(type, o)
              : root == "sqrt"  ? by_float<1, Sqrt>(type, o)
              : root == "rsqrt" ? special<Rsqrt>(o.ftz)
              : root == "sin"   ? special<Sin>(o.ftz)
              : root == "cos"   ? special<Cos>(o.ftz)
              : root == "ex2"   ? special<Ex2>(o.ftz)
              : root == "lg2"   ? special<Lg2>(o.ftz)
                                : special<Tanh>(o.ftz);
  return true;
}

}  // namespace

bool select_float(Selector& s) {
  if (!is_float(s)) return false;
  const std::string_view root = s.root();
  if (root == "rcp" || root == "sqrt" || root == "rsqrt" || root == "sin" || root == "cos" ||
      root == "ex2" || root == "lg2" || root == "tanh") {
    s.out.flops = 1;
    return select_special(s);
  }
  s.out.kind = s.has("f64") ? Kind::kDouble : Kind::kFloat;
  s.out.flops = 1;
  if (root == "add" || root == "sub" || root == "mul" || root == "fma" || root == "mad") {
    const Modes o = options(s);
    const Type type = s.take_type();
    if (s.has("f16") || s.has("bf16")) s.unsupported("mixed precision");
    const bool three = root == "fma" || root == "mad";
    operands(s, type, three ? 3 : 2);
    if (type.lanes == 2 && (o.sat || o.rounding != Rounding::kNearest))
      s.unsupported("rounding of pairs");
    s.out.run = root == "add"   ? by_float<2, Add>(type, o)
                : root == "sub" ? by_float<2, Sub>(type, o)
                : root == "mul" ? by_float<2, Mul>(type, o)
                                : by_float<3, Fma>(type, o);
    if (three) s.out.flops = 2;
    if (type.lanes == 2) s.out.flops = static_cast<std::uint8_t>(2 * s.out.flops);
    return true;
  }
  if (root == "div") {
    const bool approximate = s.take("approx") || s.take("full");
    const Modes o = options(s);
    const Type type = s.take_type();
    if (approximate && type.bits == 64) s.fail("f32 only");
    operands(s, type, 2);
    s.out.run = by_float<2, Div>(type, o);
    return true;
  }
  if (root == "neg" || root == "abs") {
    const Modes o = options(s);
    const Type type = s.take_type();
    operands(s, type, 1);
    s.out.run = root == "neg" ? by_float<1, Neg>(type, o) : by_float<1, Abs>(type, o);
    return true;
  }
  if (root == "min" || root == "max") {
    const Modes o = options(s);
    const bool nan = s.take("NaN");
    bool xor_sign = s.take("xorsign");
    s.take("abs");
    const Type type = s.take_type();
    const std::size_t sources = s.count() == 4 ? 3 : 2;
    operands(s, type, sources);
    s.out.run = root == "min" ? minimum<Min>(type, nan, xor_sign, sources, o)
                              : minimum<Max>(type, nan, xor_sign, sources, o);
    return true;
  }
  if (root == "copysign") {
    const Type type = s.take_type();
    operands(s, type, 2);
    s.out.run = by_float<2, Copysign>(type, {});
    return true;
  }
  return false;
}

}  // namespace hone::sim
