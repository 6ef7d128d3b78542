#include "codegen/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "codegen/error.h"

namespace hone {

bool is_legal(const Template& variant, const Values& scope, const Config& config) {
  if (config.size() != variant.parameters.size()) return false;
  Values all = scope;
  for (const Parameter& parameter : variant.parameters) {
    const Value* value = config.find(parameter.name);
    bool listed =
        value != nullptr &&
        std::any_of(parameter.values.begin(), parameter.values.end(),
                    [&](const Expression& expression) {
                      return expression.with(variant.lets).evaluate(lookup_in(scope)) == *value;
                    });
    if (!listed) return false;
    all.set(parameter.name, *value);
  }
  return std::all_of(
      variant.requires_.begin(), variant.requires_.end(), [&](const Expression& rule) {
        Expression whole = rule.with(variant.lets);
        bool known = std::all_of(whole.names().begin(), whole.names().end(),
                                 [&](const std::string& name) { return all.has(name); });
        return !known || whole.truth(lookup_in(all));
      });
}

Space::Space(const Template& variant, const Values& scope)
    : name_(variant.op + "/" + variant.variant) {
  Lookup lookup = lookup_in(scope);
  for (const Parameter& parameter : variant.parameters) {
    Axis axis{parameter.name, {}};
    const bool all = parameter.searched.empty();
    for (const Expression& expression : all ? parameter.values : parameter.searched) {
      Value value = expression.with(variant.lets).evaluate(lookup);
      if (std::find(axis.values.begin(), axis.values.end(), value) == axis.values.end())
        axis.values.push_back(value);
    }
    axes_.push_back(std::move(axis));
  }
  std::vector<Expression> rules;
  for (const Expression& rule : variant.requires_) rules.push_back(rule.with(variant.lets));
  components_ = components_of(rules);
  for (Component& component : components_) enumerate(component, rules, scope);
  for (const auto& [name, expression] : variant.start)
    start_.set(name, expression.with(variant.lets).evaluate(lookup));
}

std::vector<Space::Component> Space::components_of(const std::vector<Expression>& rules) const {
  std::vector<std::size_t> parent(axes_.size());
  std::iota(parent.begin(), parent.end(), std::size_t{0});
  auto root = [&](std::size_t axis) {
    while (parent[axis] != axis) axis = parent[axis];
    return axis;
  };
  for (const Expression& rule : rules) {
    std::optional<std::size_t> first;
    for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
      if (rule.names().count(axes_[axis].name) == 0) continue;
      if (!first)
        first = root(axis);
      else
        parent[root(axis)] = *first;
    }
  }
  std::vector<Component> components;
  for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
    auto same = std::find_if(components.begin(), components.end(), [&](const Component& component) {
      return root(component.axes[0]) == root(axis);
    });
    if (same == components.end())
      components.push_back({{axis}, {}});
    else
      same->axes.push_back(axis);
  }
  return components;
}

void Space::enumerate(Component& component, const std::vector<Expression>& rules,
                      const Values& scope) {
  std::vector<std::string> names;
  for (std::size_t axis : component.axes) names.push_back(axes_[axis].name);
  // Each rule is tested as soon as its last parameter has a value. Rules without parameters belong
  // to the first component.
  struct Rule {
    BoundExpression holds;
    const Expression* expression;
  };
  std::vector<std::vector<Rule>> at_depth(names.size());
  for (const Expression& rule : rules) {
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (rule.names().count(names[i]) != 0) last = i;
    bool of_no_component = std::none_of(axes_.begin(), axes_.end(), [&](const Axis& axis) {
      return rule.names().count(axis.name) != 0;
    });
    if (of_no_component && &component == &components_[0]) last = 0;
    if (last) at_depth[*last].push_back({rule.bind(lookup_in(scope), names), &rule});
  }
  std::vector<std::int64_t> slots(names.size());
  auto descend = [&](auto&& self, std::size_t depth, std::uint64_t rank) -> void {
    if (depth == names.size()) {
      component.ranks.push_back(rank);
      return;
    }
    const std::vector<Value>& values = axes_[component.axes[depth]].values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      slots[depth] = slot_value(values[i]);
      bool legal =
          std::all_of(at_depth[depth].begin(), at_depth[depth].end(), [&](const Rule& rule) {
            std::optional<std::int64_t> holds = rule.holds(slots.data());
            if (!holds)
              throw Error(Code::kTemplate,
                          fmt::format("{}: division by zero or overflow in '{}' for {}",
                                      rule.expression->where().text(), rule.expression->text(),
                                      scope.text()));
            return *holds != 0;
          });
      if (legal) self(self, depth + 1, rank * values.size() + i);
    }
  };
  descend(descend, 0, 0);
}

