#include <bit>
#include <cstdio>
#include <cstring>

#include "runtime/simulator/floats.h"
#include "runtime/simulator/matrix.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// ldmatrix, stmatrix, movmatrix; and wmma, whose fragments are laid out as we like: nobody may know
// how.
namespace hone::sim {
namespace {

constexpr std::uint32_t kTransposed = 1u << 8;

// Addresses of the rows: lanes 0-7 those of the first matrix, and so on.
bool resolve_rows(Warp& w, const Instruction& in, std::size_t operand, std::uint32_t mask, Use use,
                  Access& rows) {
  const std::uint32_t count = in.aux & 0xff;
  const std::uint32_t lanes = count == 4 ? kAllLanes : (1u << (8 * count)) - 1;
  if (w.checked) check_address(w, in, operand, lanes & mask);
  gather_addresses(w, in, operand, rows);
  return resolve(w, in, in.space, lanes & mask, 16, use, rows);
}

void count_rows(Run& run, const Access& rows, std::uint32_t matrices) {
  Access one = rows;
  for (std::uint32_t k = 0; k < matrices; ++k) {
    // Eight rows of 16 bytes are served like eight lanes of a wide access.
    one.mask = rows.mask & (0xffu << (8 * k));
    if (one.mask != 0) count_shared(run, one);
  }
}

void note_rows(Warp& w, const Instruction& in, const Access& rows, Use use) {
  count_rows(*w.run, rows, in.aux & 0xff);
  if (w.checked) check_pending(w, in, rows);
  if (w.races) w.block->shared_races->access(w, in, rows, use);
}

void ldmatrix(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access rows;
  if (!resolve_rows(w, in, in.destinations, mask, Use::kRead, rows)) return;
  note_rows(w, in, rows, Use::kRead);
  const std::uint32_t count = in.aux & 0xff;
  const bool transposed = (in.aux & kTransposed) != 0;
  for (std::uint32_t m = 0; m < count; ++m) {
    // A row whose lane isn't there is nobody's.
    alignas(64) std::uint16_t tile[8][8] = {};
    std::uint32_t undefined = 0;
    for (std::size_t r = 0; r < 8; ++r) {
      if ((rows.mask >> (8 * m + r) & 1) != 0) std::memcpy(tile[r], rows.data[8 * m + r], 16);
    }
    auto* d = w.row<std::uint32_t>(in.o[m]);
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      const std::uint32_t r = lane / 4, c = lane % 4 * 2;
      d[lane] = transposed ? static_cast<std::uint32_t>(tile[c + 1][r]) << 16 | tile[c][r]
                           : static_cast<std::uint32_t>(tile[r][c + 1]) << 16 | tile[r][c];
    }
    if (!w.checked) continue;
    if (rows.tracked) {
      bool written[8][8];
      bool all = true;
      for (std::size_t r = 0; r < 8; ++r) {
        if ((rows.mask >> (8 * m + r) & 1) == 0) {
          all = false;
          for (bool& x : written[r]) x = false;
          continue;
        }
        const std::uint8_t* marks = rows.written[8 * m + r];
        std::uint64_t words[2];
        std::memcpy(words, marks, 16);
        if ((words[0] & words[1]) == 0x0101010101010101ull) {
          for (bool& x : written[r]) x = true;
          continue;
        }
        all = false;
        for (std::size_t c = 0; c < 8; ++c)
          written[r][c] = marks[2 * c] != 0 && marks[2 * c + 1] != 0;
      }
      for (std::uint32_t lane = 0; !all && lane < kLanes; ++lane) {
        const std::uint32_t r = lane / 4, c = lane % 4 * 2;
        const bool ok =
            transposed ? written[c][r] && written[c + 1][r] : written[r][c] && written[r][c + 1];
        if (!ok) undefined |= 1u << lane;
      }
    }
    w.set_undefined(in.t[m], undefined, kAllLanes);
  }
}

void stmatrix(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access rows;
  if (!resolve_rows(w, in, 0, mask, Use::kWrite, rows)) return;
  note_rows(w, in, rows, Use::kWrite);
  const std::uint32_t count = in.aux & 0xff;
  const bool transposed = (in.aux & kTransposed) != 0;
  for (std::uint32_t m = 0; m < count; ++m) {
    const auto* s = w.row<std::uint32_t>(in.o[1 + m]);
    const std::uint32_t undefined = w.checked ? w.undefined[in.t[1 + m]] : 0;
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      for (std::uint32_t e = 0; e < 2; ++e) {
        const std::uint32_t r = transposed ? lane % 4 * 2 + e : lane / 4,
                            c = transposed ? lane / 4 : lane % 4 * 2 + e;
        if ((rows.mask >> (8 * m + r) & 1) == 0) continue;
        const auto half = static_cast<std::uint16_t>(s[lane] >> (16 * e));
        std::memcpy(rows.data[8 * m + r] + 2 * c, &half, 2);
        if (rows.written[8 * m + r] != nullptr && w.checked)
          std::memset(rows.written[8 * m + r] + 2 * c, (undefined >> lane & 1) != 0 ? 0 : 1, 2);
      }
    }
  }
}

