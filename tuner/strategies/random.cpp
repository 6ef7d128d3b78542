// Points drawn without replacement: the baseline that every other strategy must beat.
#include "tuner/strategy.h"

namespace hone {
namespace {

class RandomSearch : public Strategy {
 public:
  RandomSearch(const SearchSpace& space, std::uint64_t seed) : visited_(space), random_(seed) {}

  std::vector<Point> ask(int most) override {
    std::vector<Point> points;
    while (static_cast<int>(points.size()) < most) {
      std::optional<Point> point = visited_.fresh(random_);
      if (!point) break;
      visited_.add(*point);
      points.push_back(std::move(*point));
    }
    return points;
  }

  void tell(const Point& point, std::optional<double>) override { visited_.add(point); }

 private:
  Visited visited_;
  Random random_;
};

const RegisterStrategy kRandom("random", "points drawn without replacement, variants equally often",
                               [](const SearchSpace& space,
                                  std::uint64_t seed) -> std::unique_ptr<Strategy> {
                                 return std::make_unique<RandomSearch>(space, seed);
                               });

}  // namespace
}  // namespace hone
