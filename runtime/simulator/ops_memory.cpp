#include <algorithm>

#include "runtime/simulator/lanes.h"
#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// ld and st in every space.
namespace hone::sim {
namespace {

// aux: elements, and how they are laid into registers.
constexpr std::uint32_t kSignExtend = 1u << 8;
// aux2: bit k: element k's row has 64 bits.

HONE_INLINE std::uint64_t load(const std::byte* from, std::uint32_t bytes) {
  std::uint64_t value = 0;
  switch (bytes) {
    case 1:
      return static_cast<std::uint64_t>(*from);
    case 2: {
      std::uint16_t v = 0;
      std::memcpy(&v, from, 2);
      return v;
    }
    case 4: {
      std::uint32_t v = 0;
      std::memcpy(&v, from, 4);
      return v;
    }
    default:
      std::memcpy(&value, from, 8);
      return value;
  }
}
HONE_INLINE std::uint64_t extend(std::uint64_t value, std::uint32_t bytes) {
  const unsigned shift = 64 - 8 * bytes;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << shift) >> shift);
}

template <std::uint32_t Bytes, bool Wide>
HONE_INLINE void load_element(Warp& w, const Access& access, std::uint32_t offset,
                              std::uint32_t row, bool sign) {
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    std::uint64_t value = load(access.data[static_cast<std::size_t>(i)] + offset, Bytes);
    if (sign) value = extend(value, Bytes);
    if constexpr (Wide) {
      w.row<std::uint64_t>(row)[i] = value;
    } else {
      w.row<std::uint32_t>(row)[i] = static_cast<std::uint32_t>(value);
    }
  }
}

void load_elements(Warp& w, const Instruction& in, const Access& access) {
  const bool sign = (in.aux & kSignExtend) != 0;
  const std::uint32_t count = in.aux & 0xff, bytes = in.bytes;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t offset = k * bytes, row = in.o[k];
    const bool wide = (in.aux2 >> k & 1) != 0;
    switch (bytes) {
      case 1:
        wide ? load_element<1, true>(w, access, offset, row, sign)
             : load_element<1, false>(w, access, offset, row, sign);
        break;
      case 2:
        wide ? load_element<2, true>(w, access, offset, row, sign)
             : load_element<2, false>(w, access, offset, row, sign);
        break;
      case 4:
        wide ? load_element<4, true>(w, access, offset, row, sign)
             : load_element<4, false>(w, access, offset, row, false);
        break;
      default:
        load_element<8, true>(w, access, offset, row, false);
        break;
    }
    if (w.checked) {
      w.set_undefined(in.t[k], access.tracked ? undefined_lanes(access, offset, bytes) : 0,
                      access.mask);
    }
  }
}

template <Space In>
void ld(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access access;
  const std::size_t base = in.destinations;
  if (w.checked) check_address(w, in, base, mask);
  if ((in.aux & kOrderedAccess) != 0) ++w.block->spins;
  std::uint32_t rest = mask;
  while (rest != 0 && !w.stop) {
    gather_addresses(w, in, base, access);
    const std::uint32_t lanes = In == Space::kGeneric ? same_window(access, rest) : rest;
    rest &= ~lanes;
    if (!resolve(w, in, In, lanes, in.bytes * (in.aux & 0xff), Use::kRead, access)) return;
    note_access(w, in, access, Use::kRead);
    load_elements(w, in, access);
  }
}

void mark_written(const Access& access, std::uint32_t offset, std::uint32_t bytes,
                  std::uint32_t undefined) {
  for (int i = 0; i < kLanes; ++i) {
    if ((access.mask >> i & 1) == 0) continue;
    std::uint8_t* written = access.written[static_cast<std::size_t>(i)];
    if (written != nullptr) std::memset(written + offset, (undefined >> i & 1) != 0 ? 0 : 1, bytes);
  }
}

// How far from an instruction its neighbours are looked for.
constexpr std::size_t kNear = 128;

