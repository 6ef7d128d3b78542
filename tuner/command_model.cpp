// hone model: the problems that one step of a model computes, with their share of its work.
#include <fmt/format.h>

#include "codegen/error.h"
#include "tuner/command.h"
#include "tuner/model.h"

namespace hone {
namespace {

void print_step(const std::vector<ModelProblem>& problems, const ModelUse& use,
                std::int64_t tokens) {
  double flops = 0, bytes = 0;
  for (const ModelProblem& p : problems) {
    if (p.tokens != tokens) continue;
    flops += static_cast<double>(p.count) * static_cast<double>(p.flops);
    bytes += static_cast<double>(p.count) * static_cast<double>(p.bytes);
  }
  const std::string kind = tokens == 1
                               ? fmt::format("Decode of 1 token behind {} others", use.context - 1)
                               : fmt::format("Prefill of {} tokens", tokens);
  fmt::print("\n{}: {:.4g} GFLOP, {:.4g} GB\n{:<10} {:>5} {:>7} {:>7}  {}\n", kind, flops * 1e-9,
             bytes * 1e-9, "role", "calls", "flops", "bytes", "problem");
  for (const ModelProblem& p : problems) {
    if (p.tokens == tokens) {
      fmt::print("{:<10} {:>5} {:>6.2f}% {:>6.2f}%  {}\n", p.role, p.count, 100 * p.flops_share,
                 100 * p.bytes_share, p.problem);
    }
  }
}

int run_model(const Words& words) {
  CommandLine line("hone model MODEL [options]",
                   "Lists the problems of one step of a model, with their share of the step's "
                   "operations and of the bytes that it must move.\n"
                   "MODEL is a shipped name, a config.json or its folder, or a GGUF file.");
  line.add_problems();
  line.add_templates();
  line.add_json();
  if (!line.parse(words)) return 0;
  Words names = line.positional();
  if (line.has("model")) names.push_back(line.get<std::string>("model"));
  if (names.size() != 1)
    throw Error(Code::kUsage, "name one model; usage: hone model MODEL [options]");

  const Model model = read_model(names.front());
  const ModelUse use = model_use_of(line);
  const std::vector<ModelProblem> problems = problems_of(line.catalog(), model, use);
  if (line.json()) {
    for (const ModelProblem& p : problems) {
      print_json({{"model", model.name},
                  {"tokens", p.tokens},
                  {"role", p.role},
                  {"problem", p.problem},
                  {"count", p.count},
                  {"flops", p.flops},
                  {"bytes", p.bytes},
                  {"flops_share", p.flops_share},
                  {"bytes_share", p.bytes_share}});
    }
    return 0;
  }
  fmt::print(
      "{} ({}): {} layers, hidden size {}, {} heads of {} over {} of keys and values, feed-forward "
      "size {}, vocabulary {}{}\n",
      model.name, model.architecture, model.layers, model.hidden, model.heads, model.head_dim,
      model.kv_heads, model.ffn, model.vocab,
      model.experts > 0 ? fmt::format(", {} of {} experts", model.active_experts, model.experts)
                        : "");
  for (const std::int64_t tokens : use.tokens) print_step(problems, use, tokens);
  return 0;
}

const RegisterCommand kModel({"model", "lists the problems of a model with their share of its work",
                              run_model});

}  // namespace
}  // namespace hone
