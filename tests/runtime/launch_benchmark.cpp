// What the runtime adds to a kernel: the launch path against a direct call, and opening a database
// of 10,000 records and resolving 100 problems of it without compilation. Run by hand:
// build/bench_runtime.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "codegen/space.h"
#include "runtime/engine.h"
#include "runtime/hone.hpp"
#include "tuning_db/database.h"

namespace {

// RMSNorm of one short row: a kernel of some tens of nanoseconds.
constexpr char kProblem[] = "norm:cols=64";

struct Call {
  alignas(64) float x[64], w[64], y[64];
  float eps = 1e-5f;
  std::int64_t rows = 1;
  void* arguments[4] = {x, w, y, &eps};
};

void launch(benchmark::State& state) {
  hone_options options{};
  options.database = nullptr;
  hone::api::Engine engine(options);
  hone::api::Kernel kernel = engine.find(kProblem);
  Call call{};
  for (auto _ : state) kernel.launch(call.arguments, &call.rows);
}
BENCHMARK(launch);

// The same kernel's entry, called through a function pointer with the slots filled beforehand.
void direct_call(benchmark::State& state) {
  hone::Catalog catalog = hone::Catalog::embedded();
  std::unique_ptr<hone::Device> device = hone::open_device("cpu:0");
  hone::EngineOptions options;
  hone::Engine engine(options);
  std::unique_ptr<hone::Handle> handle = engine.resolve(kProblem);
  Call call{};
  const hone::Handle::Bucket* bucket = handle->choose(&call.rows);
  hone::Problem problem = catalog.problem(kProblem, false);
  const hone::Template& variant = *catalog.variant("norm", bucket->kernel.variant());
  hone::Source source =
      render(catalog, variant, problem, bucket->kernel.config(), device->target());
  hone::Binary binary =
      hone::find_backend("cpu")->compile(source, device->target(), std::chrono::seconds(30));
  std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("hone_direct_" + std::to_string(getpid()) + ".so");
  if (std::FILE* out = std::fopen(file.c_str(), "wb")) {
    std::fwrite(binary.code.data(), 1, binary.code.size(), out);
    std::fclose(out);
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::filesystem::remove(file);
  using Entry =
      void (*)(const std::uint64_t*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t);
  auto entry = reinterpret_cast<Entry>(dlsym(library, ("hone_" + source.entries[0]).c_str()));
  std::vector<std::uint64_t> slots;
  std::vector<hone::Slot> names =
      slots_of(catalog.op("norm"), variant, catalog.op("norm").scope(problem));
  for (const hone::Slot& slot : names) {
    if (slot.name == "x")
      slots.push_back(reinterpret_cast<std::uintptr_t>(call.x));
    else if (slot.name == "weight")
      slots.push_back(reinterpret_cast<std::uintptr_t>(call.w));
    else if (slot.name == "y")
      slots.push_back(reinterpret_cast<std::uintptr_t>(call.y));
    else if (slot.name == "eps")
      slots.push_back(0x3727c5ac);  // 1e-5f
    else
      slots.push_back(1);  // rows, threads
  }
  std::int64_t grid[3] = {1, 1, 1};
  for (auto _ : state) entry(slots.data(), grid, 0, 1, 0);
}
BENCHMARK(direct_call);

constexpr int kProblems = 100;
constexpr int kRecordsEach = 100;

std::string problem_text(int index) {
  return "softmax:rows=32,cols=" + std::to_string(1024 + 64 * index);
}

// 100 problems with 100 configs each; the binaries of the winners are stored.
std::filesystem::path database_of_10000() {
  std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("hone_10000_" + std::to_string(getpid()) + ".db");
  std::filesystem::remove(file);
  hone::Catalog catalog = hone::Catalog::embedded();
  std::unique_ptr<hone::Device> device = hone::open_device("cpu:0");
  hone::Backend& backend = *hone::find_backend("cpu");
  hone::Database database(file, hone::Database::Mode::kWrite);
  database.put_device(device->identity());
  const hone::Op& op = catalog.op("softmax");
  const hone::Template& variant = *catalog.variant("softmax", "rows");
  for (int index = 0; index < kProblems; ++index) {
    hone::Problem problem = catalog.problem(problem_text(index), true);
    hone::Values scope = op.scope(problem);
    scope.merge(device->target().limits);
    hone::Space space(variant, scope);
    for (int row = 0; row < kRecordsEach; ++row) {
      hone::Config config =
          space.at(static_cast<std::uint64_t>(row) * space.count() / kRecordsEach);
      hone::Source source = render(catalog, variant, problem, config, device->target());
      hone::Trial trial;
      trial.device = device->identity().key();
      trial.problem = problem.text();
      trial.handle = op.handle(problem).text();
      trial.variant = variant.variant;
      trial.template_hash = variant.hash;
      trial.config = config.text();
      trial.source = source.hash;
      trial.median_ns = 1000 + row;
      trial.samples = 9;
      trial.checked = "all rows";
      trial.timed = "benchmark";
      database.put_trial(trial);
      if (row > 0) continue;
      hone::Binary binary = backend.compile(source, device->target(), std::chrono::seconds(30));
      database.put_binary(binary.source, binary.target, binary.code);
    }
  }
  return file;
}

void open_and_resolve_100(benchmark::State& state) {
  std::filesystem::path file = database_of_10000();
  std::string text = file.string();
  setenv("HONE_NO_COMPILE", "1", 1);
  hone_options options{};
  options.database = text.c_str();
  for (auto _ : state) {
    auto begin = std::chrono::steady_clock::now();
    hone::api::Engine engine(options);
    std::vector<hone::api::Kernel> kernels;
    for (int index = 0; index < kProblems; ++index)
      kernels.push_back(engine.find(problem_text(index)));
    // Releasing them is no part of starting up.
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  unsetenv("HONE_NO_COMPILE");
  std::filesystem::remove(file);
}
BENCHMARK(open_and_resolve_100)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
