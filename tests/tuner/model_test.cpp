#include "tuner/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <random>

#include "codegen/error.h"

namespace hone {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const Catalog& catalog() {
  static const Catalog embedded = Catalog::embedded();
  return embedded;
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// A problem in canonical form, whatever the order and the defaults of the text.
std::string canonical(const std::string& text) { return catalog().problem(text, true).text(); }

// Calls of `role` with `problem` in one step of `tokens`; 0 when there are none.
std::int64_t calls(const std::vector<ModelProblem>& problems, std::int64_t tokens,
                   const std::string& role, const std::string& problem) {
  for (const ModelProblem& p : problems) {
    if (p.tokens == tokens && p.role == role && p.problem == canonical(problem)) return p.count;
  }
  return 0;
}

std::vector<ModelProblem> shipped(const std::string& name, const ModelUse& use = {}) {
  return problems_of(catalog(), read_model(name), use);
}

// The published shapes: n, k of each GEMM and how many layers have it.
struct Shape {
  std::string model;
  std::string role;
  std::int64_t n, k, count;
};

TEST(Model, GivesTheGemmsOfEveryShippedModel) {
  const Shape shapes[] = {
      {"gpt2", "qkv", 2304, 768, 12},
      {"gpt2", "o", 768, 768, 12},
      {"gpt2", "up", 3072, 768, 12},
      {"gpt2", "down", 768, 3072, 12},
      {"gpt2", "lm_head", 50257, 768, 1},
      {"smollm2-135m", "qkv", 960, 576, 30},
      {"smollm2-135m", "o", 576, 576, 30},
      {"smollm2-135m", "gate_up", 3072, 576, 30},
      {"smollm2-135m", "down", 576, 1536, 30},
      {"smollm2-135m", "lm_head", 49152, 576, 1},
      {"qwen2.5-0.5b", "qkv", 1152, 896, 24},
      {"qwen2.5-0.5b", "gate_up", 9728, 896, 24},
      {"qwen2.5-0.5b", "down", 896, 4864, 24},
      {"qwen2.5-0.5b", "lm_head", 151936, 896, 1},
      {"qwen2.5-7b", "qkv", 4608, 3584, 28},
      {"qwen2.5-7b", "gate_up", 37888, 3584, 28},
      {"llama-2-7b", "qkv", 12288, 4096, 32},
      {"llama-2-7b", "gate_up", 22016, 4096, 32},
      {"llama-2-7b", "down", 4096, 11008, 32},
      {"llama-2-7b", "lm_head", 32000, 4096, 1},
      {"llama-3-8b", "qkv", 6144, 4096, 32},
      {"llama-3-8b", "lm_head", 128256, 4096, 1},
      {"llama-3-70b", "qkv", 10240, 8192, 80},
      {"llama-3-70b", "gate_up", 57344, 8192, 80},
      {"opt-6.7b", "qkv", 12288, 4096, 32},
      {"opt-6.7b", "up", 16384, 4096, 32},
      {"opt-6.7b", "down", 4096, 16384, 32},
      {"opt-6.7b", "lm_head", 50272, 4096, 1},
      {"chatglm2-6b", "qkv", 4608, 4096, 28},
      {"chatglm2-6b", "gate_up", 27392, 4096, 28},
      {"chatglm2-6b", "down", 4096, 13696, 28},
      {"chatglm2-6b", "lm_head", 65024, 4096, 1},
      {"mistral-7b", "qkv", 6144, 4096, 32},
      {"mistral-7b", "gate_up", 28672, 4096, 32},
      {"qwen3-0.6b", "qkv", 4096, 1024, 28},
      {"qwen3-0.6b", "o", 1024, 2048, 28},
      {"qwen3-8b", "qkv", 6144, 4096, 36},
      {"qwen3-8b", "down", 4096, 12288, 36},
      {"gemma-2-2b", "qkv", 4096, 2304, 26},
      {"gemma-2-2b", "o", 2304, 2048, 26},
      {"gemma-2-9b", "qkv", 8192, 3584, 42},
      {"gemma-2-9b", "o", 3584, 4096, 42},
      {"gemma-2-9b", "gate_up", 28672, 3584, 42},
      {"gemma-2-9b", "lm_head", 256000, 3584, 1},
      {"phi-3-mini", "qkv", 9216, 3072, 32},
      {"phi-3-mini", "gate_up", 16384, 3072, 32},
      {"phi-3-mini", "lm_head", 32064, 3072, 1},
  };
  for (const Shape& shape : shapes) {
    std::int64_t found = 0;
    for (const ModelProblem& p : shipped(shape.model)) {
      if (p.tokens != 1 || p.role != shape.role) continue;
      const Problem problem = Problem::parse(p.problem);
      EXPECT_EQ(problem.op, "gemm");
      EXPECT_EQ(problem.values.integer("n"), shape.n) << shape.model << " " << shape.role;
      EXPECT_EQ(problem.values.integer("k"), shape.k) << shape.model << " " << shape.role;
      found += p.count;
    }
    EXPECT_EQ(found, shape.count) << shape.model << " " << shape.role;
  }
}

TEST(Model, GivesAllProblemsOfASmallLlama) {
  ModelUse use;
  use.tokens = {1, 7};
  use.context = 300;
  const auto problems = shipped("smollm2-135m", use);
  EXPECT_EQ(calls(problems, 1, "embedding", "embedding:tokens=1,cols=576,vocab=49152,table=bf16"),
            1);
  EXPECT_EQ(calls(problems, 7, "norm", "norm:rows=7,cols=576"), 1);
  EXPECT_EQ(calls(problems, 7, "norm", "norm:rows=7,cols=576,residual=add"), 60);
  EXPECT_EQ(calls(problems, 7, "qkv", "gemm:m=7,n=960,k=576,w=bf16"), 30);
  EXPECT_EQ(calls(problems, 7, "rope", "rope:tokens=7,heads=9,d=64"), 30);
  EXPECT_EQ(calls(problems, 7, "rope", "rope:tokens=7,heads=3,d=64"), 30);
  EXPECT_EQ(calls(problems, 1, "attention", "attention:q=1,kv=300,heads=9,kv_heads=3,d=64,c=f16"),
            30);
  EXPECT_EQ(calls(problems, 7, "attention", "attention:q=7,kv=7,heads=9,kv_heads=3,d=64,c=f16"),
            30);
  EXPECT_EQ(calls(problems, 7, "glu", "glu:rows=7,cols=1536,act=silu"), 30);
  EXPECT_EQ(calls(problems, 7, "lm_head", "gemm:m=1,n=49152,k=576,w=bf16"), 1);
  EXPECT_EQ(calls(problems, 7, "argmax", "argmax:rows=1,cols=49152"), 1);
}

TEST(Model, KeepsWhatIsSpecialAboutEachArchitecture) {
  EXPECT_EQ(calls(shipped("qwen3-8b"), 1, "qk_norm", "norm:rows=32,cols=128"), 36);
  EXPECT_EQ(calls(shipped("qwen3-8b"), 1, "qk_norm", "norm:rows=8,cols=128"), 36);
  EXPECT_EQ(calls(shipped("chatglm2-6b"), 1, "rope",
                  "rope:tokens=1,heads=32,d=128,rot=64,style=interleaved"),
            28);
  EXPECT_EQ(calls(shipped("qwen2.5-0.5b"), 1, "qkv", "gemm:m=1,n=1152,k=896,w=bf16,epilogue=bias"),
            24);
  EXPECT_EQ(
      calls(shipped("gpt2"), 1, "embedding", "embedding:tokens=1,cols=768,vocab=1024,plus=add"), 1);
  EXPECT_EQ(calls(shipped("gpt2"), 1, "up", "gemm:m=1,n=3072,k=768,epilogue=bias_gelu_tanh"), 12);
  EXPECT_EQ(calls(shipped("opt-6.7b"), 1, "embedding",
                  "embedding:tokens=1,cols=4096,vocab=2050,table=f16,plus=add"),
            1);
  EXPECT_EQ(
      calls(shipped("opt-6.7b"), 1, "norm", "norm:rows=1,cols=4096,kind=layer_bias,residual=add"),
      64);
  EXPECT_EQ(calls(shipped("mistral-7b"), 1, "attention",
                  "attention:q=1,kv=1024,heads=32,kv_heads=8,d=128,window=4096"),
            32);
  const auto gemma = shipped("gemma-2-9b");
  EXPECT_EQ(calls(gemma, 1, "attention",
                  "attention:q=1,kv=1024,heads=16,kv_heads=8,d=256,window=4096,softcap=yes"),
            21);
  EXPECT_EQ(
      calls(gemma, 1, "attention", "attention:q=1,kv=1024,heads=16,kv_heads=8,d=256,softcap=yes"),
      21);
  EXPECT_EQ(calls(gemma, 1, "norm", "norm:rows=1,cols=3584,kind=rms1"), 85);
}

TEST(Model, SpreadsTheTokensOverTheExperts) {
  ModelUse use;
  use.tokens = {1, 3, 128};
  const auto problems = shipped("mixtral-8x7b", use);
  EXPECT_EQ(calls(problems, 1, "router", "gemm:m=1,n=8,k=4096,w=bf16"), 32);
  EXPECT_EQ(calls(problems, 1, "router", "softmax:rows=1,cols=8"), 32);
  EXPECT_EQ(calls(problems, 1, "gate_up", "gemm:m=1,n=28672,k=4096,w=bf16"), 64);
  EXPECT_EQ(calls(problems, 3, "gate_up", "gemm:m=1,n=28672,k=4096,w=bf16"), 192);
  EXPECT_EQ(calls(problems, 128, "down", "gemm:m=32,n=4096,k=14336,w=bf16"), 256);
  EXPECT_EQ(calls(problems, 128, "glu", "glu:rows=256,cols=14336"), 32);
}

TEST(Model, SharesOfAStepAddUpToOne) {
  for (const std::string& name : shipped_models()) {
    for (std::int64_t tokens : {1, 128}) {
      double flops = 0, bytes = 0;
      for (const ModelProblem& p : shipped(name)) {
        if (p.tokens != tokens) continue;
        EXPECT_GT(p.flops_share + p.bytes_share, 0) << p.problem;
        flops += p.flops_share;
        bytes += p.bytes_share;
      }
      EXPECT_NEAR(flops, 1, 1e-9) << name;
      EXPECT_NEAR(bytes, 1, 1e-9) << name;
    }
  }
}

// Llama-2-7B in 16 bits reads 13.21 GB of weights and 0.54 GB of cache for a token at a context of
// 1024.
TEST(Model, CountsTheBytesOfADecodeStepOfLlama2) {
  double weights = 0, cache = 0;
  for (const ModelProblem& p : shipped("llama-2-7b")) {
    if (p.tokens != 1) continue;
    const double bytes = static_cast<double>(p.count) * static_cast<double>(p.bytes);
    if (p.problem.starts_with("gemm:")) weights += bytes;
    if (p.role == "attention") cache += bytes;
  }
  EXPECT_NEAR(weights, 13.21e9, 0.02e9);
  EXPECT_NEAR(cache, 0.54e9, 0.01e9);
}

TEST(Model, TakesTheTypesOfItsUse) {
  ModelUse use;
  use.tokens = {1};
  use.weight = "q4_0";
  use.activation = "bf16";
  use.kv = "bf16";
  const auto problems = shipped("mixtral-8x7b", use);
  EXPECT_EQ(calls(problems, 1, "down", "gemm:m=1,n=4096,k=14336,x=bf16,w=q4_0,y=bf16"), 64);
  EXPECT_EQ(calls(problems, 1, "router", "gemm:m=1,n=8,k=4096,x=bf16,w=bf16,y=bf16"), 32);
  EXPECT_EQ(calls(problems, 1, "attention",
                  "attention:q=1,kv=1024,heads=32,kv_heads=8,d=128,x=bf16,c=bf16"),
            32);
  EXPECT_EQ(
      calls(problems, 1, "embedding", "embedding:tokens=1,cols=4096,vocab=32000,table=q4_0,y=bf16"),
      1);
}

TEST(Model, ListsEachProblemTextOnce) {
  const auto problems = shipped("llama-2-7b");
  const auto texts = problem_texts(problems);
  EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), texts.size());
  for (const ModelProblem& p : problems) EXPECT_THAT(texts, Contains(p.problem));
  EXPECT_EQ(texts.front(), canonical("gemm:m=1,n=22016,k=4096,w=f16"));
}