// Element `k` of a store as a load left it: which load, and which element of it. Moves in between
// may pack it with another and unpack it again.
struct Moved {
  const Instruction* load = nullptr;
  std::uint32_t element = 0;
};
Moved moved_from(const std::vector<Instruction>& code, const Instruction& store, std::uint32_t k) {
  std::uint32_t place = store.t[1 + k];
  int part = -1;  // of a packed pair
  const auto from = static_cast<std::size_t>(&store - code.data());
  for (std::size_t i = from; i-- > 0 && from - i <= kNear;) {
    const Instruction& in = code[i];
    for (std::uint32_t d = 0; d < in.destinations; ++d) {
      if (in.t[d] != place) continue;
      if (in.kind == Kind::kLoad && part < 0) return {&in, d};
      if (in.kind != Kind::kMove || in.destinations * in.sources > 2) return {};
      if (in.sources == 2 && part < 0) return {};
      place = in.t[in.destinations + static_cast<std::uint32_t>(in.sources == 2 ? part : 0)];
      if (in.destinations == 2) part = static_cast<int>(d);
      if (in.sources == 2) part = -1;
      break;
    }
  }
  return {};
}

// A struct's padding that is only copied: undefined in every lane, and behind a member that the
// same instructions copy from the same struct to the same one.
bool copies_padding(const Warp& w, const Instruction& store, std::uint32_t k, std::uint32_t mask) {
  constexpr std::int64_t kMostPadding = 16;
  const auto& code = w.function->code;
  const Moved padding = moved_from(code, store, k);
  if (padding.load == nullptr || (w.undefined[store.t[1 + k]] & mask) != mask) return false;
  const auto offset = [](const Instruction& in, std::uint32_t element) {
    return static_cast<std::int64_t>(in.imm + element * in.bytes);
  };
  const auto at = static_cast<std::size_t>(&store - code.data());
  const std::size_t last = std::min(code.size(), at + kNear);
  for (std::size_t i = at > kNear ? at - kNear : 0; i < last; ++i) {
    const Instruction& other = code[i];
    if (other.kind != Kind::kStore || other.space != store.space || other.o[0] != store.o[0])
      continue;
    for (std::uint32_t j = 0; j < (other.aux & 0xff); ++j) {
      const std::int64_t distance = offset(other, j) - offset(store, k);
      if (distance >= 0 || distance <= -kMostPadding) continue;
      const Moved member = moved_from(code, other, j);
      if (member.load != nullptr && (w.undefined[other.t[1 + j]] & mask) == 0 &&
          member.load->o[member.load->destinations] ==
              padding.load->o[padding.load->destinations] &&
          offset(*member.load, member.element) - offset(*padding.load, padding.element) == distance)
        return true;
    }
  }
  return false;
}

void store_elements(Warp& w, const Instruction& in, const Access& access) {
  const std::uint32_t count = in.aux & 0xff, bytes = in.bytes, mask = access.mask;
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t offset = k * bytes, row = in.o[1 + k];
    const bool wide = (in.aux2 >> k & 1) != 0;
    for (int i = 0; i < kLanes; ++i) {
      if ((mask >> i & 1) == 0) continue;
      const std::uint64_t value =
          wide ? w.row<std::uint64_t>(row)[i] : w.row<std::uint32_t>(row)[i];
      std::byte* to = access.data[static_cast<std::size_t>(i)] + offset;
      switch (bytes) {
        case 1:
          std::memcpy(to, &value, 1);
          break;
        case 2:
          std::memcpy(to, &value, 2);
          break;
        case 4:
          std::memcpy(to, &value, 4);
          break;
        default:
          std::memcpy(to, &value, 8);
          break;
      }
    }
    if (!w.checked) continue;
    const std::uint32_t undefined = w.undefined[in.t[1 + k]] & mask;
    // Padding stays unwritten where it goes.
    const bool reported =
        access.space == Space::kGlobal && !(undefined != 0 && copies_padding(w, in, k, mask));
    if (undefined != 0 && reported) {
      report_undefined(w, in, 1 + k, undefined, "is stored to global memory");
    }
    if (access.tracked) mark_written(access, offset, bytes, reported ? 0 : undefined);
  }
}

