#include "tests/templates/support/activations.h"
#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec glu() {
  Spec spec;
  spec.op = "glu";
  spec.draw_statics = [](Random& random, Problem& problem) {
    problem.values.set("cols", within(random, 1, chance(random, 4) ? 5000 : 300));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("rows", within(random, 1, 40));
  };
  // Where the functions bend, end and underflow.
  spec.harden = [](Random& random, Call& call) {
    for (double& value : call.in["x"].values)
      value = value * one_of(random, {1e-3, 1.0, 5.0, 30.0, 1e4});
    call.in["x"].store();
  };
  spec.special = [](const Call& call) {
    std::map<std::string, bool> allowed;
    for (const auto& [name, tensor] : call.in) allowed[name] = true;
    return allowed;
  };
  spec.aliases = [](const Call& call) {
    std::vector<std::map<std::string, std::string>> pairs;
    if (!call.is("form", "fused")) pairs.push_back({{"y", "x"}});
    if (call.is("form", "two")) pairs.push_back({{"y", "up"}});
    return pairs;
  };
  spec.expect = [](const Call& call) {
    const auto rows = static_cast<std::size_t>(call["rows"]),
               cols = static_cast<std::size_t>(call["cols"]);
    const bool fused = call.is("form", "fused");
    const std::string& act = call.scope.word("act");
    const double* x = call.x("x").data();
    const double* ups = call.is("form", "two") ? call.x("up").data() : nullptr;
    std::vector<double> y(rows * cols);
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t c = 0; c < cols; ++c) {
        const std::size_t at = row * cols + c;
        const double gate = x[fused ? 2 * row * cols + c : at];
        const double up = fused ? x[2 * row * cols + cols + c] : ups != nullptr ? ups[at] : 1;
        const double value = act == "silu"        ? silu(gate)
                             : act == "gelu"      ? gelu(gate)
                             : act == "gelu_tanh" ? gelu_tanh(gate)
                                                  : relu(gate);
        y[at] = value * up;
      }
    return Outputs{{"y", std::move(y)}};
  };
  return spec;
}

TEST(Glu, StartConfigsAreRightThroughTheApi) { prove_start_configs(glu()); }
TEST(Glu, SampledConfigsAreRight) { prove_sampled_configs(glu()); }
TEST(Glu, NarrowerTargetsAreRight) { prove_narrower_targets(glu()); }
TEST(Glu, ProblemSetsAreRight) { prove_problem_sets(glu()); }

}  // namespace
}  // namespace hone::prove
