#include "tuner/strategy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr const char* kToy = R"({
  "op": "toy", "summary": "y = x",
  "dims": [{"name": "n"}],
  "args": [{"name": "x", "kind": "in", "type": "f32", "shape": ["n"]},
           {"name": "y", "kind": "out", "type": "f32", "shape": ["n"]}],
  "flops": "n", "compute": "f32", "rows": "n", "tolerance": [["1", 1e-6]]
})";

constexpr const char* kWide = R"(//! serves cpu
//! param a 1 2 3 4 5 6 7 8
//! param b 1 2 3 4 5 6 7 8
//! param c 1 2 4 8 16
//! require a * b <= 40
//! launch main 1 1 1 1
//! start a=1,b=1,c=1
HONE_KERNEL(main) {}
)";

constexpr const char* kNarrow = R"(//! serves cpu
//! param d 1 2 3
//! launch main 1 1 1 1
//! start d=1
HONE_KERNEL(main) {}
)";

SearchSpace toy_space() {
  static const Op op = parse_op(kToy, "", "toy/op.json");
  static const Template wide = parse_template(op, kWide, "toy/wide.cpp");
  static const Template narrow = parse_template(op, kNarrow, "toy/narrow.cpp");
  const Values scope{{"n", std::int64_t{64}}};
  std::vector<Space> spaces;
  spaces.emplace_back(wide, scope);
  spaces.emplace_back(narrow, scope);
  return SearchSpace(std::move(spaces));
}

// Smooth with one best point, a = 5, b = 6, c = 4 of the first variant; a tenth fails.
std::optional<double> landscape(const Point& point) {
  if (point.variant == 1) return 3.0;
  const auto a = static_cast<double>(point.config.integer("a"));
  const auto b = static_cast<double>(point.config.integer("b"));
  const auto c = std::log2(static_cast<double>(point.config.integer("c")));
  if (point.config.integer("a") == 8 && point.config.integer("b") % 2 == 0) return std::nullopt;
  return 1.0 + 0.1 * std::pow(a - 5, 2) + 0.05 * std::pow(b - 6, 2) + 0.2 * std::pow(c - 2, 2);
}

struct Walk {
  double best = std::numeric_limits<double>::infinity();
  std::size_t asked = 0;
  bool repeated = false;
};

Walk walk(const std::string& name, const SearchSpace& space, std::uint64_t seed, std::size_t most) {
  Walk result;
  std::set<std::string> seen;
  const auto strategy = make_strategy(name, space, seed);
  for (std::size_t i = 0; i < space.spaces().size(); ++i) {
    const Point start{static_cast<int>(i), space.spaces()[i].start()};
    seen.insert(std::to_string(i) + start.config.text());
    strategy->tell(start, landscape(start));
  }
  while (result.asked < most) {
    const auto points =
        strategy->ask(static_cast<int>(std::min<std::size_t>(4, most - result.asked)));
    if (points.empty()) break;
    for (const Point& point : points) {
      EXPECT_TRUE(space.contains(point)) << name << " seed " << seed << " " << point.config.text();
      result.repeated |= !seen.insert(std::to_string(point.variant) + point.config.text()).second;
      ++result.asked;
      const auto seconds = landscape(point);
      if (seconds) result.best = std::min(result.best, *seconds);
      strategy->tell(point, seconds);
    }
  }
  return result;
}

TEST(Strategy, EveryOneMeetsEachPointOnceAndEnds) {
  const SearchSpace space = toy_space();
  for (const auto& [name, about] : strategies()) {
    const Walk result = walk(name, space, 7, 100'000);
    EXPECT_FALSE(result.repeated) << name;
    EXPECT_EQ(result.asked, space.count() - 2) << name << ": all but the two starts";
    EXPECT_DOUBLE_EQ(result.best, 1.0) << name;
  }
}

TEST(Strategy, GuidedOnesFindTheBestWithinAQuarterOfTheSpace) {
  const SearchSpace space = toy_space();
  for (const std::string name : {"annealing", "genetic"}) {
    int found = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed)
      found += walk(name, space, seed, space.count() / 4).best <= 1.1;
    EXPECT_GE(found, 16) << name << " of 20 seeds";
  }
}

TEST(Strategy, SameSeedSameWalk) {
  const SearchSpace space = toy_space();
  for (const auto& [name, about] : strategies()) {
    const auto first = make_strategy(name, space, 3), second = make_strategy(name, space, 3);
    for (int i = 0; i < 5; ++i) {
      const auto a = first->ask(4), b = second->ask(4);
      ASSERT_EQ(a, b) << name;
      for (const Point& point : a) {
        first->tell(point, landscape(point));
        second->tell(point, landscape(point));
      }
    }
  }
}

TEST(Strategy, SurvivesASpaceWhereEverythingFails) {
  const SearchSpace space = toy_space();
  for (const auto& [name, about] : strategies()) {
    const auto strategy = make_strategy(name, space, 1);
    std::size_t asked = 0;
    for (auto points = strategy->ask(16); !points.empty(); points = strategy->ask(16))
      for (const Point& point : points) {
        ++asked;
        strategy->tell(point, std::nullopt);
      }
    EXPECT_EQ(asked, space.count()) << name;
  }
}

TEST(Strategy, DoesNotAskForWhatItWasTold) {
  const SearchSpace space = toy_space();
  for (const auto& [name, about] : strategies()) {
    const auto strategy = make_strategy(name, space, 1);
    for (std::uint64_t i = 0; i < space.count(); ++i) strategy->tell(space.at(i), 1.0);
    EXPECT_TRUE(strategy->ask(8).empty()) << name;
  }
}

TEST(Strategy, EmptySpaceHasNothingToAsk) {
  const SearchSpace space({});
  for (const auto& [name, about] : strategies())
    EXPECT_TRUE(make_strategy(name, space, 1)->ask(8).empty()) << name;
}

TEST(Strategy, UnknownNameListsTheKnown) {
  try {
    make_strategy("astrology", toy_space(), 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUsage);
    EXPECT_NE(std::string(error.what()).find("annealing"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace hone