TEST(Model, NamesTheShippedModelsWhenItKnowsNoneOfThatName) {
  const std::string message = error_of([] { read_model("lama-2"); });
  EXPECT_THAT(message, HasSubstr("lama-2"));
  EXPECT_THAT(message, HasSubstr("llama-2-7b"));
  EXPECT_THAT(message, HasSubstr("smollm2-135m"));
  EXPECT_EQ(read_model("SmolLM2-135M"), read_model("smollm2-135m"));
}

const char* const kConfig =
    R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 96, "vocab_size": 100, "head_dim": 32, "torch_dtype": "float16"})";

TEST(ModelConfig, FillsInWhatTheFileLeavesOut) {
  const Model model = model_of_config(kConfig, "tiny", "tiny.json");
  EXPECT_EQ(model.kv_heads, 4);
  EXPECT_EQ(model.head_dim, 32);
  EXPECT_EQ(model.rope_dims, 32);
  EXPECT_FALSE(model.tied);
  EXPECT_EQ(model.weights.at("down").at("f16"), 2);
  EXPECT_EQ(model.weights.at("lm_head").at("f16"), 1);
  EXPECT_FALSE(model.weights.contains("router"));
}

TEST(ModelConfig, IgnoresTheWindowThatQwenDoesNotUse) {
  std::string text = kConfig;
  text.replace(text.find("llama"), 5, "qwen2");
  text.insert(1, R"("sliding_window": 32, )");
  EXPECT_EQ(model_of_config(text, "tiny", "tiny.json").window, 0);
  text.insert(1, R"("use_sliding_window": true, )");
  EXPECT_EQ(model_of_config(text, "tiny", "tiny.json").window, 32);
}

