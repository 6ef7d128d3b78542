// Model and its use -> the problems of one step.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "codegen/error.h"
#include "codegen/expression.h"
#include "tuner/model.h"

namespace hone {
namespace {

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 24;

// Lists the problems of one step in the order of its computation.
class Step {
 public:
  Step(const Catalog& catalog, const Model& model, const ModelUse& use, std::int64_t tokens)
      : catalog_(catalog), model_(model), use_(use), tokens_(tokens) {}

  std::vector<ModelProblem> list() {
    embeddings();
    norms();
    attention_part();
    if (model_.experts > 0) {
      expert_part();
    } else {
      dense_part();
    }
    output_part();
    share();
    return std::move(problems_);
  }

 private:
  using Types = std::map<std::string, std::int64_t>;

  void add(const std::string& role, std::int64_t count, const std::string& op_name, Values values) {
    if (count == 0) return;
    const Op& op = catalog_.op(op_name);
    const Problem problem = op.canonical(Problem{op_name, std::move(values)}, true);
    const std::string text = problem.text();
    for (ModelProblem& known : problems_) {
      if (known.role == role && known.problem == text) {
        known.count += count;
        return;
      }
    }
    const Values scope = op.scope(problem);
    problems_.push_back({text, role, tokens_, count, op.flops.integer(lookup_in(scope)),
                         op.cost_bytes(scope), 0, 0});
  }

  // The element type of a matrix, where the use may overrule the model's own.
  std::string weight_type(const std::string& role, const std::string& own, const std::string& op,
                          const std::string& word) const {
    const std::string& type = use_.weight.empty() || role == "router" ? own : use_.weight;
    for (const Word& candidate : catalog_.op(op).words) {
      if (candidate.name != word || std::find(candidate.values.begin(), candidate.values.end(),
                                              type) != candidate.values.end())
        continue;
      throw Error(
          Code::kUnsupported,
          fmt::format("{}: {} weights of type {}: {} takes {}; name another type with --weight",
                      model_.name, role, type, op, fmt::join(candidate.values, ", ")));
    }
    return type;
  }

  static const char* bias(bool biased) { return biased ? "bias" : "none"; }

  // y[m, n] = x[m, k] * w^T, `times` in each layer that has weights of a type.
  void gemm(const std::string& role, const Types& types, std::int64_t times, std::int64_t m,
            std::int64_t n, std::int64_t k, const std::string& epilogue) {
    for (const auto& [own, layers] : types) {
      const std::string type = weight_type(role, own, "gemm", "w");
      add(role, layers * times, "gemm",
          {{"m", m},
           {"n", n},
           {"k", k},
           {"x", use_.activation},
           {"w", type},
           {"y", use_.activation},
           {"epilogue", epilogue}});
    }
  }

  // Matrices that read the same input are one, unless their types differ.
  void fused(const std::string& role,
             const std::vector<std::pair<std::string, std::int64_t>>& parts, std::int64_t times,
             std::int64_t m, std::int64_t k, const std::string& epilogue) {
    const Types& first = model_.weights.at(parts.front().first);
    std::int64_t n = 0;
    bool equal = true;
    for (const auto& [name, rows] : parts) {
      equal = equal && model_.weights.at(name) == first;
      n += rows;
    }
    if (equal) return gemm(role, first, times, m, n, k, epilogue);
    for (const auto& [name, rows] : parts)
      gemm(name, model_.weights.at(name), times, m, rows, k, epilogue);
  }

  void norm(std::int64_t plain, std::int64_t with_residual) {
    const Values values = {
        {"rows", tokens_}, {"cols", model_.hidden}, {"kind", model_.norm}, {"x", use_.activation}};
    add("norm", plain, "norm", values);
    Values residual = values;
    residual.set("residual", "add");
    add("norm", with_residual, "norm", residual);
  }

  void embeddings() {
    const std::string type = weight_type("embedding", model_.weights.at("embedding").begin()->first,
                                         "embedding", "table");
    const Values values = {{"tokens", tokens_},
                           {"cols", model_.hidden},
                           {"vocab", model_.vocab},
                           {"table", type},
                           {"y", use_.activation}};
    add("embedding", 1, "embedding", values);
    if (model_.positions > 0) {
      Values positions = values;
      positions.set("vocab", model_.positions);
      positions.set("plus", "add");
      add("embedding", 1, "embedding", positions);
    }
  }

  // Each norm but the first takes the residual sum with it; norms behind a part work on the part's
  // output alone.
  void norms() {
    norm(1 + (model_.post_norms ? 2 * model_.layers : 0), 2 * model_.layers);
    if (!model_.qk_norm) return;
    const auto heads = [&](std::int64_t count) {
      add("qk_norm", model_.layers, "norm",
          {{"rows", tokens_ * count},
           {"cols", model_.head_dim},
           {"kind", "rms"},
           {"x", use_.activation}});
    };
    heads(model_.heads);
    heads(model_.kv_heads);
  }

