#include "tuner/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "codegen/error.h"
#include "codegen/space.h"

namespace hone {
namespace {

bool same_trial(const Trial& a, const Trial& b) {
  return a.device == b.device && a.problem == b.problem && a.template_hash == b.template_hash &&
         a.config == b.config;
}

// Whether a row may be used here at all, as the runtime decides it.
struct Fitness {
  Standing standing = Standing::kChosen;
  std::string reason;
  bool fits() const { return reason.empty(); }
};

Fitness fitness_of(const Catalog& catalog, const Target* target, const Trial& trial) {
  try {
    const Problem problem = Problem::parse(trial.problem);
    const Template* variant = catalog.variant(problem.op, trial.variant);
    if (variant == nullptr) {
      return {Standing::kStale, fmt::format("no variant {} of {} is known here (--templates?)",
                                            trial.variant, problem.op)};
    }
    if (variant->hash != trial.template_hash) {
      return {Standing::kStale,
              fmt::format("variant {} has another text now: tune again", trial.variant)};
    }
    if (target == nullptr) return {};
    const Op& op = catalog.op(problem.op);
    Values scope = op.scope(op.canonical(problem, true));
    scope.merge(target->limits);
    if (!variant->serves_problem(scope, target->backend)) {
      return {Standing::kIllegal, fmt::format("variant {} doesn't serve this here", trial.variant)};
    }
    if (!is_legal(*variant, scope, Values::parse(trial.config))) {
      return {Standing::kIllegal, "its config isn't legal here"};
    }
  } catch (const Error& error) {
    return {Standing::kIllegal, error.what()};
  }
  return {};
}

// Doublings between the static dims; nullopt when the words differ: another computation.
std::optional<double> distance(const Op& op, const Problem& a, const Problem& b) {
  const Values left = op.scope(a);
  const Values right = op.scope(b);
  for (const Word& word : op.words) {
    if (left.word(word.name) != right.word(word.name)) return std::nullopt;
  }
  double sum = 0;
  for (const Dim& dim : op.dims) {
    if (dim.dynamic) continue;
    const auto from = static_cast<double>(std::max<std::int64_t>(left.integer(dim.name), 1));
    const auto to = static_cast<double>(std::max<std::int64_t>(right.integer(dim.name), 1));
    sum += std::fabs(std::log2(from / to));
  }
  return sum;
}

class Explainer {
 public:
  Explainer(const Layers& layers, const Catalog& catalog, const DeviceIdentity& device,
            const Target* target, const Problem& problem)
      : layers_(layers),
        catalog_(catalog),
        op_(catalog.op(problem.op)),
        device_(device),
        target_(target),
        problem_(problem) {
    const auto fits = [&](const Trial& trial) {
      return fitness_of(catalog_, target_, trial).fits();
    };
    for (Best& row : layers_.best_of_handle(device_.key(), op_.handle(problem_).text(), fits)) {
      if (row.problem == problem_.text()) winners_.push_back(std::move(row));
    }
  }

  Explanation run() {
    add_rows(layers_.user(), false);
    add_rows(layers_.system(), true);
    const auto order = [](const Considered& row) {
      const bool failed = row.trial.status != Status::kOk;
      return std::tuple(row.standing > Standing::kOfLayout, row.standing != Standing::kChosen,
                        failed, counted_ns(row.trial));
    };
    std::stable_sort(result_.rows.begin(), result_.rows.end(),
                     [&](const Considered& a, const Considered& b) { return order(a) < order(b); });
    add_stand_ins();
    return std::move(result_);
  }

 private:
  void add_rows(const Database* layer, bool system) {
    if (layer == nullptr) return;
    for (Trial& trial : layer->trials(device_.key(), problem_.text(), &result_.unread)) {
      Considered row{std::move(trial), system, Standing::kSlower, ""};
      judge(row);
      result_.rows.push_back(std::move(row));
    }
  }

