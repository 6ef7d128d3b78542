// How candidates are chosen. A strategy knows only the space: it is asked for points and told how
// they did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "codegen/space.h"

namespace hone {

// A point of the search: a config of one of the variants that serve the problem.
struct Point {
  int variant = 0;  // index into SearchSpace
  Config config;
  bool operator==(const Point&) const = default;
};

// The union of the variants' spaces. Immutable.
class SearchSpace {
 public:
  explicit SearchSpace(std::vector<Space> spaces);
  const std::vector<Space>& spaces() const { return spaces_; }
  std::uint64_t count() const { return count_; }
  Point at(std::uint64_t index) const;  // index < count()
  Point sample(Random& random) const;   // variants equally often, uniform within one; count() > 0
  std::vector<Point> neighbours(const Point& point) const;  // within the variant
  bool contains(const Point& point) const;

 private:
  std::vector<Space> spaces_;
  std::uint64_t count_ = 0;
};

// The points that a run has met: what keeps a strategy from asking twice, and finds what is left.
class Visited {
 public:
  explicit Visited(const SearchSpace& space) : space_(space) {}
  bool add(const Point& point);  // false when it was there already, or isn't in the space
  bool has(const Point& point) const;
  bool complete() const { return keys_.size() >= space_.count(); }
  // A random point that isn't there yet; nullopt when none is left.
  std::optional<Point> fresh(Random& random);
  // The first point of the enumeration that isn't there yet; nullopt when none is left.
  std::optional<Point> next();

 private:
  const SearchSpace& space_;
  std::unordered_set<std::string> keys_;
  std::uint64_t cursor_ = 0;  // everything before it is there
};

// Ask / tell. The first ask is preceded by tell() of the start points. Never asks for the same
// point twice in a run, nor for one that it was told; an empty answer means that nothing is left.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::vector<Point> ask(int most) = 0;  // up to `most` new points
  virtual void tell(const Point& point, std::optional<double> seconds) = 0;  // nullopt: failed
};

// `space` outlives the strategy.
using StrategyFactory = std::unique_ptr<Strategy> (*)(const SearchSpace& space, std::uint64_t seed);
struct RegisterStrategy {
  RegisterStrategy(std::string name, std::string about, StrategyFactory make);
};
// Throws Error(kUsage) that lists the known names.
std::unique_ptr<Strategy> make_strategy(const std::string& name, const SearchSpace& space,
                                        std::uint64_t seed);
std::vector<std::pair<std::string, std::string>> strategies();  // name, about

}  // namespace hone
