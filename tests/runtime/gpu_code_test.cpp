#include "runtime/backends/gpu_code.h"

#include <gtest/gtest.h>

#include "codegen/error.h"

namespace hone {
namespace {

GpuCode some_code() {
  GpuCode code;
  code.code = std::string(
      "\x7f"
      "ELF\0binary",
      11);
  code.ptx = ".version 9.0";
  code.toolchain = "nvrtc 13.0";
  code.entries = {{"main", 40, 8, 16, 1024}};
  return code;
}

TEST(GpuCode, ComesBackAsItWasPacked) {
  const GpuCode code = unpack_gpu_code(pack_gpu_code(some_code()));
  EXPECT_EQ(code.code, some_code().code);
  EXPECT_EQ(code.ptx, some_code().ptx);
  EXPECT_EQ(code.toolchain, "nvrtc 13.0");
  ASSERT_EQ(code.entries.size(), 1u);
  EXPECT_EQ(code.entries[0].entry, "main");
  EXPECT_EQ(code.entries[0].registers, 40);
  EXPECT_EQ(code.entries[0].spill_bytes, 8);
  EXPECT_EQ(code.entries[0].stack_bytes, 16);
  EXPECT_EQ(code.entries[0].shared_bytes, 1024);
}

TEST(GpuCode, IsRefusedWhenAnythingIsCutOff) {
  const std::string whole = pack_gpu_code(some_code());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(unpack_gpu_code(std::string_view(whole).substr(0, size)), Error) << size;
}

TEST(GpuCode, IsRefusedWhenItsHeadIsNoObject) {
  std::string bytes = "HONEGPU1";
  const std::uint64_t size = 2;
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  EXPECT_THROW(unpack_gpu_code(bytes + "[]"), Error);
  EXPECT_THROW(unpack_gpu_code(bytes + "{}"), Error);
  EXPECT_THROW(unpack_gpu_code(bytes + "{{"), Error);
}

TEST(PtxasLog, TellsWhatEachEntryTakes) {
  const auto entries = resources_of_ptxas(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'hone_main' for 'sm_80'\n"
      "ptxas info    : Function properties for hone_main\n"
      "    32 bytes stack frame, 24 bytes spill stores, 20 bytes spill loads\n"
      "ptxas info    : Used 255 registers, used 1 barriers, 1024 bytes smem, 364 bytes cmem[0]\n"
      "ptxas info    : Function properties for helper\n"
      "    8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads\n"
      "ptxas info    : Compiling entry function 'hone_pack_w' for 'sm_80'\n"
      "ptxas info    : Function properties for hone_pack_w\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 12 registers, used 0 barriers\n");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].entry, "main");
  EXPECT_EQ(entries[0].registers, 255);
  EXPECT_EQ(entries[0].spill_bytes, 44);
  EXPECT_EQ(entries[0].stack_bytes, 32);
  EXPECT_EQ(entries[0].shared_bytes, 1024);
  EXPECT_EQ(entries[1].entry, "pack_w");
  EXPECT_EQ(entries[1].registers, 12);
  EXPECT_EQ(entries[1].shared_bytes, 0);
}

TEST(CodeObject, WithoutMetadataTellsNothing) {
  EXPECT_TRUE(resources_of_code_object("").empty());
  EXPECT_TRUE(resources_of_code_object("\x7f"
                                       "ELF")
                  .empty());
  EXPECT_TRUE(resources_of_code_object(std::string(4096, '\xff')).empty());
}

}  // namespace
}  // namespace hone
