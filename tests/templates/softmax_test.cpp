#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec softmax() {
  Spec spec;
  spec.op = "softmax";
  spec.draw_statics = [](Random& random, Problem& problem) {
    problem.values.set(
        "cols", chance(random, 2)
                    ? one_of<std::int64_t>(random, {1, 2, 7, 15, 16, 17, 31, 33, 64, 127, 128, 129,
                                                    512, 577, 1025, 2111})
                    : within(random, 1, chance(random, 2) ? 9000 : 300));
    problem.values.set("heads", problem.values.word("causal") == "yes" ? within(random, 1, 5) : 1);
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    // Causal rows see at least one column.
    const std::int64_t heads = problem.values.integer("heads"),
                       cols = problem.values.integer("cols");
    const bool causal = problem.values.word("causal") == "yes";
    problem.values.set(
        "rows", heads * (chance(random, 3)
                             ? 1
                             : within(random, 1, causal ? std::min<std::int64_t>(cols, 30) : 40)));
  };
  spec.fill = [](Random& random, Call& call) {
    for (double& value : call.in["x"].values) value *= 2;
    // Where every row sees one column all are 0; what is off a logarithm then counts as it is.
    if (call.is("form", "log")) call.least_rms = 0.1;
    if (chance(random, 2)) call.scalars["scale"] = one_of(random, {0.125f, 0.5f, -1.0f, 3.0f});
    if (call.is("softcap", "yes") && chance(random, 2))
      call.scalars["cap"] = one_of(random, {1.0f, 5.0f, 30.0f});
    if (!call.is("mask", "none") && chance(random, 2)) {
      // Column 0 stays, so that no row is empty.
      const std::int64_t cols = call["cols"];
      std::vector<double>& mask = call.in["m"].values;
      for (std::size_t i = 0; i < mask.size(); ++i)
        if (static_cast<std::int64_t>(i) % cols != 0 && chance(random, 3)) mask[i] = -kInfinity;
    }
  };
  // Far apart and far from zero: without the row's maximum, 2^t overflows or vanishes.
  spec.harden = [](Random& random, Call& call) {
    const double shift = one_of(random, {-300.0, 0.0, 300.0}), spread = one_of(random, {1.0, 20.0});
    for (double& value : call.in["x"].values) value = value * spread + shift;
    call.in["x"].store();
    // Rounding of products near 1000 in single precision is an error of the exponent.
    if (call.is("x", "f32")) call.tolerance = 5e-4;
  };
  spec.special = [](const Call& call) {
    std::map<std::string, bool> allowed = {{"x", true}};
    if (!call.is("mask", "none")) allowed["m"] = true;
    return allowed;
  };
  spec.aliases = [](const Call&) {
    return std::vector<std::map<std::string, std::string>>{{{"y", "x"}}};
  };
  spec.expect = [](const Call& call) {
    const std::int64_t rows = call["rows"], cols = call["cols"], q = rows / call["heads"];
    const double scale = call.scalar("scale", 1), cap = call.scalar("cap", 50);
    const bool log = call.is("form", "log"), causal = call.is("causal", "yes");
    const bool capped = call.is("softcap", "yes"), full = call.is("mask", "full");
    const double* x = call.x("x").data();
    const double* mask = call.is("mask", "none") ? nullptr : call.x("m").data();
    std::vector<double> y(static_cast<std::size_t>(rows * cols), log ? -kInfinity : 0.0);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t seen = causal ? std::max<std::int64_t>(cols - q + row % q + 1, 0) : cols;
      std::vector<double> score(static_cast<std::size_t>(seen));
      double most = -kInfinity, sum = 0;
      for (std::int64_t c = 0; c < seen; ++c) {
        double s = scale * x[row * cols + c];
        if (capped) s = cap * std::tanh(s / cap);
        if (mask != nullptr) s += mask[full ? row * cols + c : c];
        score[static_cast<std::size_t>(c)] = s;
        if (!(s <= most)) most = s;  // NaN, once there, stays
      }
      for (double s : score) sum += std::exp(s - most);
      // Columns out of sight score -inf: they are 0, unless the row's NaN reaches all of it.
      if (std::isnan(sum)) std::fill_n(y.begin() + row * cols, cols, kNaN);
      for (std::int64_t c = 0; c < seen; ++c) {
        const double s = score[static_cast<std::size_t>(c)] - most;
        y[static_cast<std::size_t>(row * cols + c)] = log ? s - std::log(sum) : std::exp(s) / sum;
      }
    }
    return Outputs{{"y", std::move(y)}};
  };
  return spec;
}

TEST(Softmax, StartConfigsAreRightThroughTheApi) { prove_start_configs(softmax()); }
TEST(Softmax, SampledConfigsAreRight) { prove_sampled_configs(softmax()); }
TEST(Softmax, NarrowerTargetsAreRight) { prove_narrower_targets(softmax()); }
TEST(Softmax, ProblemSetsAreRight) { prove_problem_sets(softmax()); }

}  // namespace
}  // namespace hone::prove
