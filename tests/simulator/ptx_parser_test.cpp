#include <gmock/gmock.h>

#include <string>

#include "codegen/error.h"
#include "runtime/simulator/ptx.h"

namespace hone::sim {
namespace {

constexpr std::string_view kHead = ".version 8.0\n.target sm_80\n.address_size 64\n";

std::string with_head(std::string_view rest) { return std::string(kHead) + std::string(rest); }

std::string message_of(const std::string& ptx) {
  try {
    parse_ptx(ptx);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kCompile);
    return error.what();
  }
  return "";
}

TEST(PtxParser, ReadsRegistersLabelsAndOperands) {
  const std::string ptx = with_head(R"(
.visible .entry k(.param .u64 a, .param .align 8 .b8 b[24])
{
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [b+8];
$L_1:
  shfl.sync.down.b32 %r1|%p1, %r2, 1, 31, -1;
  @!%p1 bra $L_1;
  ld.global.v2.f32 {%r2, %r3}, [%rd1+-16];
  ret;
}
)");
  const Text text = parse_ptx(ptx);
  EXPECT_EQ(text.version, 80);
  EXPECT_EQ(text.target, 80);
  ASSERT_EQ(text.functions.size(), 1u);
  const ParsedFunction& k = text.functions[0];
  ASSERT_EQ(k.parameters.size(), 2u);
  EXPECT_EQ(k.parameters[1].bytes, 24u);
  ASSERT_EQ(k.statements.size(), 5u);
  EXPECT_EQ(k.statements[0].operands[1].value, 8u);
  EXPECT_EQ(k.statements[1].operands[0].kind, Operand::Kind::kPair);
  EXPECT_TRUE(k.statements[2].guard_negated);
  EXPECT_EQ(k.statements[3].operands[1].value, static_cast<std::uint64_t>(-16));
  ASSERT_EQ(k.labels.size(), 1u);
  EXPECT_EQ(k.labels[0].position, 1);
}

TEST(PtxParser, KeepsRegistersOfInnerScopesApart) {
  const std::string ptx = with_head(R"(
.entry k() {
  .reg .b32 %r<2>;
  { .reg .b64 %r1; mov.b64 %r1, 0; }
  mov.b32 %r1, 0;
}
)");
  const Text text = parse_ptx(ptx);
  const ParsedFunction& k = text.functions[0];
  const auto type_of = [&](std::size_t statement) {
    return k.registers[static_cast<std::size_t>(k.statements[statement].operands[0].index)].type;
  };
  EXPECT_EQ(type_of(0).bits, 64);
  EXPECT_EQ(type_of(1).bits, 32);
}

TEST(PtxParser, FollowsInlinedLocations) {
  const std::string ptx = with_head(R"(
.entry k() {
  .loc 1 7 3
  .loc 2 90 5, function_name $L__info_string0, inlined_at 1 7 3
  ret;
}
.file 1 "kernel.cu"
.file 2 "header.h"
)");
  const Text text = parse_ptx(ptx);
  const Location& inner =
      text.locations[static_cast<std::size_t>(text.functions[0].statements[0].location)];
  EXPECT_EQ(inner.line, 90);
  ASSERT_GE(inner.parent, 0);
  EXPECT_EQ(text.locations[static_cast<std::size_t>(inner.parent)].line, 7);
  EXPECT_EQ(text.files.size(), 2u);
}

TEST(PtxParser, PutsAddressesIntoInitialisers) {
  const std::string ptx = with_head(
      ".global .align 4 .b8 data[8] = {1, 2};\n.global .u64 table[2] = {data, generic(data)+4};\n");
  const Text text = parse_ptx(ptx);
  EXPECT_EQ(text.variables[0].data.size(), 2u);
  EXPECT_EQ(text.variables[0].bytes, 8u);
  ASSERT_EQ(text.variables[1].references.size(), 2u);
  EXPECT_EQ(text.variables[1].references[1].offset, 8u);
  EXPECT_EQ(text.variables[1].references[1].addend, 4u);
}

TEST(PtxParser, NamesTheLineOfWhatIsWrong) {
  EXPECT_THAT(message_of(with_head(".entry k() {\n  mov.b32 %r1, 0\n}\n")),
              testing::HasSubstr("ptx line 6"));
  EXPECT_THAT(message_of(with_head(".entry k() {\n  .reg .b32 %r<99999999>;\n}\n")),
              testing::HasSubstr("ptx line 5"));
  EXPECT_THAT(message_of(with_head(".entry k() {")), testing::HasSubstr("ends"));
  EXPECT_THAT(message_of(with_head(".global .b8 x[99999999999999];")),
              testing::HasSubstr("too large"));
  EXPECT_THAT(message_of(with_head(".entry k() " + std::string(1000, '{'))),
              testing::HasSubstr("nested"));
  EXPECT_THAT(message_of(""), testing::HasSubstr(".version"));
}

}  // namespace
}  // namespace hone::sim
