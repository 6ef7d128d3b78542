// HIP's vector types and the intrinsics on single numbers that device code takes for granted.
#pragma once

#define HONE_SIMT_EACH(name, T, op)                                                              \
  inline name##2 operator op(name##2 a, name##2 b) {                                             \
    return {static_cast<T>(a.x op b.x), static_cast<T>(a.y op b.y)};                             \
  }                                                                                              \
  inline name##3 operator op(name##3 a, name##3 b) {                                             \
    return {static_cast<T>(a.x op b.x), static_cast<T>(a.y op b.y), static_cast<T>(a.z op b.z)}; \
  }                                                                                              \
  inline name##4 operator op(name##4 a, name##4 b) {                                             \
    return {static_cast<T>(a.x op b.x), static_cast<T>(a.y op b.y), static_cast<T>(a.z op b.z),  \
            static_cast<T>(a.w op b.w)};                                                         \
  }                                                                                              \
  inline name##2 operator op(name##2 a, T b) { return a op name##2 {b, b}; }                     \
  inline name##3 operator op(name##3 a, T b) { return a op name##3 {b, b, b}; }                  \
  inline name##4 operator op(name##4 a, T b) { return a op name##4 {b, b, b, b}; }               \
  inline name##2 operator op(T a, name##2 b) { return name##2 {a, a} op b; }                     \
  inline name##3 operator op(T a, name##3 b) { return name##3 {a, a, a} op b; }                  \
  inline name##4 operator op(T a, name##4 b) { return name##4 {a, a, a, a} op b; }               \
  inline name##2 &operator op##=(name##2 & a, name##2 b) { return a = a op b; }                  \
  inline name##3 &operator op##=(name##3 & a, name##3 b) { return a = a op b; }                  \
  inline name##4 &operator op##=(name##4 & a, name##4 b) { return a = a op b; }                  \
  inline name##2 &operator op##=(name##2 & a, T b) { return a = a op b; }                        \
  inline name##3 &operator op##=(name##3 & a, T b) { return a = a op b; }                        \
  inline name##4 &operator op##=(name##4 & a, T b) { return a = a op b; }
#define HONE_SIMT_VECTOR(name, T)                                            \
  struct name##1 {                                                           \
    T x;                                                                     \
  };                                                                         \
  struct alignas(2 * sizeof(T)) name##2 {                                    \
    T x, y;                                                                  \
  };                                                                         \
  struct name##3 {                                                           \
    T x, y, z;                                                               \
  };                                                                         \
  struct alignas(4 * sizeof(T)) name##4 {                                    \
    T x, y, z, w;                                                            \
  };                                                                         \
  inline name##1 make_##name##1(T x) { return {x}; }                         \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                 \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }         \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; } \
  HONE_SIMT_EACH(name, T, +)                                                 \
  HONE_SIMT_EACH(name, T, -)                                                 \
  HONE_SIMT_EACH(name, T, *)                                                 \
  HONE_SIMT_EACH(name, T, /)
HONE_SIMT_VECTOR(char, signed char)
HONE_SIMT_VECTOR(uchar, unsigned char)
HONE_SIMT_VECTOR(short, short)
HONE_SIMT_VECTOR(ushort, unsigned short)
HONE_SIMT_VECTOR(int, int)
HONE_SIMT_VECTOR(uint, unsigned)
HONE_SIMT_VECTOR(long, long)
HONE_SIMT_VECTOR(ulong, unsigned long)
HONE_SIMT_VECTOR(longlong, long long)
HONE_SIMT_VECTOR(ulonglong, unsigned long long)
HONE_SIMT_VECTOR(float, float)
HONE_SIMT_VECTOR(double, double)

// Counts and positions of bits; of zero: no bit is bit 0, and all are leading.
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
inline int __clzll(long long v) {
  return v == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(v));
}
inline int __ffs(unsigned v) { return __builtin_ffs(static_cast<int>(v)); }
inline int __ffsll(unsigned long long v) { return __builtin_ffsll(static_cast<long long>(v)); }
inline unsigned long long __brevll(unsigned long long v) {
  unsigned long long turned = 0;
  for (int i = 0; i < 64; ++i) turned |= (v >> i & 1) << (63 - i);
  return turned;
}
inline unsigned __brev(unsigned v) { return static_cast<unsigned>(__brevll(v) >> 32); }

// Products of the low 24 bits, and high halves of products.
inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffff) * (b & 0xffffff); }
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<long>(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long>(a) * b >> 32);
}

inline int __float_as_int(float v) { return __builtin_bit_cast(int, v); }
inline unsigned __float_as_uint(float v) { return __builtin_bit_cast(unsigned, v); }
inline float __int_as_float(int v) { return __builtin_bit_cast(float, v); }
inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
