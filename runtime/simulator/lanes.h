// Operations on all lanes of a warp: the same loop for every type, once for any x86-64 and once for
// AVX2 with FMA.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "runtime/simulator/floats.h"
#include "runtime/simulator/warp.h"

#define HONE_INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define HONE_FAST [[gnu::target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt")]]
#else
#define HONE_FAST
#endif
// The iterations of the next loop don't depend on one another; clang finds that out by itself.
#if defined(__clang__)
#define HONE_IVDEP
#else
#define HONE_IVDEP _Pragma("GCC ivdep")
#endif

namespace hone::sim {

// Whether this machine runs the HONE_FAST forms.
bool fast_machine();

template <class T>
using Stored = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

template <class T>
HONE_INLINE T from_bits(Stored<T> bits) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    return std::bit_cast<T>(bits);
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(bits);
  } else {
    return T::from_bits(bits);
  }
}
template <class T>
HONE_INLINE Stored<T> to_bits(T value) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    return std::bit_cast<Stored<T>>(value);
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<Stored<T>>(static_cast<std::make_unsigned_t<T>>(value));
  } else {
    return value.bits();
  }
}

// d[i] = f(i) for the lanes of the mask.
template <class D, class F>
HONE_INLINE void each_lane(Stored<D>* d, std::uint32_t mask, F f) {
  if (mask == kAllLanes) {
    HONE_IVDEP
    for (int i = 0; i < kLanes; ++i) d[i] = to_bits<D>(f(i));
    return;
  }
  alignas(64) Stored<D> result[kLanes];
  HONE_IVDEP
  for (int i = 0; i < kLanes; ++i) result[i] = to_bits<D>(f(i));
  HONE_IVDEP
  for (int i = 0; i < kLanes; ++i) d[i] = (mask >> i & 1) != 0 ? result[i] : d[i];
}

template <class D, class A, class Op>
HONE_INLINE void unary_body(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<Stored<A>>(in.o[1]);
  each_lane<D>(w.row<Stored<D>>(in.o[0]), mask,
               [&](int i) HONE_LAMBDA { return Op::run(from_bits<A>(a[i])); });
}
template <class D, class A, class B, class Op>
HONE_INLINE void binary_body(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<Stored<A>>(in.o[1]);
  const auto* b = w.row<Stored<B>>(in.o[2]);
  each_lane<D>(w.row<Stored<D>>(in.o[0]), mask,
               [&](int i) HONE_LAMBDA { return Op::run(from_bits<A>(a[i]), from_bits<B>(b[i])); });
}
template <class D, class A, class B, class C, class Op>
HONE_INLINE void ternary_body(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<Stored<A>>(in.o[1]);
  const auto* b = w.row<Stored<B>>(in.o[2]);
  const auto* c = w.row<Stored<C>>(in.o[3]);
  each_lane<D>(w.row<Stored<D>>(in.o[0]), mask, [&](int i) HONE_LAMBDA {
    return Op::run(from_bits<A>(a[i]), from_bits<B>(b[i]), from_bits<C>(c[i]));
  });
}

template <class D, class A, class Op>
void unary_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  unary_body<D, A, Op>(w, in, mask);
}
template <class D, class A, class Op>
HONE_FAST void unary_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  unary_body<D, A, Op>(w, in, mask);
}
template <class D, class A, class B, class Op>
void binary_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  binary_body<D, A, B, Op>(w, in, mask);
}
template <class D, class A, class B, class Op>
HONE_FAST void binary_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  binary_body<D, A, B, Op>(w, in, mask);
}
template <class D, class A, class B, class C, class Op>
void ternary_any(Warp& w, const Instruction& in, std::uint32_t mask) {
  ternary_body<D, A, B, C, Op>(w, in, mask);
}
template <class D, class A, class B, class C, class Op>
HONE_FAST void ternary_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  ternary_body<D, A, B, C, Op>(w, in, mask);
}

template <class D, class A, class Op>
Handler unary() {
  return fast_machine() ? &unary_fast<D, A, Op> : &unary_any<D, A, Op>;
}
template <class D, class A, class B, class Op>
Handler binary() {
  return fast_machine() ? &binary_fast<D, A, B, Op> : &binary_any<D, A, B, Op>;
}
template <class D, class A, class B, class C, class Op>
Handler ternary() {
  return fast_machine() ? &ternary_fast<D, A, B, C, Op> : &ternary_any<D, A, B, C, Op>;
}

// The handler of an operation on a type: Make<T> gives it.
template <class Make>
Handler by_integer(Type type, Make make) {
  const bool is_signed = type.kind == 's';
  switch (type.bits) {
    case 8:
      return is_signed ? make(std::int8_t{}) : make(std::uint8_t{});
    case 16:
      return is_signed ? make(std::int16_t{}) : make(std::uint16_t{});
    case 32:
      return is_signed ? make(std::int32_t{}) : make(std::uint32_t{});
    case 64:
      return is_signed ? make(std::int64_t{}) : make(std::uint64_t{});
    default:
      return nullptr;
  }
}

}  // namespace hone::sim
