#include <cmath>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// f16 and bf16, single and in pairs: computed in f32, rounded once.
namespace hone::sim {
namespace {

struct Add {
  HONE_INLINE static float run(float a, float b) { return a + b; }
};
struct Sub {
  HONE_INLINE static float run(float a, float b) { return a - b; }
};
struct Mul {
  HONE_INLINE static float run(float a, float b) { return a * b; }
};
struct Fma {
  HONE_INLINE static float run(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
};
struct Min {
  HONE_INLINE static float run(float a, float b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct Max {
  HONE_INLINE static float run(float a, float b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a < b ? b : a;
  }
};
template <class Op>
struct WithNan {
  HONE_INLINE static float run(float a, float b) { return a != a ? a : b != b ? b : Op::run(a, b); }
};
template <class Op>
struct XorSign {
  HONE_INLINE static float run(float a, float b) {
    const float magnitude = Op::run(std::fabs(a), std::fabs(b));
    return std::signbit(a) != std::signbit(b) ? -magnitude : magnitude;
  }
};
template <class Op>
struct ThreeOf {
  HONE_INLINE static float run(float a, float b, float c) { return Op::run(Op::run(a, b), c); }
};
struct Ex2 {
  static float run(float a) { return std::exp2(a); }
};
struct Tanh {
  static float run(float a) { return std::tanh(a); }
};
template <class Op>
struct Relu {
  template <class... T>
  HONE_INLINE static float run(T... a) {
    const float value = Op::run(a...);
    return value != value ? value : value > 0 ? value : 0.0f;
  }
};
template <class Op>
struct Sat {
  template <class... T>
  HONE_INLINE static float run(T... a) {
    const float value = Op::run(a...);
    return value > 0 ? (value < 1 ? value : 1.0f) : 0.0f;
  }
};
// Subnormal operands and results count as zero.
template <class H>
HONE_INLINE float flush_half(float f) {
  constexpr float kSmallest = std::is_same_v<H, Half> ? 0x1p-14f : 0x1p-126f;
  return std::fabs(f) < kSmallest ? std::copysign(0.0f, f) : f;
}
template <class H, class Op>
struct One {
  template <class... T>
  HONE_INLINE static std::uint16_t run(T... a) {
    return static_cast<std::uint16_t>(H::of(Op::run(H::from_bits(a).f()...)).bits());
  }
};
template <class H, class Op>
struct OneFtz {
  template <class... T>
  HONE_INLINE static std::uint16_t run(T... a) {
    return static_cast<std::uint16_t>(
        H::of(flush_half<H>(Op::run(flush_half<H>(H::from_bits(a).f())...))).bits());
  }
};
template <class Op>
struct Pair {
  template <class... T>
  HONE_INLINE static std::uint32_t run(T... a) {
    const std::uint32_t low = Op::run(static_cast<std::uint16_t>(a)...);
    const std::uint32_t high = Op::run(static_cast<std::uint16_t>(a >> 16)...);
    return low | high << 16;
  }
};
struct NegBits {
  HONE_INLINE static std::uint16_t run(std::uint16_t a) {
    return static_cast<std::uint16_t>(a ^ 0x8000u);
  }
};
struct AbsBits {
  HONE_INLINE static std::uint16_t run(std::uint16_t a) {
    return static_cast<std::uint16_t>(a & 0x7fffu);
  }
};

template <int Count, class One_>
Handler shape(int lanes) {
  using U = std::uint32_t;
  using S = std::uint16_t;
  if constexpr (Count == 1) {
    return lanes == 2 ? unary<U, U, Pair<One_>>() : unary<S, S, One_>();
  } else if constexpr (Count == 2) {
    return lanes == 2 ? binary<U, U, U, Pair<One_>>() : binary<S, S, S, One_>();
  } else {
    return lanes == 2 ? ternary<U, U, U, U, Pair<One_>>() : ternary<S, S, S, S, One_>();
  }
}

struct Modes {
  bool ftz = false, sat = false, relu = false;
};

template <int Count, class Op>
Handler by_half(Type type, const Modes& m) {
  if (type.kind == 'h')
    return m.ftz ? shape<Count, OneFtz<Bfloat, Op>>(type.lanes)
                 : shape<Count, One<Bfloat, Op>>(type.lanes);
  return m.ftz ? shape<Count, OneFtz<Half, Op>>(type.lanes)
               : shape<Count, One<Half, Op>>(type.lanes);
}
template <int Count, class Op>
Handler saturating(Type type, const Modes& m) {
  return m.sat ? by_half<Count, Sat<Op>>(type, m) : by_half<Count, Op>(type, m);
}

template <class Op>
Handler minimum(Type type, bool nan, bool xor_sign, bool three, const Modes& m) {
  if (three)
    return nan ? by_half<3, ThreeOf<WithNan<Op>>>(type, m) : by_half<3, ThreeOf<Op>>(type, m);
  if (xor_sign)
    return nan ? by_half<2, XorSign<WithNan<Op>>>(type, m) : by_half<2, XorSign<Op>>(type, m);
  return nan ? by_half<2, WithNan<Op>>(type, m) : by_half<2, Op>(type, m);
}

}  // namespace

bool select_half(Selector& s) {
  const std::string_view root = s.root();
  const bool known = root == "add" || root == "sub" || root == "mul" || root == "fma" ||
                     root == "neg" || root == "abs" || root == "min" || root == "max" ||
                     root == "ex2" || root == "tanh";
  if (!known || !(s.has("f16") || s.has("bf16") || s.has("f16x2") || s.has("bf16x2"))) return false;
  s.out.kind = Kind::kHalf;
  s.take("rn");
  s.take("approx");
  Modes m;
  m.ftz = s.take("ftz");
  // What an operation doesn't take stays, and is refused.
  if (root == "add" || root == "sub" || root == "mul" || root == "fma") m.sat = s.take("sat");
  if (root == "fma" && !m.sat) m.relu = s.take("relu");
  const bool nan = s.take("NaN"), xor_sign = s.take("xorsign");
  if (xor_sign) s.take("abs");
  if (s.take("oob")) s.unsupported(".oob");
  const Type type = s.take_type();
  const bool one = root == "neg" || root == "abs" || root == "ex2" || root == "tanh";
  const bool three = root == "fma" || s.count() == 4;
  const std::size_t sources = one ? 1 : three ? 3 : 2;
  s.need(sources + 1, sources + 1);
  const Type bits{'b', static_cast<std::uint8_t>(16 * type.lanes)};
  s.destination(0, bits);
  for (std::size_t i = 1; i <= sources; ++i) s.source(i, bits);
  s.out.flops = static_cast<std::uint8_t>(type.lanes * (root == "fma" ? 2 : 1));
  if (root == "add") {
    s.out.run = saturating<2, Add>(type, m);
  } else if (root == "sub") {
    s.out.run = saturating<2, Sub>(type, m);
  } else if (root == "mul") {
    s.out.run = saturating<2, Mul>(type, m);
  } else if (root == "fma") {
    s.out.run = m.relu ? by_half<3, Relu<Fma>>(type, m) : saturating<3, Fma>(type, m);
  } else if (root == "ex2") {
    s.out.run = by_half<1, Ex2>(type, m);
  } else if (root == "tanh") {
    s.out.run = by_half<1, Tanh>(type, m);
  } else if (root == "neg") {
    s.out.run = shape<1, NegBits>(type.lanes);
  } else if (root == "abs") {
    s.out.run = shape<1, AbsBits>(type.lanes);
  } else if (root == "min") {
    s.out.run = minimum<Min>(type, nan, xor_sign, three, m);
  } else {
    s.out.run = minimum<Max>(type, nan, xor_sign, three, m);
  }
  return true;
}

}  // namespace hone::sim
