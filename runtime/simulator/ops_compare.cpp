#include <cmath>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// setp, set, selp, slct, testp.
namespace hone::sim {
namespace {

enum class Compare { kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan };
enum class Combine : std::uint32_t { kNone, kAnd, kOr, kXor };

template <Compare C, class T>
HONE_INLINE bool compare(T a, T b) {
  constexpr bool kFloat = std::is_floating_point_v<T>;
  const bool unordered = kFloat && (a != a || b != b);
  switch (C) {
    case Compare::kEq:
      return a == b;
    case Compare::kNe:
      return kFloat ? !unordered && a != b : a != b;
    case Compare::kLt:
      return a < b;
    case Compare::kLe:
      return a <= b;
    case Compare::kGt:
      return a > b;
    case Compare::kGe:
      return a >= b;
    case Compare::kEqu:
      return unordered || a == b;
    case Compare::kNeu:
      return a != b;
    case Compare::kLtu:
      return !(a >= b);
    case Compare::kLeu:
      return !(a > b);
    case Compare::kGtu:
      return !(a <= b);
    case Compare::kGeu:
      return !(a < b);
    case Compare::kNum:
      return !unordered;
    case Compare::kNan:
      return unordered;
  }
  return false;
}

// A number of type T as it is compared.
template <class T>
HONE_INLINE auto number(Stored<T> bits) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    return T::from_bits(bits).f();
  } else {
    return from_bits<T>(bits);
  }
}

template <class T, Compare C>
HONE_INLINE std::uint32_t compare_lanes(const Stored<T>* a, const Stored<T>* b) {
  alignas(64) std::uint32_t hit[kLanes];
  HONE_IVDEP
  for (int i = 0; i < kLanes; ++i)
    hit[i] = compare<C>(number<T>(a[i]), number<T>(b[i])) ? 1u << i : 0u;
  std::uint32_t result = 0;
  for (int i = 0; i < kLanes; ++i) result |= hit[i];
  return result;
}

std::uint32_t combine(std::uint32_t value, std::uint32_t how, std::uint32_t other) {
  switch (static_cast<Combine>(how)) {
    case Combine::kAnd:
      return value & other;
    case Combine::kOr:
      return value | other;
    case Combine::kXor:
      return value ^ other;
    default:
      return value;
  }
}

// A defined false decides a conjunction, a defined true a disjunction, whatever the other side is.
void combine_taint(Warp& w, const Instruction& in, std::uint32_t mask, std::uint32_t hit,
                   std::uint32_t other) {
  const std::uint32_t compared = w.undefined[in.t[2]] | w.undefined[in.t[3]];
  const std::uint32_t combined = w.undefined[in.t[4]];
  const std::size_t from = (w.undefined[in.t[2]] & mask) != 0   ? 2
                           : (w.undefined[in.t[3]] & mask) != 0 ? 3
                                                                : 4;
  const std::uint32_t origin = w.origin[in.t[from]];
  const bool conjunction = static_cast<Combine>(in.aux) == Combine::kAnd;
  const std::uint32_t by_other = (conjunction ? ~other : other) & ~combined;
  for (std::size_t k = 0; k < 2; ++k) {
    const std::uint32_t value = k == 0 ? hit : ~hit;
    const std::uint32_t by_value = (conjunction ? ~value : value) & ~compared;
    const std::uint32_t undefined = (compared | combined) & ~(by_other | by_value);
    w.set_undefined(in.t[k], undefined, mask);
    if ((undefined & mask) != 0) w.origin[in.t[k]] = origin;
  }
}

template <class T, Compare C>
HONE_INLINE void setp_body(Warp& w, const Instruction& in, std::uint32_t mask) {
  // o: p, q, a, b, c
  const std::uint32_t hit =
      compare_lanes<T, C>(w.row<Stored<T>>(in.o[2]), w.row<Stored<T>>(in.o[3]));
  const std::uint32_t other = w.predicate(in.o[4]);
  w.set_predicate(in.o[0], combine(hit, in.aux, other), mask);
  w.set_predicate(in.o[1], combine(~hit, in.aux, other), mask);
  if (in.taint == Taint::kHandler && w.checked) combine_taint(w, in, mask, hit, other);
}
template <class T, Compare C>
void setp_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  setp_body<T, C>(w, in, mask);
}
template <class T, Compare C>
HONE_FAST void setp_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  setp_body<T, C>(w, in, mask);
}

