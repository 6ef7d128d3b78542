#include "tuner/strategy.h"

#include <map>

#include "codegen/error.h"

namespace hone {
namespace {

struct NamedStrategy {
  std::string about;
  StrategyFactory make;
};

std::map<std::string, NamedStrategy>& known_strategies() {
  static std::map<std::string, NamedStrategy> known;
  return known;
}

std::string key_of(const Point& point) {
  return std::to_string(point.variant) + ":" + point.config.text();
}

}  // namespace

SearchSpace::SearchSpace(std::vector<Space> spaces) : spaces_(std::move(spaces)) {
  for (const Space& space : spaces_) count_ += space.count();
}

Point SearchSpace::at(std::uint64_t index) const {
  int variant = 0;
  for (const Space& space : spaces_) {
    if (index < space.count()) return {variant, space.at(index)};
    index -= space.count();
    ++variant;
  }
  throw Error(Code::kInternal, "search space has no such point");
}

Point SearchSpace::sample(Random& random) const {
  std::vector<int> filled;
  for (std::size_t i = 0; i < spaces_.size(); ++i)
    if (spaces_[i].count() > 0) filled.push_back(static_cast<int>(i));
  if (filled.empty()) throw Error(Code::kInternal, "sample of an empty search space");
  const int variant = filled[random() % filled.size()];
  return {variant, spaces_[static_cast<std::size_t>(variant)].sample(random)};
}

std::vector<Point> SearchSpace::neighbours(const Point& point) const {
  std::vector<Point> result;
  for (Config& config : spaces_[static_cast<std::size_t>(point.variant)].neighbours(point.config))
    result.push_back({point.variant, std::move(config)});
  return result;
}

bool SearchSpace::contains(const Point& point) const {
  return point.variant >= 0 && static_cast<std::size_t>(point.variant) < spaces_.size() &&
         spaces_[static_cast<std::size_t>(point.variant)].contains(point.config);
}

bool Visited::add(const Point& point) {
  return space_.contains(point) && keys_.insert(key_of(point)).second;
}

bool Visited::has(const Point& point) const { return keys_.contains(key_of(point)); }

std::optional<Point> Visited::fresh(Random& random) {
  // Drawing blindly succeeds soon while much is left; a scan finds the rest.
  constexpr int kDraws = 64;
  if (complete()) return std::nullopt;
  for (int i = 0; i < kDraws; ++i)
    if (Point point = space_.sample(random); !has(point)) return point;
  return next();
}

std::optional<Point> Visited::next() {
  for (; cursor_ < space_.count(); ++cursor_)
    if (Point point = space_.at(cursor_); !has(point)) return point;
  return std::nullopt;
}

RegisterStrategy::RegisterStrategy(std::string name, std::string about, StrategyFactory make) {
  known_strategies()[std::move(name)] = {std::move(about), make};
}

std::unique_ptr<Strategy> make_strategy(const std::string& name, const SearchSpace& space,
                                        std::uint64_t seed) {
  const auto found = known_strategies().find(name);
  if (found != known_strategies().end()) return found->second.make(space, seed);
  std::string known;
  for (const auto& [other, entry] : known_strategies())
    known += (known.empty() ? "" : ", ") + other;
  throw Error(Code::kUsage, "unknown strategy '" + name + "'; known: " + known);
}

std::vector<std::pair<std::string, std::string>> strategies() {
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto& [name, entry] : known_strategies()) result.emplace_back(name, entry.about);
  return result;
}

}  // namespace hone
