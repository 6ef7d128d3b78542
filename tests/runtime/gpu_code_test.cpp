#include "runtime/backends/gpu_code.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>

#include "codegen/error.h"
#include "codegen/json.h"
#include "runtime/simulator/simt/image.h"
#include "tests/simulator/support/damage.h"

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

// ELF with one segment: the metadata note, as AMD's compilers write it.
std::string code_object(const std::string& metadata) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_NOTE;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = sizeof(Elf64_Nhdr) + 8 + metadata.size();
  constexpr std::uint32_t kMetadata = 32;
  const Elf64_Nhdr note{7, static_cast<std::uint32_t>(metadata.size()), kMetadata};
  std::string elf;
  const auto put = [&](const auto& value) {
    elf.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(header);
  put(segment);
  put(note);
  return elf + std::string("AMDGPU\0\0", 8) + metadata;
}

std::string metadata_of_two() {
  const Json metadata = {
      {"amdhsa.version", {1, 1}},
      {"amdhsa.kernels",
       {{{".name", "hone_main"}, {".vgpr_count", 40}, {".agpr_count", 8}, {".vgpr_spill_count", 2}},
        {{".name", "hone_pack_w"}, {".group_segment_fixed_size", 4096}}}}};
  std::string bytes;
  Json::to_msgpack(metadata, bytes);
  return bytes;
}

TEST(CodeObject, TellsWhatEachEntryTakes) {
  const auto entries = resources_of_code_object(code_object(metadata_of_two()));
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].entry, "main");
  EXPECT_EQ(entries[0].registers, 48);
  EXPECT_EQ(entries[0].spill_bytes, 8);
  EXPECT_EQ(entries[1].entry, "pack_w");
  EXPECT_EQ(entries[1].shared_bytes, 4096);
}

// Each of these bytes opens a list in the one before: a reader that calls itself runs out of stack.
TEST(CodeObject, NestedWithoutEndTellsNothing) {
  EXPECT_TRUE(resources_of_code_object(code_object(std::string(10 << 20, '\x91'))).empty());
  EXPECT_TRUE(resources_of_code_object(code_object(std::string(10 << 20, '\x81'))).empty());
  EXPECT_TRUE(resources_of_code_object(code_object("\xdd\xff\xff\xff\xff")).empty());
}

sim::SimtImage some_image() {
  return {"machine code", "a text\nof two lines", {{0, 0}, {16, 1}}, {{1}, {2, 1}}};
}

TEST(SimtImage, ComesBackAsItWasPacked) {
  sim::SimtImage image;
  ASSERT_TRUE(sim::unpack_simt(sim::pack_simt(some_image()), &image));
  EXPECT_EQ(image.code, some_image().code);
  EXPECT_EQ(image.text, some_image().text);
  EXPECT_EQ(image.places, some_image().places);
  EXPECT_EQ(image.lines, some_image().lines);
}

// Whatever is read from a database or a cache that was damaged on its way: an error, never a crash.
TEST(DamagedCode, IsRefusedOrTakenAndNothingElse) {
  GpuCode gpu = some_code();
  gpu.simt = sim::pack_simt(some_image());
  const std::string packed = pack_gpu_code(gpu), elf = code_object(metadata_of_two());
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    SCOPED_TRACE(seed);
    try {
      unpack_gpu_code(test::damaged_bytes(packed, seed));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kDevice);
      ++refused;
    }
    sim::SimtImage image;
    refused += !sim::unpack_simt(test::damaged_bytes(gpu.simt, seed), &image);
    refused += resources_of_code_object(test::damaged_bytes(elf, seed)).empty();
  }
  EXPECT_GT(refused, 5000);
  EXPECT_LT(refused, 15000);
}

}  // namespace
}  // namespace hone