void movmatrix(Warp& w, const Instruction& in, std::uint32_t) {
  const auto* s = w.row<std::uint32_t>(in.o[1]);
  std::uint16_t tile[8][8];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    for (std::uint32_t e = 0; e < 2; ++e)
      tile[lane / 4][lane % 4 * 2 + e] = static_cast<std::uint16_t>(s[lane] >> (16 * e));
  }
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const std::uint32_t r = lane / 4, c = lane % 4 * 2;
    d[lane] = static_cast<std::uint32_t>(tile[c + 1][r]) << 16 | tile[c][r];
  }
}

struct Shape {
  int m = 16, n = 16, k = 16;
};

int bytes_of(Element e) {
  switch (e) {
    case Element::kF64:
      return 8;
    case Element::kF16:
    case Element::kBf16:
      return 2;
    case Element::kS8:
    case Element::kU8:
      return 1;
    default:
      return 4;
  }
}

// Element j of a lane is number (lane x elements + j) of the matrix, row after row; fragments that
// hold every element twice wrap around.
int number_of(int lane, int j, int per_lane, int total) { return (lane * per_lane + j) % total; }

// imm: rows, columns, element, registers, column-major (bits of 8).
std::uint64_t pack_fragment(int rows, int columns, Element e, std::size_t registers,
                            bool column_major) {
  return static_cast<std::uint64_t>(rows) | static_cast<std::uint64_t>(columns) << 8 |
         static_cast<std::uint64_t>(e) << 16 | static_cast<std::uint64_t>(registers) << 24 |
         static_cast<std::uint64_t>(column_major) << 32;
}

template <bool Store>
void wmma_move(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint64_t info =
      static_cast<std::uint64_t>(in.aux) | static_cast<std::uint64_t>(in.aux2) << 32;
  const int rows = static_cast<int>(info & 0xff), columns = static_cast<int>(info >> 8 & 0xff),
            registers = static_cast<int>(info >> 24 & 0xff);
  const auto e = static_cast<Element>(info >> 16 & 0xff);
  const bool column_major = (info >> 32 & 1) != 0;
  const int bytes = bytes_of(e), per = bytes >= 4 ? 1 : 4 / bytes, per_lane = registers * per,
            total = rows * columns;
  const std::size_t base = Store ? 0 : in.destinations;
  const auto* stride = w.row<std::uint32_t>(in.o[in.destinations + in.sources - 1]);
  const std::size_t first = Store ? 1 : 0;
  if (w.checked) check_address(w, in, base, mask);
  Access corner;
  gather_addresses(w, in, base, corner);
  for (int j = 0; j < per_lane; ++j) {
    Access access = corner;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int number = number_of(lane, j, per_lane, total), r = number / columns,
                c = number % columns;
      const auto ld = static_cast<std::int64_t>(stride[lane]);
      access.address[static_cast<std::size_t>(lane)] +=
          static_cast<std::uint64_t>((column_major ? c * ld + r : r * ld + c) * bytes);
    }
    if (!resolve(w, in, in.space, mask, static_cast<std::uint32_t>(bytes),
                 Store ? Use::kWrite : Use::kRead, access))
      return;
    note_access(w, in, access, Store ? Use::kWrite : Use::kRead);
    const std::size_t reg = first + static_cast<std::size_t>(j / per);
    const std::uint32_t undefined =
        w.checked && !Store && access.tracked
            ? undefined_lanes(access, 0, static_cast<std::uint32_t>(bytes))
            : 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      std::byte* at = access.data[static_cast<std::size_t>(lane)];
      if (bytes == 8) {
        auto& value = w.row<std::uint64_t>(in.o[reg])[lane];
        Store ? std::memcpy(at, &value, 8) : std::memcpy(&value, at, 8);
      } else {
        auto* value =
            reinterpret_cast<std::byte*>(&w.row<std::uint32_t>(in.o[reg])[lane]) + j % per * bytes;
        Store ? std::memcpy(at, value, static_cast<std::size_t>(bytes))
              : std::memcpy(value, at, static_cast<std::size_t>(bytes));
      }
    }
    if (!w.checked) continue;
    if constexpr (Store) {
      const std::uint32_t lanes = w.undefined[in.t[reg]] & mask;
      if (lanes != 0 && access.space == Space::kGlobal)
        report_undefined(w, in, reg, lanes, "is stored to global memory");
      for (std::uint32_t k = mask; k != 0; k &= k - 1) {
        const int lane = std::countr_zero(k);
        std::uint8_t* written = access.written[static_cast<std::size_t>(lane)];
        if (written != nullptr)
          std::memset(written, (lanes >> lane & 1) != 0 && access.space != Space::kGlobal ? 0 : 1,
                      static_cast<std::size_t>(bytes));
      }
    } else {
      w.set_undefined(in.t[reg], (j % per == 0 ? 0 : w.undefined[in.t[reg]]) | undefined, mask);
    }
  }
}

