// GGUF metadata and tensor infos -> Model. No tensor's data is read.
#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "codegen/error.h"
#include "tuner/model_family.h"

namespace hone {
namespace {

// Converters write Mistral and Mixtral as llama; the tensors tell the rest.
const GgufTensor* block_tensor(const Gguf& gguf, std::int64_t layer, std::string_view name) {
  return gguf.tensor(fmt::format("blk.{}.{}", layer, name));
}

const GgufTensor& required(const Gguf& gguf, const std::string& name) {
  const GgufTensor* tensor = gguf.tensor(name);
  if (tensor == nullptr)
    throw Error(Code::kUnsupported,
                fmt::format("{}: tensor {} is missing; is it a whole model?", gguf.file, name));
  return *tensor;
}

std::int64_t vocabulary(const Gguf& gguf) {
  return required(gguf, "token_embd.weight").shape.front();
}

// Tensors that may hold the weight of a role; fused ones stand for several roles.
const std::vector<std::pair<std::string, std::vector<std::string>>>& role_tensors() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> names = {
      {"q", {"attn_q.weight", "attn_qkv.weight"}},
      {"k", {"attn_k.weight", "attn_qkv.weight"}},
      {"v", {"attn_v.weight", "attn_qkv.weight"}},
      {"o", {"attn_output.weight"}},
      {"router", {"ffn_gate_inp.weight"}},
      {"gate", {"ffn_gate.weight", "ffn_gate_exps.weight", "ffn_gate.0.weight", "ffn_up.weight"}},
      {"up", {"ffn_up.weight", "ffn_up_exps.weight", "ffn_up.0.weight"}},
      {"down", {"ffn_down.weight", "ffn_down_exps.weight", "ffn_down.0.weight"}},
  };
  return names;
}

void read_weights(const Gguf& gguf, Model& model) {
  const GgufTensor& table = required(gguf, "token_embd.weight");
  const GgufTensor* output = gguf.tensor("output.weight");
  model.tied = output == nullptr;
  model.weights["embedding"][table.type] = 1;
  model.weights["lm_head"][(model.tied ? table : *output).type] = 1;
  std::map<std::string_view, const GgufTensor*>
      by_name;  // a hostile file has many layers and many tensors
  for (const GgufTensor& tensor : gguf.tensors) by_name.emplace(tensor.name, &tensor);
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const auto& [role, names] : role_tensors()) {
      if ((role == "router" && model.experts == 0) || (role == "gate" && !model.gated)) continue;
      const GgufTensor* found = nullptr;
      for (const std::string& name : names) {
        const auto tensor = by_name.find(fmt::format("blk.{}.{}", layer, name));
        if (found == nullptr && tensor != by_name.end()) found = tensor->second;
      }
      if (found == nullptr) {
        throw Error(Code::kUnsupported,
                    fmt::format("{}: tensor blk.{}.{} is missing; is it a whole model?", gguf.file,
                                layer, names.front()));
      }
      ++model.weights[role][found->type];
    }
  }
}

}  // namespace

Model model_of_gguf(const Gguf& gguf) {
  const std::string& architecture = gguf.word("general.architecture");
  const auto key = [&](const char* name) { return architecture + "." + name; };
  Model model = family(architecture == "mistral3" ? "mistral" : architecture, gguf.file);
  model.name = std::filesystem::path(gguf.file).stem().string();
  model.hidden = gguf.integer(key("embedding_length"));
  model.layers = gguf.integer(key("block_count"));
  model.heads = gguf.integer(key("attention.head_count"));
  model.kv_heads = gguf.integer_or(key("attention.head_count_kv"), model.heads);
  model.head_dim = gguf.integer_or(key("attention.key_length"), 0);
  model.ffn = gguf.integer(key("feed_forward_length"));
  model.vocab = vocabulary(gguf);
  model.window = gguf.integer_or(key("attention.sliding_window"), 0);
  model.experts = gguf.integer_or(key("expert_count"), 0);
  model.active_experts = gguf.integer_or(key("expert_used_count"), 0);
  if (model.rope != "none") model.rope_dims = gguf.integer_or(key("rope.dimension_count"), 0);
  if (architecture == "llama" || architecture == "mistral3") {
    // The converter reorders the rows of q and k so that pairs lie side by side.
    model.rope = "interleaved";
  }
  if (architecture == "gemma2") {
    // The converter stores 1 + weight.
    model.norm = "rms";
    model.softcap = gguf.number_or(key("attn_logit_softcapping"), 0) != 0;
  }
  if (const GgufTensor* table = gguf.tensor("position_embd.weight"))
    model.positions = table->shape.front();
  model.qk_norm = block_tensor(gguf, 0, "attn_q_norm.weight") != nullptr;
  model.qkv_bias = block_tensor(gguf, 0, "attn_q.bias") != nullptr ||
                   block_tensor(gguf, 0, "attn_qkv.bias") != nullptr;
  model.o_bias = block_tensor(gguf, 0, "attn_output.bias") != nullptr;
  model.ffn_bias = block_tensor(gguf, 0, "ffn_down.bias") != nullptr;
  complete_model(model, gguf.file);
  if (model.layers > static_cast<std::int64_t>(gguf.tensors.size())) {
    throw Error(Code::kUnsupported,
                fmt::format("{}: {} layers but {} tensors; is it a whole model?", gguf.file,
                            model.layers, gguf.tensors.size()));
  }
  read_weights(gguf, model);
  return model;
}

}  // namespace hone
