// A steady-state genetic algorithm: parents by tournament, uniform crossover within a variant, each
// parameter mutated with a small probability, illegal children moved to the nearest legal config.
#include <algorithm>

#include "tuner/strategy.h"

namespace hone {
namespace {

constexpr std::size_t kPopulation = 16;
constexpr int kTournament = 3;
constexpr double kMutations = 1.2;  // expected per child
constexpr int kAttempts =
    24;  // children that turn out to be known before the search looks around the best

class Genetic : public Strategy {
 public:
  Genetic(const SearchSpace& space, std::uint64_t seed)
      : space_(space), visited_(space), random_(seed) {}

  std::vector<Point> ask(int most) override {
    std::vector<Point> points;
    while (static_cast<int>(points.size()) < most) {
      std::optional<Point> point = propose();
      if (!point) break;
      visited_.add(*point);
      ++asked_;
      points.push_back(std::move(*point));
    }
    return points;
  }

  void tell(const Point& point, std::optional<double> seconds) override {
    visited_.add(point);
    if (!seconds || !space_.contains(point)) return;
    const auto place =
        std::upper_bound(population_.begin(), population_.end(), *seconds,
                         [](double value, const Member& member) { return value < member.seconds; });
    population_.insert(place, {point, *seconds});
    if (population_.size() > kPopulation) population_.pop_back();
  }

 private:
  struct Member {
    Point point;
    double seconds;
  };

  std::optional<Point> propose() {
    if (asked_ < kPopulation || population_.size() < 2) return visited_.fresh(random_);
    for (int i = 0; i < kAttempts; ++i)
      if (Point point = child(); !visited_.has(point)) return point;
    for (const Member& member : population_)
      for (Point& next : space_.neighbours(member.point))
        if (!visited_.has(next)) return std::move(next);
    return visited_.fresh(random_);
  }

  const Point& parent() {
    std::size_t chosen = population_.size();
    for (int i = 0; i < kTournament; ++i)
      chosen = std::min<std::size_t>(chosen, random_() % population_.size());
    return population_[chosen].point;
  }

  Point child() {
    const Point& mother = parent();
    const Point& father = parent();
    const Space& space = space_.spaces()[static_cast<std::size_t>(mother.variant)];
    Config config = mother.config;
    const double rate =
        kMutations / static_cast<double>(std::max<std::size_t>(1, space.axes().size()));
    for (const Space::Axis& axis : space.axes()) {
      if (father.variant == mother.variant && random_() % 2 == 0)
        if (const Value* value = father.config.find(axis.name)) config.set(axis.name, *value);
      if (unit_(random_) < rate) config.set(axis.name, axis.values[random_() % axis.values.size()]);
    }
    return {mother.variant, space.contains(config) ? config : space.nearest(config)};
  }

  const SearchSpace& space_;
  Visited visited_;
  Random random_;
  std::uniform_real_distribution<double> unit_{0.0, 1.0};
  std::vector<Member> population_;  // fastest first
  std::size_t asked_ = 0;
};

const RegisterStrategy kGenetic("genetic", "steady-state genetic algorithm with a population of 16",
                                [](const SearchSpace& space,
                                   std::uint64_t seed) -> std::unique_ptr<Strategy> {
                                  return std::make_unique<Genetic>(space, seed);
                                });

}  // namespace
}  // namespace hone