std::uint64_t Space::count() const {
  std::uint64_t count = 1;
  for (const Component& component : components_)
    if (__builtin_mul_overflow(count, component.ranks.size(), &count))
      throw Error(Code::kTemplate,
                  fmt::format("the space of {} has more than 2^64 configs", name_));
  return count;
}

Config Space::at(std::uint64_t index) const {
  Indices indices(axes_.size());
  for (const Component& component : components_) {
    put(component, component.ranks[index % component.ranks.size()], indices);
    index /= component.ranks.size();
  }
  return config_of(indices);
}

bool Space::contains(const Config& config) const {
  std::optional<Indices> indices = indices_of(config);
  return indices && config.size() == axes_.size() && legal(*indices);
}

Config Space::sample(Random& random) const {
  return at(std::uniform_int_distribution<std::uint64_t>(0, count() - 1)(random));
}

std::vector<Config> Space::neighbours(const Config& config) const {
  std::vector<Config> result;
  std::optional<Indices> indices = indices_of(config);
  if (!indices) return result;
  for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
    Indices other = *indices;
    for (other[axis] = 0; other[axis] < axes_[axis].values.size(); ++other[axis])
      if (other[axis] != (*indices)[axis] && legal(other)) result.push_back(config_of(other));
  }
  return result;
}

Config Space::nearest(const Config& config) const {
  if (count() == 0)
    throw Error(Code::kUnsupported, fmt::format("{} has no legal config here", name_));
  constexpr std::size_t kDifferent = 1 << 20;  // one parameter more counts for more than any step
  // Distance of every value of every axis.
  std::vector<std::vector<std::size_t>> distance(axes_.size());
  for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
    const std::vector<Value>& values = axes_[axis].values;
    const Value* wanted = config.find(axes_[axis].name);
    distance[axis].assign(values.size(), 0);
    if (wanted == nullptr) continue;
    auto exact = std::find(values.begin(), values.end(), *wanted);
    std::size_t home = static_cast<std::size_t>(exact - values.begin());
    if (exact == values.end()) {
      home = 0;
      const auto* number = std::get_if<std::int64_t>(wanted);
      double best = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; number != nullptr && i < values.size(); ++i) {
        const auto* value = std::get_if<std::int64_t>(&values[i]);
        double apart = value == nullptr ? std::numeric_limits<double>::infinity()
                                        : std::abs(static_cast<double>(*value - *number));
        if (apart < best) best = apart, home = i;
      }
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      distance[axis][i] = i == home ? 0 : kDifferent + (i > home ? i - home : home - i);
  }
  Indices result(axes_.size());
  for (const Component& component : components_) {
    std::size_t best = std::numeric_limits<std::size_t>::max();
    std::uint64_t chosen = component.ranks[0];
    Indices indices(axes_.size());
    for (std::uint64_t rank : component.ranks) {
      put(component, rank, indices);
      std::size_t sum = 0;
      for (std::size_t axis : component.axes) sum += distance[axis][indices[axis]];
      if (sum < best) best = sum, chosen = rank;
    }
    put(component, chosen, result);
  }
  return config_of(result);
}

Config Space::start() const { return contains(start_) ? start_ : nearest(start_); }

std::uint64_t Space::rank_of(const Component& component, const Indices& indices) const {
  std::uint64_t rank = 0;
  for (std::size_t axis : component.axes) rank = rank * axes_[axis].values.size() + indices[axis];
  return rank;
}

void Space::put(const Component& component, std::uint64_t rank, Indices& indices) const {
  for (std::size_t i = component.axes.size(); i-- > 0;) {
    std::size_t axis = component.axes[i];
    indices[axis] = rank % axes_[axis].values.size();
    rank /= axes_[axis].values.size();
  }
}

bool Space::legal(const Indices& indices) const {
  return std::all_of(components_.begin(), components_.end(), [&](const Component& component) {
    return std::binary_search(component.ranks.begin(), component.ranks.end(),
                              rank_of(component, indices));
  });
}

std::optional<Space::Indices> Space::indices_of(const Config& config) const {
  Indices indices;
  for (const Axis& axis : axes_) {
    const Value* value = config.find(axis.name);
    if (value == nullptr) return std::nullopt;
    auto found = std::find(axis.values.begin(), axis.values.end(), *value);
    if (found == axis.values.end()) return std::nullopt;
    indices.push_back(static_cast<std::size_t>(found - axis.values.begin()));
  }
  return indices;
}

Config Space::config_of(const Indices& indices) const {
  Config config;
  for (std::size_t axis = 0; axis < axes_.size(); ++axis)
    config.set(axes_[axis].name, axes_[axis].values[indices[axis]]);
  return config;
}

}  // namespace hone
