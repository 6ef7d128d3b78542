// An operator of its own for the engine's tests: y[rows, cols] = a * x + w[cols], with a variant
// that takes w as it is and one that wants it packed.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "runtime/engine.h"
#include "tuning_db/database.h"

namespace hone {

// Templates, databases and compiled code in a folder that lives as long as the test.
class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("hone_" + std::string(info->test_suite_name()) + "_" + info->name() + "_" +
               std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    // Shared: building the precompiled header anew for each test would take most of its time.
    setenv("HONE_CACHE", (std::filesystem::path(testing::TempDir()) / "hone_test_cache").c_str(),
           1);
    setenv("HONE_DB", (folder_ / "user.db").c_str(), 1);
    setenv("HONE_SYSTEM_DB", (folder_ / "system.db").c_str(), 1);
    unsetenv("HONE_NO_COMPILE");
    write("affine/op.json", R"({"op": "affine", "summary": "y = a * x + w",
      "dims": [{"name": "rows", "dynamic": true, "max": 4096}, {"name": "cols", "max": 4096}],
      "words": [{"name": "x", "values": ["f32", "bf16"], "default": "f32"}],
      "require": [["rows != 13", "13 rows bring bad luck"]],
      "args": [{"name": "x", "kind": "in", "type": "f32", "shape": ["rows", "cols"]},
               {"name": "w", "kind": "in", "type": "f32", "shape": ["cols"]},
               {"name": "y", "kind": "out", "type": "f32", "shape": ["rows", "cols"]},
               {"name": "a", "kind": "scalar", "type": "f32", "default": 2.0}],
      "flops": "2 * rows * cols", "compute": "f32", "rows": "rows", "tolerance": [["1", 1e-6]]})");
    write("affine/reference.cpp",
          "#include \"numeric.h\"\nHONE_EXPORT void hone_reference(const Args &a, i64 begin, i64 "
          "end) {\n"
          "  for (i64 i = begin; i < end; ++i) for (i64 j = 0; j < a.cols; ++j) a.y[i * a.cols + "
          "j] = f64(a.a) * a.x[i * a.cols + j] + a.w[j];\n}\n");
    write("affine/plain.cpp",
          "//! serves cpu\n//! fixed cols\n//! param unroll 1 2\n//! launch_param threads 1 2\n//! "
          "launch main rows 1 1 threads\n//! start unroll=1,threads=1\n" +
              body("a.w[j]"));
    // The packed form holds each value plus one, so that reading the wrong form shows.
    write("affine/packed.cpp",
          "//! serves cpu\n//! when rows <= 64\n//! fixed cols\n//! param P 1 2\n//! pack w "
          "shifted(P) cols * 4\n//! workspace rows * 8\n"
          "//! launch main rows 1 1 1\n//! start P=1\n" +
              body("(((const f32 *)a.w)[j] - P)") +
              "HONE_PACK(w) { for (i64 j = 0; j < cols; ++j) ((f32 *)to)[j] = ((const f32 "
              "*)from)[j] + P; (void)a; }\n");
  }
  ~EngineTest() override { std::filesystem::remove_all(folder_); }

  // For tests that care whether something is compiled.
  void use_own_cache() const { setenv("HONE_CACHE", (folder_ / "cache").c_str(), 1); }

  static std::string body(const std::string& w) {
    return "HONE_KERNEL(main) { for (i64 j = 0; j < cols; ++j) a.y[b.x * cols + j] = a.a * a.x[b.x "
           "* cols + j] + " +
           w + "; }\n";
  }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::path path = folder_ / "templates" / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::filesystem::path templates() const { return folder_ / "templates"; }
  std::filesystem::path database() const { return folder_ / "user.db"; }
  EngineOptions options() const {
    EngineOptions options;
    options.templates = {templates()};
    return options;
  }

  // A finished trial in the user's database.
  Trial record(const std::string& problem, const std::string& variant, const std::string& config,
               std::int64_t median_ns, const std::string& layout = "",
               std::optional<DeviceIdentity> device = {}) const {
    Catalog catalog = Catalog::embedded();
    catalog.add_directory(templates());
    if (!device) device = open_device("cpu:0")->identity();
    Trial trial;
    trial.device = device->key();
    Problem parsed = catalog.problem(problem, true);
    trial.problem = parsed.text();
    trial.handle = catalog.op(parsed.op).handle(parsed).text();
    trial.variant = variant;
    const Template* found = catalog.variant(parsed.op, variant);
    trial.template_hash = found->hash;
    trial.config = config;
    trial.layout = layout;
    trial.source =
        render(catalog, *found, parsed, Values::parse(config), open_device("cpu:0")->target()).hash;
    trial.median_ns = median_ns;
    trial.samples = 9;
    trial.checked = "all rows";
    trial.timed = "test";
    Database database(this->database(), Database::Mode::kWrite);
    database.put_device(*device);
    database.put_template(found->hash, parsed.op, variant, found->text);
    database.put_trial(trial);
    return trial;
  }

  std::filesystem::path folder_;
};

}  // namespace hone
