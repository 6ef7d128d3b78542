// How candidates are chosen. A strategy knows only the space: it is asked for points and told how they did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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
  std::uint64_t count() const;
  Point at(std::uint64_t index) const;
  Point sample(Random& random) const;   // variants equally often, uniform within one
  std::vector<Point> neighbours(const Point& point) const;  // within the variant

 private:
  std::vector<Space> spaces_;
};

// Ask / tell. The first ask is preceded by tell() of the start points. Never asks for the same point twice in a run; an empty answer means that nothing is left.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::vector<Point> ask(int most) = 0;                                // up to `most` new points
  virtual void tell(const Point& point, std::optional<double> seconds) = 0;    // nullopt: failed
};

using StrategyFactory = std::unique_ptr<Strategy> (*)(const SearchSpace& space, std::uint64_t seed);
struct RegisterStrategy { RegisterStrategy(std::string name, std::string about, StrategyFactory make); };
// Throws Error(kUsage) that lists the known names.
std::unique_ptr<Strategy> make_strategy(const std::string& name, const SearchSpace& space, std::uint64_t seed);
std::vector<std::pair<std::string, std::string>> strategies();  // name, about

}  // namespace hone
