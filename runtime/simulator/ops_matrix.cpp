#include <array>
#include <bit>
#include <cstring>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/matrix.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// mma.sync of every dense shape. A fragment is unpacked into a small row-major matrix, multiplied,
// and packed again.
namespace hone::sim {
namespace {

constexpr int kMostK = 32;

// aux: shape and types, see Mma.
struct Mma {
  int m = 16, n = 8, k = 16;
  Element a = Element::kF16, b = Element::kF16, c = Element::kF32, d = Element::kF32;
  bool saturate = false;
};
std::uint64_t pack_mma(const Mma& x) {
  return static_cast<std::uint64_t>(x.m) | static_cast<std::uint64_t>(x.n) << 8 |
         static_cast<std::uint64_t>(x.k) << 16 | static_cast<std::uint64_t>(x.a) << 24 |
         static_cast<std::uint64_t>(x.b) << 32 | static_cast<std::uint64_t>(x.c) << 40 |
         static_cast<std::uint64_t>(x.d) << 48 | static_cast<std::uint64_t>(x.saturate) << 56;
}
Mma unpack_mma(std::uint64_t bits) {
  Mma x;
  x.m = static_cast<int>(bits & 0xff);
  x.n = static_cast<int>(bits >> 8 & 0xff);
  x.k = static_cast<int>(bits >> 16 & 0xff);
  x.a = static_cast<Element>(bits >> 24 & 0xff);
  x.b = static_cast<Element>(bits >> 32 & 0xff);
  x.c = static_cast<Element>(bits >> 40 & 0xff);
  x.d = static_cast<Element>(bits >> 48 & 0xff);
  x.saturate = (bits >> 56 & 1) != 0;
  return x;
}

// One register of a fragment: row and column of its first element, by lane; elements of a register
// lie side by side along k (a, b) or n (c, d).
struct Corner {
  int row, column;
};

// A (m x k): 16 rows take two halves of eight; along k a register holds 32 / bits elements and a
// quad of lanes four of them.
Corner a_corner(const Mma& x, int element_bits, int reg, int lane) {
  const int per = element_bits >= 32 ? 1 : 32 / element_bits;
  const int halves = x.m / 8;
  return {lane / 4 + reg % halves * 8, (lane % 4) * per + reg / halves * 4 * per};
}
// B (k x n): k down, n across.
Corner b_corner(int element_bits, int reg, int lane) {
  const int per = element_bits >= 32 ? 1 : 32 / element_bits;
  return {(lane % 4) * per + reg * 4 * per, lane / 4};
}
// Accumulators: two neighbours in n per lane.
Corner c_corner(int pair, int lane) { return {lane / 4 + pair * 8, (lane % 4) * 2}; }

int bits_of(Element e) {
  switch (e) {
    case Element::kF64:
      return 64;
    case Element::kF32:
    case Element::kTf32:
    case Element::kS32:
      return 32;
    case Element::kF16:
    case Element::kBf16:
      return 16;
    default:
      return 8;
  }
}

template <Element E>
HONE_INLINE float element(std::uint32_t word, int index, const float* table) {
  if constexpr (E == Element::kF16) {
    return half_to_float(static_cast<std::uint16_t>(word >> (16 * index)));
  } else if constexpr (E == Element::kBf16) {
    return bfloat_to_float(static_cast<std::uint16_t>(word >> (16 * index)));
  } else if constexpr (E == Element::kTf32) {
    return std::bit_cast<float>(word & 0xffffe000u);
  } else {
    return table[word >> (8 * index) & 0xff];
  }
}

const float* table_of(Element e) {
  static const std::array<std::array<float, 256>, 2> kTables = [] {
    std::array<std::array<float, 256>, 2> tables{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      tables[0][i] = static_cast<float>(decode_float(i, kE4m3Format));
      tables[1][i] = static_cast<float>(decode_float(i, kE5m2Format));
    }
    return tables;
  }();
  return e == Element::kE5m2 ? kTables[1].data() : kTables[0].data();
}

struct FloatTiles {
  alignas(64) float a[16][kMostK];
  alignas(64) float b[kMostK][8];
  alignas(64) float c[16][8];
};

template <Element E>
HONE_INLINE void unpack_a(const Warp& w, const std::uint32_t* rows, const Mma& x, FloatTiles& t) {
  constexpr int kBits = E == Element::kTf32                         ? 32
                        : E == Element::kF16 || E == Element::kBf16 ? 16
                                                                    : 8;
  constexpr int kPer = 32 / kBits;
  const float* table = table_of(x.a);
  const int registers = x.m * x.k / (kLanes * kPer);
  for (int r = 0; r < registers; ++r) {
    const auto* words = w.row<std::uint32_t>(rows[r]);
    alignas(64) float values[kPer][kLanes];
    for (int e = 0; e < kPer; ++e) {
      HONE_IVDEP
      for (int lane = 0; lane < kLanes; ++lane) values[e][lane] = element<E>(words[lane], e, table);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const Corner at = a_corner(x, kBits, r, lane);
      for (int e = 0; e < kPer; ++e) t.a[at.row][at.column + e] = values[e][lane];
    }
  }
}
template <Element E>
HONE_INLINE void unpack_b(const Warp& w, const std::uint32_t* rows, const Mma& x, FloatTiles& t) {
  constexpr int kBits = E == Element::kTf32                         ? 32
                        : E == Element::kF16 || E == Element::kBf16 ? 16
                                                                    : 8;
  constexpr int kPer = 32 / kBits;
  const float* table = table_of(x.b);
  const int registers = x.k * 8 / (kLanes * kPer);
  for (int r = 0; r < registers; ++r) {
    const auto* words = w.row<std::uint32_t>(rows[r]);
    alignas(64) float values[kPer][kLanes];
    for (int e = 0; e < kPer; ++e) {
      HONE_IVDEP
      for (int lane = 0; lane < kLanes; ++lane) values[e][lane] = element<E>(words[lane], e, table);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const Corner at = b_corner(kBits, r, lane);
      for (int e = 0; e < kPer; ++e) t.b[at.row + e][at.column] = values[e][lane];
    }
  }
}

HONE_INLINE void multiply(const Mma& x, FloatTiles& t) {
  for (int i = 0; i < x.m; ++i) {
    alignas(32) float sum[8] = {};
    for (int k = 0; k < x.k; ++k) {
      const float a = t.a[i][k];
      for (int j = 0; j < 8; ++j) sum[j] = __builtin_fmaf(a, t.b[k][j], sum[j]);
    }
    for (int j = 0; j < 8; ++j) t.c[i][j] += sum[j];
  }
}

template <Element A, Element B>
HONE_INLINE void mma_float_body(Warp& w, const Instruction& in, std::uint32_t) {
  const Mma x = unpack_mma(in.imm);
  FloatTiles t;
  const std::uint32_t* o = in.o + in.destinations;
  const int a_registers = x.m * x.k * bits_of(x.a) / (kLanes * 32),
            b_registers = x.k * 8 * bits_of(x.b) / (kLanes * 32);
  unpack_a<A>(w, o, x, t);
  unpack_b<B>(w, o + a_registers, x, t);
  o += a_registers + b_registers;
  for (int p = 0; p < x.m / 8; ++p) {
    if (x.c == Element::kF32) {
      const auto *first = w.row<float>(o[2 * p]), *second = w.row<float>(o[2 * p + 1]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        t.c[at.row][at.column] = first[lane];
        t.c[at.row][at.column + 1] = second[lane];
      }
    } else {
      const auto* words = w.row<std::uint32_t>(o[p]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        t.c[at.row][at.column] = half_to_float(static_cast<std::uint16_t>(words[lane]));
        t.c[at.row][at.column + 1] = half_to_float(static_cast<std::uint16_t>(words[lane] >> 16));
      }
    }
  }
  multiply(x, t);
  for (int p = 0; p < x.m / 8; ++p) {
    if (x.d == Element::kF32) {
      auto *first = w.row<float>(in.o[2 * p]), *second = w.row<float>(in.o[2 * p + 1]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        first[lane] = t.c[at.row][at.column];
        second[lane] = t.c[at.row][at.column + 1];
      }
    } else {
      auto* words = w.row<std::uint32_t>(in.o[p]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        words[lane] = static_cast<std::uint32_t>(float_to_half(t.c[at.row][at.column + 1])) << 16 |
                      float_to_half(t.c[at.row][at.column]);
      }
    }
  }
}
template <Element A, Element B>
void mma_float(Warp& w, const Instruction& in, std::uint32_t mask) {
  mma_float_body<A, B>(w, in, mask);
}
template <Element A, Element B>
HONE_FAST void mma_float_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  mma_float_body<A, B>(w, in, mask);
}

HONE_INLINE void mma_int_body(Warp& w, const Instruction& in, std::uint32_t) {
  const Mma x = unpack_mma(in.imm);
  alignas(64) std::int32_t a[16][kMostK], b[kMostK][8], c[16][8];
  const std::uint32_t* o = in.o + in.destinations;
  const int a_registers = x.m * x.k / 128, b_registers = x.k * 8 / 128;
  for (int r = 0; r < a_registers; ++r) {
    const auto* words = w.row<std::uint32_t>(o[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const Corner at = a_corner(x, 8, r, lane);
      for (int e = 0; e < 4; ++e) {
        const auto byte = static_cast<std::uint8_t>(words[lane] >> (8 * e));
        a[at.row][at.column + e] = x.a == Element::kS8 ? static_cast<std::int8_t>(byte) : byte;
      }
    }
  }
  for (int r = 0; r < b_registers; ++r) {
    const auto* words = w.row<std::uint32_t>(o[a_registers + r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const Corner at = b_corner(8, r, lane);
      for (int e = 0; e < 4; ++e) {
        const auto byte = static_cast<std::uint8_t>(words[lane] >> (8 * e));
        b[at.row + e][at.column] = x.b == Element::kS8 ? static_cast<std::int8_t>(byte) : byte;
      }
    }
  }
  o += a_registers + b_registers;
  for (int p = 0; p < x.m / 8; ++p) {
    for (int e = 0; e < 2; ++e) {
      const auto* words = w.row<std::int32_t>(o[2 * p + e]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        c[at.row][at.column + e] = words[lane];
      }
    }
  }
  for (int i = 0; i < x.m; ++i) {
    // 32 products of 8 by 8 bits fit easily.
    std::int32_t sum[8] = {};
    for (int k = 0; k < x.k; ++k) {
      for (int j = 0; j < 8; ++j) sum[j] += a[i][k] * b[k][j];
    }
    for (int j = 0; j < 8; ++j) {
      const std::int64_t total = static_cast<std::int64_t>(c[i][j]) + sum[j];
      c[i][j] = x.saturate ? static_cast<std::int32_t>(total < INT32_MIN   ? INT32_MIN
                                                       : total > INT32_MAX ? INT32_MAX
                                                                           : total)
                           : static_cast<std::int32_t>(static_cast<std::uint32_t>(total));
    }
  }
  for (int p = 0; p < x.m / 8; ++p) {
    for (int e = 0; e < 2; ++e) {
      auto* words = w.row<std::int32_t>(in.o[2 * p + e]);
      for (int lane = 0; lane < kLanes; ++lane) {
        const Corner at = c_corner(p, lane);
        words[lane] = c[at.row][at.column + e];
      }
    }
  }
}
void mma_int(Warp& w, const Instruction& in, std::uint32_t mask) { mma_int_body(w, in, mask); }
HONE_FAST void mma_int_fast(Warp& w, const Instruction& in, std::uint32_t mask) {
  mma_int_body(w, in, mask);
}

void mma_double(Warp& w, const Instruction& in, std::uint32_t) {
  const Mma x = unpack_mma(in.imm);
  double a[16][16], b[16][8], c[16][8];
  const std::uint32_t* o = in.o + in.destinations;
  const int a_registers = x.m * x.k / kLanes, b_registers = x.k * 8 / kLanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int r = 0; r < a_registers; ++r) {
      const Corner at = a_corner(x, 64, r, lane);
      a[at.row][at.column] = w.row<double>(o[r])[lane];
    }
    for (int r = 0; r < b_registers; ++r) {
      const Corner at = b_corner(64, r, lane);
      b[at.row][at.column] = w.row<double>(o[a_registers + r])[lane];
    }
    for (int r = 0; r < x.m / 4; ++r) {
      const Corner at = c_corner(r / 2, lane);
      c[at.row][at.column + r % 2] = w.row<double>(o[a_registers + b_registers + r])[lane];
    }
  }
  for (int i = 0; i < x.m; ++i) {
    for (int j = 0; j < 8; ++j) {
      for (int k = 0; k < x.k; ++k) c[i][j] = std::fma(a[i][k], b[k][j], c[i][j]);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int r = 0; r < x.m / 4; ++r) {
      const Corner at = c_corner(r / 2, lane);
      w.row<double>(in.o[r])[lane] = c[at.row][at.column + r % 2];
    }
  }
}

// m8n8k4: four products at once, each by a quad pair (lanes 4q..4q+3 and 16+4q..16+4q+3). aux: 1 a
// is column-major, 2 b is row-major... of the operands, 4 c is f32, 8 d is f32.
void mma_quad_pairs(Warp& w, const Instruction& in, std::uint32_t) {
  const bool a_column = (in.aux & 1) != 0, b_row = (in.aux & 2) != 0, c_float = (in.aux & 4) != 0,
             d_float = (in.aux & 8) != 0;
  const std::uint32_t* o = in.o + in.destinations;
  const auto half_at = [&](std::uint32_t row, int lane, int index) {
    return half_to_float(
        static_cast<std::uint16_t>(w.row<std::uint32_t>(row)[lane] >> (16 * (index & 1))));
  };
  for (int q = 0; q < 4; ++q) {
    float a[8][4], b[4][8], c[8][8];
    const auto lane_of = [&](int t) { return 4 * q + t % 4 + (t >= 4 ? 16 : 0); };
    for (int t = 0; t < 8; ++t) {
      const int lane = lane_of(t);
      for (int i = 0; i < 4; ++i) {
        const float va = half_at(o[i / 2], lane, i), vb = half_at(o[2 + i / 2], lane, i);
        if (a_column) {
          a[i + (t >= 4 ? 4 : 0)][t % 4] = va;
        } else {
          a[t][i] = va;
        }
        if (b_row) {
          b[t % 4][i + (t >= 4 ? 4 : 0)] = vb;
        } else {
          b[i][t] = vb;
        }
      }
    }
    const auto place = [&](int t, int i, bool wide) {
      if (!wide) return Corner{t, i};
      return Corner{(t % 4 & 1) + (i & 2) + (t >= 4 ? 4 : 0), (i & 4) + (t % 4 & 2) + (i & 1)};
    };
    for (int t = 0; t < 8; ++t) {
      for (int i = 0; i < 8; ++i) {
        const Corner at = place(t, i, c_float);
        c[at.row][at.column] =
            c_float ? w.row<float>(o[4 + i])[lane_of(t)] : half_at(o[4 + i / 2], lane_of(t), i);
      }
    }
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < 8; ++j) {
        float sum = 0;
        for (int k = 0; k < 4; ++k) sum = std::fma(a[i][k], b[k][j], sum);
        c[i][j] += sum;
      }
    }
    for (int t = 0; t < 8; ++t) {
      for (int i = 0; i < 8; ++i) {
        const Corner at = place(t, i, d_float);
        const int lane = lane_of(t);
        if (d_float) {
          w.row<float>(in.o[i])[lane] = c[at.row][at.column];
        } else {
          std::uint32_t& word = w.row<std::uint32_t>(in.o[i / 2])[lane];
          const std::uint32_t value = float_to_half(c[at.row][at.column]);
          word = i % 2 == 0 ? (word & 0xffff0000u) | value : (word & 0xffffu) | value << 16;
        }
      }
    }
  }
}

