#include "tuner/model_family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <utility>

#include "codegen/error.h"

namespace hone {
namespace {

// Keeps every product of three shapes within 64 bits after multiplication by an element size.
constexpr std::int64_t kMaxShape = std::int64_t{1} << 24;

const std::map<std::string, std::function<void(Model&)>>& families() {
  static const std::map<std::string, std::function<void(Model&)>> known = {
      {"llama", [](Model&) {}},
      {"mistral", [](Model&) {}},
      {"mixtral", [](Model&) {}},
      {"phi3", [](Model&) {}},
      {"qwen2", [](Model& m) { m.qkv_bias = true; }},
      {"qwen3", [](Model& m) { m.qk_norm = true; }},
      {"gemma2",
       [](Model& m) {
         m.activation = "gelu_tanh";
         m.norm = "rms1";
         m.post_norms = true;
         m.tied = true;
         m.softcap = true;
         m.window_every = 2;
       }},
      {"gpt2",
       [](Model& m) {
         m.activation = "gelu_tanh";
         m.gated = false;
         m.norm = "layer_bias";
         m.qkv_bias = m.o_bias = m.ffn_bias = true;
         m.tied = true;
         m.rope = "none";
       }},
      {"opt",
       [](Model& m) {
         m.activation = "relu";
         m.gated = false;
         m.norm = "layer_bias";
         m.qkv_bias = m.o_bias = m.ffn_bias = true;
         m.tied = true;
         m.rope = "none";
       }},
      {"chatglm",
       [](Model& m) {
         m.qkv_bias = true;
         m.rope = "interleaved";
       }},
  };
  return known;
}

}  // namespace

Model family(const std::string& architecture, const std::string& file) {
  const auto found = families().find(architecture);
  if (found == families().end()) {
    std::vector<std::string> names;
    for (const auto& [name, set] : families()) names.push_back(name);
    throw Error(Code::kUnsupported, fmt::format("{}: architecture {} isn't one that Hone knows "
                                                "({}); its problems can still be given one by one",
                                                file, architecture, fmt::join(names, ", ")));
  }
  Model model;
  model.architecture = architecture;
  found->second(model);
  return model;
}

void complete_model(Model& model, const std::string& file) {
  const auto fail = [&](const std::string& what) {
    throw Error(Code::kUnsupported, fmt::format("{}: {}", file, what));
  };
  const std::pair<const char*, std::int64_t> positive[] = {
      {"hidden size", model.hidden},    {"number of layers", model.layers},
      {"number of heads", model.heads}, {"number of KV heads", model.kv_heads},
      {"feed-forward size", model.ffn}, {"vocabulary size", model.vocab}};
  for (const auto& [name, value] : positive) {
    if (value < 1 || value > kMaxShape)
      fail(fmt::format("the {} is {}; it must be 1 to {}", name, value, kMaxShape));
  }
  if (model.heads % model.kv_heads != 0)
    fail(fmt::format("{} heads are no multiple of {} KV heads", model.heads, model.kv_heads));
  if (model.head_dim == 0) {
    if (model.hidden % model.heads != 0)
      fail(fmt::format("hidden size {} is no multiple of {} heads, and no head size is given",
                       model.hidden, model.heads));
    model.head_dim = model.hidden / model.heads;
  }
  if (model.rope_dims == 0 && model.rope != "none") model.rope_dims = model.head_dim;
  const std::pair<const char*, std::int64_t> others[] = {
      {"head size", model.head_dim},
      {"rotated part of a head", model.rope_dims},
      {"window", model.window},
      {"number of positions", model.positions},
      {"number of experts", model.experts},
      {"number of active experts", model.active_experts}};
  for (const auto& [name, value] : others) {
    if (value < 0 || value > kMaxShape)
      fail(fmt::format("the {} is {}; it must be 0 to {}", name, value, kMaxShape));
  }
  if (model.head_dim == 0) fail("the head size is 0");
  if (model.rope_dims > model.head_dim)
    fail(fmt::format("{} elements of a head of {} are rotated", model.rope_dims, model.head_dim));
  if (model.experts > 0 && (model.active_experts < 1 || model.active_experts > model.experts)) {
    fail(fmt::format("{} of {} experts are active", model.active_experts, model.experts));
  }
}

}  // namespace hone
