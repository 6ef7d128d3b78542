#include "codegen/space.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "codegen/error.h"
#include "tests/codegen/example.h"

namespace hone {
namespace {

Template variant_with(const std::string& contract) {
  return parse_template(example_op(), contract, "scale/test.cpp");
}

const Values kScope = Values::parse("rows=64,cols=96,x=f32,units=4");

Space example_space() {
  return Space(parse_template(example_op(), kExampleVariant, "scale/rows.cpp"), kScope);
}

TEST(Space, HoldsExactlyTheLegalConfigs) {
  // block x unroll x mode with their rules, times threads in {1, 2, 4}.
  std::set<std::string> expected;
  for (int block : {4, 8, 16})
    for (int unroll : {1, 2, 4})
      for (const char* mode : {"once", "twice"})
        for (int threads : {1, 2, 4})
          if (block * unroll <= 32 && (std::string(mode) == "once" || block * unroll % 8 == 0))
            expected.insert("block=" + std::to_string(block) + ",unroll=" + std::to_string(unroll) +
                            ",mode=" + mode + ",threads=" + std::to_string(threads));
  Space space = example_space();
  std::set<std::string> found;
  for (std::uint64_t i = 0; i < space.count(); ++i) found.insert(space.at(i).text());
  EXPECT_EQ(found, expected);
  EXPECT_EQ(space.count(), expected.size());
}

TEST(Space, ContainsWhatItEnumeratesAndNothingElse) {
  Space space = example_space();
  for (std::uint64_t i = 0; i < space.count(); ++i) EXPECT_TRUE(space.contains(space.at(i)));
  for (const char* text :
       {"block=16,unroll=4,mode=once,threads=1", "block=4,unroll=1,mode=twice,threads=1",
        "block=5,unroll=1,mode=once,threads=1", "block=4,unroll=1,mode=once",
        "block=4,unroll=1,mode=once,threads=3", "block=4,unroll=1,mode=maybe,threads=1", ""})
    EXPECT_FALSE(space.contains(Values::parse(text))) << text;
}

TEST(Space, NeighboursDifferInOneParameterAndAreLegal) {
  Space space = example_space();
  for (std::uint64_t i = 0; i < space.count(); ++i) {
    Config config = space.at(i);
    std::size_t expected = 0;
    for (std::uint64_t j = 0; j < space.count(); ++j) {
      Config other = space.at(j);
      int differing = 0;
      for (const auto& [name, value] : config) differing += *other.find(name) != value;
      expected += differing == 1;
    }
    std::set<std::string> unique;
    for (const Config& neighbour : space.neighbours(config)) {
      EXPECT_TRUE(space.contains(neighbour));
      unique.insert(neighbour.text());
    }
    EXPECT_EQ(unique.size(), expected) << config.text();
  }
}

TEST(Space, SamplesEveryConfigAboutEquallyOften) {
  Space space = example_space();
  Random random(7);
  std::map<std::string, int> seen;
  const int draws = 200 * static_cast<int>(space.count());
  for (int i = 0; i < draws; ++i) ++seen[space.sample(random).text()];
  EXPECT_EQ(seen.size(), space.count());
  for (const auto& [config, times] : seen) {
    EXPECT_GT(times, 120) << config;
    EXPECT_LT(times, 300) << config;
  }
}

TEST(Space, NearestTakesTheFewestChanges) {
  Space space = example_space();
  auto nearest = [&](const char* text) { return space.nearest(Values::parse(text)).text(); };
  EXPECT_EQ(nearest("block=8,unroll=2,mode=twice,threads=2"),
            "block=8,unroll=2,mode=twice,threads=2");
  EXPECT_EQ(nearest("block=16,unroll=4,mode=once,threads=4"),
            "block=8,unroll=4,mode=once,threads=4");
  EXPECT_EQ(nearest("block=8,unroll=1,mode=once,threads=64"),
            "block=8,unroll=1,mode=once,threads=4");
  EXPECT_EQ(nearest("block=8,threads=2").substr(0, 8), "block=8,");
}

TEST(Space, StartIsLegalOrTheNearestLegalConfig) {
  EXPECT_EQ(example_space().start().text(), "block=4,unroll=1,mode=once,threads=4");
  Template tight = variant_with(
      "//! serves cpu\n//! param a 1 2 4\n//! require a <= 2\n//! launch main 1 1 1 1\n//! start "
      "a=4\n");
  EXPECT_EQ(Space(tight, kScope).start().text(), "a=2");
}

TEST(Space, EmptySpacesSaySo) {
  Template none = variant_with(
      "//! serves cpu\n//! param a 1 2\n//! require a > cols\n//! launch main 1 1 1 1\n//! start "
      "a=1\n");
  Space space(none, kScope);
  EXPECT_EQ(space.count(), 0u);
  EXPECT_THROW(space.start(), Error);
}

TEST(Space, WithoutParametersHasOneConfig) {
  Template none = variant_with("//! serves cpu\n//! launch main 1 1 1 1\n");
  Space space(none, kScope);
  EXPECT_EQ(space.count(), 1u);
  EXPECT_EQ(space.at(0), Config());
  EXPECT_EQ(space.start(), Config());
}

TEST(Space, NeverHoldsTheFullProduct) {
  // 16^15 configs in 15 untied parameters: enumerating them would never end.
  std::string contract = "//! serves cpu\n";
  std::string start;
  for (char name = 'a'; name < 'p'; ++name) {
    contract += std::string("//! param p_") + name;
    for (int i = 0; i < 16; ++i) contract += " " + std::to_string(i);
    contract += "\n";
    start += std::string(start.empty() ? "" : ",") + "p_" + name + "=0";
  }
  Space space(variant_with(contract + "//! launch main 1 1 1 1\n//! start " + start + "\n"),
              kScope);
  EXPECT_EQ(space.count(), std::uint64_t{1} << 60);
  Random random(1);
  EXPECT_TRUE(space.contains(space.sample(random)));
  EXPECT_EQ(space.neighbours(space.at(12345)).size(), 15u * 15u);
}

TEST(Space, IsLegalAgreesWithTheEnumeration) {
  Template variant = parse_template(example_op(), kExampleVariant, "scale/rows.cpp");
  Space space = example_space();
  for (std::uint64_t i = 0; i < space.count(); ++i)
    EXPECT_TRUE(is_legal(variant, kScope, space.at(i)));
  EXPECT_FALSE(is_legal(variant, kScope, Values::parse("block=16,unroll=4,mode=once,threads=1")));
  EXPECT_FALSE(is_legal(variant, kScope, Values::parse("block=5,unroll=1,mode=once,threads=1")));
  EXPECT_FALSE(is_legal(variant, kScope, Values::parse("block=4")));
}

}  // namespace
}  // namespace hone
