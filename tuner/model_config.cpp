// Hugging Face config.json -> Model.
#include <fmt/format.h>

#include <initializer_list>
#include <optional>

#include "codegen/error.h"
#include "codegen/json.h"
#include "tuner/model_family.h"

namespace hone {
namespace {

// No shape is larger, and sums and small multiples of smaller ones can't overflow.
constexpr std::uint64_t kMaxInteger = std::uint64_t{1} << 40;

// The keys of one config, with messages that name file and key.
class Keys {
 public:
  Keys(const Json& json, std::string file) : json_(json), file_(std::move(file)) {}

  // The first of `names` that is there and not null.
  const Json* find(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      const auto found = json_.find(name);
      if (found != json_.end() && !found->is_null()) {
        last_ = name;
        return &*found;
      }
    }
    return nullptr;
  }

  std::optional<std::int64_t> integer_if(std::initializer_list<const char*> names) const {
    const Json* value = find(names);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer()) fail("an integer");
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > kMaxInteger)
      fail("an integer of a sensible size");
    if (value->get<std::int64_t>() < 0) fail("zero or more");
    return value->get<std::int64_t>();
  }

  std::int64_t integer(std::initializer_list<const char*> names) const {
    const auto value = integer_if(names);
    if (!value)
      throw Error(Code::kUnsupported, fmt::format("{}: {} is missing: is it a model's config.json?",
                                                  file_, *names.begin()));
    return *value;
  }

  bool truth(std::initializer_list<const char*> names, bool otherwise) const {
    const Json* value = find(names);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) fail("true or false");
    return value->get<bool>();
  }

  std::optional<std::string> word(std::initializer_list<const char*> names) const {
    const Json* value = find(names);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail("a string");
    return value->get<std::string>();
  }

  double number(std::initializer_list<const char*> names, double otherwise) const {
    const Json* value = find(names);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) fail("a number");
    return value->get<double>();
  }

 private:
  [[noreturn]] void fail(const char* wanted) const {
    throw Error(Code::kUnsupported, fmt::format("{}: {} isn't {}", file_, last_, wanted));
  }

  const Json& json_;
  std::string file_;
  mutable const char* last_ = "";
};

std::string activation_of(const std::string& name, const std::string& file) {
  static const std::map<std::string, std::string> known = {
      {"silu", "silu"},           {"swish", "silu"},
      {"swiglu", "silu"},         {"gelu", "gelu"},
      {"relu", "relu"},           {"gelu_new", "gelu_tanh"},
      {"gelu_fast", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
  };
  const auto found = known.find(name);
  if (found == known.end())
    throw Error(Code::kUnsupported, fmt::format("{}: activation {} has no operator", file, name));
  return found->second;
}

std::string type_of(const std::string& name, const std::string& file) {
  static const std::map<std::string, std::string> known = {
      {"float32", "f32"}, {"float16", "f16"}, {"bfloat16", "bf16"}};
  const auto found = known.find(name);
  if (found == known.end())
    throw Error(
        Code::kUnsupported,
        fmt::format("{}: torch_dtype {} is none of float32, float16, bfloat16", file, name));
  return found->second;
}

void read_heads(const Keys& keys, Model& model) {
  model.hidden = keys.integer({"hidden_size", "n_embd"});
  model.layers = keys.integer({"num_hidden_layers", "n_layer", "num_layers"});
  model.heads = keys.integer({"num_attention_heads", "n_head"});
  model.kv_heads = keys.integer_if({"num_key_value_heads"}).value_or(model.heads);
  model.head_dim = keys.integer_if({"head_dim", "kv_channels"}).value_or(0);
  if (model.architecture == "chatglm" && keys.truth({"multi_query_attention"}, false))
    model.kv_heads = keys.integer({"multi_query_group_num"});
}

void read_ffn(const Keys& keys, Model& model) {
  const auto ffn = keys.integer_if({"intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner"});
  if (!ffn && model.architecture != "gpt2") (void)keys.integer({"intermediate_size"});
  model.ffn = ffn ? *ffn : 4 * model.hidden;
  model.vocab = keys.integer({"padded_vocab_size", "vocab_size"});
  if (model.architecture == "mixtral") {
    model.experts = keys.integer({"num_local_experts"});
    model.active_experts = keys.integer({"num_experts_per_tok"});
  }
}

void read_biases(const Keys& keys, Model& model) {
  model.tied = keys.truth({"tie_word_embeddings"}, model.tied);
  if (keys.truth({"attention_bias"}, false)) model.qkv_bias = model.o_bias = true;
  if (keys.truth({"mlp_bias"}, false)) model.ffn_bias = true;
  if (keys.truth({"add_bias_linear"}, false)) model.o_bias = model.ffn_bias = true;
  if (model.architecture == "chatglm")
    model.qkv_bias = keys.truth({"add_qkv_bias", "add_bias_linear"}, false);
  if (model.architecture == "opt" && !keys.truth({"enable_bias"}, true))
    model.qkv_bias = model.o_bias = model.ffn_bias = false;
}

void read_positions(const Keys& keys, Model& model) {
  // OPT's table begins with two rows for padding.
  constexpr std::int64_t kOptPadding = 2;
  if (model.architecture == "gpt2")
    model.positions = keys.integer_if({"n_positions", "n_ctx"}).value_or(1024);
  if (model.architecture == "opt")
    model.positions = keys.integer({"max_position_embeddings"}) + kOptPadding;
  const std::int64_t head_dim =
      model.head_dim != 0 ? model.head_dim : model.hidden / std::max<std::int64_t>(model.heads, 1);
  const double part =
      keys.number({"partial_rotary_factor"}, model.architecture == "chatglm" ? 0.5 : 1.0);
  if (model.rope != "none" && part > 0 && part < 1)
    model.rope_dims = static_cast<std::int64_t>(part * static_cast<double>(head_dim)) / 2 * 2;
  // Qwen writes a window that it doesn't use.
  if (keys.truth({"use_sliding_window"}, !model.architecture.starts_with("qwen")))
    model.window = keys.integer_if({"sliding_window"}).value_or(0);
  if (model.architecture == "gemma2")
    model.softcap = keys.find({"attn_logit_softcapping"}) != nullptr;
}

}  // namespace

Model model_of_config(std::string_view text, const std::string& name, const std::string& file) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object())
    throw Error(Code::kIo, file + ": not a JSON object: is it a model's config.json?");
  const Keys keys(json, file);
  const auto type = keys.word({"model_type"});
  if (!type)
    throw Error(Code::kUnsupported, file + ": model_type is missing: is it a model's config.json?");
  Model model = family(*type, file);
  model.name = name;
  if (const auto activation = keys.word({"hidden_activation", "hidden_act", "activation_function"}))
    model.activation = activation_of(*activation, file);
  read_heads(keys, model);
  read_ffn(keys, model);
  read_biases(keys, model);
  read_positions(keys, model);
  complete_model(model, file);

  const std::string weight = type_of(keys.word({"torch_dtype", "dtype"}).value_or("float32"), file);
  for (const std::string& role : weight_roles()) {
    if (role == "router" && model.experts == 0) continue;
    if (role == "gate" && !model.gated) continue;
    model.weights[role][weight] = role == "embedding" || role == "lm_head" ? 1 : model.layers;
  }
  return model;
}

}  // namespace hone
