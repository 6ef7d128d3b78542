#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"

// cvt: every pair of types, rounding and saturation.
namespace hone::sim {
namespace {

constexpr std::uint32_t kFtz = 1, kSat = 2, kRelu = 4, kToInteger = 8, kSatfinite = 16;
// In aux: flags in the low byte, then the widths of source and destination rows (1: 64 bits).
constexpr std::uint32_t kWideSource = 1u << 8, kWideDestination = 1u << 9;

template <class T>
struct Traits {
  static constexpr bool kFloat =
      std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;
};

template <class T>
HONE_INLINE auto value_of(std::uint64_t bits) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>) {
    return T::from_bits(static_cast<std::uint32_t>(bits)).f();
  } else {
    return from_bits<T>(static_cast<Stored<T>>(bits));
  }
}

template <class T>
T round_to_integer(T v, Rounding rounding) {
  switch (rounding) {
    case Rounding::kZero:
      return std::trunc(v);
    case Rounding::kDown:
      return std::floor(v);
    case Rounding::kUp:
      return std::ceil(v);
    default:
      return std::nearbyint(v);
  }
}

template <class D, class F>
HONE_INLINE D clamp_to(F v) {
  if (v != v) return 0;
  constexpr F kLow = static_cast<F>(std::numeric_limits<D>::min());
  constexpr F kHigh = static_cast<F>(std::numeric_limits<D>::max());
  if (v <= kLow) return std::numeric_limits<D>::min();
  if (v >= kHigh) return std::numeric_limits<D>::max();
  return static_cast<D>(v);
}

// NaN of f64 or f32 to integers of 64 bits gives the sign bit in hardware; of 32 bits and fewer
// gives zero.
template <class D, class F>
D float_to_integer(F v, Rounding rounding) {
  if (v != v) return sizeof(D) == 8 ? static_cast<D>(std::uint64_t{1} << 63) : D{0};
  return clamp_to<D>(round_to_integer(v, rounding));
}

template <class D, class F>
std::uint64_t encode(F v, Rounding rounding, std::uint32_t flags) {
  if constexpr (std::is_same_v<D, Half> || std::is_same_v<D, Bfloat>) {
    constexpr Format kFormat = std::is_same_v<D, Half> ? kHalfFormat : kBfloatFormat;
    if ((flags & kRelu) != 0 && !(v > 0) && v == v) v = 0;
    if ((flags & kSat) != 0) v = v > 0 ? (v < 1 ? v : F{1}) : F{0};
    if (v != v) return 0x7fff;
    if (rounding == Rounding::kNearest && (flags & kSatfinite) == 0 && sizeof(F) == 4) {
      return D::of(static_cast<float>(v)).bits();
    }
    return encode_float(static_cast<double>(v), kFormat, rounding, (flags & kSatfinite) != 0);
  } else if constexpr (std::is_same_v<D, float>) {
    float result = static_cast<float>(v);
    if ((flags & kFtz) != 0) result = flush(result);
    if ((flags & kSat) != 0) result = result > 0 ? (result < 1 ? result : 1.0f) : 0.0f;
    if (result != result) return 0x7fffffffu;
    return std::bit_cast<std::uint32_t>(result);
  } else {
    double result = static_cast<double>(v);
    if ((flags & kSat) != 0) result = result > 0 ? (result < 1 ? result : 1.0) : 0.0;
    return std::bit_cast<std::uint64_t>(result);
  }
}