  void judge(Considered& row) const {
    const Trial& trial = row.trial;
    const auto standing = [&](Standing is, std::string why) {
      row.standing = is;
      row.reason = std::move(why);
    };
    if (row.system && layers_.user() != nullptr &&
        layers_.user()->find_trial(trial.device, trial.problem, trial.template_hash,
                                   trial.config)) {
      return standing(Standing::kReplaced, "your own database has this config");
    }
    if (trial.status != Status::kOk) {
      const std::string first_line = trial.reason.substr(0, trial.reason.find('\n'));
      return standing(Standing::kFailed,
                      to_text(trial.status) + (first_line.empty() ? "" : ": " + first_line));
    }
    if (const Fitness fitness = fitness_of(catalog_, target_, trial); !fitness.fits()) {
      return standing(fitness.standing, fitness.reason);
    }
    const auto winner = std::find_if(winners_.begin(), winners_.end(),
                                     [&](const Best& best) { return same_trial(best, trial); });
    if (winner == winners_.begin() && winner != winners_.end()) {
      return standing(Standing::kChosen, trial.preference > 0 ? "chosen: first of the final round"
                                                              : "chosen: lowest median");
    }
    if (winner != winners_.end()) return standing(Standing::kOfLayout, "the best of its layout");
    const Best* best = best_of_layout(trial.layout);
    const auto times = [&](std::int64_t own, std::int64_t winners) {
      return fmt::format("{:.2f} times the winner's time",
                         static_cast<double>(own) / static_cast<double>(winners));
    };
    if (best == nullptr) return standing(Standing::kSlower, "slower");
    if (trial.preference > 0) {
      return standing(Standing::kSlower,
                      fmt::format("place {} of the final round: {}", trial.preference,
                                  times(counted_ns(trial), counted_ns(*best))));
    }
    standing(Standing::kSlower, trial.median_ns < best->median_ns
                                    ? "faster once, but in no final round"
                                    : times(trial.median_ns, best->median_ns));
  }

  const Best* best_of_layout(const std::string& layout) const {
    for (const Best& best : winners_) {
      if (best.layout == layout) return &best;
    }
    return nullptr;
  }

  void add_stand_ins() {
    std::map<std::string, DeviceIdentity> devices;
    for (DeviceIdentity& known : layers_.devices()) devices[known.key()] = std::move(known);
    const auto known_here = [&](const Trial& trial) {
      const Template* variant = catalog_.variant(problem_.op, trial.variant);
      return variant != nullptr && variant->hash == trial.template_hash;
    };
    const Problem handle = op_.handle(problem_);
    struct Placed {
      int rank;
      StandIn row;
    };
    std::vector<Placed> placed;
    for (Best& row : layers_.best_of_op(problem_.op, known_here)) {
      const bool own = row.device == device_.key();
      if (own && row.problem == problem_.text()) continue;
      const DeviceIdentity& device = devices[row.device];
      if (device.backend != device_.backend) continue;
      try {
        const Problem other = op_.handle(op_.canonical(Problem::parse(row.problem), true));
        const auto apart = distance(op_, handle, other);
        if (!apart) continue;
        const bool same = *apart == 0;
        const int rank = own ? (same ? 0 : 1) : device.arch == device_.arch ? 2 : 3;
        placed.push_back({rank,
                          {std::move(row),
                           rank == 0   ? "bucket"
                           : rank == 1 ? "near"
                                       : "sibling",
                           *apart}});
      } catch (const Error&) {
        continue;  // written by another version of the operator
      }
    }
    std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
      return std::tie(a.rank, a.row.distance) < std::tie(b.rank, b.row.distance);
    });
    for (Placed& one : placed) result_.stand_ins.push_back(std::move(one.row));
  }

  const Layers& layers_;
  const Catalog& catalog_;
  const Op& op_;
  const DeviceIdentity& device_;
  const Target* target_;
  const Problem& problem_;
  std::vector<Best> winners_;
  Explanation result_;
};

}  // namespace

Explanation explain(const Layers& layers, const Catalog& catalog, const DeviceIdentity& device,
                    const Target* target, const Problem& problem) {
  return Explainer(layers, catalog, device, target, problem).run();
}

}  // namespace hone
