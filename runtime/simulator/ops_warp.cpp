#include <bit>

#include "runtime/simulator/races.h"
#include "runtime/simulator/selector.h"

// shfl, vote, match, redux, elect, fences.
namespace hone::sim {
namespace {

enum class Shuffle : std::uint32_t { kUp, kDown, kBfly, kIdx };

// o: d, p, a, b, c, mask
void shfl(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto mode = static_cast<Shuffle>(in.aux);
  const auto *a = w.row<std::uint32_t>(in.o[2]), *b = w.row<std::uint32_t>(in.o[3]),
             *c = w.row<std::uint32_t>(in.o[4]), *members = w.row<std::uint32_t>(in.o[5]);
  alignas(64) std::uint32_t value[kLanes];
  std::uint32_t valid = 0, undefined = 0;
  const std::uint32_t source_undefined = w.checked ? w.undefined[in.t[2]] : 0;
  for (int i = 0; i < kLanes; ++i) {
    value[i] = a[i];
    if ((mask >> i & 1) == 0) continue;
    const int clamp = static_cast<int>(c[i] & 31), segment = static_cast<int>(c[i] >> 8 & 31),
              by = static_cast<int>(b[i] & 31);
    const int most = (i & segment) | (clamp & ~segment), least = i & segment;
    int from = 0;
    bool ok = false;
    switch (mode) {
      case Shuffle::kUp:
        from = i - by;
        ok = from >= most;
        break;
      case Shuffle::kDown:
        from = i + by;
        ok = from <= most;
        break;
      case Shuffle::kBfly:
        from = i ^ by;
        ok = from <= most;
        break;
      case Shuffle::kIdx:
        from = least | (by & ~segment);
        ok = from <= most;
        break;
    }
    if (!ok) from = i;
    if (ok) valid |= 1u << i;
    // What a lane outside the shuffle holds is undefined.
    if (w.checked && (mask & members[i] & 1u << from) == 0) undefined |= 1u << i;
    if ((source_undefined >> from & 1) != 0) undefined |= 1u << i;
    value[i] = a[from];
  }
  auto* d = w.row<std::uint32_t>(in.o[0]);
  for (int i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = value[i];
  }
  if (w.checked) {
    const std::uint32_t origin = w.origin[in.t[2]];
    w.set_undefined(in.t[0], undefined, mask);
    if ((undefined & mask & source_undefined) != 0) w.origin[in.t[0]] = origin;
    w.set_undefined(in.t[1], 0, mask);
  }
  w.set_predicate(in.o[1], valid, mask);
}

// Lanes of each member mask vote among themselves.
template <class F>
void by_mask(const Warp& w, const Instruction& in, std::uint32_t mask, F f) {
  const auto* members = w.row<std::uint32_t>(in.o[in.destinations + in.sources - 1]);
  for (std::uint32_t rest = mask; rest != 0;) {
    const std::uint32_t wanted = members[std::countr_zero(rest)];
    std::uint32_t lanes = 0;
    for (std::uint32_t k = rest; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      if (members[lane] == wanted) lanes |= 1u << lane;
    }
    rest &= ~lanes;
    f(lanes);
  }
}

enum class Vote : std::uint32_t { kAll, kAny, kUni, kBallot };
void vote(Warp& w, const Instruction& in, std::uint32_t mask) {
  const std::uint32_t predicate = w.predicate(in.o[1]);
  by_mask(w, in, mask, [&](std::uint32_t lanes) {
    const std::uint32_t hit = predicate & lanes;
    switch (static_cast<Vote>(in.aux)) {
      case Vote::kAll:
        w.set_predicate(in.o[0], hit == lanes ? kAllLanes : 0, lanes);
        break;
      case Vote::kAny:
        w.set_predicate(in.o[0], hit != 0 ? kAllLanes : 0, lanes);
        break;
      case Vote::kUni:
        w.set_predicate(in.o[0], hit == 0 || hit == lanes ? kAllLanes : 0, lanes);
        break;
      case Vote::kBallot:
        for (std::uint32_t k = lanes; k != 0; k &= k - 1)
          w.row<std::uint32_t>(in.o[0])[std::countr_zero(k)] = hit;
        break;
    }
  });
  if (w.checked && (w.undefined[in.t[1]] & mask) != 0)
    report_undefined(w, in, 1, w.undefined[in.t[1]] & mask, "is voted on");
}

// o: d, p, a, mask; aux: 1 all, 2 64 bits
void match(Warp& w, const Instruction& in, std::uint32_t mask) {
  const bool all = (in.aux & 1) != 0, wide = (in.aux & 2) != 0;
  auto* d = w.row<std::uint32_t>(in.o[0]);
  by_mask(w, in, mask, [&](std::uint32_t lanes) {
    for (std::uint32_t k = lanes; k != 0; k &= k - 1) {
      const int lane = std::countr_zero(k);
      const std::uint64_t mine = lane_value(w, in, 2, wide, lane);
      std::uint32_t same = 0;
      for (std::uint32_t j = lanes; j != 0; j &= j - 1) {
        const int other = std::countr_zero(j);
        if (lane_value(w, in, 2, wide, other) == mine) same |= 1u << other;
      }
      if (all) {
        const bool yes = same == lanes;
        d[lane] = yes ? lanes : 0;
        w.set_predicate(in.o[1], yes ? kAllLanes : 0, 1u << lane);
      } else {
        d[lane] = same;
      }
    }
  });
}

enum class Reduce : std::uint32_t { kAdd, kMin, kMax, kAnd, kOr, kXor };
// o: d, a, mask; aux2: 1 signed, 2 float
void redux(Warp& w, const Instruction& in, std::uint32_t mask) {
  const auto* a = w.row<std::uint32_t>(in.o[1]);
  by_mask(w, in, mask, [&](std::uint32_t lanes) {
    std::uint32_t result = a[std::countr_zero(lanes)];
    for (std::uint32_t k = lanes & (lanes - 1); k != 0; k &= k - 1) {
      const std::uint32_t v = a[std::countr_zero(k)];
      const bool is_signed = (in.aux2 & 1) != 0, is_float = (in.aux2 & 2) != 0;
      const auto less = [&](std::uint32_t x, std::uint32_t y) {
        if (is_float) return std::bit_cast<float>(x) < std::bit_cast<float>(y);
        return is_signed ? static_cast<std::int32_t>(x) < static_cast<std::int32_t>(y) : x < y;
      };
      switch (static_cast<Reduce>(in.aux)) {
        case Reduce::kAdd:
          result += v;
          break;
        case Reduce::kMin:
          result = less(v, result) ? v : result;
          break;
        case Reduce::kMax:
          result = less(result, v) ? v : result;
          break;
        case Reduce::kAnd:
          result &= v;
          break;
        case Reduce::kOr:
          result |= v;
          break;
        case Reduce::kXor:
          result ^= v;
          break;
      }
    }
    for (std::uint32_t k = lanes; k != 0; k &= k - 1)
      w.row<std::uint32_t>(in.o[0])[std::countr_zero(k)] = result;
  });
}

// o: d, p, mask
void elect(Warp& w, const Instruction& in, std::uint32_t mask) {
  by_mask(w, in, mask, [&](std::uint32_t lanes) {
    const int leader = std::countr_zero(lanes);
    for (std::uint32_t k = lanes; k != 0; k &= k - 1)
      w.row<std::uint32_t>(in.o[0])[std::countr_zero(k)] = static_cast<std::uint32_t>(leader);
    w.set_predicate(in.o[1], 1u << leader, lanes);
  });
}

void fence(Warp& w, const Instruction& in, std::uint32_t) {
  ++w.run->result.counters.fences;
  if (w.races) w.block->shared_races->fence(w, in.aux != 0);
}

void pair_or_sink(Selector& s, const Operand& operand, Type type) {
  if (operand.kind == Operand::Kind::kPair) {
    s.destination(operand.parts[0], type);
    s.destination(operand.parts[1], Type{'p', 1});
  } else {
    s.destination(operand, type);
    s.sink(1);
  }
}

}  // namespace

bool select_warp(Selector& s) {
  const std::string_view root = s.root();
  const Type word{'u', 32}, predicate{'p', 1};
  if (root == "membar" || root == "fence") {
    s.out.kind = Kind::kFence;
    s.out.taint = Taint::kNever;
    for (const std::string_view word_of : {"sc", "acq_rel", "acquire", "release"}) s.take(word_of);
    bool wide = false;
    for (const std::string_view scope : {"gl", "sys", "gpu", "cluster"})
      wide = s.take(scope) || wide;
    s.take("cta");
    if (s.take("proxy")) {
      while (s.modifiers_left()) s.take(s.first_left());
    }
    if (s.take("mbarrier_init")) wide = false;
    s.out.aux = wide ? 1 : 0;
    s.out.run = &fence;
    return true;
  }
  s.out.flow = Flow::kMembers;
  s.out.kind = Kind::kShuffle;
  if (root == "shfl") {
    if (!s.take("sync")) s.unsupported("shfl without .sync");
    s.out.aux =
        static_cast<std::uint32_t>(s.take("up")     ? Shuffle::kUp
                                   : s.take("down") ? Shuffle::kDown
                                   : s.take("bfly") ? Shuffle::kBfly
                                   : s.take("idx")  ? Shuffle::kIdx
                                                    : (s.fail("a mode is missing"), Shuffle::kUp));
    const Type type = s.take_type();
    s.need(5, 5);
    pair_or_sink(s, s.operand(0), type);
    s.source(1, type);
    for (std::size_t i = 2; i < 5; ++i) s.source(i, word);
    s.out.taint = Taint::kHandler;
    s.out.run = &shfl;
    return true;
  }
  if (root == "vote") {
    if (!s.take("sync")) s.unsupported("vote without .sync");
    const Vote mode = s.take("all")   ? Vote::kAll
                      : s.take("any") ? Vote::kAny
                      : s.take("uni") ? Vote::kUni
                                      : Vote::kBallot;
    if (mode == Vote::kBallot && !s.take("ballot")) s.fail("a mode is missing");
    const Type type = s.take_type();
    s.need(3, 3);
    s.destination(0, type);
    s.source(1, predicate);
    s.source(2, word);
    s.out.aux = static_cast<std::uint32_t>(mode);
    s.out.run = &vote;
    return true;
  }
  if (root == "match") {
    const bool all = s.take("all");
    if (!all && !s.take("any")) s.fail("a mode is missing");
    if (!s.take("sync")) s.fail(".sync is missing");
    const Type type = s.take_type();
    s.need(3, 3);
    pair_or_sink(s, s.operand(0), word);
    s.source(1, type);
    s.source(2, word);
    s.out.aux = (all ? 1u : 0u) | (type.bits == 64 ? 2u : 0u);
    s.out.run = &match;
    return true;
  }
  if (root == "redux") {
    if (!s.take("sync")) s.fail(".sync is missing");
    const Reduce how = s.take("add")   ? Reduce::kAdd
                       : s.take("min") ? Reduce::kMin
                       : s.take("max") ? Reduce::kMax
                       : s.take("and") ? Reduce::kAnd
                       : s.take("or")  ? Reduce::kOr
                       : s.take("xor") ? Reduce::kXor
                                       : (s.fail("an operation is missing"), Reduce::kAdd);
    if (s.has("abs") || s.has("NaN")) s.unsupported("this reduction");
    const Type type = s.take_type();
    s.need(3, 3);
    s.destination(0, type);
    s.source(1, type);
    s.source(2, word);
    s.out.aux = static_cast<std::uint32_t>(how);
    s.out.aux2 = (type.kind == 's' ? 1u : 0u) | (type.kind == 'f' ? 2u : 0u);
    s.out.run = &redux;
    return true;
  }
  if (root == "elect") {
    if (!s.take("sync")) s.fail(".sync is missing");
    s.need(2, 2);
    pair_or_sink(s, s.operand(0), word);
    s.source(1, word);
    s.out.run = &elect;
    return true;
  }
  s.out.flow = Flow::kNext;
  return false;
}

}  // namespace hone::sim
