#include "tests/templates/support/prover.h"

namespace hone::prove {
namespace {

// Where things lie and what hides them, read from a call once.
struct Shape {
  explicit Shape(const Call& given)
      : call(given),
        q(call["q"]),
        cap(call["cap"]),
        heads(call["heads"]),
        kv_heads(call["kv_heads"]),
        d(call["d"]),
        window(call["window"]),
        page(call["page"]),
        pages((cap + page - 1) / page),
        layout(call.scope.word("layout")),
        full(call.is("mask", "full")),
        capped(call.is("softcap", "yes")),
        sloped(call.is("alibi", "yes")) {}

  std::int64_t length(std::int64_t sequence) const {
    return static_cast<std::int64_t>(call.x("lens")[static_cast<std::size_t>(sequence)]);
  }
  // Element 0 of token j of a head of the cache.
  std::size_t at(std::int64_t sequence, std::int64_t head, std::int64_t j) const {
    std::int64_t row = 0;
    if (layout == "tokens") {
      row = (sequence * cap + j) * kv_heads + head;
    } else if (layout == "heads") {
      row = (sequence * kv_heads + head) * cap + j;
    } else {
      const auto number = static_cast<std::int64_t>(
          call.x("block_table")[static_cast<std::size_t>(sequence * pages + j / page)]);
      row = (number * page + j % page) * kv_heads + head;
    }
    return static_cast<std::size_t>(row * d);
  }
  bool visible(std::int64_t position, std::int64_t j) const {
    return (full || j <= position) && (window == 0 || std::abs(position - j) < window);
  }