double read_element(const Warp& w, std::uint32_t row, int lane, int index, Element e) {
  const std::uint32_t word = e == Element::kF64 ? 0 : w.row<std::uint32_t>(row)[lane];
  switch (e) {
    case Element::kF64:
      return w.row<double>(row)[lane];
    case Element::kF32:
      return static_cast<double>(std::bit_cast<float>(word));
    case Element::kTf32:
      return static_cast<double>(std::bit_cast<float>(word & 0xffffe000u));
    case Element::kS32:
      return static_cast<double>(static_cast<std::int32_t>(word));
    case Element::kF16:
      return static_cast<double>(half_to_float(static_cast<std::uint16_t>(word >> (16 * index))));
    case Element::kBf16:
      return static_cast<double>(bfloat_to_float(static_cast<std::uint16_t>(word >> (16 * index))));
    case Element::kS8:
      return static_cast<std::int8_t>(word >> (8 * index));
    default:
      return static_cast<std::uint8_t>(word >> (8 * index));
  }
}

struct FragmentInfo {
  int registers, per, total;
  Element e;
  int per_lane() const { return registers * per; }
};

// imm: m, n, k, registers of d, a, b, c (bytes); aux: elements of d, a, b, c (bytes); aux2:
// saturate.
void wmma_mma(Warp& w, const Instruction& in, std::uint32_t) {
  const auto byte = [&](int i) { return static_cast<int>(in.imm >> (8 * i) & 0xff); };
  const int m = byte(0), n = byte(1), k = byte(2);
  const auto fragment = [&](int which, int rows, int columns) {
    const auto e = static_cast<Element>(in.aux >> (8 * which) & 0xff);
    const int bytes = bytes_of(e);
    return FragmentInfo{byte(3 + which), bytes >= 4 ? 1 : 4 / bytes, rows * columns, e};
  };
  const FragmentInfo d = fragment(0, m, n), a = fragment(1, m, k), b = fragment(2, k, n),
                     c = fragment(3, m, n);
  const std::uint32_t* o = in.o + in.destinations;
  static thread_local double va[512], vb[512], vc[256];
  const auto load = [&](const FragmentInfo& f, const std::uint32_t* rows, double* to) {
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int j = 0; j < f.per_lane(); ++j)
        to[number_of(lane, j, f.per_lane(), f.total)] =
            read_element(w, rows[j / f.per], lane, j % f.per, f.e);
    }
  };
  load(a, o, va);
  load(b, o + a.registers, vb);
  load(c, o + a.registers + b.registers, vc);
  const bool single = d.e == Element::kF32 || d.e == Element::kF16;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int x = 0; x < k; ++x) sum += va[i * k + x] * vb[x * n + j];
      const double total =
          vc[i * n + j] + (single ? static_cast<double>(static_cast<float>(sum)) : sum);
      vc[i * n + j] = total;
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int j = 0; j < d.per_lane(); ++j) {
      const double value = vc[number_of(lane, j, d.per_lane(), d.total)];
      const std::uint32_t row = in.o[j / d.per];
      switch (d.e) {
        case Element::kF64:
          w.row<double>(row)[lane] = value;
          break;
        case Element::kF32:
          w.row<float>(row)[lane] = static_cast<float>(value);
          break;
        case Element::kS32: {
          const auto whole = static_cast<std::int64_t>(value);
          const std::int64_t held = in.aux2 == 0        ? whole
                                    : whole < INT32_MIN ? INT32_MIN
                                    : whole > INT32_MAX ? INT32_MAX
                                                        : whole;
          w.row<std::uint32_t>(row)[lane] = static_cast<std::uint32_t>(held);
          break;
        }
        default: {
          std::uint32_t& word = w.row<std::uint32_t>(row)[lane];
          const std::uint32_t half = float_to_half(static_cast<float>(value));
          word = j % 2 == 0 ? (word & 0xffff0000u) | half : (word & 0xffffu) | half << 16;
        }
      }
    }
  }
}

