#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec rope() {
  Spec spec;
  spec.op = "rope";
  spec.draw_statics = [](Random& random, Problem& problem) {
    const std::int64_t d = chance(random, 2)
                               ? one_of<std::int64_t>(random, {2, 16, 64, 80, 96, 128, 256})
                               : within(random, 2, 150);
    problem.values.set("heads", within(random, 1, 9));
    problem.values.set("d", d);
    problem.values.set("rot", chance(random, 2) && d % 2 == 0 ? d : 2 * within(random, 1, d / 2));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("tokens", within(random, 1, chance(random, 3) ? 150 : 20));
  };
  spec.fill = [](Random& random, Call& call) {
    for (double& value : call.in["positions"].values)
      value =
          static_cast<double>(chance(random, 4) ? within(random, 0, 3) : within(random, 0, 131071));
    std::vector<double>& frequencies = call.in["inv_freq"].values;
    for (std::size_t i = 0; i < frequencies.size(); ++i)
      frequencies[i] =
          std::pow(10000.0, -2 * static_cast<double>(i) / static_cast<double>(call["rot"]));
    if (chance(random, 2)) call.scalars["scale"] = one_of(random, {0.5f, 1.25f});
  };
  // Angles up to the stated limit of 2^22, to both sides, and close to multiples of pi / 2.
  spec.harden = [](Random& random, Call& call) {
    for (double& value : call.in["positions"].values)
      value = static_cast<double>(within(random, -4194304, 4194304));
    for (double& value : call.in["inv_freq"].values)
      value = one_of(random, {1.0, 0.5, 0.785398163, 0.1, 3e-7});
    call.in["positions"].store();
    call.in["inv_freq"].store();
  };
  spec.special = [](const Call&) {
    return std::map<std::string, bool>{{"x", true}, {"inv_freq", false}};
  };
  spec.aliases = [](const Call&) {
    return std::vector<std::map<std::string, std::string>>{{{"y", "x"}}};
  };
  spec.expect = [](const Call& call) {
    const auto tokens = static_cast<std::size_t>(call["tokens"]),
               heads = static_cast<std::size_t>(call["heads"]),
               d = static_cast<std::size_t>(call["d"]),
               half = static_cast<std::size_t>(call["rot"]) / 2;
    const double scale = call.scalar("scale", 1);
    const bool neox = call.is("style", "neox");
    const std::vector<double>&positions = call.x("positions"), &inv_freq = call.x("inv_freq");
    std::vector<double> y = call.x("x");
    for (std::size_t token = 0; token < tokens; ++token)
      for (std::size_t head = 0; head < heads; ++head)
        for (std::size_t i = 0; i < half; ++i) {
          const double angle = positions[token] * inv_freq[i];
          const double c = std::cos(angle) * scale, s = std::sin(angle) * scale;
          const std::size_t at = (token * heads + head) * d;
          const std::size_t one = at + (neox ? i : 2 * i);
          const std::size_t two = neox ? one + half : one + 1;
          const double a = y[one], b = y[two];
          y[one] = a * c - b * s;
          y[two] = b * c + a * s;
        }
    return Outputs{{"y", std::move(y)}};
  };
  return spec;
}

TEST(Rope, StartConfigsAreRightThroughTheApi) { prove_start_configs(rope()); }
TEST(Rope, SampledConfigsAreRight) { prove_sampled_configs(rope()); }
TEST(Rope, NarrowerTargetsAreRight) { prove_narrower_targets(rope()); }
TEST(Rope, ProblemSetsAreRight) { prove_problem_sets(rope()); }

}  // namespace
}  // namespace hone::prove
