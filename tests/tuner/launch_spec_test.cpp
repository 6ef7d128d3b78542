#include "tuner/launch_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

using ::testing::ElementsAre;

TEST(LaunchSpec, ReadsGeometryAndEveryKindOfArgument) {
  const LaunchSpec spec = parse_launch(
      "saxpy<<<4x2, 256, 1024>>>(out f32[16], f16[8]=index, s32[4]=7, u8[3], 2.5f, -3, s64:9)");
  EXPECT_EQ(spec.kernel, "saxpy");
  EXPECT_THAT(spec.grid, ElementsAre(4, 2, 1));
  EXPECT_THAT(spec.block, ElementsAre(256, 1, 1));
  EXPECT_EQ(spec.shared_bytes, 1024u);
  ASSERT_EQ(spec.arguments.size(), 7u);
  EXPECT_TRUE(spec.arguments[0].out);
  EXPECT_EQ(spec.arguments[0].count, 16);
  EXPECT_EQ(spec.arguments[1].element, "f16");
  EXPECT_EQ(spec.arguments[1].fill, LaunchArgument::Fill::kIndex);
  EXPECT_EQ(spec.arguments[2].fill, LaunchArgument::Fill::kNumber);
  EXPECT_EQ(spec.arguments[2].number, 7);
  EXPECT_EQ(spec.arguments[3].fill, LaunchArgument::Fill::kDrawn);
  EXPECT_FALSE(spec.arguments[4].buffer);
  EXPECT_EQ(spec.arguments[4].element, "f32");
  EXPECT_EQ(spec.arguments[4].number, 2.5);
  EXPECT_EQ(spec.arguments[5].element, "s32");
  EXPECT_EQ(spec.arguments[5].number, -3);
  EXPECT_EQ(spec.arguments[6].element, "s64");
}

TEST(LaunchSpec, MayHaveNoArguments) {
  EXPECT_TRUE(parse_launch("k<<<1,1>>>()").arguments.empty());
}

TEST(LaunchSpec, SaysWhatItExpectedOfAnythingElse) {
  for (const char* bad :
       {"", "k", "k<<<", "k<<<1", "k<<<1,1>>>", "k<<<0,1>>>()", "k<<<1,1>>>(", "k<<<1,1>>>(1",
        "k<<<1,1>>>(1,)", "k<<<1,1>>>(f99[4])", "k<<<1,1>>>(q4_0[32])", "k<<<1,1>>>(f32[0])",
        "k<<<1,1>>>(f32[4]=)", "k<<<1,1>>>() x", "k<<<99999999999,1>>>()",
        "k<<<1,1>>>(f32[99999999999999999999])"}) {
    try {
      parse_launch(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUsage);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("expected")) << bad;
    }
  }
}

}  // namespace
}  // namespace hone
