#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec norm() {
  Spec spec;
  spec.op = "norm";
  spec.draw_statics = [](Random& random, Problem& problem) {
    problem.values.set(
        "cols", chance(random, 2)
                    ? one_of<std::int64_t>(random, {1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 127, 128,
                                                    129, 255, 256, 257, 577})
                    : within(random, 1, chance(random, 4) ? 3000 : 300));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("rows", within(random, 1, chance(random, 3) ? 150 : 20));
  };
  spec.fill = [](Random& random, Call& call) {
    for (double& value : call.in["weight"].values) value = 1 + 0.3 * value;
    // op.json leaves open whether the sum is rounded before it is normalised: here it needs none.
    if (call.is("x", "bf16") && call.is("residual", "add"))
      for (const char* name : {"x", "residual"})
        for (double& value : call.in[name].values) value = std::nearbyint(value * 32) / 32;
    if (chance(random, 2)) call.scalars["eps"] = one_of(random, {1e-6f, 1e-5f, 1e-3f});
  };
  // A mean far above the deviation, and a row of zeros.
  spec.harden = [](Random& random, Call& call) {
    const std::int64_t cols = call["cols"];
    std::vector<double>& x = call.in["x"].values;
    const double mean = call.is("x", "f32") ? 100 : call.is("residual", "add") ? 0 : 4;
    for (double& value : x) value += mean;
    const std::int64_t row = within(random, 0, call["rows"] - 1);
    for (std::int64_t c = 0; c < cols; ++c) x[static_cast<std::size_t>(row * cols + c)] = 0;
    call.in["x"].store();
    if (call.is("residual", "add"))
      std::fill_n(call.in["residual"].values.begin() + row * cols, cols, 0.0),
          call.in["residual"].store();
    if (call.is("x", "f32")) call.tolerance = 1e-4;  // the mean's own rounding, a hundred times
  };
  spec.special = [](const Call& call) {
    std::map<std::string, bool> allowed;
    for (const auto& [name, tensor] : call.in) allowed[name] = true;
    return allowed;
  };
  spec.aliases = [](const Call& call) {
    std::vector<std::map<std::string, std::string>> pairs = {{{"y", "x"}}};
    if (call.is("residual", "add")) {
      pairs.push_back({{"sum", "x"}});
      pairs.push_back({{"sum", "residual"}});
      pairs.push_back({{"y", "x"}, {"sum", "residual"}});
    }
    return pairs;
  };
  spec.expect = [](const Call& call) {
    const auto rows = static_cast<std::size_t>(call["rows"]),
               cols = static_cast<std::size_t>(call["cols"]);
    const auto count = static_cast<double>(cols);
    std::vector<double> y(rows * cols), sum = call.x("x");
    if (call.is("residual", "add")) {
      const std::vector<double>& residual = call.x("residual");
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += residual[i];
    }
    const bool biased = call.is("kind", "layer_bias"), layer = biased || call.is("kind", "layer");
    const double* weights = call.x("weight").data();
    const double* bias = biased ? call.x("bias").data() : nullptr;
    const double more = call.is("kind", "rms1") ? 1 : 0;
    const double eps = call.scalar("eps", static_cast<double>(1e-5f));
    for (std::size_t row = 0; row < rows; ++row) {
      const double* x = &sum[row * cols];
      double mean = 0, squares = 0;
      if (layer) {
        for (std::size_t c = 0; c < cols; ++c) mean += x[c];
        mean /= count;
      }
      for (std::size_t c = 0; c < cols; ++c) squares += (x[c] - mean) * (x[c] - mean);
      const double deviation = std::sqrt(squares / count + eps);
      for (std::size_t c = 0; c < cols; ++c) {
        const double weight = weights[c] + more;
        y[row * cols + c] = (x[c] - mean) / deviation * weight + (biased ? bias[c] : 0);
      }
    }
    return Outputs{{"y", std::move(y)}, {"sum", std::move(sum)}};
  };
  return spec;
}

TEST(Norm, StartConfigsAreRightThroughTheApi) { prove_start_configs(norm()); }
TEST(Norm, SampledConfigsAreRight) { prove_sampled_configs(norm()); }
TEST(Norm, NarrowerTargetsAreRight) { prove_narrower_targets(norm()); }
TEST(Norm, ProblemSetsAreRight) { prove_problem_sets(norm()); }

}  // namespace
}  // namespace hone::prove
