// Proves an operator's kernels against a double-precision computation that shares nothing with
// them: problems, inputs and configs are drawn, every result is compared.
//
// HONE_TEST_SAMPLES=N compiles N configs per test (default: few), HONE_TEST_SEED=N draws others,
// HONE_TEST_TEMPLATES=DIR takes its templates instead of those that were built in.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/space.h"
#include "runtime/backend.h"
#include "runtime/hone.h"
#include "runtime/kernel.h"
#include "tests/templates/support/stored.h"

namespace hone::prove {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A number in [low, high].
inline std::int64_t within(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}
inline bool chance(Random& random, int in) { return within(random, 1, in) == 1; }
template <typename T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[within(random, 0, std::ssize(choices) - 1)];
}
// Close enough to normal(0, 1), and cheap: the sum of four uniform numbers.
inline double normal(Random& random) {
  std::uint64_t bits = random();
  double sum = -2;
  for (int i = 0; i < 4; ++i, bits >>= 16) sum += static_cast<double>(bits & 0xffff) / 65536;
  return sum * 1.7320508;
}

// What is special about a call's inputs.
enum class Flavour {
  kPlain,    // as op.json draws them
  kSpecial,  // NaN and infinity strewn in
  kHard      // what the operator finds hard: Spec::harden
};

struct Call {
  Problem problem;  // canonical, complete
  Values scope;     // its dims, words and lets
  Flavour flavour = Flavour::kPlain;
  std::map<std::string, Tensor> in;      // by argument
  std::map<std::string, float> scalars;  // those that are given; the others take their default
  std::map<std::string, std::string> same_memory;  // output -> the input whose memory it is
  std::optional<double> tolerance;                 // in place of the operator's
  double least_rms = 0;                            // of what is expected, for the error norm

  std::int64_t operator[](const char* name) const { return scope.integer(name); }
  bool is(const char* name, const char* word) const { return scope.word(name) == word; }
  const std::vector<double>& x(const char* argument) const { return in.at(argument).values; }
  double scalar(const char* name, double otherwise) const {
    auto found = scalars.find(name);
    return found == scalars.end() ? otherwise : static_cast<double>(found->second);
  }
};

using Outputs = std::map<std::string, std::vector<double>>;

// An operator as the tests understand it, from its op.json and the literature.
struct Spec {
  std::string op;
  std::function<void(Random&, Problem&)> draw_statics;   // the words are there
  std::function<void(Random&, Problem&)> draw_dynamics;  // words and static dims are there
  // Inputs and scalars; every input is there, drawn from normal(0, 1).
  std::function<void(Random&, Call&)> fill = [](Random&, Call&) {};
  std::function<void(Random&, Call&)> harden = [](Random&, Call&) {};
  // Inputs that may hold NaN, and whether infinity too.
  std::function<std::map<std::string, bool>(const Call&)> special;
  // Pairs of output and input that may share memory.
  std::function<std::vector<std::map<std::string, std::string>>(const Call&)> aliases =
      [](const Call&) { return std::vector<std::map<std::string, std::string>>{}; };
  std::function<Outputs(const Call&)> expect;
};

// Everything that is known is drawn from these: same numbers, same call.
Call draw_call(const Spec& spec, const Problem& problem, Flavour flavour, std::uint64_t seed);

// A kernel however it was made.
struct Runner {
  std::function<std::size_t(const std::string& argument)> packed_bytes;  // 0: not packed
  std::function<bool(const std::string& argument, const void* from, void* to)> pack;
  std::function<std::optional<std::size_t>(const std::int64_t* dims)> workspace_bytes;
  std::function<bool(void* const* arguments, const std::int64_t* dims, void* workspace)> launch;
};
Runner runner_of(const Kernel& kernel);
Runner runner_of(const hone_kernel* kernel);

// Runs the call twice, with poisoned outputs and workspace, on fenced memory. "" or what is wrong
// other than the values, which come in `got`.
std::string run_call(const Runner& runner, const Call& call, const std::string& description,
                     Outputs* got);
// The same, with the values.
std::string verdict(const Runner& runner, const Spec& spec, const Call& call,
                    const std::string& description);
// Where `got` is wrong by the error norm of templates/README.md, or "".
std::string difference(const std::string& name, const std::vector<double>& got,
                       const std::vector<double>& want, double tolerance, double least_rms = 0);

// A config of a variant for a complete problem, compiled and loaded.
Kernel build(const Template& variant, const Problem& problem, const Config& config, Device& device);
std::optional<Problem> draw_problem(const Spec& spec, Random& random);
Values scope_on(const Problem& problem, const Target& target);  // with the target's limits

// The four ways in which an operator is proven; each is a test's whole body.
void prove_start_configs(const Spec& spec);     // C API, no database, one and two threads
void prove_sampled_configs(const Spec& spec);   // every variant, configs and words covered by pairs
void prove_narrower_targets(const Spec& spec);  // code for AVX2 and SSE2, run here
void prove_problem_sets(const Spec& spec);      // the problems of op.json, C API

const Catalog& catalog();
bool serves_cpu(const Template& variant);  // others are proven in tests of their backends
int samples(int otherwise);                // HONE_TEST_SAMPLES
std::uint64_t first_seed();                // HONE_TEST_SEED

}  // namespace hone::prove
