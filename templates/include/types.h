// What every rendered CPU source begins with: short names, storage types, and the shape of an entry point.
#pragma once

using i8 = signed char;
using u8 = unsigned char;
using i16 = short;
using u16 = unsigned short;
using i32 = int;
using u32 = unsigned int;
using i64 = long;
using u64 = unsigned long;
using f32 = float;
using f64 = double;

// Storage only: arithmetic happens in f32 (numeric.h and simd.h convert).
struct f16 { u16 bits; };
struct bf16 { u16 bits; };

// GGUF block formats: 32 consecutive elements share a scale (and q4_1 a minimum), f16.
struct q8_0 { f16 scale; i8 values[32]; };                 // value = scale * q
struct q4_0 { f16 scale; u8 values[16]; };                 // value = scale * (q - 8); low nibbles are elements 0..15, high 16..31
struct q4_1 { f16 scale; f16 minimum; u8 values[16]; };    // value = scale * q + minimum
static_assert(sizeof(q8_0) == 34 && sizeof(q4_0) == 18 && sizeof(q4_1) == 20);

// One block of a launch's grid, and which thread of the launch runs it.
struct Block {
  i64 x, y, z;
  i64 grid_x, grid_y, grid_z;
  i64 thread;
};

#define HONE_EXPORT extern "C" __attribute__((visibility("default")))

// An entry runs blocks [begin, end) of the linear grid, x fastest.
#define HONE_KERNEL(name)                                                                                \
  static inline void kernel_##name(const Args &a, const Block &b);                                       \
  HONE_EXPORT void hone_##name(const Args *a, const i64 *grid, i64 begin, i64 end, i64 thread) {         \
    for (i64 i = begin; i < end; ++i)                                                                    \
      kernel_##name(*a, Block{i % grid[0], i / grid[0] % grid[1], i / (grid[0] * grid[1]),               \
                              grid[0], grid[1], grid[2], thread});                                       \
  }                                                                                                      \
  static inline void kernel_##name(const Args &a, const Block &b)

// Brings one argument, as it comes from a checkpoint, into the layout of this variant.
#define HONE_PACK(name)                                                                                  \
  static inline void pack_##name(const Args &a, const u8 *from, u8 *to);                                 \
  HONE_EXPORT void hone_pack_##name(const Args *a, const u8 *from, u8 *to) { pack_##name(*a, from, to); } \
  static inline void pack_##name(const Args &a, const u8 *from, u8 *to)
