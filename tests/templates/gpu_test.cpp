// GPU variants without a GPU or a compiler: their spaces and launches on every architecture.
#include <gtest/gtest.h>

#include "codegen/space.h"
#include "runtime/backends/gpu_arch.h"
#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

constexpr std::int64_t kMaxGrid = 65535;  // of y and z

bool serves_gpus(const Template& variant) {
  return std::any_of(variant.serves.begin(), variant.serves.end(),
                     [](const std::string& backend) { return backend != "cpu"; });
}

// Geometry of every launch of a config, within what every GPU of the architecture takes.
void expect_launchable(const Template& variant, const Values& scope, const Config& config) {
  Values all = scope;
  for (const auto& [name, value] : config) all.set(name, value);
  const auto integer = [&](const Expression& expression) {
    return expression.with(variant.lets).integer(lookup_in(all));
  };
  for (const Launch& launch : variant.launches) {
    if (!launch.when.empty() && integer(launch.when) == 0) continue;
    const std::string where = variant.file + " " + launch.entry + " " + config.text();
    const std::int64_t threads = integer(launch.threads);
    EXPECT_GE(threads, 1) << where;
    EXPECT_LE(threads, scope.integer("max_threads")) << where;
    EXPECT_EQ(threads % scope.integer("wave"), 0) << where;
    EXPECT_GE(integer(launch.grid[0]), 1) << where;
    EXPECT_LE(integer(launch.grid[0]), std::int64_t{0x7fffffff}) << where;
    for (int axis : {1, 2}) {
      EXPECT_GE(integer(launch.grid[static_cast<std::size_t>(axis)]), 1) << where;
      EXPECT_LE(integer(launch.grid[static_cast<std::size_t>(axis)]), kMaxGrid) << where;
    }
    if (!launch.shared.empty()) {
      EXPECT_LE(integer(launch.shared), scope.integer("max_shared")) << where;
    }
  }
}

TEST(GpuTemplates, SpacesHoldLaunchableConfigsOnEveryArchitecture) {
  int spaces = 0;
  Random random(first_seed());
  for (const GpuArch& arch : gpu_archs()) {
    const Target target = gpu_target(arch, arch.units, arch.l2_bytes);
    for (const auto& [name, op] : catalog().ops())
      for (const std::string& text : op.problems.at("default")) {
        const Values scope = scope_on(catalog().problem(text, true), target);
        for (const Template& variant : catalog().variants(name)) {
          if (!serves_gpus(variant) || !variant.serves_problem(scope, arch.backend)) continue;
          const Space space(variant, scope);
          ASSERT_GT(space.count(), 0u) << variant.file << " " << text << " " << target.text();
          ++spaces;
          expect_launchable(variant, scope, space.start());
          for (int i = 0; i < samples(20); ++i)
            expect_launchable(variant, scope, space.sample(random));
        }
      }
  }
  EXPECT_GT(spaces, 0);
}

// What ships for GPUs serves the default problems of its operators everywhere: an engine on a GPU
// finds something for each of them.
TEST(GpuTemplates, ServeEveryDefaultProblemOnEveryArchitecture) {
  for (const GpuArch& arch : gpu_archs()) {
    const Target target = gpu_target(arch, arch.units, arch.l2_bytes);
    for (const auto& [name, op] : catalog().ops())
      for (const std::string& text : op.problems.at("default")) {
        const Values scope = scope_on(catalog().problem(text, true), target);
        const auto& variants = catalog().variants(name);
        EXPECT_TRUE(std::any_of(
            variants.begin(), variants.end(),
            [&](const Template& variant) { return variant.serves_problem(scope, arch.backend); }))
            << text << " " << target.text();
      }
  }
}

}  // namespace
}  // namespace hone::prove