template <class D, class S>
std::uint64_t convert_one(std::uint64_t bits, std::uint32_t flags, Rounding rounding) {
  auto v = value_of<S>(bits);
  if constexpr (Traits<S>::kFloat) {
    if constexpr (sizeof(v) == 4) {
      if ((flags & kFtz) != 0 && std::is_same_v<S, float>) v = flush(v);
    }
    if constexpr (Traits<D>::kFloat) {
      if ((flags & kToInteger) != 0) v = round_to_integer(v, rounding);
      return encode<D>(v, rounding, flags);
    } else {
      return static_cast<std::uint64_t>(float_to_integer<D>(v, rounding));
    }
  } else if constexpr (Traits<D>::kFloat) {
    if constexpr (std::is_same_v<D, float>) {
      return encode<D>(static_cast<float>(v), rounding, flags);
    } else {
      return encode<D>(static_cast<double>(v), rounding, flags);
    }
  } else {
    if ((flags & kSat) != 0) {
      if constexpr (std::is_signed_v<S>) {
        const std::int64_t x = v;
        if (x < 0 && std::is_unsigned_v<D>) return 0;
        if constexpr (std::is_signed_v<D>) {
          if (x < std::numeric_limits<D>::min())
            return static_cast<std::uint64_t>(std::int64_t{std::numeric_limits<D>::min()});
          if (x > std::numeric_limits<D>::max())
            return static_cast<std::uint64_t>(std::int64_t{std::numeric_limits<D>::max()});
        } else if (x >= 0 && static_cast<std::uint64_t>(x) > std::numeric_limits<D>::max()) {
          return std::numeric_limits<D>::max();
        }
      } else if (static_cast<std::uint64_t>(v) >
                 static_cast<std::uint64_t>(std::numeric_limits<D>::max())) {
        return static_cast<std::uint64_t>(std::numeric_limits<D>::max());
      }
    }
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<D>(v)));
  }
}

template <class D, class S>
void convert(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto rounding = static_cast<Rounding>(in.aux2);
  const RoundingScope scope((in.aux & kToInteger) != 0 ? Rounding::kNearest : rounding);
  const std::uint32_t flags = in.aux & 0xff;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const std::uint64_t bits = lane_value(w, in, 1, (in.aux & kWideSource) != 0, i);
    const std::uint64_t result = convert_one<D, S>(bits, flags, rounding);
    if ((in.aux & kWideDestination) != 0) {
      w.row<std::uint64_t>(in.o[0])[i] = result;
    } else if (sizeof(D) == 2 && !std::is_integral_v<D>) {
      w.row<std::uint32_t>(in.o[0])[i] = static_cast<std::uint16_t>(result);
    } else {
      w.row<std::uint32_t>(in.o[0])[i] = static_cast<std::uint32_t>(result);
    }
  }
}

// Plain widening and narrowing of integers between rows of the types' own widths.
template <class D, class S>
struct Cast {
  HONE_INLINE static std::conditional_t<sizeof(D) == 8, D, std::int32_t> run(S v) {
    return static_cast<std::conditional_t<sizeof(D) == 8, D, std::int32_t>>(static_cast<D>(v));
  }
};
struct HalfToFloat {
  HONE_INLINE static float run(Half v) { return v.f(); }
};
struct BfloatToFloat {
  HONE_INLINE static float run(Bfloat v) { return v.f(); }
};
struct FloatToHalf {
  HONE_INLINE static Half run(float v) { return Half::of(v); }
};
struct FloatToBfloat {
  HONE_INLINE static Bfloat run(float v) { return Bfloat::of(v); }
};
struct IntToFloat {
  HONE_INLINE static float run(std::int32_t v) { return static_cast<float>(v); }
};
struct FloatToInt {
  HONE_INLINE static std::int32_t run(float v) {
    const float t = v != v ? 0.0f : v;
    if (t >= 0x1p31f) return std::numeric_limits<std::int32_t>::max();
    if (t < -0x1p31f) return std::numeric_limits<std::int32_t>::min();
    return static_cast<std::int32_t>(t);
  }
};

template <class D>
Handler by_source(Type from) {
  if (from.kind == 'f') {
    return from.bits == 16   ? &convert<D, Half>
           : from.bits == 32 ? &convert<D, float>
                             : &convert<D, double>;
  }
  if (from.kind == 'h') return &convert<D, Bfloat>;
  return by_integer(from, [](auto t) -> Handler { return &convert<D, decltype(t)>; });
}
Handler by_types(Type to, Type from) {
  if (to.kind == 'f') {
    return to.bits == 16   ? by_source<Half>(from)
           : to.bits == 32 ? by_source<float>(from)
                           : by_source<double>(from);
  }
  if (to.kind == 'h') return by_source<Bfloat>(from);
  return by_integer(to, [&](auto t) -> Handler { return by_source<decltype(t)>(from); });
}