// Which elements of the result depend on undefined ones: rows of a and columns of b spread.
void mma_taint(Warp& w, const Instruction& in) {
  const Mma x = unpack_mma(in.imm);
  const int a_bits = bits_of(x.a),
            a_registers = x.m * x.k * a_bits / (kLanes * (a_bits == 64 ? 64 : 32));
  const int b_registers = x.k * 8 * a_bits / (kLanes * (a_bits == 64 ? 64 : 32));
  const std::uint32_t* t = in.t + in.destinations;
  const int sources = in.sources;
  std::uint32_t any = 0, origin = 0;
  for (int s = 0; s < sources; ++s) {
    if (w.undefined[t[s]] != 0) origin = w.origin[t[s]];
    any |= w.undefined[t[s]];
  }
  if (any == 0) {
    for (int d = 0; d < in.destinations; ++d) w.undefined[in.t[d]] = 0;
    return;
  }
  std::uint32_t bad_rows = 0, bad_columns = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int r = 0; r < a_registers; ++r) {
      if ((w.undefined[t[r]] >> lane & 1) != 0) bad_rows |= 1u << a_corner(x, a_bits, r, lane).row;
    }
    for (int r = 0; r < b_registers; ++r) {
      if ((w.undefined[t[a_registers + r]] >> lane & 1) != 0)
        bad_columns |= 1u << b_corner(a_bits, r, lane).column;
    }
  }
  for (int d = 0; d < in.destinations; ++d) {
    const int per_pair = in.destinations / (x.m / 8);
    std::uint32_t undefined =
        d < sources - a_registers - b_registers ? w.undefined[t[a_registers + b_registers + d]] : 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      const Corner at = c_corner(d / std::max(per_pair, 1), lane);
      const std::uint32_t columns = per_pair == 1 ? 3u << at.column : 1u << (at.column + d % 2);
      if ((bad_rows >> at.row & 1) != 0 || (bad_columns & columns) != 0) undefined |= 1u << lane;
    }
    w.undefined[in.t[d]] = undefined;
    if (undefined != 0) w.origin[in.t[d]] = origin;
  }
}