  void attention_part() {
    const std::int64_t d = model_.head_dim;
    fused("qkv", {{"q", model_.heads * d}, {"k", model_.kv_heads * d}, {"v", model_.kv_heads * d}},
          1, tokens_, model_.hidden, bias(model_.qkv_bias));
    if (model_.rope != "none") {
      for (std::int64_t heads : {model_.heads, model_.kv_heads}) {
        add("rope", model_.layers, "rope",
            {{"tokens", tokens_},
             {"heads", heads},
             {"d", d},
             {"rot", model_.rope_dims},
             {"x", use_.activation},
             {"style", model_.rope}});
      }
    }
    const std::int64_t windowed =
        model_.window > 0 ? (model_.layers + model_.window_every - 1) / model_.window_every : 0;
    attention(windowed, model_.window);
    attention(model_.layers - windowed, 0);
    gemm("o", model_.weights.at("o"), 1, tokens_, model_.hidden, model_.heads * d,
         bias(model_.o_bias));
  }

  void attention(std::int64_t layers, std::int64_t window) {
    add("attention", layers, "attention",
        {{"q", tokens_},
         {"kv", tokens_ == 1 ? use_.context : tokens_},
         {"heads", model_.heads},
         {"kv_heads", model_.kv_heads},
         {"d", model_.head_dim},
         {"window", window},
         {"x", use_.activation},
         {"c", use_.kv},
         {"softcap", model_.softcap ? "yes" : "no"}});
  }

  void glu(std::int64_t rows) {
    add("glu", model_.layers, "glu",
        {{"rows", rows},
         {"cols", model_.ffn},
         {"act", model_.activation},
         {"form", model_.gated ? "fused" : "plain"},
         {"x", use_.activation}});
  }

  // Without a gate, the activation rides on the first matrix where that has a bias.
  void feed_forward(std::int64_t times, std::int64_t m, std::int64_t glu_rows) {
    if (model_.gated) {
      fused("gate_up", {{"gate", model_.ffn}, {"up", model_.ffn}}, times, m, model_.hidden,
            bias(model_.ffn_bias));
    } else {
      gemm("up", model_.weights.at("up"), times, m, model_.ffn, model_.hidden,
           model_.ffn_bias ? "bias_" + model_.activation : "none");
    }
    if (model_.gated || !model_.ffn_bias) glu(glu_rows);
    gemm("down", model_.weights.at("down"), times, m, model_.hidden, model_.ffn,
         bias(model_.ffn_bias));
  }

  void dense_part() { feed_forward(1, tokens_, tokens_); }

  // As if the router spread the tokens evenly: every expert that has work has the same amount,
  // rounded up.
  void expert_part() {
    gemm("router", model_.weights.at("router"), 1, tokens_, model_.experts, model_.hidden, "none");
    add("router", model_.layers, "softmax",
        {{"rows", tokens_}, {"cols", model_.experts}, {"x", use_.activation}});
    const std::int64_t routed = tokens_ * model_.active_experts;
    const std::int64_t busy = std::min(routed, model_.experts);
    feed_forward(busy, (routed + busy - 1) / busy, routed);
  }

  // Only the last token's logits are wanted.
  void output_part() {
    gemm("lm_head", model_.weights.at("lm_head"), 1, 1, model_.vocab, model_.hidden, "none");
    add("argmax", 1, "argmax",
        {{"rows", std::int64_t{1}}, {"cols", model_.vocab}, {"x", use_.activation}});
  }

  void share() {
    double flops = 0, bytes = 0;
    for (const ModelProblem& problem : problems_) {
      flops += static_cast<double>(problem.count) * static_cast<double>(problem.flops);
      bytes += static_cast<double>(problem.count) * static_cast<double>(problem.bytes);
    }
    for (ModelProblem& problem : problems_) {
      problem.flops_share =
          static_cast<double>(problem.count) * static_cast<double>(problem.flops) / flops;
      problem.bytes_share =
          static_cast<double>(problem.count) * static_cast<double>(problem.bytes) / bytes;
    }
  }

  const Catalog& catalog_;
  const Model& model_;
  const ModelUse& use_;
  std::int64_t tokens_;
  std::vector<ModelProblem> problems_;
};

}  // namespace

std::vector<ModelProblem> problems_of(const Catalog& catalog, const Model& model,
                                      const ModelUse& use) {
  const auto check = [](const char* what, std::int64_t value) {
    if (value < 1 || value > kMaxTokens)
      throw Error(Code::kUsage,
                  fmt::format("{} is {}; it must be 1 to {}", what, value, kMaxTokens));
  };
  check("the context", use.context);
  std::vector<ModelProblem> problems;
  std::set<std::int64_t> steps;
  for (const std::int64_t tokens : use.tokens) {
    check("the number of tokens in a step", tokens);
    if (!steps.insert(tokens).second) continue;
    for (ModelProblem& problem : Step(catalog, model, use, tokens).list())
      problems.push_back(std::move(problem));
  }
  return problems;
}

std::vector<std::string> problem_texts(const std::vector<ModelProblem>& problems) {
  std::map<std::string, double> largest;
  for (const ModelProblem& problem : problems) {
    double& share = largest[problem.problem];
    share = std::max(share, problem.bytes_share);
  }
  std::vector<std::string> texts;
  for (const auto& [text, share] : largest) texts.push_back(text);
  std::stable_sort(texts.begin(), texts.end(), [&](const std::string& a, const std::string& b) {
    return largest.at(a) > largest.at(b);
  });
  return texts;
}

}  // namespace hone
