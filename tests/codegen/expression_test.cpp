#include "codegen/expression.h"

#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

const Location kHere{"file.cpp", 7};

std::int64_t value(const std::string& text, const std::string& values = "") {
  Values scope = Values::parse(values);
  return Expression::parse(text, kHere, {"none", "bias"}).integer(lookup_in(scope));
}

std::string message(const std::string& text, const std::string& values = "") {
  try {
    value(text, values);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kTemplate);
    return error.what();
  }
  return "";
}

TEST(Expression, FollowsThePrecedenceOfC) {
  EXPECT_EQ(value("1 + 2 * 3"), 7);
  EXPECT_EQ(value("(1 + 2) * 3"), 9);
  EXPECT_EQ(value("10 - 4 - 3"), 3);
  EXPECT_EQ(value("17 / 5 * 5 + 17 % 5"), 17);
  EXPECT_EQ(value("-2 * -3"), 6);
  EXPECT_EQ(value("!0 + !5"), 1);
  EXPECT_EQ(value("1 < 2 == 1"), 1);
  EXPECT_EQ(value("0 && 1 || 1"), 1);
  EXPECT_EQ(value("1 ? 2 : 0 ? 3 : 4"), 2);
  EXPECT_EQ(value("0 ? 2 : 0 ? 3 : 4"), 4);
  EXPECT_EQ(value("3 != 4 && 4 >= 4 && 3 <= 4"), 1);
}

TEST(Expression, KnowsItsFunctions) {
  EXPECT_EQ(value("min(3, 1, 2)"), 1);
  EXPECT_EQ(value("max(3, n)", "n=9"), 9);
  EXPECT_EQ(value("ceil_div(7, 4)"), 2);
  EXPECT_EQ(value("round_up(7, 4)"), 8);
  EXPECT_EQ(value("round_up(8, 4)"), 8);
  EXPECT_EQ(value("log2(4096)"), 12);
  EXPECT_EQ(value("log2(4095)"), 11);
  EXPECT_EQ(value("size(f16, 10)"), 20);
  EXPECT_EQ(value("size(q4_0, 64)"), 36);
  EXPECT_EQ(value("size(w, 33)", "w=q8_0"), 68);
}

TEST(Expression, ComparesWordsWithWordsOnly) {
  EXPECT_EQ(value("x == f16 || x == bf16", "x=bf16"), 1);
  EXPECT_EQ(value("epilogue != none", "epilogue=bias"), 1);
  EXPECT_NE(message("x == 3", "x=bf16"), "");
  EXPECT_NE(message("x + 1", "x=bf16"), "");
  EXPECT_NE(message("x", "x=bf16"), "");
}

TEST(Expression, EvaluatesOnlyWhatItNeeds) {
  EXPECT_EQ(value("n == 0 || 10 / n > 2", "n=0"), 1);
  EXPECT_EQ(value("n != 0 && 10 / n > 2", "n=0"), 0);
  EXPECT_EQ(value("n == 0 ? 5 : 10 / n", "n=0"), 5);
}

TEST(Expression, ErrorsNameFileLineAndExpression) {
  for (const char* text : {"1 / 0", "1 % 0", "9223372036854775807 + 1", "4611686018427387904 * 4",
                           "log2(0)", "ceil_div(4, 0)", "unknown + 1"}) {
    std::string said = message(text);
    EXPECT_NE(said.find("file.cpp:7"), std::string::npos) << text << ": " << said;
    EXPECT_NE(said.find(text), std::string::npos) << said;
  }
}

TEST(Expression, RefusesMalformedText) {
  for (const char* text : {"", "1 +", "(1", "1)", "min(1)", "size(1)", "foo(1)", "1 2", "a = b",
                           "99999999999999999999", "1 ? 2", "&& 1", "@"})
    EXPECT_THROW(Expression::parse(text, kHere), Error) << text;
  EXPECT_THROW(Expression::parse(std::string(1000, '('), kHere), Error);
  EXPECT_THROW(Expression::parse(std::string(1000, '-') + "1", kHere), Error);
}

