#include "runtime/simulator/lanes.h"
#include "runtime/simulator/selector.h"
#include "runtime/simulator/specials.h"

// mov, cvta, isspacep, activemask.
namespace hone::sim {
namespace {

struct Same {
  template <class T>
  HONE_INLINE static T run(T a) {
    return a;
  }
};

void mov_predicate(Warp& w, const Instruction& in, std::uint32_t mask) {
  w.set_predicate(in.o[0], w.predicate(in.o[1]), mask);
}

void mov_clock(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint64_t now = w.run->executed + 1;  // never 0, as on a GPU
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    if ((in.aux & 1) != 0) {
      w.row<std::uint64_t>(in.o[0])[i] = now;
    } else {
      w.row<std::uint32_t>(in.o[0])[i] = static_cast<std::uint32_t>(now);
    }
  }
}

// {a, b} -> d: aux parts of aux2 bits each, the lowest first.
void pack(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t parts = in.aux, bits = in.aux2;
  const bool wide = parts * bits == 64, wide_parts = bits == 64;
  const std::uint64_t part_mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    std::uint64_t value = 0;
    for (std::uint32_t k = 0; k < parts; ++k)
      value |= (lane_value(w, in, 1 + k, wide_parts, i) & part_mask) << (k * bits);
    if (wide) {
      w.row<std::uint64_t>(in.o[0])[i] = value;
    } else {
      w.row<std::uint32_t>(in.o[0])[i] = static_cast<std::uint32_t>(value);
    }
  }
}
void unpack(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t parts = in.aux, bits = in.aux2;
  const bool wide = parts * bits == 64;
  const std::uint64_t part_mask = (std::uint64_t{1} << bits) - 1;
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const std::uint64_t value = lane_value(w, in, parts, wide, i);
    for (std::uint32_t k = 0; k < parts; ++k) {
      w.row<std::uint32_t>(in.o[k])[i] =
          static_cast<std::uint32_t>(value >> (k * bits) & part_mask);
    }
  }
}
// Two 32-bit registers and one of 64 bits: what kernels do most.
void pack_words(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *low = w.row<std::uint32_t>(in.o[1]), *high = w.row<std::uint32_t>(in.o[2]);
  each_lane<std::uint64_t>(w.row<std::uint64_t>(in.o[0]), mask, [&](int i) HONE_LAMBDA {
    return static_cast<std::uint64_t>(high[i]) << 32 | low[i];
  });
  if (!w.checked) return;
  // Beside a value, a register that nobody ever writes is what the compiler makes of the unused
  // bits of a struct.
  const std::uint32_t a = w.undefined[in.t[1]], b = w.undefined[in.t[2]];
  const std::uint32_t a_origin = w.origin[in.t[1]], b_origin = w.origin[in.t[2]];
  const std::uint32_t undefined =
      ((a_origin != 0 ? a : a & b) | (b_origin != 0 ? b : a & b)) & mask;
  w.set_undefined(in.t[0], undefined, mask);
  if (undefined != 0) w.origin[in.t[0]] = a_origin != 0 ? a_origin : b_origin;
}
void pack_halves(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto *low = w.row<std::uint32_t>(in.o[1]), *high = w.row<std::uint32_t>(in.o[2]);
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask,
                           [&](int i) HONE_LAMBDA { return high[i] << 16 | (low[i] & 0xffffu); });
}
void unpack_halves(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* value = w.row<std::uint32_t>(in.o[2]);
  alignas(64) std::uint32_t copy[kLanes];
  for (int i = 0; i < kLanes; ++i) copy[i] = value[i];
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask,
                           [&](int i) HONE_LAMBDA { return copy[i] & 0xffffu; });
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[1]), mask,
                           [&](int i) HONE_LAMBDA { return copy[i] >> 16; });
}

void add_window(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<std::uint64_t>(in.o[1]);
  const std::uint64_t window = in.imm;
  each_lane<std::uint64_t>(w.row<std::uint64_t>(in.o[0]), mask,
                           [&](int i) HONE_LAMBDA { return window | (a[i] & 0xffffffffu); });
}
// A null pointer stays null in the other direction.
void drop_window(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<std::uint64_t>(in.o[1]);
  each_lane<std::uint64_t>(w.row<std::uint64_t>(in.o[0]), mask, [&](int i) HONE_LAMBDA {
    return (a[i] & kWindowMask) == in.imm ? a[i] & 0xffffffffu : a[i];
  });
}

