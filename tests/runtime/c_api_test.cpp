#include <algorithm>
#include <thread>

#include "runtime/hone.h"
#include "runtime/hone.hpp"
#include "tests/runtime/engine_fixture.h"

namespace hone {
namespace {

class CApi : public EngineTest {
 protected:
  CApi() {
    folder_text_ = templates().string();
    options_.templates = folder_text_.c_str();
  }
  std::string folder_text_;
  hone_options options_{};
};

TEST_F(CApi, FindsLaunchesAndTells) {
  use_own_cache();
  record("affine:rows=2,cols=24", "packed", "P=2", 77, "w:shifted(2)");
  api::Engine engine(options_);
  api::Kernel kernel = engine.find("affine:cols=24");
  std::int64_t rows = 2;
  hone_kernel_info info = kernel.info(&rows);
  EXPECT_STREQ(info.problem, "affine:cols=24");
  EXPECT_STREQ(info.variant, "packed");
  EXPECT_STREQ(info.config, "P=2");
  EXPECT_STREQ(info.layout, "w:shifted(2)");
  EXPECT_EQ(info.match, HONE_MATCH_EXACT);
  EXPECT_EQ(info.median_ns, 77);
  EXPECT_EQ(info.arguments, 4);
  EXPECT_EQ(info.dims, 1);
  EXPECT_EQ(info.compiled, 1);
  EXPECT_EQ(kernel.workspace_bytes(&rows), 16u);
  EXPECT_EQ(kernel.packed_bytes("w"), 96u);
  EXPECT_EQ(kernel.packed_bytes("x"), 0u);
  std::vector<float> x(48, 1.0f), w(24, 4.0f), y(48);
  alignas(64) float packed[24];
  alignas(64) char workspace[64];
  kernel.pack(HONE_ARG("w"), w.data(), packed);
  float a = 0.5f;
  void* arguments[] = {x.data(), packed, y.data(), &a};
  kernel.launch(arguments, &rows, workspace);
  for (float value : y) EXPECT_EQ(value, 4.5f);
}

TEST_F(CApi, FailuresHaveAStatusAndAText) {
  hone_engine* engine = nullptr;
  hone_kernel* kernel = nullptr;
  ASSERT_EQ(hone_open(&options_, &engine), HONE_OK) << hone_error();
  EXPECT_EQ(hone_find(engine, "nothing:m=1", &kernel), HONE_NOT_FOUND);
  EXPECT_NE(std::string(hone_error()).find("nothing"), std::string::npos);
  EXPECT_EQ(hone_find(engine, "affine:cols=zero", &kernel), HONE_USAGE);
  EXPECT_EQ(hone_find(engine, nullptr, &kernel), HONE_USAGE);
  EXPECT_EQ(hone_find_layout(engine, "affine:cols=24", "w:odd", &kernel), HONE_UNSUPPORTED);
  EXPECT_EQ(kernel, nullptr);
  ASSERT_EQ(hone_find_layout(engine, "affine:cols=24", "", &kernel), HONE_OK) << hone_error();
  std::int64_t rows = 13;
  hone_kernel_info info;
  std::size_t bytes = 0;
  EXPECT_EQ(hone_info(kernel, &rows, &info), HONE_UNSUPPORTED);
  EXPECT_EQ(hone_workspace_bytes(kernel, &rows, &bytes), HONE_UNSUPPORTED);
  void* arguments[] = {nullptr, nullptr, nullptr, nullptr};
  EXPECT_EQ(hone_launch(kernel, arguments, &rows, nullptr, nullptr), HONE_UNSUPPORTED);
  EXPECT_NE(std::string(hone_error()).find("13"), std::string::npos);
  EXPECT_EQ(hone_launch(kernel, nullptr, &rows, nullptr, nullptr), HONE_USAGE);
  float value = 0;
  EXPECT_EQ(hone_pack(kernel, "w", &value, &value), HONE_USAGE);
  hone_release(kernel);
  hone_release(nullptr);
  hone_close(engine);
  hone_close(nullptr);
}

TEST_F(CApi, WithoutCompilationTheStatusIsTyped) {
  use_own_cache();
  options_.no_compile = 1;
  hone_engine* engine = nullptr;
  hone_kernel* kernel = nullptr;
  ASSERT_EQ(hone_open(&options_, &engine), HONE_OK) << hone_error();
  EXPECT_EQ(hone_find(engine, "affine:cols=24", &kernel), HONE_NO_BINARY);
  EXPECT_NE(std::string(hone_error()).find("affine:cols=24"), std::string::npos);
  hone_close(engine);
}

TEST_F(CApi, DamagedDatabasesAreRefusedAtOpening) {
  std::filesystem::path damaged = folder_ / "damaged.db";
  std::ofstream(damaged) << "this is no database, whatever its name says";
  std::string path = damaged.string();
  options_.database = path.c_str();
  hone_engine* engine = nullptr;
  EXPECT_EQ(hone_open(&options_, &engine), HONE_DATABASE);
  EXPECT_NE(std::string(hone_error()).find(path), std::string::npos) << hone_error();
  options_.database = "/nowhere/at/all.db";
  EXPECT_EQ(hone_open(&options_, &engine), HONE_NOT_FOUND);
  EXPECT_EQ(hone_open(&options_, nullptr), HONE_USAGE);
}

TEST_F(CApi, OneKernelServesSeveralThreads) {
  api::Engine engine(options_);
  api::Kernel kernel = engine.find("affine:cols=24", "");
  auto work = [&](float factor, bool* right) {
    std::vector<float> x(24 * 7, 1.0f), w(24, 1.0f), y(24 * 7);
    std::int64_t rows = 7;
    void* arguments[] = {x.data(), w.data(), y.data(), &factor};
    *right = true;
    for (int i = 0; i < 2000; ++i) {
      std::fill(y.begin(), y.end(), 0.0f);
      kernel.launch(arguments, &rows);
      for (float value : y) *right &= value == factor + 1;
    }
  };
  bool right[3] = {};
  std::thread one(work, 1.0f, &right[0]), two(work, 2.0f, &right[1]);
  work(3.0f, &right[2]);
  one.join();
  two.join();
  EXPECT_TRUE(right[0] && right[1] && right[2]);
}

TEST(CApiTexts, AreFrozen) {
  EXPECT_STREQ(hone_status_text(HONE_OK), "ok");
  EXPECT_STREQ(hone_status_text(HONE_NO_BINARY), "no_binary");
  EXPECT_STREQ(hone_status_text(HONE_INTERNAL), "internal");
  EXPECT_STREQ(hone_match_text(HONE_MATCH_EXACT), "exact");
  EXPECT_STREQ(hone_match_text(HONE_MATCH_START), "start");
}

}  // namespace
}  // namespace hone
