#include "codegen/hash.h"

#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

TEST(Hash, TextParsesBack) {
  Hash hash = hash_of("kernel");
  EXPECT_EQ(hash.text().size(), 32u);
  EXPECT_EQ(Hash::parse(hash.text()), hash);
  for (const char* text : {"", "12", "zz345678901234567890123456789012"})
    EXPECT_THROW(Hash::parse(text), Error) << text;
}

// Databases keep these: a change here makes every stored result unknown.
TEST(Hash, IsTheOneThatDatabasesHold) {
  EXPECT_EQ(hash_of("").text(), "99aa06d3014798d86001c324468d497f");
}

TEST(Normalised, IgnoresCommentsAndWhiteSpace) {
  EXPECT_EQ(normalised("int  a = 1; // one\n/* two */ int b;\n"), normalised("int a = 1;\nint b;"));
  EXPECT_EQ(normalised("a /* x */ b"), normalised("a b"));
  EXPECT_NE(normalised("a b"), normalised("ab"));
  EXPECT_NE(normalised("int a = 1;"), normalised("int a = 2;"));
}

TEST(Normalised, KeepsLiteralsAndPreprocessorLines) {
  EXPECT_NE(normalised("f(\"a  b\")"), normalised("f(\"a b\")"));
  EXPECT_NE(normalised("f(\"// not a comment\")"), normalised("f(\"\")"));
  EXPECT_NE(normalised("f(\"\\\"//\")"), normalised("f(\"\\\"\")"));
  EXPECT_NE(normalised("#define A 1\nint b;"), normalised("#define A 1 int b;"));
  EXPECT_EQ(normalised("#define A \\\n  1\n"), normalised("#define A 1\n"));
  EXPECT_EQ(normalised("x = 'a'; // '\ny"), normalised("x = 'a';\ny"));
}

}  // namespace
}  // namespace hone
