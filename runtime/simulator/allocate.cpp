// Registers of PTX are as many as values; a kernel's hundreds or thousands share rows here as far
// as they live at different times, so that a warp's rows stay in the cache. Liveness holds for each
// lane by itself, so divergence changes nothing: a lane that isn't active writes nothing.
#include <algorithm>
#include <bit>
#include <map>

#include "runtime/simulator/selector.h"

namespace hone::sim {
namespace {

// Above so many (blocks x registers) every register keeps a row of its own.
constexpr std::size_t kMostLivenessBits = std::size_t{1} << 31;

class Bits {
 public:
  Bits() = default;
  explicit Bits(std::size_t size) : words_((size + 63) / 64) {}
  bool get(std::size_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  void set(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void reset(std::size_t i) { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
  bool merge(const Bits& other) {
    bool changed = false;
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const std::uint64_t merged = words_[i] | other.words_[i];
      changed |= merged != words_[i];
      words_[i] = merged;
    }
    return changed;
  }
  // this = use | (out & ~kill)
  bool flow(const Bits& use, const Bits& out, const Bits& kill) {
    bool changed = false;
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const std::uint64_t value = use.words_[i] | (out.words_[i] & ~kill.words_[i]);
      changed |= value != words_[i];
      words_[i] = value;
    }
    return changed;
  }
  template <class F>
  void each(F f) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t w = words_[i]; w != 0; w &= w - 1)
        f(i * 64 + static_cast<std::size_t>(std::countr_zero(w)));
    }
  }

 private:
  std::vector<std::uint64_t> words_;
};

struct Interval {
  std::uint32_t first = ~0u, last = 0;
  void cover(std::uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

class Allocator {
 public:
  Allocator(const ParsedFunction& parsed, Function& function,
            const std::vector<std::vector<Place>>& places, const std::vector<Place>& guards)
      : parsed_(parsed), function_(function), places_(places), guards_(guards) {}

  void run() {
    number_registers();
    fixed_rows();
    live_intervals();
    assign();
    fill_pools();
  }

 private:
  // Registers that occur, numbered densely.
  void number_registers() {
    dense_.assign(parsed_.registers.size(), -1);
    const auto visit = [&](const Place& place) {
      if (place.kind != Place::Kind::kRegister || dense_[place.id] >= 0) return;
      dense_[place.id] = static_cast<int>(registers_.size());
      registers_.push_back({static_cast<int>(place.id), place.width});
    };
    for (std::size_t i = 0; i < places_.size(); ++i) {
      visit(guards_[i]);
      for (const Place& place : places_[i]) visit(place);
    }
  }

  void fixed_rows() {
    std::uint32_t row = 0;
    for (const auto& list : places_) {
      for (const Place& place : list) {
        if (place.width == 1 || place.kind == Place::Kind::kRegister) continue;
        const bool wide = place.width == 64;
        const auto key =
            std::make_tuple(place.kind, wide, place.kind == Place::Kind::kSink ? 0 : place.id);
        if (!fixed_.try_emplace(key, row).second) continue;
        if (place.kind == Place::Kind::kConstant)
          function_.constants.push_back({row, place.id, wide});
        if (place.kind == Place::Kind::kSpecial)
          function_.specials.push_back({row, static_cast<int>(place.id), wide});
        row += wide ? 2 : 1;
      }
    }
    function_.first_register_row = row;
    function_.rows = row;
    function_.predicates = 2;  // always true, and a sink
  }

  void live_intervals() {
    const std::size_t count = registers_.size(), blocks = function_.successors.size();
    intervals_.resize(count);
    const auto cover_all = [&](std::uint32_t at, const Place& place) {
      if (place.kind == Place::Kind::kRegister)
        intervals_[static_cast<std::size_t>(dense_[place.id])].cover(at);
    };
    for (std::uint32_t i = 0; i < places_.size(); ++i) {
      cover_all(i, guards_[i]);
      for (const Place& place : places_[i]) cover_all(i, place);
    }
    if (count * blocks > kMostLivenessBits) {
      for (Interval& interval : intervals_)
        interval = {0, static_cast<std::uint32_t>(places_.size())};
      function_.pressure = static_cast<int>(std::min<std::size_t>(count, 255));
      return;
    }
    std::vector<Bits> use(blocks, Bits(count)), kill(blocks, Bits(count)), in(blocks, Bits(count)),
        out(blocks, Bits(count));
    std::vector<std::uint32_t> first(blocks, ~0u), last(blocks, 0);
    for (std::uint32_t i = 0; i < places_.size(); ++i) {
      const std::uint32_t b = function_.block_of[i];
      first[b] = std::min(first[b], i);
      last[b] = i;
      visit(
          i,
          [&](std::size_t r) {
            if (!kill[b].get(r)) use[b].set(r);
          },
          [&](std::size_t r) { kill[b].set(r); });
    }
    bool changed = true;
    while (changed) {
      changed = false;
      for (std::size_t b = blocks; b-- > 0;) {
        for (const std::uint32_t next : function_.successors[b]) out[b].merge(in[next]);
        changed |= in[b].flow(use[b], out[b], kill[b]);
      }
    }
    int most = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      in[b].each([&](std::size_t r) { intervals_[r].cover(first[b]); });
      int pressure = 0;
      out[b].each([&](std::size_t r) {
        intervals_[r].cover(last[b]);
        pressure += registers_[r].second == 64 ? 2 : registers_[r].second == 32 ? 1 : 0;
      });
      Bits live = out[b];
      most = std::max(most, pressure);
      for (std::uint32_t i = last[b] + 1; i-- > first[b];) {
        const auto size = [&](std::size_t r) {
          return registers_[r].second == 64 ? 2 : registers_[r].second == 32 ? 1 : 0;
        };
        for (std::size_t k = 0; k < places_[i].size(); ++k) {
          const Place& place = places_[i][k];
          if (place.kind != Place::Kind::kRegister || k >= function_.code[i].destinations) continue;
          const auto r = static_cast<std::size_t>(dense_[place.id]);
          if (guards_[i].kind != Place::Kind::kRegister && live.get(r)) {
            live.reset(r);
            pressure -= size(r);
          }
        }
        visit(
            i,
            [&](std::size_t r) {
              if (!live.get(r)) {
                live.set(r);
                pressure += size(r);
              }
            },
            [](std::size_t) {});
        most = std::max(most, pressure);
      }
    }
    function_.pressure = most;
  }

  // Uses before definitions. A guarded write keeps the lanes that it doesn't touch: it is a use as
  // well.
  template <class Use, class Define>
  void visit(std::uint32_t i, Use on_use, Define on_define) {
    const Place& guard = guards_[i];
    const bool guarded = guard.kind == Place::Kind::kRegister;
    if (guarded) on_use(static_cast<std::size_t>(dense_[guard.id]));
    const std::size_t destinations = function_.code[i].destinations;
    for (std::size_t k = destinations; k < places_[i].size(); ++k) {
      if (places_[i][k].kind == Place::Kind::kRegister)
        on_use(static_cast<std::size_t>(dense_[places_[i][k].id]));
    }
    for (std::size_t k = 0; k < destinations && k < places_[i].size(); ++k) {
      if (places_[i][k].kind == Place::Kind::kRegister && !guarded)
        on_define(static_cast<std::size_t>(dense_[places_[i][k].id]));
    }
  }

  void assign() {
    std::vector<std::size_t> order(registers_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return intervals_[a].first < intervals_[b].first;
    });
    rows_.resize(registers_.size());
    // By width: rows that are free, and those in use by the end of their interval.
    std::map<int, std::vector<std::uint32_t>> free;
    std::multimap<std::uint32_t, std::pair<int, std::uint32_t>> busy;
    for (const std::size_t r : order) {
      while (!busy.empty() && busy.begin()->first < intervals_[r].first) {
        free[busy.begin()->second.first].push_back(busy.begin()->second.second);
        busy.erase(busy.begin());
      }
      const int width = registers_[r].second;
      auto& list = free[width];
      if (list.empty()) {
        if (width == 1) {
          rows_[r] = function_.predicates++;
        } else {
          rows_[r] = function_.rows;
          function_.rows += width == 64 ? 2 : 1;
        }
      } else {
        rows_[r] = list.back();
        list.pop_back();
      }
      busy.emplace(intervals_[r].last, std::make_pair(width, rows_[r]));
    }
  }