// o: d, a, b, c; aux2: 0 integer -1, 1 f32, 2 f16, 3 bf16
template <class T, Compare C>
void set_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  static constexpr std::uint32_t kTrue[] = {0xffffffffu, 0x3f800000u, 0x3c00u, 0x3f80u};
  const std::uint32_t hit =
      combine(compare_lanes<T, C>(w.row<Stored<T>>(in.o[1]), w.row<Stored<T>>(in.o[2])), in.aux,
              w.predicate(in.o[3]));
  const std::uint32_t yes = kTrue[in.aux2];
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask,
                           [&](int i) { return (hit >> i & 1) != 0 ? yes : 0u; });
}

template <class H, Compare C>
std::uint32_t half_hits(const Warp& w, const Instruction& in, std::size_t a, int shift) {
  const auto *x = w.row<std::uint32_t>(in.o[a]), *y = w.row<std::uint32_t>(in.o[a + 1]);
  std::uint32_t hit = 0;
  for (int i = 0; i < kLanes; ++i) {
    if (compare<C>(H::from_bits(x[i] >> shift).f(), H::from_bits(y[i] >> shift).f()))
      hit |= 1u << i;
  }
  return hit;
}
// setp on pairs: p is of the low halves, q of the high ones.
template <class H, Compare C>
void setp_pair(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t other = w.predicate(in.o[4]);
  w.set_predicate(in.o[0], combine(half_hits<H, C>(w, in, 2, 0), in.aux, other), mask);
  w.set_predicate(in.o[1], combine(half_hits<H, C>(w, in, 2, 16), in.aux, other), mask);
}
template <class H, Compare C>
void set_pair(Warp& w, const Instruction& in, std::uint32_t mask) {
  static constexpr std::uint32_t kTrue[] = {0xffffu, 0, 0x3c00u, 0x3f80u};
  const std::uint32_t other = w.predicate(in.o[3]), yes = kTrue[in.aux2];
  const std::uint32_t low = combine(half_hits<H, C>(w, in, 1, 0), in.aux, other);
  const std::uint32_t high = combine(half_hits<H, C>(w, in, 1, 16), in.aux, other);
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) {
    return ((low >> i & 1) != 0 ? yes : 0u) | ((high >> i & 1) != 0 ? yes << 16 : 0u);
  });
}

enum class Form { kSetp, kSet };

template <class T, Compare C>
Handler handler_of(Form form, bool pair) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    if (pair) return form == Form::kSetp ? &setp_pair<T, C> : &set_pair<T, C>;
  }
  if (form == Form::kSet) return &set_any<T, C>;
  return fast_machine() ? &setp_fast<T, C> : &setp_any<T, C>;
}

template <class T>
Handler by_compare(std::string_view name, Form form, bool pair) {
  constexpr bool kFloat = !std::is_integral_v<T>;
  constexpr bool kSigned = std::is_signed_v<T> || kFloat;
  using U = T;
  if (name == "eq") return handler_of<U, Compare::kEq>(form, pair);
  if (name == "ne") return handler_of<U, Compare::kNe>(form, pair);
  if (name == "lt") return handler_of<U, Compare::kLt>(form, pair);
  if (name == "le") return handler_of<U, Compare::kLe>(form, pair);
  if (name == "gt") return handler_of<U, Compare::kGt>(form, pair);
  if (name == "ge") return handler_of<U, Compare::kGe>(form, pair);
  if constexpr (kFloat) {
    if (name == "equ") return handler_of<U, Compare::kEqu>(form, pair);
    if (name == "neu") return handler_of<U, Compare::kNeu>(form, pair);
    if (name == "ltu") return handler_of<U, Compare::kLtu>(form, pair);
    if (name == "leu") return handler_of<U, Compare::kLeu>(form, pair);
    if (name == "gtu") return handler_of<U, Compare::kGtu>(form, pair);
    if (name == "geu") return handler_of<U, Compare::kGeu>(form, pair);
    if (name == "num") return handler_of<U, Compare::kNum>(form, pair);
    if (name == "nan") return handler_of<U, Compare::kNan>(form, pair);
  } else if constexpr (!kSigned) {
    if (name == "lo") return handler_of<U, Compare::kLt>(form, pair);
    if (name == "ls") return handler_of<U, Compare::kLe>(form, pair);
    if (name == "hi") return handler_of<U, Compare::kGt>(form, pair);
    if (name == "hs") return handler_of<U, Compare::kGe>(form, pair);
  }
  return nullptr;
}

