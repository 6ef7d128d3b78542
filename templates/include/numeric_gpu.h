// The GPU's twin of numeric.h: storage formats as numbers by the conversions of the hardware, and
// vectors of neighbouring elements in one access.
#pragma once
#include "simt.h"

#if HONE_CUDA
HONE_INLINE f32 to_f32(f16 value) {
  f32 result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
HONE_INLINE f16 to_f16(f32 value) {
  f16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
#else
HONE_INLINE f32 to_f32(f16 value) {
  return static_cast<f32>(__builtin_bit_cast(_Float16, value.bits));
}
HONE_INLINE f16 to_f16(f32 value) {
  return {__builtin_bit_cast(u16, static_cast<_Float16>(value))};
}
#endif
HONE_INLINE f32 to_f32(bf16 value) {
  return __builtin_bit_cast(f32, static_cast<u32>(value.bits) << 16);
}
// To nearest, ties to even; NaN stays NaN.
HONE_INLINE bf16 to_bf16(f32 value) {
#if HONE_CUDA && __CUDA_ARCH__ >= 800
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  const u32 bits = __builtin_bit_cast(u32, value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<u16>(bits >> 16 | 0x40u)};
  return {static_cast<u16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}
HONE_INLINE f32 to_f32(f32 value) { return value; }
HONE_INLINE f32 to_f32(i8 value) { return value; }

template <typename T, typename U>
constexpr bool kSame = false;
template <typename T>
constexpr bool kSame<T, T> = true;

template <typename T>
HONE_INLINE T from_f32(f32 value) {
  if constexpr (sizeof(T) == 4)
    return value;
  else if constexpr (kSame<T, f16>)
    return to_f16(value);
  else
    return to_bf16(value);
}

// Two neighbouring elements of 16 bits, the first in the low half.
template <typename T>
struct Two {
  T element[2];
};
template <typename T>
HONE_INLINE u32 to_pair(T, f32 low, f32 high) {
#if HONE_CUDA && __CUDA_ARCH__ >= 800
  u32 pair;
  if constexpr (kSame<T, f16>)
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return __builtin_bit_cast(u32, Two<T>{{from_f32<T>(low), from_f32<T>(high)}});
#endif
}

// One access of `bytes` bytes, aligned to as many.
template <int bytes>
struct Words;
template <>
struct Words<1> {
  u8 word;
};
template <>
struct Words<2> {
  u16 word;
};
template <>
struct Words<4> {
  u32 word;
};
template <>
struct alignas(8) Words<8> {
  u32 word[2];
};
template <>
struct alignas(16) Words<16> {
  u32 word[4];
};

// To global memory. NVRTC makes stores of elements out of some of those that C++ spells as one.
template <int bytes>
HONE_INLINE void store_words(void *p, const Words<bytes> &words) {
#if HONE_CUDA
  const u64 to = __cvta_generic_to_global(p);
  if constexpr (bytes == 16) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(words.word[0]),
                 "r"(words.word[1]), "r"(words.word[2]), "r"(words.word[3])
                 : "memory");
    return;
  }
  if constexpr (bytes == 8) {
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(to), "r"(words.word[0]),
                 "r"(words.word[1])
                 : "memory");
    return;
  }
#endif
  *static_cast<Words<bytes> *>(p) = words;
}

