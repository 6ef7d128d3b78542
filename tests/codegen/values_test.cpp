#include "codegen/values.h"

#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

TEST(Values, TextParsesBackToAnEqualObject) {
  for (const char* text :
       {"", "m=16", "m=16,n=-4,x=f32", "arch=x86-64-v4+bf16", "a=9223372036854775807"})
    EXPECT_EQ(Values::parse(text).text(), text);
}

TEST(Values, KeepsTheOrderInWhichNamesCame) {
  Values values = Values::parse("b=1,a=2");
  values.set("b", std::int64_t{3});
  values.set("c", "word");
  EXPECT_EQ(values.text(), "b=3,a=2,c=word");
  EXPECT_NE(values, Values::parse("a=2,b=3,c=word"));
}

TEST(Values, RefusesWhatIsNoList) {
  for (const char* text : {"m", "=1", "m=", "m=1,", ",m=1", "m=1,,n=2", "m=1,m=2", "m=1x", "1m=2",
                           "m=1 ,n=2", "m=99999999999999999999", "m==1", "m=a;b"})
    EXPECT_THROW(Values::parse(text), Error) << text;
}

TEST(Values, AskingForTheWrongKindSaysWhich) {
  Values values = Values::parse("m=16,x=f32");
  EXPECT_EQ(values.integer("m"), 16);
  EXPECT_EQ(values.word("x"), "f32");
  try {
    values.integer("x");
    FAIL() << "a word passed for an integer";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUsage);
    EXPECT_NE(std::string(error.what()).find("'x'"), std::string::npos);
  }
  EXPECT_THROW(values.word("m"), Error);
  EXPECT_THROW(values.word("absent"), Error);
}

TEST(Problem, ParsesOperatorAndValues) {
  Problem problem = Problem::parse("gemm:m=16,x=f32");
  EXPECT_EQ(problem.op, "gemm");
  EXPECT_EQ(problem.values.integer("m"), 16);
  EXPECT_EQ(problem.text(), "gemm:m=16,x=f32");
  EXPECT_EQ(Problem::parse("gemm").values.size(), 0u);
  EXPECT_THROW(Problem::parse(""), Error);
  EXPECT_THROW(Problem::parse("a b:m=1"), Error);
}

}  // namespace
}  // namespace hone
