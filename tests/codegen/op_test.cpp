#include "codegen/op.h"

#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

const char kJson[] = R"({
  "op": "scale", "summary": "y = a * x",
  "dims": [{"name": "rows", "dynamic": true, "max": 1000, "buckets": [1, 32]},
           {"name": "cols", "min": 2, "max": 4096},
           {"name": "cap", "dynamic": true, "default": "rows"},
           {"name": "window", "min": 0, "default": 0}],
  "words": [{"name": "x", "values": ["f32", "bf16"], "default": "f32"},
            {"name": "mask", "values": ["none", "row"], "default": "none"}],
  "require": [["cols % 2 == 0", "cols must be even"], ["cap >= rows", "cap is smaller than rows"]],
  "let": [["count", "rows * cols"]],
  "args": [{"name": "x", "kind": "in", "type": "x", "shape": ["rows", "cols"], "cold": true},
           {"name": "y", "kind": "out", "type": "x", "shape": ["rows", "cols"]},
           {"name": "a", "kind": "scalar", "type": "f32", "default": 1.5},
           {"name": "m", "kind": "in", "type": "f32", "shape": ["cols"], "if": "mask == row"}],
  "flops": "count", "compute": "f32", "rows": "rows",
  "tolerance": [["x == bf16", 0.01], ["1", 1e-6]],
  "problems": {"default": ["scale:rows=4,cols=8"]}
})";

Op scale() { return parse_op(kJson, "reference", "scale/op.json"); }

std::string canonical(const std::string& text, bool complete = false) {
  return scale().canonical(Problem::parse(text), complete).text();
}

TEST(Op, CanonicalOrdersAndDropsDefaults) {
  EXPECT_EQ(canonical("scale:x=f32,cols=8,rows=4"), "scale:rows=4,cols=8");
  EXPECT_EQ(canonical("scale:mask=row,cols=8,x=bf16"), "scale:cols=8,x=bf16,mask=row");
  EXPECT_EQ(canonical("scale:rows=4,cols=8,cap=4,window=0"), "scale:rows=4,cols=8");
  EXPECT_EQ(canonical("scale:rows=4,cols=8,cap=9,window=2"), "scale:rows=4,cols=8,cap=9,window=2");
}

TEST(Op, CanonicalIsAFixedPoint) {
  for (const char* text :
       {"scale:cols=8", "scale:rows=4,cols=8,cap=7,x=bf16", "scale:cols=8,mask=row"})
    EXPECT_EQ(canonical(canonical(text)), canonical(text)) << text;
}

TEST(Op, CanonicalRefusesWhatCannotBe) {
  for (const char* text : {"scale:rows=4", "scale:cols=7", "scale:cols=1", "scale:cols=5000",
                           "scale:cols=x", "scale:cols=8,x=f16", "scale:cols=8,unknown=1",
                           "scale:rows=8,cols=8,cap=7", "scale:rows=0,cols=8", "scale:cols=8,x=3"})
    EXPECT_THROW(canonical(text), Error) << text;
  EXPECT_THROW(canonical("scale:cols=8", true), Error);
  EXPECT_NO_THROW(canonical("scale:cols=8", false));
}

TEST(Op, HandleLeavesOutDynamicDims) {
  Op op = scale();
  EXPECT_EQ(
      op.handle(op.canonical(Problem::parse("scale:rows=4,cols=8,cap=9,x=bf16"), true)).text(),
      "scale:cols=8,x=bf16");
  EXPECT_EQ(op.dynamic_dims(), (std::vector<std::string>{"rows", "cap"}));
}

TEST(Op, ScopeHoldsDefaultsAndLets) {
  Op op = scale();
  Values scope = op.scope(op.canonical(Problem::parse("scale:rows=4,cols=8"), true));
  EXPECT_EQ(scope.integer("count"), 32);
  EXPECT_EQ(scope.integer("cap"), 4);
  EXPECT_EQ(scope.word("mask"), "none");
  Values partial = op.scope(op.canonical(Problem::parse("scale:cols=8"), false));
  EXPECT_FALSE(partial.has("count"));
  EXPECT_FALSE(partial.has("cap"));
}

TEST(Op, ArgumentsAndCostsFollowTheProblem) {
  Op op = scale();
  Values plain = op.scope(op.canonical(Problem::parse("scale:rows=4,cols=8"), true));
  Values masked =
      op.scope(op.canonical(Problem::parse("scale:rows=4,cols=8,mask=row,x=bf16"), true));
  EXPECT_EQ(op.present(plain).size(), 3u);
  EXPECT_EQ(op.present(masked).size(), 4u);
  EXPECT_EQ(op.bytes_of(op.arguments[0], plain), 128);
  EXPECT_EQ(op.bytes_of(op.arguments[0], masked), 64);
  EXPECT_EQ(op.cost_bytes(masked), 64 + 64 + 4 + 32);
  EXPECT_EQ(op.tolerance(plain), 1e-6);
  EXPECT_EQ(op.tolerance(masked), 0.01);
}

TEST(Op, MalformedFilesAreRefusedWithTheFileName) {
  auto broken = [](const std::string& from, const std::string& to) {
    std::string text = kJson;
    std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::string> texts = {"",
                                          "[]",
                                          "{",
                                          broken("\"op\"", "\"operator\""),
                                          broken("\"kind\": \"in\"", "\"kind\": \"inout\""),
                                          broken("\"type\": \"x\"", "\"type\": \"f77\""),
                                          broken("cols % 2 == 0", "cols % == 0"),
                                          broken("\"name\": \"cap\"", "\"name\": \"rows\""),
                                          broken("\"default\": \"none\"", "\"default\": \"no\""),
                                          broken("\"shape\": [\"cols\"], \"if\"", "\"if\""),
                                          broken("\"flops\": \"count\",", ""),
                                          broken("\"dims\": [", "\"dims\": [3, "),
                                          broken("\"min\": 2", "\"minimum\": 2")};
  for (const std::string& text : texts) {
    try {
      parse_op(text, "", "scale/op.json");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kTemplate);
      EXPECT_EQ(std::string(error.what()).rfind("scale/op.json", 0), 0u) << error.what();
    }
  }
}

}  // namespace
}  // namespace hone
