// A language model as Hone sees it: the shapes of its layers, and from them the problems that one
// step of it computes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/values.h"
#include "runtime/llm/gguf.h"

namespace hone {

// A decoder-only transformer. Words are those of the operators that they end up in.
struct Model {
  std::string name;
  std::string architecture;  // llama mistral mixtral qwen2 qwen3 gemma2 phi3 gpt2 opt chatglm
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn = 0;  // of one expert where there are experts
  std::int64_t vocab = 0;
  std::string activation = "silu";  // act of glu
  bool gated = true;                // act(gate) * up rather than act(up)
  std::string norm = "rms";         // kind of norm
  bool post_norms = false;          // a norm after attention and after the feed-forward part, too
  bool qk_norm = false;             // queries and keys are normalised per head
  bool qkv_bias = false;
  bool o_bias = false;
  bool ffn_bias = false;
  bool tied = false;                // the output projection is the embedding table
  std::string rope = "neox";        // style of rope, or none
  std::int64_t rope_dims = 0;       // elements of a head that are rotated
  std::int64_t positions = 0;       // rows of a learned position table; 0: there is none
  std::int64_t window = 0;          // attention looks back this far; 0: to the beginning
  std::int64_t window_every = 1;    // one layer in so many has the window
  bool softcap = false;             // attention scores are capped
  std::int64_t experts = 0;         // 0: a dense model
  std::int64_t active_experts = 0;  // of them, for one token

  // Element types of weights: role -> type -> in how many layers. Roles: embedding, q, k, v, o,
  // gate, up, down, router, lm_head.
  std::map<std::string, std::map<std::string, std::int64_t>> weights;

  bool operator==(const Model&) const = default;
};

// The roles of `weights`, in the order of a step.
const std::vector<std::string>& weight_roles();

// `what`: a config.json in Hugging Face's form, a folder that holds one, a GGUF file, or the name
// of a shipped model. Throws Error(kNotFound) that lists the shipped names, Error(kUnsupported) for
// an architecture or a value that Hone can't map, Error(kIo) for a damaged file.
Model read_model(const std::string& what);
Model model_of_config(std::string_view json, const std::string& name,
                      const std::string& file);  // `file` for messages
Model model_of_gguf(const Gguf& gguf);

std::vector<std::string> shipped_models();  // names, sorted

// How a model is used: decides the dynamic dims and the types.
struct ModelUse {
  std::vector<std::int64_t> tokens = {
      1, 128};  // per step: 1 is decode, more the prefill of a prompt into an empty cache
  std::int64_t context = 1024;  // tokens in the cache when decoding
  std::string weight;  // element type of every matrix but the router; empty: the model's own
  std::string activation = "f32";
  std::string kv = "f16";
};

// A problem that a step computes.
struct ModelProblem {
  std::string problem;  // canonical, complete
  std::string
      role;  // embedding norm qkv rope attention o gate_up glu down router ... lm_head argmax
  std::int64_t tokens = 0;  // the step that it belongs to: an entry of ModelUse::tokens
  std::int64_t count = 0;   // calls in one step
  std::int64_t flops = 0;   // of one call
  std::int64_t bytes = 0;   // that one call must move at least
  double flops_share = 0;   // of all calls in the step's operations
  double bytes_share = 0;   // of all calls in the step's bytes
};

// In the order of the steps and, within one, of the computation. One entry per (step, role,
// problem). Throws Error(kUsage) for a use that an operator refuses, Error(kUnsupported) for a
// weight type without kernels.
std::vector<ModelProblem> problems_of(const Catalog& catalog, const Model& model,
                                      const ModelUse& use);

// The distinct problem texts, those with the largest share of any step's bytes first.
std::vector<std::string> problem_texts(const std::vector<ModelProblem>& problems);

}  // namespace hone
