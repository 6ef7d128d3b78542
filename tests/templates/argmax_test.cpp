#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec argmax() {
  Spec spec;
  spec.op = "argmax";
  spec.draw_statics = [](Random& random, Problem& problem) {
    problem.values.set("cols", chance(random, 2)
                                   ? one_of<std::int64_t>(random, {1, 2, 15, 16, 17, 63, 255, 256,
                                                                   257, 1023, 1024, 1025, 4097})
                                   : within(random, 1, chance(random, 3) ? 10000 : 500));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("rows", within(random, 1, 40));
  };
  // Ties: of few values, of zeros with both signs, of infinities, of NaN.
  spec.harden = [](Random& random, Call& call) {
    const std::int64_t cols = call["cols"];
    std::vector<double>& x = call.in["x"].values;
    for (std::int64_t row = 0; row < call["rows"]; ++row) {
      const std::int64_t kind = within(random, 0, 5);
      for (std::int64_t c = 0; c < cols; ++c) {
        double& value = x[static_cast<std::size_t>(row * cols + c)];
        if (kind == 0) value = static_cast<double>(within(random, -3, 3));
        if (kind == 1) value = one_of(random, {0.0, -0.0});
        if (kind == 2) value = -kInfinity;
        if (kind == 3) value = chance(random, 50) ? kNaN : one_of(random, {kInfinity, 1.0});
        if (kind == 4) value = kNaN;
        if (kind == 5) value = static_cast<double>(c >= cols / 2);
      }
    }
    call.in["x"].store();
  };
  spec.special = [](const Call&) { return std::map<std::string, bool>{{"x", true}}; };
  spec.expect = [](const Call& call) {
    const auto rows = static_cast<std::size_t>(call["rows"]),
               cols = static_cast<std::size_t>(call["cols"]);
    std::vector<double> index(rows);
    for (std::size_t row = 0; row < rows; ++row) {
      const double* x = &call.x("x")[row * cols];
      std::size_t best = 0;
      for (std::size_t c = 1; c < cols; ++c)
        if (!std::isnan(x[best]) && (std::isnan(x[c]) || x[c] > x[best])) best = c;
      index[row] = static_cast<double>(best);
    }
    return Outputs{{"index", std::move(index)}};
  };
  return spec;
}

TEST(Argmax, StartConfigsAreRightThroughTheApi) { prove_start_configs(argmax()); }
TEST(Argmax, SampledConfigsAreRight) { prove_sampled_configs(argmax()); }
TEST(Argmax, NarrowerTargetsAreRight) { prove_narrower_targets(argmax()); }
TEST(Argmax, ProblemSetsAreRight) { prove_problem_sets(argmax()); }

}  // namespace
}  // namespace hone::prove
