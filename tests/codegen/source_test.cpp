#include "codegen/source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "codegen/error.h"
#include "tests/codegen/example.h"

namespace hone {
namespace {

// A folder of templates that lives as long as the test.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::path(testing::TempDir()) /
              ("hone_source_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    write("scale/op.json", R"({"op": "scale", "summary": "y = a * x",
      "dims": [{"name": "rows", "dynamic": true}, {"name": "cols"}],
      "words": [{"name": "x", "values": ["f32", "bf16"], "default": "f32"}],
      "args": [{"name": "x", "kind": "in", "type": "x", "shape": ["rows", "cols"]},
               {"name": "y", "kind": "out", "type": "x", "shape": ["rows", "cols"]},
               {"name": "a", "kind": "scalar", "type": "f32", "default": 1.0}],
      "flops": "rows * cols", "compute": "f32", "rows": "rows", "tolerance": [["1", 1e-6]]})");
    write("scale/reference.cpp",
          "#include \"numeric.h\"\nHONE_EXPORT void hone_reference(const Args &, i64, i64) {}\n");
    write("scale/rows.cpp", kExampleVariant);
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  Catalog catalog() const {
    Catalog catalog = Catalog::embedded();
    catalog.add_directory(path_);
    return catalog;
  }

 private:
  std::filesystem::path path_;
};

const Target kTarget{"cpu", "x86-64-v4", Values::parse("units=4,vector_bytes=64,l1_bytes=32768")};
const Config kConfig = Values::parse("block=8,unroll=2,mode=twice,threads=2");

Source rendered(const Catalog& catalog, const Config& config = kConfig,
                const Target& target = kTarget) {
  return render(catalog, *catalog.variant("scale", "rows"), catalog.problem("scale:cols=96", false),
                config, target);
}

TEST(Render, GivesConstantsTypesAndArguments) {
  Source source = rendered(Folder().catalog());
  for (const char* part :
       {"constexpr i64 cols = 96;", "constexpr i64 block = 8;",
        "constexpr word mode = word::twice;", "constexpr word x = word::f32;", "using x_t = f32;",
        "constexpr i64 tile = 16;", "const u8 *x;", "y_t *y;", "alignas(8) a_t a;", "i64 rows;",
        "i64 threads;", "u8 *workspace;"})
    EXPECT_NE(source.text.find(part), std::string::npos) << part;
  EXPECT_EQ(source.text.find("constexpr i64 threads"), std::string::npos);
  EXPECT_EQ(source.text.find("#include \"numeric.h\""), std::string::npos);
  EXPECT_EQ(source.entries, (std::vector<std::string>{"main", "finish", "pack_x"}));
}

TEST(Render, SameInputsGiveTheSameBytes) {
  Folder folder;
  EXPECT_EQ(rendered(folder.catalog()).text, rendered(folder.catalog()).text);
}

TEST(Render, LaunchParametersAreNotCompiledIn) {
  Catalog catalog = Folder().catalog();
  Config other = kConfig;
  other.set("threads", std::int64_t{1});
  EXPECT_EQ(rendered(catalog, other).hash, rendered(catalog).hash);
  other.set("block", std::int64_t{4});
  EXPECT_NE(rendered(catalog, other).hash, rendered(catalog).hash);
}

TEST(Render, OnlyLimitsThatTheTextNamesChangeTheSource) {
  Catalog catalog = Folder().catalog();
  Target other = kTarget;
  other.limits.set("units", std::int64_t{64});
  other.limits.set("l1_bytes", std::int64_t{49152});
  EXPECT_EQ(rendered(catalog, kConfig, other).hash, rendered(catalog).hash);
}

TEST(Render, CommentsAndWhiteSpaceDoNotChangeTheHash) {
  Folder folder;
  Source before = rendered(folder.catalog());
  Hash template_before = folder.catalog().variant("scale", "rows")->hash;
  folder.write("scale/rows.cpp", std::string(kExampleVariant) + "\n\n// nothing\n");
  EXPECT_EQ(rendered(folder.catalog()).hash, before.hash);
  EXPECT_EQ(folder.catalog().variant("scale", "rows")->hash, template_before);
  folder.write("scale/rows.cpp", std::string(kExampleVariant) + "\nstatic int something;\n");
  EXPECT_NE(rendered(folder.catalog()).hash, before.hash);
  EXPECT_NE(folder.catalog().variant("scale", "rows")->hash, template_before);
}

TEST(Render, TheContractIsPartOfTheTemplatesHash) {
  Folder folder;
  Hash before = folder.catalog().variant("scale", "rows")->hash;
  std::string text = kExampleVariant;
  folder.write("scale/rows.cpp", text.replace(text.find("rows <= 64"), 10, "rows <= 65"));
  EXPECT_NE(folder.catalog().variant("scale", "rows")->hash, before);
}

TEST(Render, RefusesAConfigThatLacksAParameter) {
  Catalog catalog = Folder().catalog();
  EXPECT_THROW(rendered(catalog, Values::parse("block=8")), Error);
}

TEST(Render, ReferencesTakeEveryDimAtRunTimeAndGiveDoubles) {
  Catalog catalog = Folder().catalog();
  Source source =
      render_reference(catalog, catalog.problem("scale:cols=96,x=bf16", false), kTarget);
  for (const char* part :
       {"const x_t *x;", "f64 *y;", "i64 rows;", "i64 cols;", "using x_t = bf16;"})
    EXPECT_NE(source.text.find(part), std::string::npos) << part;
  Source other = render_reference(catalog, catalog.problem("scale:cols=8,x=bf16", false), kTarget);
  EXPECT_EQ(source.hash, other.hash);
}

constexpr const char* kGpuVariant = R"(//! serves   cuda hip
//! fixed    cols
//! param    threads 64 128
//! launch   main rows 1 1 threads shared threads * 4
//! start    threads=64
#include "simt.h"
HONE_GPU_KERNEL(main, threads) { a.y[block_x()] = a.x[block_x()] * a.a; }
)";

TEST(Catalog, AGpuVariantMayShareTheStemOfAnother) {
  Folder folder;
  folder.write("scale/rows.cu", kGpuVariant);
  Catalog catalog = folder.catalog();
  ASSERT_EQ(catalog.variants("scale").size(), 2u);
  ASSERT_NE(catalog.variant("scale", "rows"), nullptr);
  ASSERT_NE(catalog.variant("scale", "rows.cu"), nullptr);
  EXPECT_EQ(catalog.variant("scale", "rows")->hash,
            Folder().catalog().variant("scale", "rows")->hash);
  Values scope = catalog.op("scale").scope(catalog.problem("scale:cols=8", false));
  EXPECT_FALSE(catalog.variant("scale", "rows.cu")->serves_problem(scope, "cpu"));
  EXPECT_TRUE(catalog.variant("scale", "rows.cu")->serves_problem(scope, "hip"));
}

TEST(Render, GpuSourcesCarryWaveAndScalarsByValue) {
  Folder folder;
  folder.write("scale/rows.cu", kGpuVariant);
  Catalog catalog = folder.catalog();
  const Target target{"cuda", "sm_80", Values::parse("units=108,wave=32,max_shared=166912,sm=80")};
  Source source =
      render(catalog, *catalog.variant("scale", "rows.cu"), catalog.problem("scale:cols=96", false),
             Values::parse("threads=64"), target);
  for (const char* part : {"constexpr i64 wave = 32;", "constexpr i64 threads = 64;",
                           "alignas(8) a_t a;", "i64 rows;", "u8 *workspace;", "shuffle_xor"})
    EXPECT_NE(source.text.find(part), std::string::npos) << part;
  EXPECT_EQ(source.text.find("constexpr i64 units"), std::string::npos);
  EXPECT_EQ(source.entries, (std::vector<std::string>{"main"}));
  Target other = target;
  other.limits.set("wave", std::int64_t{64});
  EXPECT_NE(render(catalog, *catalog.variant("scale", "rows.cu"),
                   catalog.problem("scale:cols=96", false), Values::parse("threads=64"), other)
                .hash,
            source.hash);
}

TEST(Catalog, UnknownIncludesAndFoldersAreNamed) {
  Folder folder;
  folder.write("scale/rows.cpp", std::string(kExampleVariant) + "#include \"absent.h\"\n");
  try {
    folder.catalog();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("absent.h"), std::string::npos) << error.what();
  }
  Catalog catalog = Catalog::embedded();
  EXPECT_THROW(catalog.add_directory("/nowhere"), Error);
  EXPECT_THROW(catalog.op("nothing"), Error);
}

TEST(Catalog, LaterFoldersOverrideByName) {
  Folder folder, other;
  Catalog catalog = folder.catalog();
  std::string text = kExampleVariant;
  EXPECT_EQ(catalog.variants("scale").size(), 1u);
  folder.write("scale/second.cpp", text);
  EXPECT_EQ(folder.catalog().variants("scale").size(), 2u);
}

// Every operator and variant that ships is well formed: its problems are legal and its spaces are
// not empty.
TEST(Catalog, WhatShipsIsWellFormed) {
  Catalog catalog = Catalog::embedded();
  for (const char* op :
       {"gemm", "attention", "norm", "softmax", "rope", "glu", "embedding", "argmax"})
    EXPECT_EQ(catalog.ops().count(op), 1u) << op;
  for (const auto& [name, op] : catalog.ops())
    for (const auto& [set, problems] : op.problems)
      for (const std::string& text : problems) EXPECT_NO_THROW(catalog.problem(text, true)) << text;
}

}  // namespace
}  // namespace hone