TEST(ModelConfig, SaysWhichValueIsOff) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kConfig;
    text.replace(text.find(from), from.size(), to);
    return error_of([&] { model_of_config(text, "tiny", "tiny.json"); });
  };
  EXPECT_THAT(with("llama", "mamba"), HasSubstr("mamba"));
  EXPECT_THAT(with("\"hidden_size\"", "\"hidden\""), HasSubstr("hidden_size is missing"));
  EXPECT_THAT(with("64,", "\"64\","), HasSubstr("hidden_size isn't an integer"));
  EXPECT_THAT(with("64,", "-64,"), HasSubstr("hidden_size isn't zero or more"));
  EXPECT_THAT(with("64,", "0,"), HasSubstr("the hidden size is 0"));
  EXPECT_THAT(with("100,", "18446744073709551615,"), HasSubstr("vocab_size"));
  EXPECT_THAT(with("96,", "9.5,"), HasSubstr("intermediate_size"));
  EXPECT_THAT(with("float16", "int3"), HasSubstr("int3"));
  EXPECT_THAT(with("\"model_type\": \"llama\"", "\"a\": 1"), HasSubstr("model_type is missing"));
  EXPECT_THAT(with("{", "["), HasSubstr("not a JSON object"));
  EXPECT_THAT(with("{", R"({"num_key_value_heads": 3, )"), HasSubstr("no multiple of 3"));
}

