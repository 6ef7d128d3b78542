#include "runtime/engine.h"

#include "codegen/error.h"
#include "tests/runtime/engine_fixture.h"

namespace hone {
namespace {

constexpr std::int64_t kCols = 24;
const char kHandle[] = "affine:cols=24";

// Launches for `rows` and compares with what it should be; packs w when the handle wants it.
void expect_right(const Handle& handle, std::int64_t rows) {
  std::vector<float> x(static_cast<std::size_t>(rows * kCols)), w(kCols), y(x.size(), -1.0f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  for (std::size_t j = 0; j < w.size(); ++j) w[j] = static_cast<float>(j) * 0.5f;
  const Handle::Bucket* bucket = handle.choose(&rows);
  ASSERT_NE(bucket, nullptr) << rows << " rows";
  alignas(64) float packed[kCols];
  alignas(64) char workspace[64 * 8];
  void* weight = w.data();
  if (!handle.layout().empty()) {
    ASSERT_TRUE(bucket->kernel.pack("w", w.data(), packed, nullptr));
    weight = packed;
  }
  float a = 3;
  void* arguments[] = {x.data(), weight, y.data(), &a};
  ASSERT_TRUE(bucket->kernel.launch(arguments, &rows, workspace, nullptr));
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], 3 * x[i] + w[i % kCols]) << i;
}

using Engines = EngineTest;

TEST_F(Engines, UntunedProblemsGetTheStartConfig) {
  use_own_cache();
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  std::int64_t rows = 5;
  EXPECT_EQ(handle->match(&rows), Match::kStart);
  EXPECT_TRUE(handle->choose(&rows)->compiled);
  for (std::int64_t many : {1, 5, 64, 65, 300}) expect_right(*handle, many);
}

TEST_F(Engines, AStartThatDependsOnDynamicDimsIsThatOfTheSmallest) {
  write("affine/plain.cpp",
        "//! serves cpu\n//! fixed cols\n//! param unroll 1 2\n//! launch_param threads 1 2\n"
        "//! launch main rows 1 1 threads\n//! start unroll=rows>=4?2:1,threads=1\n" +
            body("a.w[j]"));
  Engine engine(options());
  const std::int64_t rows = 5;
  EXPECT_EQ(engine.resolve(kHandle)->choose(&rows)->kernel.config().text(), "unroll=1,threads=1");
}

TEST_F(Engines, ScalarsHaveTheirDefaultForANullPointer) {
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle, "");
  std::int64_t rows = 1;
  std::vector<float> x(kCols, 5.0f), w(kCols, 1.0f), y(kCols);
  void* arguments[] = {x.data(), w.data(), y.data(), nullptr};
  ASSERT_TRUE(handle->choose(&rows)->kernel.launch(arguments, &rows, nullptr, nullptr));
  EXPECT_EQ(y[0], 11.0f);
}

TEST_F(Engines, TunedBucketsServeTheNearestDims) {
  record("affine:rows=1,cols=24", "plain", "unroll=1,threads=1", 100);
  record("affine:rows=256,cols=24", "plain", "unroll=2,threads=1", 9000);
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  auto config = [&](std::int64_t rows) { return handle->choose(&rows)->kernel.config().text(); };
  auto match = [&](std::int64_t rows) { return handle->match(&rows); };
  EXPECT_EQ(config(1), "unroll=1,threads=1");
  EXPECT_EQ(config(15), "unroll=1,threads=1");
  EXPECT_EQ(config(17), "unroll=2,threads=1");
  EXPECT_EQ(config(4000), "unroll=2,threads=1");
  EXPECT_EQ(match(1), Match::kExact);
  EXPECT_EQ(match(256), Match::kExact);
  EXPECT_EQ(match(255), Match::kBucket);
  for (std::int64_t rows : {1, 17, 256}) expect_right(*handle, rows);
}

TEST_F(Engines, DimsOutsideTheOperatorAreRefused) {
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  for (std::int64_t rows : {0, -1, 4097, 13}) EXPECT_EQ(handle->choose(&rows), nullptr) << rows;
}

TEST_F(Engines, OneHandleReadsOneLayout) {
  record("affine:rows=1,cols=24", "packed", "P=2", 100, "w:shifted(2)");
  record("affine:rows=1,cols=24", "packed", "P=1", 90, "w:shifted(1)");
  record("affine:rows=1,cols=24", "plain", "unroll=1,threads=1", 150);
  record("affine:rows=32,cols=24", "packed", "P=2", 1000, "w:shifted(2)");
  record("affine:rows=32,cols=24", "packed", "P=1", 3000, "w:shifted(1)");
  record("affine:rows=32,cols=24", "plain", "unroll=1,threads=1", 3000);
  Engine engine(options());
  // Per row: shifted(2) 100 + 31, shifted(1) 90 + 94, plain 150 + 94.
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  EXPECT_EQ(handle->layout(), "w:shifted(2)");
  for (const Handle::Bucket& bucket : handle->buckets())
    EXPECT_EQ(bucket.kernel.layout(), "w:shifted(2)");
  for (std::int64_t rows : {1, 7, 64}) expect_right(*handle, rows);
  // The packed variant stops at 64 rows, and nothing else reads its layout.
  std::int64_t many = 65;
  EXPECT_EQ(handle->choose(&many), nullptr);
  std::unique_ptr<Handle> plain = engine.resolve(kHandle, "");
  EXPECT_EQ(plain->layout(), "");
  expect_right(*plain, 65);
  std::unique_ptr<Handle> first = engine.resolve(kHandle, "w:shifted(1)");
  expect_right(*first, 3);
  EXPECT_THROW(engine.resolve(kHandle, "w:unheard(1)"), Error);
}