Handler by_type(Type type, std::string_view name, Form form) {
  if (type.kind == 'f') {
    if (type.bits == 16) return by_compare<Half>(name, form, type.lanes == 2);
    return type.bits == 32 ? by_compare<float>(name, form, false)
                           : by_compare<double>(name, form, false);
  }
  if (type.kind == 'h') return by_compare<Bfloat>(name, form, type.lanes == 2);
  return by_integer(type, [&](auto t) -> Handler {
    if constexpr (sizeof(t) == 1) {
      return nullptr;
    } else {
      return by_compare<decltype(t)>(name, form, false);
    }
  });
}

std::string_view take_compare(Selector& s) {
  for (const std::string_view name : {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs",
                                      "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}) {
    if (s.take(name)) return name;
  }
  s.fail("a comparison is missing");
}
Combine take_combine(Selector& s) {
  if (s.take("and")) return Combine::kAnd;
  if (s.take("or")) return Combine::kOr;
  if (s.take("xor")) return Combine::kXor;
  return Combine::kNone;
}
Type storage(Type type) {
  const int bits = type.bits * type.lanes;
  return {'b', static_cast<std::uint8_t>(bits), 1};
}

template <class T>
HONE_INLINE void selp_body(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<T>(in.o[1]), *b = w.row<T>(in.o[2]);
  const std::uint32_t p = w.predicate(in.o[3]);
  each_lane<T>(w.row<T>(in.o[0]), mask,
               [&](int i) HONE_LAMBDA { return (p >> i & 1) != 0 ? a[i] : b[i]; });
  if (w.checked) {
    const std::uint32_t undefined =
        (w.undefined[in.t[1]] & p) | (w.undefined[in.t[2]] & ~p) | w.undefined[in.t[3]];
    const std::uint32_t from = (w.undefined[in.t[1]] & p & mask) != 0    ? 1
                               : (w.undefined[in.t[2]] & ~p & mask) != 0 ? 2
                                                                         : 3;
    const std::uint32_t origin = w.origin[in.t[from]];
    w.set_undefined(in.t[0], undefined, mask);
    if ((undefined & mask) != 0) w.origin[in.t[0]] = origin;
  }
}
template <class T>
void selp_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  selp_body<T>(w, in, mask);
}
template <class T>
HONE_FAST void selp_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  selp_body<T>(w, in, mask);
}

template <class T, bool Float>
void slct(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *a = w.row<T>(in.o[1]), *b = w.row<T>(in.o[2]);
  const auto* c = w.row<std::uint32_t>(in.o[3]);
  each_lane<T>(w.row<T>(in.o[0]), mask, [&](int i) {
    const bool yes = Float ? std::bit_cast<float>(c[i]) >= 0 : static_cast<std::int32_t>(c[i]) >= 0;
    return yes ? a[i] : b[i];
  });
}

enum class Test : std::uint32_t { kFinite, kInfinite, kNumber, kNotNumber, kNormal, kSubnormal };
template <class T>
void testp(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<Stored<T>>(in.o[1]);
  std::uint32_t hit = 0;
  for (int i = 0; i < kLanes; ++i) {
    const T v = std::bit_cast<T>(a[i]);
    const int kind = std::fpclassify(v);
    bool yes = false;
    switch (static_cast<Test>(in.aux)) {
      case Test::kFinite:
        yes = std::isfinite(v);
        break;
      case Test::kInfinite:
        yes = std::isinf(v);
        break;
      case Test::kNumber:
        yes = !std::isnan(v);
        break;
      case Test::kNotNumber:
        yes = std::isnan(v);
        break;
      case Test::kNormal:
        yes = kind == FP_NORMAL || kind == FP_ZERO;
        break;
      case Test::kSubnormal:
        yes = kind == FP_SUBNORMAL;
        break;
    }
    if (yes) hit |= 1u << i;
  }
  w.set_predicate(in.o[0], hit, mask);
}

}  // namespace

