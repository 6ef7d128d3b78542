// Every point once, in the order of the enumeration.
#include "tuner/strategy.h"

namespace hone {
namespace {

class Exhaustive : public Strategy {
 public:
  explicit Exhaustive(const SearchSpace& space) : visited_(space) {}

  std::vector<Point> ask(int most) override {
    std::vector<Point> points;
    while (static_cast<int>(points.size()) < most) {
      std::optional<Point> point = visited_.next();
      if (!point) break;
      visited_.add(*point);
      points.push_back(std::move(*point));
    }
    return points;
  }

  void tell(const Point& point, std::optional<double>) override { visited_.add(point); }

 private:
  Visited visited_;
};

const RegisterStrategy kExhaustive("exhaustive", "every point, in order",
                                   [](const SearchSpace& space,
                                      std::uint64_t) -> std::unique_ptr<Strategy> {
                                     return std::make_unique<Exhaustive>(space);
                                   });

}  // namespace
}  // namespace hone