// `count` neighbouring elements as f32; count * sizeof(T) a power of two up to 16 (f32: up to 32)
// and p aligned to it (to 16 at most).
template <int count, typename T>
HONE_INLINE void load_vector(f32 (&to)[count], const T *p) {
  constexpr int bytes = count * static_cast<int>(sizeof(T));
  if constexpr (bytes > 16) {
#pragma unroll
    for (int part = 0; part < bytes / 16; ++part) {
      constexpr int each = 16 / static_cast<int>(sizeof(T));
      f32 some[each];
      load_vector(some, p + part * each);
#pragma unroll
      for (int i = 0; i < each; ++i) to[part * each + i] = some[i];
    }
  } else if constexpr (kSame<T, bf16> && bytes >= 4) {
    struct Twos {
      u32 two[count / 2];
    };
    const auto twos = __builtin_bit_cast(Twos, *reinterpret_cast<const Words<bytes> *>(p));
#pragma unroll
    for (int i = 0; i < count; ++i)
      to[i] = __builtin_bit_cast(
          f32, i % 2 == 0 ? twos.two[i / 2] << 16 : twos.two[i / 2] & 0xffff0000u);
  } else {
    struct Elements {
      T element[count];
    };
    const auto elements = __builtin_bit_cast(Elements, *reinterpret_cast<const Words<bytes> *>(p));
#pragma unroll
    for (int i = 0; i < count; ++i) to[i] = to_f32(elements.element[i]);
  }
}
template <typename T, int count>
HONE_INLINE auto words_of(const f32 (&from)[count]) {
  struct Elements {
    T element[count];
  } elements;
#pragma unroll
  for (int i = 0; i < count; ++i) elements.element[i] = from_f32<T>(from[i]);
  return __builtin_bit_cast(Words<count *static_cast<int>(sizeof(T))>, elements);
}
template <int count, typename T>
HONE_INLINE void store_vector(T *p, const f32 (&from)[count]) {
  constexpr int bytes = count * static_cast<int>(sizeof(T));
  if constexpr (bytes > 16) {
#pragma unroll
    for (int part = 0; part < bytes / 16; ++part) {
      constexpr int each = 16 / static_cast<int>(sizeof(T));
      f32 some[each];
#pragma unroll
      for (int i = 0; i < each; ++i) some[i] = from[part * each + i];
      store_vector(p + part * each, some);
    }
  } else {
    store_words(p, words_of<T>(from));
  }
}
// The same to shared memory; up to 16 bytes.
template <int count, typename T>
HONE_INLINE void store_shared(T *p, const f32 (&from)[count]) {
  *reinterpret_cast<Words<count *static_cast<int>(sizeof(T))> *>(p) = words_of<T>(from);
}

// `count` neighbours from element `at` on, which count divides; block formats too.
template <int count, typename T>
HONE_INLINE void load_run(f32 (&to)[count], const T *p, i64 at) {
  load_vector(to, p + at);
}
HONE_INLINE i32 nibble(const u8 *values, int i) {
  return i < 16 ? values[i] & 15 : values[i - 16] >> 4;
}
template <int count>
HONE_INLINE void load_run(f32 (&to)[count], const q8_0 *p, i64 at) {
  const q8_0 &block = p[at / 32];
  const f32 scale = to_f32(block.scale);
#pragma unroll
  for (int i = 0; i < count; ++i) to[i] = scale * block.values[at % 32 + i];
}
template <int count>
HONE_INLINE void load_run(f32 (&to)[count], const q4_0 *p, i64 at) {
  const q4_0 &block = p[at / 32];
  const f32 scale = to_f32(block.scale);
#pragma unroll
  for (int i = 0; i < count; ++i)
    to[i] = scale * (nibble(block.values, static_cast<int>(at % 32) + i) - 8);
}
template <int count>
HONE_INLINE void load_run(f32 (&to)[count], const q4_1 *p, i64 at) {
  const q4_1 &block = p[at / 32];
  const f32 scale = to_f32(block.scale), minimum = to_f32(block.minimum);
#pragma unroll
  for (int i = 0; i < count; ++i)
    to[i] = scale * nibble(block.values, static_cast<int>(at % 32) + i) + minimum;
}

inline constexpr i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
inline constexpr i64 round_up(i64 a, i64 b) { return ceil_div(a, b) * b; }
template <typename T>
HONE_INLINE constexpr T smaller(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
HONE_INLINE constexpr T larger(T a, T b) {
  return a < b ? b : a;
}
constexpr f32 kInfinity = __builtin_bit_cast(f32, 0x7f800000u);
