#include <array>
#include <bit>
#include <cstring>

#include "runtime/simulator/floats.h"
#include "runtime/simulator/matrix.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// wgmma: products of four warps with operands in shared memory, where descriptors say how rows
// along k lie. A warp does its 16 rows of the 64 by itself, when the instruction is issued; until
// the group is waited for, its sums are as good as unwritten, and at the wait the operands are read
// again for the race detector: who overwrote them too early is found.
namespace hone::sim {
namespace {

constexpr int kWarpRows = 16, kMostColumns = 256, kRowBytes = 32, kRun = 16;
constexpr std::uint32_t kNegatesA = 1, kNegatesB = 2;  // aux2

int columns_of(const Instruction& in) { return static_cast<int>(in.aux & 0xffff); }
Element element_of(const Instruction& in) { return static_cast<Element>(in.aux >> 16); }

// Where run `run` (16 bytes) of a row lies: descriptors hold bytes / 16 of the start, from a run to
// the next (without swizzle only), from eight rows to the next eight; and the width of the swizzle.
std::uint64_t run_address(std::uint64_t descriptor, int row, int run) {
  const auto field = [&](int first) { return (descriptor >> first & 0x3fff) << 4; };
  constexpr std::array<std::uint64_t, 4> kWidths = {0, 128, 64, 32};
  const std::uint64_t width = kWidths[descriptor >> 62];
  const std::uint64_t eight = field(0) + static_cast<std::uint64_t>(row / 8) * field(32);
  const auto within = static_cast<std::uint64_t>(row % 8), along = static_cast<std::uint64_t>(run);
  if (width == 0) return eight + along * field(16) + within * kRun;
  const std::uint64_t at = eight + within * width + along * kRun;
  return at ^ (at >> 7 & (width / kRun - 1)) << 4;
}

// Lanes have 16 rows from `row` on, first runs and second runs.
bool resolve_rows(Warp& w, const Instruction& in, std::uint64_t descriptor, int row, int rows,
                  Access& access) {
  std::uint32_t mask = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (lane % 16 < rows) mask |= 1u << lane;
    access.address[static_cast<std::size_t>(lane)] =
        run_address(descriptor, row + lane % 16, lane / 16);
  }
  if (!resolve(w, in, Space::kShared, mask, kRun, Use::kRead, access)) return false;
  if (w.checked) check_pending(w, in, access);
  if (w.races) w.block->shared_races->access(w, in, access, Use::kRead);
  return true;
}

struct Rows {
  alignas(64) std::byte bytes[kMostColumns][kRowBytes];
  std::array<bool, kMostColumns> undefined{};
};

bool load_rows(Warp& w, const Instruction& in, std::uint64_t descriptor, int first, int count,
               Rows& to) {
  for (int row = 0; row < count; row += 16) {
    Access access;
    if (!resolve_rows(w, in, descriptor, first + row, count - row, access)) return false;
    const std::uint32_t undefined = w.checked ? undefined_lanes(access, 0, kRun) : 0;
    for (std::uint32_t k = access.mask; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      const auto at = static_cast<std::size_t>(row + lane % 16);
      std::memcpy(to.bytes[at] + lane / 16 * kRun, access.data[static_cast<std::size_t>(lane)],
                  kRun);
      if ((undefined >> lane & 1) != 0) to.undefined[at] = true;
    }
  }
  return true;
}

template <class Number, class F>
void multiply(Warp& w, const Instruction& in, const Rows& a, const Rows& b, bool adds, F value) {
  constexpr int kMostK = kRowBytes;
  const int columns = columns_of(in), k = element_of(in) == Element::kS8 ? 32 : 16;
  const auto unpack = [&](const Rows& from, int row, Number* to) {
    for (int i = 0; i < k; ++i) to[i] = value(from.bytes[row], i);
  };
  static thread_local Number left[kWarpRows][kMostK], right[kMostColumns][kMostK];
  for (int row = 0; row < kWarpRows; ++row) unpack(a, row, left[row]);
  for (int column = 0; column < columns; ++column) unpack(b, column, right[column]);
  const Number sign = in.aux2 == kNegatesA || in.aux2 == kNegatesB ? Number{-1} : Number{1};
  for (int d = 0; d < columns / 2; ++d) {
    auto* sums = w.row<Number>(in.o[d]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const Number* x = left[lane / 4 + d / 2 % 2 * 8];
      const Number* y = right[d / 4 * 8 + lane % 4 * 2 + d % 2];
      Number sum = 0;
      for (int i = 0; i < k; ++i) sum += x[i] * y[i];
      sums[lane] = (adds ? sums[lane] : Number{0}) + sign * sum;
    }
  }
}

// What is known of the sums is kept until they are waited for.
void keep_taint(Warp& w, const Instruction& in, const Rows& a, const Rows& b, bool adds) {
  for (int d = 0; d < in.destinations; ++d) {
    const std::uint32_t place = in.t[d];
    const auto known = w.sums_taint.find(place);
    std::uint32_t undefined = !adds                         ? 0
                              : known != w.sums_taint.end() ? known->second
                                                            : w.undefined[place];
    for (int lane = 0; lane < kLanes; ++lane) {
      if (a.undefined[static_cast<std::size_t>(lane / 4 + d / 2 % 2 * 8)] ||
          b.undefined[static_cast<std::size_t>(d / 4 * 8 + lane % 4 * 2 + d % 2)])
        undefined |= 1u << lane;
    }
    w.sums_taint[place] = undefined;
    w.set_undefined(place, kAllLanes, kAllLanes);
  }
}

// o: sums, descriptors of a and b, whether to add.
void product(Warp& w, const Instruction& in, std::uint32_t) {
  const auto operand = static_cast<std::size_t>(in.destinations);
  const std::uint64_t descriptors[2] = {w.row<std::uint64_t>(in.o[operand])[0],
                                        w.row<std::uint64_t>(in.o[operand + 1])[0]};
  if (w.checked) {
    for (std::size_t i = 0; i < 2; ++i) {
      if (const std::uint32_t lanes = w.undefined[in.t[operand + i]]; lanes != 0)
        report_undefined(w, in, operand + i, lanes, "says where a matrix lies");
    }
  }
  const bool adds = (w.predicate(in.o[operand + 2]) & 1) != 0;
  Rows a, b;
  const int first = w.index % 4 * kWarpRows;
  if (!load_rows(w, in, descriptors[0], first, kWarpRows, a) ||
      !load_rows(w, in, descriptors[1], 0, columns_of(in), b))
    return;
  const auto word = [](const std::byte* row, int i) {
    std::uint16_t bits;
    std::memcpy(&bits, row + 2 * i, 2);
    return bits;
  };
  switch (element_of(in)) {
    case Element::kF16:
      multiply<float>(w, in, a, b, adds,
                      [&](const std::byte* row, int i) { return half_to_float(word(row, i)); });
      break;
    case Element::kBf16:
      multiply<float>(w, in, a, b, adds,
                      [&](const std::byte* row, int i) { return bfloat_to_float(word(row, i)); });
      break;
    default:
      multiply<std::int32_t>(w, in, a, b, adds, [](const std::byte* row, int i) {
        return static_cast<std::int32_t>(static_cast<std::int8_t>(row[i]));
      });
  }
  if (w.checked) keep_taint(w, in, a, b, adds);
  w.products.push_back({w.function, w.pc, w.product_groups, {descriptors[0], descriptors[1]}});
}

void commit(Warp& w, const Instruction&, std::uint32_t) { ++w.product_groups; }

// Operands are read to the end.
void finish(Warp& w, const Product& product) {
  const std::uint32_t pc = w.pc;
  w.pc = product.pc;
  const Instruction& in = product.function->code[product.pc];
  Access access;
  resolve_rows(w, in, product.descriptors[0], w.index % 4 * kWarpRows, kWarpRows, access);
  for (int row = 0; row < columns_of(in) && !w.stop; row += 16)
    resolve_rows(w, in, product.descriptors[1], row, columns_of(in) - row, access);
  w.pc = pc;
}

void wait(Warp& w, const Instruction& in, std::uint32_t) {
  std::vector<Product> rest;
  for (const Product& product : w.products) {
    if (product.group + in.aux >= w.product_groups)
      rest.push_back(product);
    else
      finish(w, product);
  }
  w.products = std::move(rest);
  if (!w.checked) return;
  std::unordered_map<std::uint32_t, std::uint32_t> under_way;
  for (const Product& product : w.products) {
    const Instruction& of = product.function->code[product.pc];
    for (int d = 0; d < of.destinations; ++d) {
      if (const auto known = w.sums_taint.find(of.t[d]); known != w.sums_taint.end())
        under_way.insert(*known);
    }
  }
  for (const auto& [place, undefined] : w.sums_taint) {
    if (!under_way.contains(place)) w.set_undefined(place, undefined, kAllLanes);
  }
  w.sums_taint = std::move(under_way);
}

void select_product(Selector& s) {
  s.take("aligned");
  const std::string shape(s.take_prefix("m64n"));
  int columns = 0, k = 0;
  if (std::sscanf(shape.c_str(), "m64n%dk%d", &columns, &k) != 2 || columns % 8 != 0 ||
      columns < 8 || columns > kMostColumns)
    s.fail("a shape is missing");
  const bool integers = s.take("s32");
  if (!integers && !s.take("f32")) s.unsupported("sums of this type");
  Element element = Element::kS8;
  if (s.take("f16"))
    element = s.take("f16") ? Element::kF16 : Element::kF32;
  else if (s.take("bf16"))
    element = s.take("bf16") ? Element::kBf16 : Element::kF32;
  else if (!s.take("s8") || !s.take("s8"))
    s.unsupported("this element type");
  if (element == Element::kF32 || integers != (element == Element::kS8) ||
      k != (integers ? 32 : 16))
    s.unsupported("this shape with these types");
  s.need(4, 8);
  const Operand& sums = s.operand(0);
  if (sums.kind != Operand::Kind::kVector ||
      sums.parts.size() != static_cast<std::size_t>(columns / 2))
    s.fail("sums of another size are needed");
  for (const Operand& part : sums.parts) s.destination(part, Type{integers ? 's' : 'f', 32});
  if (s.operand(1).kind == Operand::Kind::kVector) s.unsupported("a matrix in registers");
  s.source(1, Type{'b', 64});
  s.source(2, Type{'b', 64});
  s.source(3, Type{'p', 1});
  s.out.aux2 = 0;
  if (!integers) {
    s.need(8, 8);
    for (std::size_t i = 0; i < 2; ++i) {
      if (static_cast<std::int64_t>(s.integer(s.operand(4 + i))) < 0) s.out.aux2 |= 1u << i;
      if (s.integer(s.operand(6 + i)) != 0) s.unsupported("a matrix with rows across k");
    }
  }
  s.out.aux = static_cast<std::uint32_t>(columns) | static_cast<std::uint32_t>(element) << 16;
  s.out.kind = Kind::kMatrix;
  s.out.flops = static_cast<std::uint16_t>(2 * kWarpRows * columns * k / 256);
  s.out.run = &product;
}

}  // namespace