Element take_element(Selector& s, bool needed) {
  static constexpr std::pair<std::string_view, Element> kNames[] = {
      {"f16", Element::kF16}, {"bf16", Element::kBf16}, {"tf32", Element::kTf32},
      {"f32", Element::kF32}, {"f64", Element::kF64},   {"s8", Element::kS8},
      {"u8", Element::kU8},   {"s32", Element::kS32}};
  if (s.modifiers_left()) {
    const std::string_view first = s.first_left();
    for (const auto& [text, e] : kNames) {
      if (text == first) {
        s.take(first);
        return e;
      }
    }
  }
  if (needed) s.unsupported("this element type");
  return Element::kF16;
}

Shape take_shape(Selector& s) {
  Shape shape;
  const std::string text(s.take_prefix("m"));
  if (std::sscanf(text.c_str(), "m%dn%dk%d", &shape.m, &shape.n, &shape.k) != 3)
    s.fail("a shape is missing");
  const auto is = [&](int m, int n, int k) { return shape.m == m && shape.n == n && shape.k == k; };
  if (!is(16, 16, 16) && !is(32, 8, 16) && !is(8, 32, 16) && !is(16, 16, 8) && !is(8, 8, 4))
    s.unsupported("this shape");
  return shape;
}

void fragment_operands(Selector& s, const Operand& operand, Element e, bool destination) {
  if (operand.kind != Operand::Kind::kVector) s.fail("a fragment in braces is needed");
  const Type type = e == Element::kF64 ? Type{'b', 64} : Type{'b', 32};
  for (const Operand& part : operand.parts)
    destination ? s.destination(part, type) : s.source(part, type);
}

void check_fragment(Selector& s, std::size_t registers, Element e, int total) {
  const int bytes = bytes_of(e), per = bytes >= 4 ? 1 : 4 / bytes;
  const int held = static_cast<int>(registers) * per * kLanes;
  if (registers == 0 || held % total != 0) s.fail("a fragment of another size is needed");
}

Space take_space(Selector& s) {
  if (s.take("global")) return Space::kGlobal;
  if (s.take("shared") || s.take("shared::cta")) return Space::kShared;
  return Space::kGeneric;
}

}  // namespace

bool select_matrix_move(Selector& s) {
  const std::string_view root = s.root();
  const Type word{'b', 32};
  if (!s.take("sync")) s.fail(".sync is missing");
  s.take("aligned");
  s.out.flow = Flow::kAligned;
  s.out.kind = Kind::kMatrixLoad;
  s.out.taint = Taint::kHandler;
  if (!s.take("m8n8")) s.unsupported("this shape");
  const bool transposed = s.take("trans");
  if (root == "movmatrix") {
    if (!transposed || !s.take("b16")) s.fail("movmatrix is .trans.b16");
    s.need(2, 2);
    s.destination(0, word);
    s.source(1, word);
    s.out.taint = Taint::kMerge;
    s.out.kind = Kind::kMove;
    s.out.run = &movmatrix;
    return true;
  }
  const std::uint32_t count = s.take("x1") ? 1 : s.take("x2") ? 2 : s.take("x4") ? 4 : 0;
  if (count == 0) s.fail("a count is missing");
  s.out.space = Space::kGeneric;
  if (s.take("shared") || s.take("shared::cta")) s.out.space = Space::kShared;
  if (!s.take("b16")) s.unsupported("this element type");
  const Space space = s.out.space;
  s.need(2, 2);
  const std::size_t data = root == "ldmatrix" ? 0 : 1, address = 1 - data;
  const Operand& fragment = s.operand(data);
  const auto parts = [&](bool destination) {
    if (fragment.kind != Operand::Kind::kVector) {
      if (count != 1) s.fail("a fragment in braces is needed");
      destination ? s.destination(fragment, word) : s.source(fragment, word);
      return;
    }
    if (fragment.parts.size() != count) s.fail("a fragment of another size is needed");
    for (const Operand& part : fragment.parts)
      destination ? s.destination(part, word) : s.source(part, word);
  };
  if (data == 0) parts(true);
  s.address(s.operand(address), space);
  if (data == 1) parts(false);
  if (s.out.space != Space::kShared && s.out.space != Space::kGeneric)
    s.fail("matrices lie in shared memory");
  s.out.bytes = 16;
  s.out.aux = count | (transposed ? kTransposed : 0);
  s.out.aux2 = 0;
  s.out.run = root == "ldmatrix" ? &ldmatrix : &stmatrix;
  return true;
}