template <class D>
Handler cast_from(Type from) {
  return by_integer(from, [](auto t) -> Handler {
    using S = decltype(t);
    return unary<std::conditional_t<sizeof(D) == 8, D, std::int32_t>, S, Cast<D, S>>();
  });
}

// Vectorised forms of what kernels do most.
Handler quick(Type to, Type from, std::uint32_t flags, Rounding rounding, bool wide_to,
              bool wide_from) {
  const bool own_widths = wide_to == (to.bits == 64) && wide_from == (from.bits == 64);
  if (!own_widths) return nullptr;
  const auto integer = [](Type t) { return t.kind == 's' || t.kind == 'u' || t.kind == 'b'; };
  if (integer(to) && integer(from) && flags == 0) {
    return by_integer(to, [&](auto t) -> Handler { return cast_from<decltype(t)>(from); });
  }
  if (from == Type{'f', 16} && to == Type{'f', 32} && flags == 0)
    return unary<float, Half, HalfToFloat>();
  if (from == Type{'h', 16} && to == Type{'f', 32} && flags == 0)
    return unary<float, Bfloat, BfloatToFloat>();
  if (rounding == Rounding::kNearest && flags == 0) {
    if (from == Type{'f', 32} && to == Type{'f', 16}) return unary<Half, float, FloatToHalf>();
    if (from == Type{'f', 32} && to == Type{'h', 16}) return unary<Bfloat, float, FloatToBfloat>();
    if (from == Type{'s', 32} && to == Type{'f', 32})
      return unary<float, std::int32_t, IntToFloat>();
  }
  if (from == Type{'f', 32} && to == Type{'s', 32} && flags == kToInteger &&
      rounding == Rounding::kZero) {
    return unary<std::int32_t, float, FloatToInt>();
  }
  return nullptr;
}

// Two f32 into a pair: the first is the upper one. aux2 >> 8: the format's number.
constexpr Format kFormats[] = {kHalfFormat, kBfloatFormat, kE4m3Format, kE5m2Format,
                               kTf32Format, kE2m3Format,   kE3m2Format, kE2m1Format};
constexpr std::uint32_t kE2m1 = 7, kUe8m0 = 8;  // the latter: 2^(byte - 127)

std::uint32_t encode_exponent(double v, Rounding rounding, bool saturate) {
  if (v != v) return 0xff;
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(v), &exponent);
  if (fraction == 0) return 0;
  const int above = rounding == Rounding::kUp && fraction > 0.5 ? 1 : 0;
  const int code = exponent - 1 + 127 + above;
  return static_cast<std::uint32_t>(std::clamp(code, 0, saturate ? 254 : 255));
}

std::uint32_t encode_in(double v, std::uint32_t which, Rounding rounding, std::uint32_t flags) {
  if ((flags & kRelu) != 0 && !(v > 0) && v == v) v = 0;
  if (which == kUe8m0) return encode_exponent(v, rounding, (flags & kSatfinite) != 0);
  const Format format = kFormats[which];
  if (v != v && !format.nan) return (1u << (format.exponent + format.mantissa)) - 1;
  if (v != v) return which == 0 || which == 1 ? 0x7fff : 0x7f;
  return encode_float(v, format, rounding,
                      (flags & kSatfinite) != 0 || (which != 0 && which != 1 && which != 4));
}