using MmaHandler = Handler;
template <MmaHandler Run>
void with_taint(Warp& w, const Instruction& in, std::uint32_t mask) {
  if (w.checked) mma_taint(w, in);
  Run(w, in, mask);
}

template <Element A, Element B>
Handler float_handler() {
  return fast_machine() ? &with_taint<&mma_float_fast<A, B>> : &with_taint<&mma_float<A, B>>;
}

Element element_of(std::string_view name, Selector& s) {
  static constexpr std::pair<std::string_view, Element> kNames[] = {
      {"f16", Element::kF16},  {"bf16", Element::kBf16}, {"tf32", Element::kTf32},
      {"f32", Element::kF32},  {"f64", Element::kF64},   {"s8", Element::kS8},
      {"u8", Element::kU8},    {"s32", Element::kS32},   {"e4m3", Element::kE4m3},
      {"e5m2", Element::kE5m2}};
  for (const auto& [text, e] : kNames) {
    if (text == name) return e;
  }
  s.unsupported("this element type");
}

void vector(Selector& s, std::size_t i, std::size_t registers, Type type, bool destination) {
  const Operand& operand = s.operand(i);
  if (operand.kind != Operand::Kind::kVector && registers == 1) {
    destination ? s.destination(operand, type) : s.source(operand, type);
    return;
  }
  if (operand.kind != Operand::Kind::kVector || operand.parts.size() != registers)
    s.fail("a fragment of another size is needed");
  for (const Operand& part : operand.parts)
    destination ? s.destination(part, type) : s.source(part, type);
}