TEST(ModelConfig, GivesBiasesToTheMatricesThatHaveThem) {
  std::string text = kConfig;
  text.insert(1, R"("mlp_bias": true, )");
  EXPECT_FALSE(model_of_config(text, "tiny", "tiny.json").o_bias);
  const auto problems = problems_of(catalog(), model_of_config(text, "tiny", "tiny.json"), {});
  EXPECT_EQ(calls(problems, 1, "down", "gemm:m=1,n=64,k=96,w=f16,epilogue=bias"), 2);
  EXPECT_EQ(calls(problems, 1, "o", "gemm:m=1,n=64,k=128,w=f16"), 2);
}

TEST(ModelConfig, SurvivesRandomDamage) {
  constexpr int kRounds = 3000;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string characters = "0123456789-.eE,:\"{}[] truefalsn";
  for (int round = 0; round < kRounds; ++round) {
    std::string text = kConfig;
    for (unsigned i = 0; i < 1 + random() % 4; ++i)
      text[random() % text.size()] = characters[random() % characters.size()];
    try {
      problems_of(catalog(), model_of_config(text, "tiny", "tiny.json"), {});
    } catch (const Error& error) {
      ASSERT_STRNE(error.what(), "");
    }
  }
}

TEST(ModelConfig, ReadsAFileOrAFolderAndNamesTheModelAfterIt) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "tiny-model";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << kConfig;
  EXPECT_EQ(read_model(folder.string()).name, "tiny-model");
  EXPECT_EQ(read_model((folder / "config.json").string()), read_model(folder.string()));
  std::ofstream(folder / "empty.json").flush();
  EXPECT_THAT(error_of([&] { read_model((folder / "empty.json").string()); }),
              HasSubstr("empty.json"));
}