void pack_pair(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t which = in.aux2 >> 8;
  const auto rounding = static_cast<Rounding>(in.aux2 & 0xff);
  const int bits = which <= 1 ? 16 : which == kE2m1 ? 4 : 8;
  const auto *a = w.row<std::uint32_t>(in.o[1]), *b = w.row<std::uint32_t>(in.o[2]);
  if (rounding == Rounding::kNearest && (in.aux & 0xff) == 0 && which <= 1) {
    each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) -> std::uint32_t {
      const float high = std::bit_cast<float>(a[i]), low = std::bit_cast<float>(b[i]);
      return which == 0
                 ? static_cast<std::uint32_t>(float_to_half(high)) << 16 | float_to_half(low)
                 : static_cast<std::uint32_t>(float_to_bfloat(high)) << 16 | float_to_bfloat(low);
    });
    return;
  }
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const std::uint32_t high =
        encode_in(static_cast<double>(std::bit_cast<float>(a[i])), which, rounding, in.aux);
    const std::uint32_t low =
        encode_in(static_cast<double>(std::bit_cast<float>(b[i])), which, rounding, in.aux);
    d[i] = high << bits | low;
  }
}
void repack_pair(Warp& w, const Instruction& in, std::uint32_t mask) {  // f16x2 -> fp8x2
  const std::uint32_t which = in.aux2 >> 8;
  const auto* a = w.row<std::uint32_t>(in.o[1]);
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const std::uint32_t high =
        encode_in(static_cast<double>(half_to_float(static_cast<std::uint16_t>(a[i] >> 16))), which,
                  Rounding::kNearest, in.aux);
    const std::uint32_t low =
        encode_in(static_cast<double>(half_to_float(static_cast<std::uint16_t>(a[i]))), which,
                  Rounding::kNearest, in.aux);
    d[i] = high << 8 | low;
  }
}
void unpack_pair(Warp& w, const Instruction& in, std::uint32_t mask) {  // fp8x2 -> f16x2
  const std::uint32_t which = in.aux2 >> 8, bits = which == kE2m1 ? 4 : 8;
  const auto* a = w.row<std::uint32_t>(in.o[1]);
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const auto half = [&](std::uint32_t byte) {
      const float v = static_cast<float>(decode_float(byte, kFormats[which]));
      return static_cast<std::uint32_t>(
          v != v ? 0x7fffu : float_to_half((in.aux & kRelu) != 0 && v < 0 ? 0.0f : v));
    };
    const std::uint32_t ones = (1u << bits) - 1;
    d[i] = half(a[i] >> bits & ones) << 16 | half(a[i] & ones);
  }
}
void unpack_exponents(Warp& w, const Instruction& in, std::uint32_t mask) {  // ue8m0x2 -> bf16x2
  const auto* a = w.row<std::uint32_t>(in.o[1]);
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int i) -> std::uint32_t {
    const auto one = [](std::uint32_t code) -> std::uint32_t {
      return code == 0xff ? 0x7fff
                          : float_to_bfloat(std::ldexp(1.0f, static_cast<int>(code) - 127));
    };
    return one(a[i] >> 8 & 0xff) << 16 | one(a[i] & 0xff);
  });
}
void to_tf32(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto rounding = static_cast<Rounding>(in.aux2 & 0xff);
  const auto* a = w.row<std::uint32_t>(in.o[1]);
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    double v = static_cast<double>(std::bit_cast<float>(a[i]));
    if ((in.aux & kRelu) != 0 && !(v > 0)) v = 0;
    d[i] = v != v ? 0x7fffffffu
                  : encode_float(v, kTf32Format, rounding, (in.aux & kSatfinite) != 0) << 13;
  }
}

Rounding take_rounding(Selector& s, bool* to_integer) {
  static constexpr std::pair<std::string_view, Rounding> kNames[] = {{"rn", Rounding::kNearest},
                                                                     {"rz", Rounding::kZero},
                                                                     {"rm", Rounding::kDown},
                                                                     {"rp", Rounding::kUp},
                                                                     {"rna", Rounding::kAway}};
  for (const auto& [name, rounding] : kNames) {
    if (s.take(name)) return rounding;
  }
  static constexpr std::pair<std::string_view, Rounding> kInteger[] = {{"rni", Rounding::kNearest},
                                                                       {"rzi", Rounding::kZero},
                                                                       {"rmi", Rounding::kDown},
                                                                       {"rpi", Rounding::kUp}};
  for (const auto& [name, rounding] : kInteger) {
    if (s.take(name)) {
      *to_integer = true;
      return rounding;
    }
  }
  return Rounding::kNearest;
}