  const Call& call;
  std::int64_t q, cap, heads, kv_heads, d, window, page, pages;
  std::string layout;
  bool full, capped, sloped;
};

// One row of the output: a query token's head.
void attend(const Shape& shape, std::int64_t sequence, std::int64_t token, std::int64_t head,
            double* out) {
  const Call& call = shape.call;
  const auto d = static_cast<std::size_t>(shape.d);
  const std::int64_t length = shape.length(sequence), position = length - shape.q + token;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const double* query = &call.x("query")[static_cast<std::size_t>(
      ((sequence * shape.q + token) * shape.heads + head) * shape.d)];
  const double *keys = call.x("k").data(), *values = call.x("v").data();
  const bool scaled = call.is("c", "s8");
  const auto scale_at = [&](const char* name, std::size_t at) {
    return scaled ? call.x(name)[at / d] : 1.0;
  };
  double scale = call.scalar("scale", 0);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(d));
  const double cap = call.scalar("softcap_value", 50);
  const double slope = shape.sloped ? call.x("slopes")[static_cast<std::size_t>(head)] : 0;
  std::vector<std::pair<double, std::size_t>> scores;  // and where the token lies
  double most = -kInfinity, sum = 0;
  for (std::int64_t j = 0; j < length; ++j) {
    if (!shape.visible(position, j)) continue;
    const std::size_t at = shape.at(sequence, kv_head, j);
    double s = 0;
    for (std::size_t e = 0; e < d; ++e) s += query[e] * keys[at + e];
    s *= scale * scale_at("k_scale", at);
    if (shape.capped) s = cap * std::tanh(s / cap);
    if (shape.sloped) s -= slope * static_cast<double>(std::abs(position - j));
    scores.emplace_back(s, at);
    if (!(s <= most)) most = s;
  }
  std::fill_n(out, d, 0.0);
  if (scores.empty()) return;
  for (const auto& [score, at] : scores) {
    const double p = std::exp(score - most);
    sum += p;
    const double weight = p * scale_at("v_scale", at);
    for (std::size_t e = 0; e < d; ++e) out[e] += weight * values[at + e];
  }
  for (std::size_t e = 0; e < d; ++e) out[e] /= sum;
}

// What lies in the cache beyond a sequence's end, and which page holds it, is anything.
void spoil_unused(Random& random, Call& call) {
  const Shape shape(call);
  const bool scaled = call.is("c", "s8");  // then it is the scales that can be anything
  const std::int64_t width = scaled ? 1 : shape.d;
  for (const char* name : {scaled ? "k_scale" : "k", scaled ? "v_scale" : "v"}) {
    Tensor& cache = call.in[name];
    std::vector<double> spoilt(cache.values.size(), kNaN);
    for (std::int64_t sequence = 0; sequence < call["batch"]; ++sequence)
      for (std::int64_t head = 0; head < shape.kv_heads; ++head)
        for (std::int64_t j = 0; j < shape.length(sequence); ++j) {
          const std::size_t at =
              shape.at(sequence, head, j) / static_cast<std::size_t>(shape.d / width);
          std::copy_n(&cache.values[at], width, &spoilt[at]);
        }
    cache.values = std::move(spoilt);
    cache.store();
  }
  if (shape.layout != "paged") return;
  Tensor& table = call.in["block_table"];
  for (std::int64_t i = 0; i < std::ssize(table.values); ++i)
    if (i % shape.pages * shape.page >= shape.length(i / shape.pages))
      table.values[static_cast<std::size_t>(i)] =
          one_of(random, {-1.0, 2147483647.0, -2147483648.0});
  table.store();
}

Spec attention() {
  Spec spec;
  spec.op = "attention";
  spec.draw_statics = [](Random& random, Problem& problem) {
    const std::int64_t kv_heads = within(random, 1, 4);
    problem.values.set("heads",
                       kv_heads * one_of<std::int64_t>(random, {1, 1, 2, 3, 4, 5, 7, 8, 16}));
    problem.values.set("kv_heads", kv_heads);
    problem.values.set("d", chance(random, 3)
                                ? within(random, 1, 100)
                                : one_of<std::int64_t>(random, {16, 32, 40, 64, 80, 96, 128, 256}));
    problem.values.set("window", chance(random, 3) ? within(random, 1, 70) : 0);
    problem.values.set("page", problem.values.word("layout") == "paged"
                                   ? one_of<std::int64_t>(random, {1, 7, 16, 32, 64})
                                   : 16);
  };
  spec.draw_dynamics = [](Random& random, Problem& problem) {
    const std::int64_t work = problem.values.integer("heads") * problem.values.integer("d");
    std::int64_t batch = 1, q = 1, kv = 1;
    do {
      batch = within(random, 1, 3);
      kv = within(random, 1, chance(random, 4) ? 1100 : 150);
      q = chance(random, 3)
              ? 1
              : within(random, 1, std::min<std::int64_t>(kv, chance(random, 2) ? 12 : 150));
    } while (batch * q * kv * work > 10'000'000);
    problem.values.set("batch", batch);
    problem.values.set("q", q);
    problem.values.set("kv", kv);
    problem.values.set("cap", kv + (chance(random, 2) ? 0 : within(random, 0, 40)));
  };
  spec.fill = [](Random& random, Call& call) {
    for (double& length : call.in["lens"].values) {
      const std::int64_t low = chance(random, 4) ? 0 : std::max(call["q"], call["kv"] - 7);
      length = static_cast<double>(within(random, low, call["kv"]));
    }
    if (call.is("alibi", "yes"))
      for (double& slope : call.in["slopes"].values)
        slope = 0.004 * static_cast<double>(within(random, 1, 125));
    if (call.is("layout", "paged")) {
      std::vector<double>& table = call.in["block_table"].values;
      for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<double>(i);
      for (std::size_t i = table.size() - 1; i > 0; --i)
        std::swap(table[i],
                  table[static_cast<std::size_t>(within(random, 0, static_cast<std::int64_t>(i)))]);
    }
    if (chance(random, 3)) call.scalars["scale"] = 0.25f;
    if (call.is("softcap", "yes") && chance(random, 2)) call.scalars["softcap_value"] = 5;
    if (chance(random, 3)) call.scalars["phi"] = one_of(random, {-3.0f, 1.0f, 7.0f});
  };
  // Scores in the hundreds, exact but for the factor that takes them to base 2; a unified maximum
  // far off; rubbish where the cache isn't in use.
  spec.harden = [](Random& random, Call& call) {
    for (double& value : call.in["query"].values)
      value = static_cast<double>(8 * within(random, -4, 4));
    for (double& value : call.in["k"].values) value = static_cast<double>(within(random, -4, 4));
    if (call.is("c", "s8")) {
      for (double& value : call.in["k_scale"].values) value = one_of(random, {0.5, 1.0});
      call.in["k_scale"].store();
    }
    call.in["query"].store();
    call.in["k"].store();
    spoil_unused(random, call);
    call.scalars["scale"] = 0.25f;
    call.scalars["phi"] = one_of(random, {0.0f, 100.0f, -1000.0f, 1e30f, static_cast<float>(kNaN),
                                          static_cast<float>(kInfinity)});
    if (call.is("x", "f32")) call.tolerance = 1e-3;
  };
  spec.special = [](const Call& call) {
    // With slopes a probability may vanish in single precision, and zero times infinity is NaN.
    const bool scaled = call.is("c", "s8");
    std::map<std::string, bool> allowed = {{"query", true},
                                           {scaled ? "k_scale" : "k", true},
                                           {scaled ? "v_scale" : "v", call.is("alibi", "no")}};
    if (call.is("alibi", "yes")) allowed["slopes"] = false;
    return allowed;
  };
  spec.expect = [](const Call& call) {
    const Shape shape(call);
    const std::int64_t per_sequence = shape.q * shape.heads;
    std::vector<double> out(call.x("query").size());
    for (std::int64_t row = 0; row < call["batch"] * per_sequence; ++row)
      attend(shape, row / per_sequence, row / shape.heads % shape.q, row % shape.heads,
             &out[static_cast<std::size_t>(row * shape.d)]);
    return Outputs{{"out", std::move(out)}};
  };
  return spec;
}

TEST(Attention, StartConfigsAreRightThroughTheApi) { prove_start_configs(attention()); }
TEST(Attention, SampledConfigsAreRight) { prove_sampled_configs(attention()); }
TEST(Attention, NarrowerTargetsAreRight) { prove_narrower_targets(attention()); }
TEST(Attention, ProblemSetsAreRight) { prove_problem_sets(attention()); }

// Scores up to the end of single precision: no exponential survives them without the row's maximum.
TEST(Attention, UnifiedAndLazyModeGiveWhatOnlineGivesWhenScoresOverflow) {
  std::unique_ptr<Device> device = open_device("cpu:0");
  const Spec spec = attention();
  Random random(first_seed());
  for (const Template& variant : catalog().variants("attention")) {
    if (!serves_cpu(variant)) continue;
    for (int done = 0; done < samples(3);) {
      const std::optional<Problem> problem = draw_problem(spec, random);
      ASSERT_TRUE(problem);
      const Values scope = scope_on(*problem, device->target());
      if (!variant.serves_problem(scope, "cpu")) continue;
      const Space space(variant, scope);
      if (space.count() == 0) continue;
      ++done;
      Config config = space.sample(random);
      const std::uint64_t seed = random();
      std::map<std::string, Kernel> kernels;
      for (const char* mode : {"online", "lazy", "unified"}) {
        config.set("softmax", std::string(mode));
        ASSERT_TRUE(space.contains(config)) << config.text();
        kernels.emplace(mode, build(variant, *problem, config, *device));
      }
      for (double spread : {10.0, 1e3, 1e8, 1e17}) {
        Call call = draw_call(spec, *problem, Flavour::kPlain, seed);
        for (double& value : call.in["query"].values) value *= spread;
        call.in["query"].store();
        call.scalars["phi"] = one_of(random, {0.0f, 50.0f, -50.0f, 1e6f});
        std::map<std::string, Outputs> got;
        for (const auto& [mode, kernel] : kernels) {
          const std::string description = "hone check '" + problem->text() + "' --variant " +
                                          variant.variant + " --config '" + kernel.config().text() +
                                          "', queries times " + std::to_string(spread) +
                                          ", call seed " + std::to_string(seed);
          EXPECT_EQ(run_call(runner_of(kernel), call, description, &got[mode]), "") << description;
        }
        const double tolerance = catalog().op("attention").tolerance(call.scope);
        for (const char* mode : {"lazy", "unified"})
          EXPECT_EQ(difference("out", got[mode]["out"], got["online"]["out"], tolerance), "")
              << mode << ": " << kernels.at(mode).config().text() << " of " << variant.variant
              << ", " << problem->text() << ", queries times " << spread;
      }
    }
  }
}

}  // namespace
}  // namespace hone::prove
