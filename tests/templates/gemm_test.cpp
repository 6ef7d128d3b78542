#include "tests/templates/support/activations.h"
#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

bool of_blocks(const std::string& w) { return w == "q8_0" || w == "q4_0" || w == "q4_1"; }

double finished(const Call& call, double sum, std::size_t row, std::size_t column) {
  const std::size_t at = row * static_cast<std::size_t>(call["n"]) + column;
  const std::string& epilogue = call.scope.word("epilogue");
  if (call.is("x", "s8")) sum *= call.x("x_scale")[row] * call.x("w_scale")[column];
  if (epilogue.starts_with("bias")) sum += call.x("bias")[column];
  if (epilogue.ends_with("residual")) sum += call.x("residual")[at];
  if (epilogue == "bias_relu") return relu(sum);
  if (epilogue == "bias_gelu") return gelu(sum);
  if (epilogue == "bias_gelu_tanh") return gelu_tanh(sum);
  if (epilogue == "silu_gate") return silu(call.x("gate")[at]) * sum;
  if (epilogue == "gelu_gate") return gelu(call.x("gate")[at]) * sum;
  if (epilogue == "gelu_tanh_gate") return gelu_tanh(call.x("gate")[at]) * sum;
  return sum;
}

Spec gemm() {
  Spec spec;
  spec.op = "gemm";
  spec.draw_statics = [](Random& random, Problem& problem) {
    const bool blocks = of_blocks(problem.values.word("w"));
    problem.values.set("n", chance(random, 3)
                                ? one_of<std::int64_t>(random, {1, 15, 16, 17, 64, 96})
                                : within(random, 1, 200));
    problem.values.set("k", blocks              ? 32 * within(random, 1, 12)
                            : chance(random, 3) ? one_of<std::int64_t>(
                                                      random, {1, 2, 31, 32, 33, 64, 127, 128, 256})
                                                : within(random, 1, 400));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("m", chance(random, 2) ? within(random, 1, 8) : within(random, 1, 70));
  };
  spec.fill = [](Random& random, Call& call) {
    const double spread = call.is("x", "s8") ? 40 : 1;
    for (double& value : call.in["x"].values) value *= spread;
    for (double& value : call.in["w"].values) value *= call.is("w", "s8") ? 40 : 0.05;
    for (const char* scale : {"x_scale", "w_scale"})
      if (auto found = call.in.find(scale); found != call.in.end())
        for (double& value : found->second.values)
          value = 0.001 * static_cast<double>(within(random, 1, 30));
  };
  // Sums that are exact whatever the order, so that one forgotten or doubled product is seen:
  // integers, and activations that keep their value when a block of 32 becomes signed bytes.
  spec.harden = [](Random& random, Call& call) {
    const bool bytes = call.is("x", "s8"), blocks = of_blocks(call.scope.word("w"));
    Tensor &x = call.in["x"], &w = call.in["w"];
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      const std::int64_t most = bytes ? 128 : blocks ? 127 : 8;
      x.values[i] = static_cast<double>(within(random, -most, bytes ? 127 : most));
      if (blocks && i % 32 == 0) x.values[i] = one_of(random, {127.0, -127.0});
    }
    for (double& value : w.values)
      if (!blocks) value = static_cast<double>(within(random, bytes ? -128 : -8, bytes ? 127 : 8));
    x.store();
    if (!blocks) w.store();
    if (call.is("y", "f32")) call.tolerance = blocks ? 1e-4 : 2e-6;
    if (call.is("y", "bf16")) call.tolerance = 4e-3;
  };
  spec.special = [](const Call& call) {
    std::map<std::string, bool> allowed;
    if (!call.is("x", "s8")) {
      allowed["x"] = true;
      allowed["w"] = !of_blocks(call.scope.word("w"));
    }
    for (const char* name : {"x_scale", "w_scale", "bias", "gate", "residual"})
      if (call.in.count(name) != 0) allowed[name] = true;
    return allowed;
  };
  spec.expect = [](const Call& call) {
    const auto m = static_cast<std::size_t>(call["m"]), n = static_cast<std::size_t>(call["n"]),
               k = static_cast<std::size_t>(call["k"]);
    const double *x = call.x("x").data(), *w = call.x("w").data();
    std::vector<double> y(m * n);
    for (std::size_t row = 0; row < m; ++row)
      for (std::size_t column = 0; column < n; ++column) {
        double sum = 0;
        for (std::size_t i = 0; i < k; ++i) sum += x[row * k + i] * w[column * k + i];
        y[row * n + column] = finished(call, sum, row, column);
      }
    return Outputs{{"y", std::move(y)}};
  };
  return spec;
}

TEST(Gemm, StartConfigsAreRightThroughTheApi) { prove_start_configs(gemm()); }
TEST(Gemm, SampledConfigsAreRight) { prove_sampled_configs(gemm()); }
TEST(Gemm, NarrowerTargetsAreRight) { prove_narrower_targets(gemm()); }
TEST(Gemm, ProblemSetsAreRight) { prove_problem_sets(gemm()); }

}  // namespace
}  // namespace hone::prove
