#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

Spec embedding() {
  Spec spec;
  spec.op = "embedding";
  spec.draw_statics = [](Random& random, Problem& problem) {
    const bool blocks = problem.values.word("table").starts_with("q");
    problem.values.set("cols", blocks ? 32 * within(random, 1, 12) : within(random, 1, 400));
    problem.values.set("vocab", within(random, 1, 60));
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    problem.values.set("tokens", within(random, 1, 90));
  };
  spec.fill = [](Random& random, Call& call) {
    for (double& id : call.in["ids"].values)
      id = static_cast<double>(within(random, 0, call["vocab"] - 1));
    if (chance(random, 2)) call.scalars["scale"] = one_of(random, {0.25f, 24.0f, -3.0f});
  };
  // Ids that no table has.
  spec.harden = [](Random& random, Call& call) {
    const bool wide = call.is("ids", "s64");
    for (double& id : call.in["ids"].values)
      if (chance(random, 2))
        id = one_of(random, {-1.0, static_cast<double>(call["vocab"]), 2147483647.0, -2147483648.0,
                             wide ? 4294967296.0 : -2.0, wide ? -4.6e18 : -3.0});
    call.in["ids"].store();
  };
  spec.special = [](const Call& call) {
    std::map<std::string, bool> allowed = {{"table", !call.scope.word("table").starts_with("q")}};
    if (call.is("plus", "add")) allowed["add"] = true;
    return allowed;
  };
  spec.aliases = [](const Call& call) {
    std::vector<std::map<std::string, std::string>> pairs;
    if (call.is("plus", "add")) pairs.push_back({{"y", "add"}});
    return pairs;
  };
  spec.expect = [](const Call& call) {
    const auto tokens = static_cast<std::size_t>(call["tokens"]),
               cols = static_cast<std::size_t>(call["cols"]);
    const double scale = call.scalar("scale", 1), vocab = static_cast<double>(call["vocab"]);
    const double* table = call.x("table").data();
    const double* add = call.is("plus", "add") ? call.x("add").data() : nullptr;
    std::vector<double> y(tokens * cols);
    for (std::size_t token = 0; token < tokens; ++token) {
      const double id = call.x("ids")[token];
      for (std::size_t c = 0; c < cols; ++c) {
        double value = 0;
        if (id >= 0 && id < vocab) value = table[static_cast<std::size_t>(id) * cols + c];
        y[token * cols + c] = value * scale + (add != nullptr ? add[token * cols + c] : 0);
      }
    }
    return Outputs{{"y", std::move(y)}};
  };
  return spec;
}

TEST(Embedding, StartConfigsAreRightThroughTheApi) { prove_start_configs(embedding()); }
TEST(Embedding, SampledConfigsAreRight) { prove_sampled_configs(embedding()); }
TEST(Embedding, NarrowerTargetsAreRight) { prove_narrower_targets(embedding()); }
TEST(Embedding, ProblemSetsAreRight) { prove_problem_sets(embedding()); }

}  // namespace
}  // namespace hone::prove