void isspacep(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<std::uint64_t>(in.o[1]);
  std::uint32_t hit = 0;
  for (int i = 0; i < kLanes; ++i) {
    const std::uint64_t window = a[i] & kWindowMask;
    const bool special =
        window == kSharedWindow || window == kLocalWindow || window == kParamWindow;
    if (in.imm != 0 ? window == in.imm : !special) hit |= 1u << i;
  }
  w.set_predicate(in.o[0], hit, mask);
}

void activemask(Warp& w, const Instruction& in, std::uint32_t mask) {
  each_lane<std::uint32_t>(w.row<std::uint32_t>(in.o[0]), mask, [&](int) { return mask; });
}

std::uint64_t window_of(Space space) {
  switch (space) {
    case Space::kShared:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    case Space::kParam:
      return kParamWindow;
    default:
      return 0;
  }
}

Space take_space(Selector& s) {
  if (s.take("global") || s.take("const")) return Space::kGlobal;
  if (s.take("shared") || s.take("shared::cta") || s.take("shared::cluster")) return Space::kShared;
  if (s.take("local")) return Space::kLocal;
  if (s.take("param") || s.take("param::entry")) return Space::kParam;
  s.fail("a state space is missing");
}

bool select_mov(Selector& s) {
  const Type type = s.take_type();
  s.need(2, 2);
  const Operand &to = s.operand(0), &from = s.operand(1);
  if (type.kind == 'p') {
    s.destination(to, type);
    if (from.kind == Operand::Kind::kInteger) {
      s.always();
      s.places.back().negated = from.value == 0;
    } else {
      s.source(from, type);
    }
    s.out.run = &mov_predicate;
    return true;
  }
  if (from.kind == Operand::Kind::kVector || to.kind == Operand::Kind::kVector) {
    const bool packs = from.kind == Operand::Kind::kVector;
    const auto parts = packs ? from.parts.size() : to.parts.size();
    if (type.bits > 64) s.unsupported("values of 128 bits");
    if (parts != 2 && parts != 4) s.fail("two or four parts");
    const Type part{'b', static_cast<std::uint8_t>(type.bits / parts)};
    s.out.aux = static_cast<std::uint32_t>(parts);
    s.out.aux2 = part.bits;
    if (packs) {
      s.destination(to, type);
      for (const Operand& operand : from.parts) s.source(operand, part);
      s.out.run = parts == 2 && type.bits == 64   ? &pack_words
                  : parts == 2 && type.bits == 32 ? &pack_halves
                                                  : &pack;
      if (s.out.run == &pack_words) s.out.taint = Taint::kHandler;
    } else {
      for (const Operand& operand : to.parts) s.destination(operand, part);
      s.source(from, type);
      s.out.run = parts == 2 && type.bits == 32 ? &unpack_halves : &unpack;
    }
    return true;
  }
  if (from.kind == Operand::Kind::kSpecial &&
      find_special(from.name) == static_cast<int>(Special::kClock)) {
    s.destination(to, type);
    s.out.aux = type.bits == 64 ? 1 : 0;
    s.out.run = &mov_clock;
    return true;
  }
  s.destination(to, type);
  s.source(from, type);
  s.out.run = type.bits * type.lanes == 64 ? unary<std::uint64_t, std::uint64_t, Same>()
                                           : unary<std::uint32_t, std::uint32_t, Same>();
  return true;
}

}  // namespace

bool select_move(Selector& s) {
  const std::string_view root = s.root();
  s.out.kind = Kind::kMove;
  if (root == "mov") return select_mov(s);
  const Type wide{'u', 64};
  if (root == "cvta") {
    const bool to_space = s.take("to");
    const Space space = take_space(s);
    if (s.take_type() != wide) s.fail("addresses have 64 bits");
    s.need(2, 2);
    s.destination(0, wide);
    s.source(1, wide);
    s.out.imm = window_of(space);
    s.out.run = space == Space::kGlobal ? unary<std::uint64_t, std::uint64_t, Same>()
                : to_space              ? &drop_window
                                        : &add_window;
    return true;
  }
  if (root == "isspacep") {
    const bool constant = s.has("const");
    const Space space = take_space(s);
    if (constant) s.unsupported("constant addresses");
    s.need(2, 2);
    s.destination(0, Type{'p', 1});
    s.source(1, wide);
    s.out.imm = window_of(space);
    s.out.run = &isspacep;
    return true;
  }
  if (root == "activemask") {
    const Type type = s.take_type();
    s.need(1, 1);
    s.destination(0, type);
    s.out.run = &activemask;
    return true;
  }
  return false;
}

}  // namespace hone::sim