// What a converter writes for kConfig, as read_gguf gives it.
Gguf tiny_gguf() {
  Gguf gguf;
  gguf.file = "tiny.gguf";
  gguf.metadata = {{"general.architecture", std::string("llama")},
                   {"llama.embedding_length", std::int64_t{64}},
                   {"llama.block_count", std::int64_t{2}},
                   {"llama.attention.head_count", std::int64_t{4}},
                   {"llama.attention.head_count_kv", std::int64_t{2}},
                   {"llama.feed_forward_length", std::int64_t{96}}};
  const auto add = [&](const std::string& name, const std::string& type,
                       std::vector<std::int64_t> shape) {
    gguf.tensors.push_back({name, type, std::move(shape), 0, 0});
  };
  add("token_embd.weight", "q8_0", {100, 64});
  for (const std::string block : {"blk.0.", "blk.1."}) {
    add(block + "attn_q.weight", "q4_0", {64, 64});
    add(block + "attn_k.weight", "q4_0", {32, 64});
    add(block + "attn_v.weight", block == "blk.0." ? "q8_0" : "q4_0", {32, 64});
    add(block + "attn_output.weight", "q4_0", {64, 64});
    add(block + "ffn_gate.weight", "q4_0", {96, 64});
    add(block + "ffn_up.weight", "q4_0", {96, 64});
    add(block + "ffn_down.weight", "q4_1", {64, 96});
  }
  return gguf;
}

TEST(ModelGguf, TakesShapesFromMetadataAndTypesFromTensors) {
  ModelUse use;
  use.tokens = {1};
  const Model model = model_of_gguf(tiny_gguf());
  EXPECT_EQ(model.name, "tiny");
  EXPECT_EQ(model.head_dim, 16);
  EXPECT_EQ(model.vocab, 100);
  EXPECT_TRUE(model.tied);
  const auto problems = problems_of(catalog(), model, use);
  EXPECT_EQ(calls(problems, 1, "q", "gemm:m=1,n=64,k=64,w=q4_0"), 2);
  EXPECT_EQ(calls(problems, 1, "v", "gemm:m=1,n=32,k=64,w=q4_0"), 1);
  EXPECT_EQ(calls(problems, 1, "v", "gemm:m=1,n=32,k=64,w=q8_0"), 1);
  EXPECT_EQ(calls(problems, 1, "gate_up", "gemm:m=1,n=192,k=64,w=q4_0"), 2);
  EXPECT_EQ(calls(problems, 1, "down", "gemm:m=1,n=64,k=96,w=q4_1"), 2);
  EXPECT_EQ(calls(problems, 1, "lm_head", "gemm:m=1,n=100,k=64,w=q8_0"), 1);
  EXPECT_EQ(calls(problems, 1, "rope", "rope:tokens=1,heads=4,d=16,style=interleaved"), 2);
}

TEST(ModelGguf, NamesTheMissingTensorAndTheTypeWithoutKernels) {
  Gguf gguf = tiny_gguf();
  gguf.tensors.pop_back();
  EXPECT_THAT(error_of([&] { model_of_gguf(gguf); }),
              HasSubstr("blk.1.ffn_down.weight is missing"));
  gguf = tiny_gguf();
  gguf.tensors.back().type = "q6_k";
  const Model model = model_of_gguf(gguf);
  EXPECT_THAT(error_of([&] { problems_of(catalog(), model, {}); }), HasSubstr("q6_k"));
  ModelUse use;
  use.weight = "q8_0";
  EXPECT_NO_THROW(problems_of(catalog(), model, use));
}

TEST(ModelGguf, RefusesMetadataThatMakesNoSense) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    for (const std::string key :
         {"llama.embedding_length", "llama.block_count", "llama.attention.head_count",
          "llama.attention.head_count_kv", "llama.feed_forward_length"}) {
      Gguf gguf = tiny_gguf();
      gguf.metadata[key] = value;
      EXPECT_THROW(model_of_gguf(gguf), Error) << key << " " << value;
    }
  }
}

TEST(Model, RefusesAUseWithoutTokens) {
  ModelUse use;
  use.tokens = {0};
  EXPECT_THAT(error_of([&] { shipped("gpt2", use); }), HasSubstr("tokens"));
  use = {};
  use.context = -1;
  EXPECT_THAT(error_of([&] { shipped("gpt2", use); }), HasSubstr("context"));
}

}  // namespace
}  // namespace hone