TEST(Expression, TellsTheNamesItLooksUp) {
  Expression expression = Expression::parse("x == f16 ? ceil_div(m, BM) : none", kHere, {"none"});
  EXPECT_EQ(expression.names(), (std::set<std::string>{"x", "m", "BM"}));
}

TEST(Expression, DefinitionsTakeThePlaceOfNames) {
  std::vector<std::pair<std::string, Expression>> lets = {
      {"tiles", Expression::parse("ceil_div(m, BM)", kHere)},
      {"work", Expression::parse("tiles * 2", kHere)}};
  Expression whole = Expression::parse("work + tiles", kHere).with(lets);
  EXPECT_EQ(whole.names(), (std::set<std::string>{"m", "BM"}));
  Values scope = Values::parse("m=10,BM=4");
  EXPECT_EQ(whole.integer(lookup_in(scope)), 9);
}

// Both ways of evaluating must agree, for every operator and with the short cuts.
TEST(BoundExpression, AgreesWithTheTree) {
  const std::vector<std::string> slots = {"m", "n"};
  Values constants = Values::parse("k=6,x=bf16");
  for (const char* text : {"m",
                           "k",
                           "m + n * k",
                           "m - n",
                           "-m",
                           "!m",
                           "m / max(n, 1)",
                           "m % max(n, 1)",
                           "m < n",
                           "m <= n",
                           "m > n",
                           "m >= n",
                           "m == n",
                           "m != n",
                           "m && n",
                           "m || n",
                           "m ? n : k",
                           "k ? m : n",
                           "x == bf16 && m",
                           "x == f32 || n",
                           "x == bf16 ? m : n",
                           "min(m, n, k)",
                           "max(m, n)",
                           "ceil_div(m, 3)",
                           "round_up(m, 4)",
                           "log2(m + 1)",
                           "size(x, m)",
                           "size(q4_0, m * 32)",
                           "m && n || k && !m",
                           "m ? n ? 1 : 2 : n ? 3 : 4",
                           "(m || n) * 10 + (m && n)"}) {
    Expression expression = Expression::parse(text, kHere);
    BoundExpression bound = expression.bind(lookup_in(constants), slots);
    for (std::int64_t m : {0, 1, 5, 64})
      for (std::int64_t n : {0, 1, 7}) {
        Values scope = constants;
        scope.set("m", m);
        scope.set("n", n);
        std::int64_t values[] = {m, n};
        EXPECT_EQ(bound(values), expression.integer(lookup_in(scope)))
            << text << " m=" << m << " n=" << n;
      }
  }
}

TEST(BoundExpression, HasNoValueWhereTheTreeThrows) {
  const std::vector<std::string> slots = {"m"};
  std::int64_t zero = 0;
  for (const char* text :
       {"1 / m", "1 % m", "log2(m)", "ceil_div(4, m)", "m + 9223372036854775807 + 1"})
    EXPECT_EQ(Expression::parse(text, kHere).bind(lookup_in({}), slots)(&zero), std::nullopt)
        << text;
  EXPECT_EQ(Expression::parse("m == 0 || 1 / m", kHere).bind(lookup_in({}), slots)(&zero), 1);
}

TEST(BoundExpression, FoldsWhatIsKnown) {
  Values constants = Values::parse("n=4096,BN=64");
  EXPECT_TRUE(
      Expression::parse("ceil_div(n, BN)", kHere).bind(lookup_in(constants), {}).constant());
  EXPECT_THROW(Expression::parse("n + unknown", kHere).bind(lookup_in(constants), {}), Error);
}

TEST(BoundExpression, ComparesWordsInSlotsByTheirCode) {
  const std::vector<std::string> slots = {"mode"};
  BoundExpression online =
      Expression::parse("mode == online", kHere, {"online"}).bind(lookup_in({}), slots);
  std::int64_t yes = slot_value(std::string("online")), no = slot_value(std::string("lazy"));
  EXPECT_EQ(online(&yes), 1);
  EXPECT_EQ(online(&no), 0);
}

}  // namespace
}  // namespace hone