template <Space In>
void st(Warp& w, const Instruction& in, std::uint32_t mask) {
  Access access;
  ++w.run->progress;
  if (w.checked) check_address(w, in, 0, mask);
  std::uint32_t rest = mask;
  while (rest != 0 && !w.stop) {
    gather_addresses(w, in, 0, access);
    const std::uint32_t lanes = In == Space::kGeneric ? same_window(access, rest) : rest;
    rest &= ~lanes;
    if (!resolve(w, in, In, lanes, in.bytes * (in.aux & 0xff), Use::kWrite, access)) return;
    if (w.races && (in.aux & kReleaseStore) != 0) w.block->shared_races->fence(w, /*wide=*/true);
    note_access(w, in, access, Use::kWrite);
    store_elements(w, in, access);
  }
}

// A kernel's parameters: the same for all.
void ld_param(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t count = in.aux & 0xff, bytes = in.bytes;
  const auto& block = w.run->launch.parameters;
  const auto* base = w.row<std::uint64_t>(in.o[in.destinations]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const std::uint64_t address = (base[i] & 0xffffffffu) + in.imm;
    if (address > block.size() || block.size() - address < bytes * count) {
      report(w, in, Finding::Kind::kOutOfBounds, i, Space::kParam, address,
             "a load beyond the kernel's parameters");
      return;
    }
    for (std::uint32_t k = 0; k < count; ++k) {
      std::uint64_t value = load(block.data() + address + k * bytes, bytes);
      if ((in.aux & kSignExtend) != 0) value = extend(value, bytes);
      if ((in.aux2 >> k & 1) != 0) {
        w.row<std::uint64_t>(in.o[k])[i] = value;
      } else {
        w.row<std::uint32_t>(in.o[k])[i] = static_cast<std::uint32_t>(value);
      }
    }
  }
  if (w.checked) {
    for (std::uint32_t k = 0; k < count; ++k) w.set_undefined(in.t[k], 0, mask);
  }
}

Space take_space(Selector& s) {
  if (s.take("global")) return Space::kGlobal;
  if (s.take("const")) return Space::kConst;
  if (s.take("shared") || s.take("shared::cta")) return Space::kShared;
  if (s.take("local")) return Space::kLocal;
  if (s.take("param") || s.take("param::entry") || s.take("param::func")) return Space::kParam;
  if (s.has("shared::cluster")) s.unsupported("the shared memory of a cluster");
  return Space::kGeneric;
}