Type register_of(Element e) {
  if (e == Element::kF64) return {'f', 64};
  return {'b', 32};
}

bool select_mma(Selector& s) {
  if (!s.take("sync")) s.fail(".sync is missing");
  s.take("aligned");
  if (s.has("sp") || s.has("sp::ordered_metadata")) s.unsupported("sparse matrices");
  if (s.has("block_scale")) s.unsupported("block scales");
  Mma x;
  const std::string_view shape = s.take_prefix("m");
  if (std::sscanf(std::string(shape).c_str(), "m%dn%dk%d", &x.m, &x.n, &x.k) != 3)
    s.fail("a shape is missing");
  s.take_prefix("kind::");
  x.saturate = s.take("satfinite");
  const bool a_row = s.take("row");
  const bool a_column = !a_row && s.take("col");
  bool b_row = false;
  if (a_row) {
    b_row = s.take("row");
    if (!b_row && !s.take("col")) s.fail("layouts are missing");
  } else if (a_column) {
    b_row = !s.take("col");
    if (b_row && !s.take("row")) s.fail("layouts are missing");
  } else {
    s.fail("layouts are missing");
  }
  Element types[4];
  for (Element& type : types) {
    if (!s.modifiers_left()) s.fail("types are missing");
    const std::string_view name = s.first_left();
    type = element_of(name, s);
    s.take(name);
  }
  x.d = types[0];
  x.a = types[1];
  x.b = types[2];
  x.c = types[3];
  s.need(4, 4);
  s.out.imm = pack_mma(x);
  s.out.kind = Kind::kMatrix;
  s.out.flow = Flow::kAligned;
  s.out.taint = Taint::kHandler;
  s.out.flops = static_cast<std::uint8_t>(std::min(2 * x.m * x.n * x.k / 256, 255));
  if (shape == "m8n8k4" && x.a == Element::kF16) {
    const std::size_t c_registers = x.c == Element::kF32 ? 8 : 4,
                      d_registers = x.d == Element::kF32 ? 8 : 4;
    vector(s, 0, d_registers, {'b', 32}, true);
    vector(s, 1, 2, {'b', 32}, false);
    vector(s, 2, 2, {'b', 32}, false);
    vector(s, 3, c_registers, {'b', 32}, false);
    s.out.aux = (a_column ? 1u : 0u) | (b_row ? 2u : 0u) | (x.c == Element::kF32 ? 4u : 0u) |
                (x.d == Element::kF32 ? 8u : 0u);
    s.out.taint = Taint::kMerge;
    s.out.flops = 8;
    s.out.run = &mma_quad_pairs;
    return true;
  }
  if (!a_row || b_row) s.fail("the layouts are row.col");
  const auto in_set = [&](std::initializer_list<std::string_view> shapes) {
    for (const std::string_view candidate : shapes) {
      if (candidate == shape) return true;
    }
    return false;
  };
  const auto is_fp8 = [](Element e) { return e == Element::kE4m3 || e == Element::kE5m2; };
  const auto is_int8 = [](Element e) { return e == Element::kS8 || e == Element::kU8; };
  bool ok = false;
  if (x.a == Element::kF16 && x.b == Element::kF16) {
    ok = in_set({"m16n8k8", "m16n8k16"}) && (x.c == Element::kF32 || x.c == Element::kF16) &&
         (x.d == Element::kF32 || x.d == Element::kF16);
    s.out.run = float_handler<Element::kF16, Element::kF16>();
  } else if (x.a == Element::kBf16 && x.b == Element::kBf16) {
    ok = in_set({"m16n8k8", "m16n8k16"}) && x.c == Element::kF32 && x.d == Element::kF32;
    s.out.run = float_handler<Element::kBf16, Element::kBf16>();
  } else if (x.a == Element::kTf32 && x.b == Element::kTf32) {
    ok = in_set({"m16n8k4", "m16n8k8"}) && x.c == Element::kF32 && x.d == Element::kF32;
    s.out.run = float_handler<Element::kTf32, Element::kTf32>();
  } else if (is_fp8(x.a) && is_fp8(x.b)) {
    ok = in_set({"m16n8k16", "m16n8k32"}) && (x.c == Element::kF32 || x.c == Element::kF16) &&
         x.d == x.c;
    s.out.run = float_handler<Element::kE4m3, Element::kE4m3>();
  } else if (is_int8(x.a) && is_int8(x.b)) {
    ok =
        in_set({"m8n8k16", "m16n8k16", "m16n8k32"}) && x.c == Element::kS32 && x.d == Element::kS32;
    s.out.run = fast_machine() ? &with_taint<&mma_int_fast> : &with_taint<&mma_int>;
  } else if (x.a == Element::kF64 && x.b == Element::kF64) {
    ok = in_set({"m8n8k4", "m16n8k4", "m16n8k8", "m16n8k16"}) && x.c == Element::kF64 &&
         x.d == Element::kF64;
    s.out.run = &with_taint<&mma_double>;
  }
  if (!ok) s.unsupported("this shape with these types");
  const auto registers = [&](int count, Element e) {
    const int bits = bits_of(e);
    return static_cast<std::size_t>(count * bits / (kLanes * (bits == 64 ? 64 : 32)));
  };
  vector(s, 0, registers(x.m * x.n, x.d), register_of(x.d), true);
  vector(s, 1, registers(x.m * x.k, x.a), register_of(x.a), false);
  vector(s, 2, registers(x.k * x.n, x.b), register_of(x.b), false);
  vector(s, 3, registers(x.m * x.n, x.c), register_of(x.c), false);
  return true;
}

}  // namespace

bool select_matrix(Selector& s) {
  const std::string_view root = s.root();
  if (root == "mma") return select_mma(s);
  if (root == "ldmatrix" || root == "stmatrix" || root == "movmatrix") return select_matrix_move(s);
  if (root == "wmma") return select_wmma(s);
  return false;
}

}  // namespace hone::sim