bool select_warpgroup(Selector& s) {
  if (s.root() != "wgmma") return false;
  s.out.flow = Flow::kAligned;
  s.out.kind = Kind::kOther;
  s.out.taint = Taint::kHandler;
  if (s.take("mma_async")) {
    if (!s.take("sync")) s.fail(".sync is missing");
    select_product(s);
    return true;
  }
  const bool commits = s.take("commit_group"), waits = !commits && s.take("wait_group");
  if (!commits && !waits && !s.take("fence")) s.unsupported("this operation");
  if (!s.take("sync")) s.fail(".sync is missing");
  s.take("aligned");
  s.need(waits ? 1 : 0, waits ? 1 : 0);
  if (waits) s.out.aux = static_cast<std::uint32_t>(s.integer(s.operand(0)));
  s.out.run = commits ? &commit : waits ? &wait : [](Warp&, const Instruction&, std::uint32_t) {};
  return true;
}

void check_products(Warp& w) {
  if (w.products.empty() || !w.checked) return;
  const Product& product = w.products.front();
  w.function = product.function;
  const std::uint32_t pc = w.pc;
  w.pc = product.pc;
  report(w, product.function->code[product.pc], Finding::Kind::kAsyncCopy, 0, Space::kShared,
         run_address(product.descriptors[0], 0, 0),
         "the warp left with this wgmma still under way: no wait_group covers it");
  w.pc = pc;
  w.products.clear();
}

}  // namespace hone::sim