// Cache hints change nothing that a kernel can see.
void drop_hints(Selector& s) {
  for (const std::string_view hint : {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc"}) s.take(hint);
  while (!s.take_prefix("L1::").empty() || !s.take_prefix("L2::").empty()) {
  }
}
std::uint32_t take_order(Selector& s) {
  std::uint32_t order = 0;
  s.take("weak");
  for (const std::string_view word : {"relaxed", "acquire", "mmio"}) {
    if (s.take(word)) order |= kOrderedAccess;
  }
  if (s.take("volatile")) order |= kOrderedAccess | kVolatileAccess;
  if (s.take("release")) order |= kOrderedAccess | kReleaseStore;
  for (const std::string_view word : {"cta", "cluster", "gpu", "sys"}) s.take(word);
  return order;
}

Handler loads(Space space) {
  switch (space) {
    case Space::kGlobal:
      return &ld<Space::kGlobal>;
    case Space::kConst:
      return &ld<Space::kConst>;
    case Space::kShared:
      return &ld<Space::kShared>;
    case Space::kLocal:
      return &ld<Space::kLocal>;
    default:
      return &ld<Space::kGeneric>;
  }
}
Handler stores(Space space) {
  switch (space) {
    case Space::kGlobal:
      return &st<Space::kGlobal>;
    case Space::kShared:
      return &st<Space::kShared>;
    case Space::kLocal:
      return &st<Space::kLocal>;
    default:
      return &st<Space::kGeneric>;
  }
}

}  // namespace

bool select_memory(Selector& s) {
  const std::string_view root = s.root();
  if (root == "prefetch" || root == "prefetchu" || root == "applypriority" || root == "discard") {
    s.take("global");
    s.take("local");
    s.take("const");
    s.take("param");
    s.take("tensormap");
    s.take("L1");
    s.take("L2");
    drop_hints(s);
    s.out.kind = Kind::kOther;
    s.out.taint = Taint::kNever;
    return true;
  }
  const bool loads_it = root == "ld" || root == "ldu";
  if (!loads_it && root != "st") return false;
  const Space space = take_space(s);
  const std::uint32_t order = take_order(s);
  drop_hints(s);
  const std::uint32_t count = s.take("v2") ? 2 : s.take("v4") ? 4 : s.take("v8") ? 8 : 1;
  const Type type = s.take_type();
  if (type.bits > 64) s.unsupported("values of 128 bits");
  if (type.kind == 'p') s.fail("a predicate in memory");
  s.need(2, 3);
  if (s.count() == 3 && root != "ld" && root != "st") s.fail("too many operands");
  const Operand& data = s.operand(loads_it ? 0 : 1);
  const Operand& address = s.operand(loads_it ? 1 : 0);
  if (address.kind != Operand::Kind::kAddress) s.fail("an address in brackets is needed");
  const auto add = [&](const Operand& operand, std::uint32_t k) {
    const int width = loads_it ? s.destination_any(operand, type) : s.source_any(operand, type);
    if (width == 1) s.fail("a predicate in memory");
    if (width < type.bits) s.fail("a register is too narrow");
    if (width == 64) s.out.aux2 |= 1u << k;
  };
  const auto add_all = [&] {
    if (count == 1) {
      if (data.kind == Operand::Kind::kVector) {
        if (data.parts.size() != 1) s.fail("a vector without .v2, .v4 or .v8");
        add(data.parts[0], 0);
      } else {
        add(data, 0);
      }
      return;
    }
    if (data.kind != Operand::Kind::kVector || data.parts.size() != count)
      s.fail("a vector of that size is needed");
    for (std::uint32_t k = 0; k < count; ++k) add(data.parts[k], k);
  };
  s.out.bytes = static_cast<std::uint8_t>(type.bits / 8);
  s.out.taint = Taint::kHandler;
  const std::uint32_t flags = count | (type.kind == 's' ? kSignExtend : 0) | order;
  s.out.kind = loads_it ? Kind::kLoad : Kind::kStore;
  if (loads_it) {
    add_all();
    const std::uint32_t widths = s.out.aux2;
    s.address(address, space);
    const bool frame = (s.out.aux2 & kInFrame) != 0;
    s.out.aux2 = widths;
    s.out.aux = flags;
    if (s.out.space == Space::kParam) {
      if (frame || !s.function.entry) {
        s.out.space = Space::kLocal;
        s.out.run = &ld<Space::kLocal>;
      } else {
        s.out.run = &ld_param;
        if (s.places.back().width != 64) s.fail("an address of 64 bits is needed");
      }
      s.out.kind = Kind::kMove;
    } else {
      s.out.run = loads(s.out.space);
    }
    return true;
  }
  s.address(address, space);
  s.out.aux2 = 0;
  add_all();
  s.out.aux = flags;
  if (s.out.space == Space::kConst) s.fail("constant memory isn't written by kernels");
  if (s.out.space == Space::kParam) {
    s.out.space = Space::kLocal;
    s.out.kind = Kind::kMove;
  }
  s.out.run = stores(s.out.space);
  return true;
}

}  // namespace hone::sim