  std::uint32_t row_of(const Place& place) const {
    if (place.kind == Place::Kind::kRegister)
      return rows_[static_cast<std::size_t>(dense_[place.id])];
    if (place.width == 1) return place.kind == Place::Kind::kSink ? 1 : 0;
    return fixed_.at(std::make_tuple(place.kind, place.width == 64,
                                     place.kind == Place::Kind::kSink ? 0 : place.id));
  }

  void fill_pools() {
    std::size_t total = 0;
    for (const auto& list : places_) total += list.size();
    function_.pool.reserve(total);
    function_.taint_pool.reserve(total);
    function_.row_names.assign(function_.rows + function_.predicates, {});
    function_.wide_rows.assign(function_.rows, false);
    for (std::size_t i = 0; i < places_.size(); ++i) {
      Instruction& in = function_.code[i];
      in.o = function_.pool.data() + function_.pool.size();
      in.t = function_.taint_pool.data() + function_.taint_pool.size();
      for (std::size_t k = 0; k < places_[i].size(); ++k) {
        const Place& place = places_[i][k];
        const std::uint32_t row = row_of(place);
        const bool source_predicate = place.width == 1 && k >= in.destinations;
        function_.pool.push_back(source_predicate ? row * 2 + (place.negated ? 1 : 0) : row);
        if (place.width == 64) function_.wide_rows[row] = true;
        function_.taint_pool.push_back(place.width == 1 ? function_.rows + row : row);
      }
      in.guard = row_of(guards_[i]) * 2 + (guards_[i].negated ? 1 : 0);
    }
  }

  const ParsedFunction& parsed_;
  Function& function_;
  const std::vector<std::vector<Place>>& places_;
  const std::vector<Place>& guards_;
  std::vector<int> dense_;
  std::vector<std::pair<int, int>> registers_;  // id, width
  std::map<std::tuple<Place::Kind, bool, std::uint64_t>, std::uint32_t> fixed_;
  std::vector<Interval> intervals_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace

void allocate_registers(const ParsedFunction& parsed, Function& function,
                        const std::vector<std::vector<Place>>& places,
                        const std::vector<Place>& guards) {
  Allocator(parsed, function, places, guards).run();
}

}  // namespace hone::sim
