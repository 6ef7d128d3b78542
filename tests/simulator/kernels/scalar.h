// Bodies of one thread that the device and the host run alike: the host's answer is the
// expectation. The device gets them by #include of NVRTC's; the host defines __device__ away and
// the intrinsics in support/intrinsics.h.
#pragma once

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using s8 = signed char;
using s16 = short;
using s32 = int;
using s64 = long long;

// Mixes the index so that every test has its own numbers without a table.
__device__ inline u32 mixed(u32 x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

__device__ inline u64 mixed64(u32 x) { return (u64(mixed(x)) << 32) | mixed(x + 0x9e3779b9u); }

__device__ inline void int32_body(u32 i, u32 *out) {
  const u32 a = mixed(i), b = mixed(i + 1000), c = mixed(i + 2000);
  const s32 x = s32(a), y = s32(b | 1u);
  const u32 n = c & 31u;
  u32 k = 0;
  out[k++] = a + b * c;
  out[k++] = a - b;
  out[k++] = a / (b | 1u);
  out[k++] = a % (b | 1u);
  out[k++] = u32((x >> 3) / y);
  out[k++] = u32((x >> 3) % y);
  out[k++] = a << n;
  out[k++] = a >> n;
  out[k++] = u32(x >> s32(n));
  out[k++] = a < b ? a : b;
  out[k++] = u32(x < y ? y : x);
  out[k++] = u32(x < 0 ? -(x >> 1) : x);
  out[k++] = (a & b) ^ (~a & c);
  out[k++] = (a & b) | (a & c) | (b & c);
  out[k++] = ~(a | b);
  out[k++] = u32(__popc(a));
  out[k++] = u32(__clz(s32(a >> n)));
  out[k++] = u32(__ffs(s32(a << n)));
  out[k++] = __brev(a);
  out[k++] = __byte_perm(a, b, 0x3715);
  out[k++] = __byte_perm(a, b, c & 0x7777u);
  out[k++] = __umulhi(a, b);
  out[k++] = u32(__mulhi(x, y));
  out[k++] = __funnelshift_l(a, b, n);
  out[k++] = __funnelshift_r(a, b, n);
  out[k++] = u32(__sad(x >> 2, y >> 2, c));
  out[k++] = (a >> 7) & 0x1ffu;
  out[k++] = u32(s32(a << 9) >> 20);
  out[k++] = (a & 0xffff00ffu) | ((b & 0xffu) << 8);
  out[k++] = u32(__dp4a(x, y, s32(c)));
  out[k++] = __dp4a(a, b, c);
  out[k++] = u32(s8(a)) + u32(s16(b)) + u8(c) + u16(a);
  out[k++] = (a % 7u) * 1000u + (b / 10u) % 13u;
  out[k++] = u32((x / 16) * 3 + (y % 8));
  out[k++] = a == b ? 1u : a > c ? 2u : x < y ? 3u : 4u;
  out[k++] = u32(x > 0) + 2u * u32(y >= 0) + 4u * u32(s32(c) != 7);
}
constexpr u32 kInt32Words = 36;

__device__ inline void int64_body(u32 i, u64 *out) {
  const u64 a = mixed64(i), b = mixed64(i + 5000) | 1u, c = mixed64(i + 9000);
  const s64 x = s64(a), y = s64(b >> (c & 63u)) | 1;
  const u32 n = u32(c & 63u);
  u32 k = 0;
  out[k++] = a + b;
  out[k++] = a - c;
  out[k++] = a * b + c;
  out[k++] = a / (b >> n | 1u);
  out[k++] = a % (b >> n | 1u);
  out[k++] = u64((x >> 1) / y);
  out[k++] = u64((x >> 1) % y);
  out[k++] = a << n;
  out[k++] = a >> n;
  out[k++] = u64(x >> n);
  out[k++] = __umul64hi(a, b);
  out[k++] = u64(__mul64hi(x, y));
  out[k++] = u64(__clzll(s64(a >> n)));
  out[k++] = u64(__popcll(a));
  out[k++] = u64(__ffsll(s64(a << n)));
  out[k++] = __brevll(a);
  out[k++] = a < b ? c : a;
  out[k++] = u64(x < y ? x : y);
  out[k++] = u64(u32(a)) * u32(b);
  out[k++] = u64(s64(s32(a)) * s32(b));
  out[k++] = (a & b) | (~a & c);
  out[k++] = a ^ (b >> 32) ^ (c << 7);
  out[k++] = u64(s32(u32(a >> 20))) + u64(s16(a >> 3));
  out[k++] = a / 1000000007ull + b % 97ull;
  const unsigned __int128 wide = static_cast<unsigned __int128>(a) * b + c;
  out[k++] = u64(wide >> 64);
  out[k++] = u64(wide);
  const unsigned __int128 more = (static_cast<unsigned __int128>(c) << 64 | a) - wide;
  out[k++] = u64(more >> 77);
  out[k++] = u64(more);
}
constexpr u32 kInt64Words = 28;

// Everything here is exact in IEEE arithmetic: compared bit for bit (the host compiles without
// contraction, so does NVRTC here).
__device__ inline void float_exact_body(u32 i, float *out) {
  const float a = float(s32(mixed(i))) * 1.0e-6f, b = float(s32(mixed(i + 1)) | 1) * 3.0e-7f;
  const float c = float(mixed(i + 2) & 0xffffu) * 0.125f + 0.5f;
  u32 k = 0;
  out[k++] = a + b;
  out[k++] = a - b;
  out[k++] = a * b;
  out[k++] = a / b;
  out[k++] = sqrtf(c);
  out[k++] = fmaf(a, b, c);
  out[k++] = floorf(a);
  out[k++] = ceilf(a);
  out[k++] = truncf(a);
  out[k++] = rintf(a);
  out[k++] = roundf(a * 0.5f);
  out[k++] = fminf(a, b);
  out[k++] = fmaxf(a, c);
  out[k++] = fabsf(a);
  out[k++] = copysignf(c, a);
  out[k++] = -a;
  out[k++] = fmodf(a, c);
  out[k++] = ldexpf(a, s32(i % 40u) - 20);
  out[k++] = float(s32(a)) + float(u32(c));
  out[k++] = float(s64(a * 1.0e6f));
  out[k++] = float(u64(c * 1.0e9f));
  out[k++] = float(double(a) * double(b));
  out[k++] = a < b ? 1.0f : b < c ? 2.0f : 3.0f;
  out[k++] = (a != a) ? 1.0f : (a >= 0.0f) ? 2.0f : 3.0f;
  out[k++] = float(mixed64(i)) + float(s64(mixed64(i + 7)));
  out[k++] = float(u8(c)) + float(s16(a));
  out[k++] = c * 1.0e-39f;
  int exponent = 0;
  const float mantissa = frexpf(a, &exponent);
  out[k++] = mantissa;
  out[k++] = float(exponent);
  out[k++] = 1.0f / c;
  out[k++] = remainderf(a, c);
}
constexpr u32 kFloatExactWords = 31;

__device__ inline void double_exact_body(u32 i, double *out) {
  const double a = double(s64(mixed64(i))) * 1.0e-13, b = double(s64(mixed64(i + 1)) | 1) * 3.0e-14;
  const double c = double(mixed(i + 2)) * 0.0078125 + 0.5;
  u32 k = 0;
  out[k++] = a + b;
  out[k++] = a - b;
  out[k++] = a * b;
  out[k++] = a / b;
  out[k++] = sqrt(c);
  out[k++] = fma(a, b, c);
  out[k++] = floor(a);
  out[k++] = ceil(a);
  out[k++] = trunc(a);
  out[k++] = rint(a);
  out[k++] = round(a * 0.5);
  out[k++] = fmin(a, b);
  out[k++] = fmax(a, c);
  out[k++] = fabs(a);
  out[k++] = copysign(c, a);
  out[k++] = fmod(a, c);
  out[k++] = ldexp(a, s32(i % 40u) - 20);
  out[k++] = double(s32(a * 1.0e-3)) + double(u32(c));
  out[k++] = double(s64(a * 1.0e6)) + double(u64(c * 1.0e9));
  out[k++] = double(float(a));
  out[k++] = a < b ? 1.0 : b < c ? 2.0 : 3.0;
  out[k++] = double(mixed64(i)) - double(s64(mixed64(i + 7)));
  out[k++] = 1.0 / c;
  out[k++] = 1.0 / (a * 1.0e300);
}
constexpr u32 kDoubleExactWords = 24;

// Within a relative 2e-6 (float) and 1e-13 (double) of the host's library.
__device__ inline void float_math_body(u32 i, float *out) {
  const float a = float(s32(mixed(i))) * 4.0e-9f,
              c = float(mixed(i + 2) & 0xffffu) * 0.001f + 0.01f;
  u32 k = 0;
  out[k++] = sinf(a);
  out[k++] = cosf(a * 100.0f);
  out[k++] = tanf(a * 0.1f);
  out[k++] = expf(a);
  out[k++] = exp2f(a);
  out[k++] = logf(c);
  out[k++] = log2f(c);
  out[k++] = log10f(c);
  out[k++] = log1pf(c);
  out[k++] = expm1f(a);
  out[k++] = powf(c, a * 0.5f);
  out[k++] = tanhf(a);
  out[k++] = erff(a);
  out[k++] = atan2f(a, c);
  out[k++] = asinf(a * 0.1f);
  out[k++] = acosf(a * 0.1f);
  out[k++] = sinhf(a);
  out[k++] = cbrtf(a);
  out[k++] = hypotf(a, c);
  out[k++] = 1.0f / sqrtf(c);
  out[k++] = 0.5f * c * (1.0f + tanhf(0.79788456f * (c + 0.044715f * c * c * c)));
  out[k++] = c / (1.0f + expf(-c));
}
constexpr u32 kFloatMathWords = 22;

__device__ inline void double_math_body(u32 i, double *out) {
  const double a = double(s32(mixed(i))) * 4.0e-9,
               c = double(mixed(i + 2) & 0xffffu) * 0.001 + 0.01;
  u32 k = 0;
  out[k++] = sin(a);
  out[k++] = cos(a * 1000.0);
  out[k++] = sin(a * 1.0e9);
  out[k++] = tan(a * 0.1);
  out[k++] = exp(a);
  out[k++] = log(c);
  out[k++] = log2(c);
  out[k++] = pow(c, a);
  out[k++] = pow(c, 3.0);
  out[k++] = tanh(a);
  out[k++] = erf(a);
  out[k++] = atan2(a, c);
  out[k++] = asin(a * 0.1);
  out[k++] = cbrt(a);
  out[k++] = hypot(a, c);
  out[k++] = lgamma(c + 3.0);
  out[k++] = tgamma(c * 0.1 + 1.0);
  out[k++] = 1.0 / sqrt(c);
  out[k++] = expm1(a * 0.01);
}
constexpr u32 kDoubleMathWords = 19;

__device__ inline void divergent_body(u32 i, u32 *out) {
  u32 n = mixed(i) % 1000u + 1, steps = 0;
  while (n != 1) {
    n = (n & 1u) ? 3 * n + 1 : n / 2;
    ++steps;
  }
  out[0] = steps;
  u32 sum = 0;
  for (u32 a = 0; a < i % 13u + 1; ++a) {
    if (a == 5) continue;
    for (u32 b = a; b < 20; b += i % 3u + 1) {
      if ((a ^ b ^ i) % 11u == 7) break;
      if (b % 4u == 2) {
        sum += 100;
        continue;
      }
      sum = sum * 3 + b;
      if (sum > 1000000u) goto done;
    }
  }
done:
  out[1] = sum;
  u32 state = i % 9u;
  for (u32 step = 0; step < 24; ++step) {
    switch (state) {
      case 0:
        state = mixed(step + i) % 9u;
        sum += 1;
        break;
      case 1:
        state = 4;
        sum ^= 0x55u;
        break;
      case 2:
        state = sum % 5u;
        sum += 3;  // falls through
      case 3:
        sum = sum * 2 + 1;
        state = (state + 5) % 9u;
        break;
      case 4:
        state = 7;
        sum -= step;
        break;
      case 5:
        sum |= 1u << (step & 31u);
        state = 0;
        break;
      case 6:
        state = 2;
        sum >>= 1;
        break;
      case 7:
        state = (sum & 1u) ? 8 : 3;
        break;
      default:
        state = 0;
        sum += state + step;
        break;
    }
  }
  out[2] = sum;
  u32 count = 0;
  do {
    ++count;
    sum = mixed(sum);
  } while ((sum & 15u) != 0 && count < 100);
  out[3] = count;
}
constexpr u32 kDivergentWords = 4;

struct Triple {
  u32 a;
  u16 b;
  u64 c;
};

__device__ __noinline__ Triple made_triple(u32 a, u16 b) {
  return Triple{a * 3, u16(b + 1), u64(a) << 20 | b};
}
__device__ __noinline__ u64 triple_sum(Triple t, const Triple *other) {
  return t.a + t.b + t.c + other->c;
}

struct Sponge {
  u32 words[24];
  __device__ void absorb(u32 value) {
    for (u32 k = 0; k < 24; ++k) words[(k + value) % 24u] += words[k] * 5 + value;
  }
};

__device__ __noinline__ void stir(Sponge *sponge, u32 i) {
  for (u32 k = 0; k < i % 5u + 1; ++k) sponge->absorb(mixed(i + k));
}

__device__ inline void local_body(u32 i, u32 *out) {
  u32 heap[40];
  const u32 count = i % 30u + 10;
  for (u32 k = 0; k < count; ++k) heap[k] = mixed(i * 64 + k) % 1000u;
  for (u32 a = 1; a < count; ++a) {
    const u32 value = heap[a];
    u32 b = a;
    while (b > 0 && heap[b - 1] > value) {
      heap[b] = heap[b - 1];
      --b;
    }
    heap[b] = value;
  }
  for (u32 k = 0; k < 4; ++k) out[k] = heap[(k * count) / 4];
  Sponge sponge;
  for (u32 k = 0; k < 24; ++k) sponge.words[k] = k;
  stir(&sponge, i);
  out[4] = sponge.words[i % 24u];
  Triple first = made_triple(i, u16(i * 7)), second = made_triple(i + 1, 3);
  out[5] = u32(triple_sum(first, i % 2u ? &second : &first) >> 4);
  u8 bytes[16];
  for (u32 k = 0; k < 16; ++k) bytes[k] = u8(mixed(i + k));
  u32 word = 0;
  for (u32 k = 0; k < 16; ++k) word = word * 31 + bytes[(k * (i | 1u)) & 15u];
  out[6] = word;
}
constexpr u32 kLocalWords = 7;

struct Shape {
  u32 side;
  __device__ explicit Shape(u32 s) : side(s) {}
  __device__ virtual u32 area() const { return side; }
};
struct Square : Shape {
  __device__ explicit Square(u32 s) : Shape(s) {}
  __device__ u32 area() const override { return side * side; }
};
struct Hexagon : Shape {
  u32 extra;
  __device__ Hexagon(u32 s, u32 e) : Shape(s), extra(e) {}
  __device__ u32 area() const override { return 6 * side + extra; }
};

__device__ __noinline__ u32 area_of(const Shape &shape) { return shape.area(); }

__device__ inline void virtual_body(u32 i, u32 *out) {
  const Shape plain(i);
  const Square square(i);
  const Hexagon hexagon(i, 5);
  const Shape *shapes[3] = {&plain, &square, &hexagon};
  out[0] = area_of(*shapes[i % 3u]);
}
constexpr u32 kVirtualWords = 1;

template <int N, typename T>
struct Poly {
  __device__ static T eval(T x, const T *c) { return c[0] + x * Poly<N - 1, T>::eval(x, c + 1); }
};
template <typename T>
struct Poly<0, T> {
  __device__ static T eval(T, const T *c) { return c[0]; }
};

template <typename F>
__device__ s64 twice(F f, s64 x) {
  return f(f(x));
}

__device__ inline void template_body(u32 i, s64 *out) {
  const s64 c[6] = {1, -2, 3, -4, 5, s64(i)};
  const s32 d[4] = {7, s32(i), -3, 2};
  out[0] = Poly<5, s64>::eval(s64(i) - 20, c);
  out[1] = Poly<3, s32>::eval(s32(i) - 20, d);
  out[2] = twice([i](s64 x) { return x * x - s64(i); }, s64(i));
}
constexpr u32 kTemplateWords = 3;

__device__ inline void bytes_body(u32 i, u16 *out) {
  const u32 a = mixed(i), b = mixed(i + 3);
  const s8 x = s8(a), y = s8(b);
  const u8 p = u8(a >> 8), q = u8(b >> 8);
  const s16 r = s16(a >> 16), s = s16(b >> 16);
  u32 k = 0;
  out[k++] = u16(x * y);
  out[k++] = u16(p * q);
  out[k++] = u16(x / (y == 0 ? 1 : y));
  out[k++] = u16(u8(p + q));
  out[k++] = u16(s8(x - y));
  out[k++] = u16(s16(r * s));
  out[k++] = u16(r >> (q & 7));
  out[k++] = u16(u16(r) >> (q & 7));
  out[k++] = u16(x < y ? x : y);
  out[k++] = u16(r > s ? r : s);
  out[k++] = u16((p ^ q) & ~x);
}
constexpr u32 kBytesWords = 11;
