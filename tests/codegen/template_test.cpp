#include "codegen/template.h"

#include <gtest/gtest.h>

#include "codegen/error.h"
#include "codegen/space.h"
#include "tests/codegen/example.h"

namespace hone {
namespace {

Template example() { return parse_template(example_op(), kExampleVariant, "scale/rows.cpp"); }

TEST(Template, ReadsItsContract) {
  Template variant = example();
  EXPECT_EQ(variant.op, "scale");
  EXPECT_EQ(variant.variant, "rows");
  EXPECT_EQ(variant.serves, (std::vector<std::string>{"cpu", "cuda"}));
  EXPECT_EQ(variant.fixed, (std::vector<std::string>{"cols"}));
  ASSERT_EQ(variant.parameters.size(), 4u);
  EXPECT_FALSE(variant.parameters[0].at_launch);
  EXPECT_TRUE(variant.parameters[3].at_launch);
  ASSERT_EQ(variant.launches.size(), 2u);
  EXPECT_EQ(variant.launches[0].entry, "main");
  EXPECT_EQ(variant.launches[0].grid[0].text(), "ceil_div(rows, block)");
  EXPECT_TRUE(variant.launches[0].when.empty());
  EXPECT_EQ(variant.launches[1].when.text(), "mode == twice && rows > 1");
  ASSERT_EQ(variant.packs.size(), 1u);
  EXPECT_EQ(variant.packs[0].layout, "panel");
  EXPECT_EQ(variant.packs[0].parameters.size(), 2u);
  EXPECT_EQ(variant.packs[0].bytes.text(), "round_up(cols, block) * 4");
}

TEST(Template, WhenIsUndecidedWithoutDynamicDims) {
  Template variant = example();
  Op op = example_op();
  auto scope = [&](const char* text) {
    return op.scope(op.canonical(Problem::parse(text), false));
  };
  EXPECT_TRUE(variant.serves_problem(scope("scale:cols=8"), "cpu"));
  EXPECT_TRUE(variant.serves_problem(scope("scale:rows=64,cols=8"), "cpu"));
  EXPECT_FALSE(variant.serves_problem(scope("scale:rows=65,cols=8"), "cpu"));
  EXPECT_FALSE(variant.serves_problem(scope("scale:cols=8,x=bf16"), "cpu"));
  EXPECT_FALSE(variant.serves_problem(scope("scale:cols=8"), "hip"));
}

TEST(Template, LaunchesOfGpusHaveSharedMemory) {
  Template variant =
      parse_template(example_op(),
                     "//! serves cuda hip\n"
                     "//! fixed cols\n"
                     "//! param threads 64 128\n"
                     "//! launch main rows 1 1 threads shared threads * 4 if rows > 1\n"
                     "//! launch tail rows 1 1 wave\n"
                     "//! start threads=64\n",
                     "scale/team.cu");
  ASSERT_EQ(variant.launches.size(), 2u);
  EXPECT_EQ(variant.launches[0].threads.text(), "threads");
  EXPECT_EQ(variant.launches[0].shared.text(), "threads * 4");
  EXPECT_EQ(variant.launches[0].when.text(), "rows > 1");
  EXPECT_TRUE(variant.launches[1].shared.empty());
  EXPECT_EQ(variant.launches[1].threads.integer([](std::string_view name) -> std::optional<Value> {
    return name == "wave" ? std::optional<Value>(std::int64_t{32}) : std::nullopt;
  }),
            32);
}

TEST(Template, APresetNarrowsTheSpaceAndNothingElse) {
  const Op op = example_op();
  const std::string text = std::string(kExampleVariant) + "//! preset   wide block=16,mode=once\n";
  const Template whole = parse_template(op, text, "scale/rows.cpp");
  ASSERT_EQ(whole.presets.size(), 1u);
  const Template wide = narrowed(whole, "wide");
  EXPECT_EQ(wide.hash, whole.hash);
  Values scope = op.scope(op.canonical(Problem::parse("scale:rows=4,cols=8"), true));
  scope.set("units", std::int64_t{2});
  const Space space(wide, scope), all(whole, scope);
  EXPECT_GT(space.count(), 0u);
  EXPECT_LT(space.count(), all.count());
  for (std::uint64_t i = 0; i < space.count(); ++i) {
    const Config config = space.at(i);
    EXPECT_EQ(config.integer("block"), 16) << config.text();
    EXPECT_TRUE(is_legal(wide, scope, config) && all.contains(config)) << config.text();
  }
  // What lies outside may be launched all the same: the text still knows all values.
  EXPECT_TRUE(is_legal(wide, scope, all.start()));
  EXPECT_FALSE(space.contains(all.start()));
}

TEST(Template, MalformedContractsNameFileAndLine) {
  auto broken = [](const std::string& from, const std::string& to) {
    std::string text = kExampleVariant;
    std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {broken("//! serves   cpu cuda\n", "\n"), "'serves'"},
      {broken("//! fixed    cols", "//! fixed    rows"), ":4:"},
      {broken("//! fixed    cols", "//! fixed    depth"), ":4:"},
      {broken("//! param    block 4 8 16", "//! param    block"), ":5:"},
      {broken("//! param    block 4 8", "//! parameter block 4 8"), ":5:"},
      {broken("block * unroll <= 32", "block * unroll <= "), ":9:"},
      {broken("1 1 threads\n", "1 threads\n"), ":13:"},
      {broken("//! start    block=4", "//! start    blk=4"), ":15:"},
      {broken("//! start    block=4,", "//! start    "), "block"},
      {broken("//! start    block=4", "//! preset   p blk=4\n//! start    block=4"), "'preset'"},
      {"HONE_KERNEL(main) {}\n", "contract"},
  };
  for (const auto& [text, part] : cases) {
    try {
      parse_template(example_op(), text, "scale/rows.cpp");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kTemplate);
      std::string said = error.what();
      EXPECT_EQ(said.rfind("scale/rows.cpp:", 0), 0u) << said;
      EXPECT_NE(said.find(part), std::string::npos) << said;
    }
  }
}

}  // namespace
}  // namespace hone
