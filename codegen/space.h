// The legal Configs of one Template for one Problem on one Target.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "codegen/template.h"
#include "codegen/values.h"

namespace hone {

using Random = std::mt19937_64;

// Whether `config` has exactly the variant's parameters, each with one of its values, and satisfies
// every `require`. What `scope` lacks (dynamic dims of a handle) makes a rule undecided, and that
// counts as satisfied. Enumerates nothing.
bool is_legal(const Template& variant, const Values& scope, const Config& config);

// Parameters times constraints. Constraints that share parameters form a component; each
// component's legal part is enumerated once (pruned depth first), and the space is the product of
// the components: the full product is never in memory. Immutable after construction; safe to share
// between threads.
class Space {
 public:
  // `scope`: dims, words and lets of a complete problem merged with the target's limits.
  Space(const Template& variant, const Values& scope);

  std::uint64_t count() const;
  Config at(std::uint64_t index) const;  // index < count()
  bool contains(const Config& config) const;
  Config sample(Random& random) const;  // uniform; count() > 0
  std::vector<Config> neighbours(
      const Config& config) const;  // legal, differing in one parameter (any other value)
  Config nearest(const Config& config)
      const;  // the legal config with the fewest, then smallest, steps of parameters away
  Config start() const;  // the template's start; if that isn't legal here, the nearest legal config

  // Value indices are handy for strategies: position of each parameter's value in its list.
  struct Axis {
    std::string name;
    std::vector<Value> values;
  };
  const std::vector<Axis>& axes() const { return axes_; }

 private:
  // Axes that constraints tie together, with the ranks of their legal combinations in ascending
  // order. A rank is the mixed-radix number of the value indices, first axis most significant.
  struct Component {
    std::vector<std::size_t> axes;
    std::vector<std::uint64_t> ranks;
  };
  using Indices = std::vector<std::size_t>;  // per axis, the index of its value

  std::vector<Component> components_of(const std::vector<Expression>& rules) const;
  void enumerate(Component& component, const std::vector<Expression>& rules, const Values& scope);
  std::uint64_t rank_of(const Component& component, const Indices& indices) const;
  void put(const Component& component, std::uint64_t rank, Indices& indices) const;
  bool legal(const Indices& indices) const;
  std::optional<Indices> indices_of(const Config& config) const;
  Config config_of(const Indices& indices) const;

  std::string name_;  // for messages
  std::vector<Axis> axes_;
  std::vector<Component> components_;
  Config start_;
};

}  // namespace hone
