// Simulated annealing on the logarithm of the time, several chains side by side so that a batch of
// proposals can be compiled at once. A chain that is stuck starts again, half of the time near the
// best point.
#include <algorithm>
#include <cmath>
#include <map>

#include "tuner/strategy.h"

namespace hone {
namespace {

constexpr int kChains = 4;
constexpr double kFirstTemperature =
    0.25;  // in units of log(time): 28 % slower is accepted 1 / e of the time
constexpr double kCooling = 0.97;  // per result
constexpr double kLastTemperature = 0.005;
constexpr int kPatience = 12;  // results without acceptance before a chain starts again
constexpr int kDraws = 2;      // random points per variant before the chains begin

class Annealing : public Strategy {
 public:
  Annealing(const SearchSpace& space, std::uint64_t seed)
      : space_(space), visited_(space), random_(seed), chains_(kChains) {
    for (std::size_t i = 0; i < space.spaces().size(); ++i)
      draws_left_ += space.spaces()[i].count() > 0 ? kDraws : 0;
  }

  std::vector<Point> ask(int most) override {
    std::vector<Point> points;
    while (static_cast<int>(points.size()) < most) {
      const std::size_t chain = turn_++ % chains_.size();
      std::optional<Point> point = draws_left_ > 0 ? visited_.fresh(random_) : propose(chain);
      if (!point) break;
      if (draws_left_ > 0) --draws_left_;
      visited_.add(*point);
      pending_[{point->variant, point->config.text()}] = chain;
      points.push_back(std::move(*point));
    }
    return points;
  }

  void tell(const Point& point, std::optional<double> seconds) override {
    visited_.add(point);
    std::size_t index = turn_ % chains_.size();
    if (const auto found = pending_.find({point.variant, point.config.text()});
        found != pending_.end()) {
      index = found->second;
      pending_.erase(found);
      temperature_ = std::max(kLastTemperature, temperature_ * kCooling);
    } else {
      ++turn_;  // start points and known results spread over the chains
    }
    Chain& chain = chains_[index];
    if (!seconds) {
      ++chain.stuck;
      return;
    }
    const State state{point, std::log(std::max(*seconds, 1e-12))};
    if (!best_ || state.energy < best_->energy) best_ = state;
    const bool take =
        !chain.state || state.energy < chain.state->energy ||
        unit_(random_) < std::exp((chain.state->energy - state.energy) / temperature_);
    if (take) {
      if (!chain.state || state.energy < chain.state->energy) chain.stuck = 0;
      chain.state = state;
    } else {
      ++chain.stuck;
    }
  }

 private:
  struct State {
    Point point;
    double energy;
  };
  struct Chain {
    std::optional<State> state;
    int stuck = 0;
  };

  std::optional<Point> propose(std::size_t index) {
    Chain& chain = chains_[index];
    if (chain.stuck > kPatience) {
      chain.stuck = 0;
      chain.state.reset();
      if (best_ && unit_(random_) < 0.5) chain.state = best_;
      temperature_ = std::max(temperature_, kFirstTemperature / 4);
    }
    if (!chain.state) return visited_.fresh(random_);
    if (auto point = fresh_neighbour(chain.state->point)) return point;
    // Everything around is known: step on through a known neighbour.
    std::vector<Point> around = space_.neighbours(chain.state->point);
    if (!around.empty())
      if (auto point = fresh_neighbour(around[random_() % around.size()])) return point;
    chain.stuck = kPatience;
    return visited_.fresh(random_);
  }

  std::optional<Point> fresh_neighbour(const Point& point) {
    std::vector<Point> around = space_.neighbours(point);
    std::shuffle(around.begin(), around.end(), random_);
    for (Point& next : around)
      if (!visited_.has(next)) return std::move(next);
    return std::nullopt;
  }

  const SearchSpace& space_;
  Visited visited_;
  Random random_;
  std::uniform_real_distribution<double> unit_{0.0, 1.0};
  std::vector<Chain> chains_;
  std::map<std::pair<int, std::string>, std::size_t> pending_;  // asked, not told: whose proposal
  std::optional<State> best_;
  double temperature_ = kFirstTemperature;
  std::size_t turn_ = 0;
  int draws_left_ = 0;
};

const RegisterStrategy kAnnealing("annealing",
                                  "simulated annealing on log(time), four chains, restarts",
                                  [](const SearchSpace& space,
                                     std::uint64_t seed) -> std::unique_ptr<Strategy> {
                                    return std::make_unique<Annealing>(space, seed);
                                  });

}  // namespace
}  // namespace hone
