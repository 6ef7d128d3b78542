// oneDNN: matmul (weights as they come, or in the layout that it chooses), softmax and layer
// normalisation.
#include <dnnl.hpp>
#include <functional>
#include <memory>

#include "tests/peers/peer.h"
#include "tests/peers/problem_values.h"

extern "C" void omp_set_num_threads(int) __attribute__((weak));

namespace {

using dnnl::memory;

struct Prepared {
  std::function<void()> run;
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::data_type type_of(const std::string& word) {
  if (word == "f32") return memory::data_type::f32;
  if (word == "bf16") return memory::data_type::bf16;
  if (word == "s8") return memory::data_type::s8;
  return memory::data_type::undef;
}

memory view(const memory::desc& desc, const void* data) {
  return memory(desc, engine(), const_cast<void*>(data));
}

// int8: Hone's per-row and per-channel scales can't both be given to this oneDNN, so the product
// alone is timed, scaled by one factor: the comparison favours the peer.
std::unique_ptr<Prepared> matmul(const ProblemValues& problem, bool packed,
                                 void* const* arguments) {
  const memory::dim m = problem.integer("m"), n = problem.integer("n"), k = problem.integer("k");
  const auto x = type_of(problem.word("x", "f32")), w = type_of(problem.word("w", "f32")),
             y = type_of(problem.word("y", "f32"));
  if (x == memory::data_type::undef || w != x || y == memory::data_type::undef ||
      problem.word("epilogue", "none") != "none")
    return nullptr;
  const memory::desc x_desc({m, k}, x, {k, 1}), y_desc({m, n}, y, {n, 1}),
      w_plain({k, n}, w, {1, k});
  const memory::desc w_any({k, n}, w, memory::format_tag::any);
  const dnnl::matmul::desc operation(x_desc, packed ? w_any : w_plain, y_desc);
  const dnnl::matmul::primitive_desc chosen(operation, engine());
  const dnnl::matmul primitive(chosen);
  dnnl::stream stream(engine());
  memory weights = view(w_plain, arguments[1]);
  if (chosen.weights_desc() != w_plain) {
    memory own(chosen.weights_desc(), engine());
    dnnl::reorder(weights, own).execute(stream, weights, own);
    stream.wait();
    weights = own;
  }
  const memory from = view(x_desc, arguments[0]), to = view(y_desc, arguments[2]);
  auto prepared = std::make_unique<Prepared>();
  prepared->run = [=]() mutable {
    primitive.execute(stream,
                      {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, to}});
    stream.wait();
  };
  return prepared;
}

std::unique_ptr<Prepared> softmax(const ProblemValues& problem, void* const* arguments) {
  if (problem.word("mask", "none") != "none" || problem.word("causal", "no") != "no" ||
      problem.word("softcap", "no") != "no")
    return nullptr;
  const memory::dim rows = problem.integer("rows"), cols = problem.integer("cols");
  const memory::desc desc({rows, cols}, type_of(problem.word("x", "f32")), {cols, 1});
  dnnl::stream stream(engine());
  const memory from = view(desc, arguments[0]), to = view(desc, arguments[1]);
  const auto finish = [&](const dnnl::primitive& primitive) {
    auto prepared = std::make_unique<Prepared>();
    prepared->run = [=]() mutable {
      primitive.execute(stream, {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, to}});
      stream.wait();
    };
    return prepared;
  };
  const auto kind = dnnl::prop_kind::forward_inference;
  if (problem.word("form", "plain") == "log")
    return finish(dnnl::logsoftmax_forward({{kind, desc, 1}, engine()}));
  return finish(dnnl::softmax_forward({{kind, desc, 1}, engine()}));
}

std::unique_ptr<Prepared> layernorm(const ProblemValues& problem, void* const* arguments) {
  // y = x normalised, times weight (3rd argument from the front is y), plus bias.
  if (problem.word("kind", "rms") != "layer_bias" || problem.word("residual", "no") != "no" ||
      problem.word("weight", "f32") != "f32")
    return nullptr;
  const memory::dim rows = problem.integer("rows"), cols = problem.integer("cols");
  const memory::desc desc({rows, cols}, type_of(problem.word("x", "f32")), {cols, 1});
  const memory::desc vector({cols}, memory::data_type::f32, {1});
  const auto flags = dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
  const dnnl::layer_normalization_forward primitive(
      {{dnnl::prop_kind::forward_inference, desc, 1e-5f, flags}, engine()});
  dnnl::stream stream(engine());
  const memory from = view(desc, arguments[0]), to = view(desc, arguments[2]);
  const memory scale = view(vector, arguments[1]), shift = view(vector, arguments[3]);
  auto prepared = std::make_unique<Prepared>();
  prepared->run = [=]() mutable {
    primitive.execute(stream, {{DNNL_ARG_SRC, from},
                               {DNNL_ARG_DST, to},
                               {DNNL_ARG_SCALE, scale},
                               {DNNL_ARG_SHIFT, shift}});
    stream.wait();
  };
  return prepared;
}

}  // namespace

const char* hone_peer_name(void) {
  const dnnl_version_t* version = dnnl_version();
  static const std::string name = "onednn " + std::to_string(version->major) + "." +
                                  std::to_string(version->minor) + "." +
                                  std::to_string(version->patch);
  return name.c_str();
}

const char* hone_peer_way(int way) {
  static const char* const kWays[] = {"plain", "packed", nullptr};
  return kWays[way];
}

void* hone_peer_prepare(const char* text, int way, void* const* arguments, int threads) {
  if (omp_set_num_threads) omp_set_num_threads(threads);
  try {
    const ProblemValues problem(text);
    if (problem.op == "gemm") return matmul(problem, way == 1, arguments).release();
    if (way != 0) return nullptr;
    if (problem.op == "softmax") return softmax(problem, arguments).release();
    if (problem.op == "norm") return layernorm(problem, arguments).release();
  } catch (const dnnl::error&) {
    // This build or this chip can't do it.
  }
  return nullptr;
}

void hone_peer_run(void* prepared) { static_cast<Prepared*>(prepared)->run(); }

void hone_peer_release(void* prepared) { delete static_cast<Prepared*>(prepared); }