std::uint32_t format_number(Type type, std::string_view name) {
  if (type.kind == 'f') return 0;
  if (type.kind == 'h') return 1;
  return name.starts_with("e4m3")   ? 2
         : name.starts_with("e5m2") ? 3
         : name.starts_with("e2m3") ? 5
         : name.starts_with("e3m2") ? 6
         : name.starts_with("e2m1") ? kE2m1
                                    : kUe8m0;
}

}  // namespace

bool select_convert(Selector& s) {
  if (s.root() != "cvt") return false;
  s.out.kind = Kind::kConvert;
  bool to_integer = false;
  std::uint32_t flags = 0;
  if (s.take("pack")) s.unsupported("cvt.pack");
  const Rounding rounding = take_rounding(s, &to_integer);
  if (to_integer) flags |= kToInteger;
  if (s.take("ftz")) flags |= kFtz;
  if (s.take("sat")) flags |= kSat;
  if (s.take("relu")) flags |= kRelu;
  if (s.take("satfinite")) flags |= kSatfinite;
  std::string_view first;
  for (const std::string_view name : {"e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "e2m1x2", "ue8m0x2"})
    if (s.has(name)) first = name;
  const Type to = s.take_type(), from = s.take_type();
  s.out.aux2 = static_cast<std::uint32_t>(rounding);
  const Type word{'b', 32}, half{'b', 16};
  if (to.lanes == 2 || from.lanes == 2) {
    if (from == Type{'f', 32}) {
      s.need(3, 3);
      s.destination(0, to.bits == 16 ? word : half);
      s.source(1, from);
      s.source(2, from);
      s.out.aux2 |= format_number(to, first) << 8;
      s.out.run = &pack_pair;
    } else if (to.kind == 'q' && from == Type{'f', 16, 2}) {
      s.need(2, 2);
      s.destination(0, half);
      s.source(1, word);
      s.out.aux2 |= format_number(to, first) << 8;
      s.out.run = &repack_pair;
    } else if (from.kind == 'q' && first != "ue8m0x2" && to == Type{'f', 16, 2}) {
      s.need(2, 2);
      s.destination(0, word);
      s.source(1, half);
      s.out.aux2 |= format_number(from, first) << 8;
      s.out.run = &unpack_pair;
    } else if (first == "ue8m0x2" && to == Type{'h', 16, 2}) {
      s.need(2, 2);
      s.destination(0, word);
      s.source(1, half);
      s.out.run = &unpack_exponents;
    } else {
      s.unsupported("this conversion of pairs");
    }
    s.out.aux = flags;
    return true;
  }
  s.need(2, 2);
  if (to.kind == 't') {
    s.destination(0, word);
    s.source(1, from);
    s.out.aux = flags;
    s.out.run = &to_tf32;
    return true;
  }
  if (to.kind == 'p' || from.kind == 'p' || to.kind == 'q' || from.kind == 'q')
    s.fail("no such conversion");
  const int to_width = s.destination_any(s.operand(0), to),
            from_width = s.source_any(s.operand(1), from);
  if (to_width < to.bits || from_width < from.bits || to_width == 1 || from_width == 1)
    s.fail("a register is too narrow");
  const auto is_integer = [](Type t) { return t.kind == 's' || t.kind == 'u' || t.kind == 'b'; };
  if (is_integer(to) && !is_integer(from)) flags |= kToInteger;
  s.out.run = quick(to, from, flags, rounding, to_width == 64, from_width == 64);
  if (s.out.run == nullptr) s.out.run = by_types(to, from);
  s.out.aux =
      flags | (from_width == 64 ? kWideSource : 0) | (to_width == 64 ? kWideDestination : 0);
  return true;
}

}  // namespace hone::sim