bool select_compare(Selector& s) {
  const std::string_view root = s.root();
  const Type predicate{'p', 1};
  s.out.kind = Kind::kInteger;
  if (root == "setp") {
    const std::string_view name = take_compare(s);
    const Combine how = take_combine(s);
    s.take("ftz");
    const Type type = s.take_type();
    s.need(how == Combine::kNone ? 3 : 4, how == Combine::kNone ? 3 : 4);
    const Operand& target = s.operand(0);
    if (target.kind == Operand::Kind::kPair) {
      s.destination(target.parts[0], predicate);
      s.destination(target.parts[1], predicate);
    } else {
      s.destination(target, predicate);
      s.sink(1);
    }
    s.source(1, storage(type).bits == type.bits ? type : storage(type));
    s.source(2, storage(type).bits == type.bits ? type : storage(type));
    if (how == Combine::kNone) {
      s.always();
    } else {
      s.source(3, predicate);
    }
    s.out.aux = static_cast<std::uint32_t>(how);
    if ((how == Combine::kAnd || how == Combine::kOr) && type.lanes == 1)
      s.out.taint = Taint::kHandler;
    s.out.run = by_type(type, name, Form::kSetp);
    if (s.out.run == nullptr) s.fail("no such comparison of this type");
    return true;
  }
  if (root == "set") {
    const std::string_view name = take_compare(s);
    const Combine how = take_combine(s);
    s.take("ftz");
    const Type to = s.take_type(), type = s.take_type();
    s.need(how == Combine::kNone ? 3 : 4, how == Combine::kNone ? 3 : 4);
    s.destination(0, storage(to));
    const Type from = storage(type).bits == type.bits ? type : storage(type);
    s.source(1, from);
    s.source(2, from);
    if (how == Combine::kNone) {
      s.always();
    } else {
      s.source(3, predicate);
    }
    s.out.aux = static_cast<std::uint32_t>(how);
    s.out.aux2 = to.kind == 'h' ? 3 : to.kind == 'f' && to.bits == 16 ? 2 : to.kind == 'f' ? 1 : 0;
    s.out.run = by_type(type, name, Form::kSet);
    if (s.out.run == nullptr) s.fail("no such comparison of this type");
    return true;
  }
  if (root == "selp") {
    const Type type = s.take_type();
    s.need(4, 4);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, type);
    s.source(3, predicate);
    s.out.kind = Kind::kMove;
    s.out.taint = Taint::kHandler;
    const bool fast = fast_machine();
    s.out.run = type.bits * type.lanes == 64
                    ? (fast ? &selp_fast<std::uint64_t> : &selp_any<std::uint64_t>)
                    : (fast ? &selp_fast<std::uint32_t> : &selp_any<std::uint32_t>);
    return true;
  }
  if (root == "slct") {
    s.take("ftz");
    const Type type = s.take_type(), by = s.take_type();
    s.need(4, 4);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, type);
    s.source(3, by);
    const bool wide = type.bits == 64, is_float = by.kind == 'f';
    s.out.run = wide ? (is_float ? &slct<std::uint64_t, true> : &slct<std::uint64_t, false>)
                     : (is_float ? &slct<std::uint32_t, true> : &slct<std::uint32_t, false>);
    return true;
  }
  if (root == "testp") {
    const Test test = s.take("finite")       ? Test::kFinite
                      : s.take("infinite")   ? Test::kInfinite
                      : s.take("number")     ? Test::kNumber
                      : s.take("notanumber") ? Test::kNotNumber
                      : s.take("normal")     ? Test::kNormal
                      : s.take("subnormal")  ? Test::kSubnormal
                                             : (s.fail("a test is missing"), Test::kFinite);
    const Type type = s.take_type();
    s.need(2, 2);
    s.destination(0, predicate);
    s.source(1, type);
    s.out.aux = static_cast<std::uint32_t>(test);
    s.out.run = type.bits == 64 ? &testp<double> : &testp<float>;
    return true;
  }
  return false;
}

}  // namespace hone::sim