TEST_F(Engines, AnotherShapeOfThisDeviceIsNear) {
  record("affine:rows=8,cols=48", "plain", "unroll=2,threads=1", 100);
  record("affine:rows=8,cols=4000", "plain", "unroll=1,threads=2", 100);
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  std::int64_t rows = 8;
  EXPECT_EQ(handle->match(&rows), Match::kNear);
  EXPECT_EQ(handle->choose(&rows)->kernel.config().text(), "unroll=2,threads=1");
  expect_right(*handle, 9);
}

TEST_F(Engines, AnotherDeviceOfTheArchitectureIsASibling) {
  DeviceIdentity other = open_device("cpu:0")->identity();
  other.units = 96;
  record("affine:rows=8,cols=24", "plain", "unroll=2,threads=2", 100, "", other);
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  std::int64_t rows = 8;
  EXPECT_EQ(handle->match(&rows), Match::kSibling);
  expect_right(*handle, 8);
}

TEST_F(Engines, RowsOfAnotherTemplateTextAreSkipped) {
  record("affine:rows=8,cols=24", "plain", "unroll=2,threads=1", 100);
  write("affine/plain.cpp",
        "//! serves cpu\n//! fixed cols\n//! param unroll 1 2\n//! launch main rows 1 1 1\n//! "
        "start unroll=1\n" +
            body("a.w[j]"));
  Engine engine(options());
  std::int64_t rows = 8;
  EXPECT_EQ(engine.resolve(kHandle)->match(&rows), Match::kStart);
}

TEST_F(Engines, ConfigsThatAreNotLegalAreSkipped) {
  Trial trial = record("affine:rows=8,cols=24", "plain", "unroll=2,threads=1", 100);
  {
    Database database(this->database(), Database::Mode::kWrite);
    trial.config = "unroll=77,threads=1";
    trial.median_ns = 1;
    database.put_trial(trial);
  }
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  ASSERT_EQ(handle->buckets().size(), 1u);
  EXPECT_EQ(handle->buckets()[0].kernel.config().text(), "unroll=2,threads=1");
  EXPECT_EQ(handle->buckets()[0].match, Match::kExact);
}

TEST_F(Engines, WithoutCompilationAStoredBinaryIsUsed) {
  Trial trial = record("affine:rows=8,cols=24", "plain", "unroll=2,threads=1", 100);
  use_own_cache();
  setenv("HONE_NO_COMPILE", "1", 1);
  try {
    Engine(options()).resolve(kHandle);
    FAIL() << "nothing is stored, nothing may be compiled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNoBinary);
    EXPECT_NE(std::string(error.what()).find(kHandle), std::string::npos) << error.what();
  }
  {
    Engine engine(options());
    const Catalog& catalog = engine.catalog();
    Problem problem = catalog.problem(kHandle, false);
    Source source = render(catalog, *catalog.variant("affine", "plain"), problem,
                           Values::parse(trial.config), engine.device().target());
    Binary binary =
        find_backend("cpu")->compile(source, engine.device().target(), std::chrono::seconds(30));
    std::filesystem::remove_all(folder_ / "cache");
    Database(database(), Database::Mode::kWrite)
        .put_binary(binary.source, binary.target, binary.code);
  }
  Engine engine(options());
  std::unique_ptr<Handle> handle = engine.resolve(kHandle);
  std::int64_t rows = 8;
  EXPECT_EQ(handle->match(&rows), Match::kExact);
  EXPECT_FALSE(handle->choose(&rows)->compiled);
  expect_right(*handle, 8);
  // Code in a file that anybody may write is not run.
  std::filesystem::permissions(database(), std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_THROW(Engine(options()).resolve(kHandle), Error);
}

TEST_F(Engines, BadProblemsAreNamed) {
  Engine engine(options());
  for (const char* problem : {"", "nothing:m=1", "affine", "affine:cols=0", "affine:cols=24,x=f77",
                              "affine:cols=24,depth=3"})
    EXPECT_THROW(engine.resolve(problem), Error) << problem;
}

TEST_F(Engines, AMissingDatabaseThatWasNamedIsAnError) {
  EngineOptions named = options();
  named.database = folder_ / "absent.db";
  EXPECT_THROW(Engine{named}, Error);
  EngineOptions nowhere = options();
  nowhere.device = "gpu:7";
  EXPECT_THROW(Engine{nowhere}, Error);
}

}  // namespace
}  // namespace hone