bool select_wmma(Selector& s) {
  s.out.flow = Flow::kAligned;
  const bool loads = s.take("load"), stores = !loads && s.take("store");
  if (loads || stores) {
    const std::string_view which = s.take("a")   ? "a"
                                   : s.take("b") ? "b"
                                   : s.take("c") ? "c"
                                   : s.take("d") ? "d"
                                                 : "";
    if (which.empty()) s.fail("a matrix is missing");
    if (!s.take("sync")) s.fail(".sync is missing");
    s.take("aligned");
    const bool column = s.take("col");
    if (!column && !s.take("row")) s.fail("a layout is missing");
    const Shape shape = take_shape(s);
    const Space space = take_space(s);
    const Element e = take_element(s, true);
    const int rows = which == "b" ? shape.k : shape.m, columns = which == "a" ? shape.k : shape.n;
    s.need(2, 3);
    const Operand& fragment = s.operand(loads ? 0 : 1);
    if (loads) fragment_operands(s, fragment, e, true);
    s.address(s.operand(loads ? 1 : 0), space);
    if (stores) fragment_operands(s, fragment, e, false);
    check_fragment(s, fragment.parts.size(), e, rows * columns);
    if (s.count() == 3) {
      s.source(2, Type{'u', 32});
    } else {
      s.constant(static_cast<std::uint64_t>(column ? rows : columns), 32);
    }
    const std::uint64_t info = pack_fragment(rows, columns, e, fragment.parts.size(), column);
    s.out.aux = static_cast<std::uint32_t>(info);
    s.out.aux2 = static_cast<std::uint32_t>(info >> 32);
    s.out.bytes = static_cast<std::uint8_t>(bytes_of(e));
    s.out.kind = loads ? Kind::kLoad : Kind::kStore;
    s.out.taint = Taint::kHandler;
    s.out.run = loads ? &wmma_move<false> : &wmma_move<true>;
    return true;
  }
  if (!s.take("mma")) s.fail("load, store or mma is missing");
  if (!s.take("sync")) s.fail(".sync is missing");
  s.take("aligned");
  for (int i = 0; i < 2; ++i) {
    if (!s.take("row") && !s.take("col")) s.fail("layouts are missing");
  }
  const Shape shape = take_shape(s);
  s.take("rn");
  const bool saturates = s.take("satfinite");
  const Element d = take_element(s, true), second = take_element(s, true);
  Element a = Element::kF16, b = Element::kF16, c = second;
  if (s.modifiers_left()) {
    a = second;
    b = take_element(s, true);
    c = take_element(s, true);
  }
  s.need(4, 4);
  fragment_operands(s, s.operand(0), d, true);
  fragment_operands(s, s.operand(1), a, false);
  fragment_operands(s, s.operand(2), b, false);
  fragment_operands(s, s.operand(3), c, false);
  check_fragment(s, s.operand(0).parts.size(), d, shape.m * shape.n);
  check_fragment(s, s.operand(1).parts.size(), a, shape.m * shape.k);
  check_fragment(s, s.operand(2).parts.size(), b, shape.k * shape.n);
  check_fragment(s, s.operand(3).parts.size(), c, shape.m * shape.n);
  const auto size = [&](std::size_t i) {
    return static_cast<std::uint64_t>(s.operand(i).parts.size());
  };
  s.out.imm = static_cast<std::uint64_t>(shape.m) | static_cast<std::uint64_t>(shape.n) << 8 |
              static_cast<std::uint64_t>(shape.k) << 16 | size(0) << 24 | size(1) << 32 |
              size(2) << 40 | size(3) << 48;
  s.out.aux = static_cast<std::uint32_t>(d) | static_cast<std::uint32_t>(a) << 8 |
              static_cast<std::uint32_t>(b) << 16 | static_cast<std::uint32_t>(c) << 24;
  s.out.aux2 = saturates ? 1 : 0;
  s.out.kind = Kind::kMatrix;
  s.out.flops = static_cast<std::uint8_t>(2 * shape.m * shape.n * shape.k / 256);
  s.out.run = &wmma_mma;
  return true;
}

}  // namespace hone::sim
