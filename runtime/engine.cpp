#include "runtime/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <tuple>

#include "codegen/error.h"
#include "codegen/space.h"
#include "runtime/trust.h"

namespace hone {
namespace {

constexpr std::chrono::seconds kCompileLimit{60};
// A layout that was never measured at a bucket is taken to cost this much more than the best one
// there.
constexpr double kUnmeasuredPenalty = 2;

bool knows_all(const Expression& expression, const Values& values) {
  return std::all_of(expression.names().begin(), expression.names().end(),
                     [&](const std::string& name) { return values.has(name); });
}

// Sum of |log2| ratios of the static dims; nullopt when words or the set of dims differ.
std::optional<double> distance(const Op& op, const Problem& a, const Problem& b) {
  Values left = op.scope(a), right = op.scope(b);
  for (const Word& word : op.words)
    if (left.word(word.name) != right.word(word.name)) return std::nullopt;
  double sum = 0;
  for (const Dim& dim : op.dims) {
    if (dim.dynamic) continue;
    if (!left.has(dim.name) || !right.has(dim.name)) return std::nullopt;
    double from = static_cast<double>(std::max<std::int64_t>(left.integer(dim.name), 1));
    double to = static_cast<double>(std::max<std::int64_t>(right.integer(dim.name), 1));
    sum += std::abs(std::log2(from / to));
  }
  return sum;
}

Layers open_layers(const std::optional<std::filesystem::path>& database) {
  if (database && !std::filesystem::exists(*database))
    throw Error(Code::kNotFound,
                fmt::format("{}: there is no such database; `hone tune --db {}` makes one",
                            database->string(), database->string()));
  return Layers::open(database ? *database : user_database(), system_database());
}

std::vector<std::int64_t> point_of(const Op& op, const Problem& problem) {
  Values scope = op.scope(problem);
  std::vector<std::int64_t> point;
  for (const std::string& dim : op.dynamic_dims()) point.push_back(scope.integer(dim));
  return point;
}

// Whether dynamic dims decide where the variant serves.
bool restricts_dims(const Op& op, const Template& variant) {
  if (variant.when.empty()) return false;
  std::vector<std::pair<std::string, Expression>> lets = op.lets;
  lets.insert(lets.end(), variant.lets.begin(), variant.lets.end());
  std::set<std::string> names = variant.when.with(lets).names();
  return std::any_of(op.dims.begin(), op.dims.end(),
                     [&](const Dim& dim) { return dim.dynamic && names.count(dim.name) != 0; });
}

// The variant's start config, or the legal one nearest to it, that has `layout` (any when absent);
// nullopt when none has.
std::optional<Config> start_in(const Template& variant, const Values& scope, const Values& complete,
                               const std::optional<std::string>& layout) {
  Config start;
  for (const auto& [name, expression] : variant.start)
    start.set(name, expression.with(variant.lets).evaluate(lookup_in(complete)));
  auto fits = [&](const Config& config) {
    return !layout || layout_of(variant, config, scope) == *layout;
  };
  if (is_legal(variant, scope, start) && fits(start)) return start;
  Space space(variant, complete);
  if (space.count() == 0) return std::nullopt;
  if (Config nearest = space.nearest(start); fits(nearest)) return nearest;
  // Try every combination of the parameters that the layouts depend on.
  std::vector<Config> wanted = {start};
  for (const Space::Axis& axis : space.axes()) {
    bool shapes_layout =
        std::any_of(variant.packs.begin(), variant.packs.end(), [&](const Pack& pack) {
          return std::any_of(pack.parameters.begin(), pack.parameters.end(),
                             [&](const Expression& parameter) {
                               return parameter.with(variant.lets).names().count(axis.name) != 0;
                             });
        });
    if (!shapes_layout) continue;
    std::vector<Config> more;
    for (const Config& config : wanted)
      for (const Value& value : axis.values) more.emplace_back(config).set(axis.name, value);
    wanted = std::move(more);
  }
  for (const Config& config : wanted)
    if (Config nearest = space.nearest(config); fits(nearest)) return nearest;
  return std::nullopt;
}

}  // namespace

struct Engine::Choice {
  const Template* variant;
  Config config;
  std::vector<std::int64_t> point;  // empty: a fallback
  Match match;
  std::int64_t median_ns = 0;
  Hash source;  // of the record; zero when it must be rendered
  std::string layout;
};

Engine::Engine(const EngineOptions& options)
    : catalog_(Catalog::embedded()),
      device_(open_device(options.device)),
      backend_(find_backend(device_->target().backend)),
      layers_(open_layers(options.database)),
      device_key_(device_->identity().key()),
      no_compile_(options.no_compile) {
  for (const auto& directory : options.templates) catalog_.add_directory(directory);
  if (const char* value = std::getenv("HONE_NO_COMPILE");
      value != nullptr && *value != '\0' && std::string_view(value) != "0")
    no_compile_ = true;
}

Engine::~Engine() = default;

std::unique_ptr<Handle> Engine::resolve(const std::string& text,
                                        std::optional<std::string> layout) {
  const Problem given = catalog_.problem(text, false);
  const Op& op = catalog_.op(given.op);
  const Problem problem = op.handle(given);
  std::vector<Choice> choices = tuned(problem);
  auto keep_layout = [&] {
    if (layout)
      std::erase_if(choices, [&](const Choice& choice) { return choice.layout != *layout; });
  };
  keep_layout();
  if (choices.empty()) {
    choices = borrowed(problem);
    keep_layout();
  }
  choices = of_one_layout(std::move(choices), problem);
  if (!choices.empty()) layout = choices.front().layout;
  for (Choice& choice : starts(problem, choices, layout)) choices.push_back(std::move(choice));
  if (choices.empty())
    throw Error(Code::kUnsupported,
                fmt::format("no variant of {} serves '{}' on {}{}; `hone ops {}` lists them",
                            op.name, problem.text(), device_->target().text(),
                            layout ? fmt::format(" in the layout '{}'", *layout) : "", op.name));

  std::vector<Handle::Bucket> buckets;
  std::optional<Error> missing;  // the first binary that isn't there
  bool covered = false;          // some kernel serves all dims
  for (const Choice& choice : choices) {
    if (choice.point.empty() && covered) break;
    try {
      buckets.push_back(load(problem, choice));
    } catch (const Error& error) {
      if (error.code() != Code::kNoBinary) throw;
      if (!missing) missing = error;
      continue;
    }
    covered |= buckets.back().kernel.always_legal();
  }
  if (buckets.empty()) throw *missing;
  return std::make_unique<Handle>(op, problem, std::move(buckets));
}

std::optional<Engine::Choice> Engine::adapted(const Best& row, const Problem& handle,
                                              Match match) const {
  const Template* variant = catalog_.variant(handle.op, row.variant);
  if (variant == nullptr || variant->hash != row.template_hash) return std::nullopt;
  const Op& op = catalog_.op(handle.op);
  try {
    Problem at = handle;  // our static dims with the dynamic ones of the row
    Problem tuned_at = op.canonical(Problem::parse(row.problem), true);
    for (const std::string& dim : op.dynamic_dims())
      if (const Value* value = tuned_at.values.find(dim)) at.values.set(dim, *value);
    at = op.canonical(at, true);
    Values scope = op.scope(at);
    scope.merge(device_->target().limits);
    if (!variant->serves_problem(scope, backend_->name())) return std::nullopt;
    Config config = Values::parse(row.config);
    Hash source = row.source;
    if (match != Match::kExact) {
      Space space(*variant, scope);
      if (space.count() == 0) return std::nullopt;
      config = space.contains(config) ? config : space.nearest(config);
      source = Hash{};
    } else if (!is_legal(*variant, scope, config)) {
      return std::nullopt;
    }
    return Choice{variant,
                  config,
                  point_of(op, at),
                  match,
                  match == Match::kExact ? counted_ns(row) : 0,
                  source,
                  layout_of(*variant, config, scope)};
  } catch (const Error&) {
    return std::nullopt;  // a row that doesn't fit is skipped; `hone db explain` tells why
  }
}

std::vector<Engine::Choice> Engine::tuned(const Problem& handle) const {
  // A row that doesn't fit must not hide the next best one: what fits is decided where rows are
  // chosen.
  std::map<std::tuple<std::string, std::string, std::string>, Choice> fitting;
  auto key = [](const Trial& trial) {
    return std::tuple(trial.problem, trial.variant, trial.config);
  };
  auto fits = [&](const Trial& trial) {
    std::optional<Choice> choice = adapted(trial, handle, Match::kExact);
    if (!choice) return false;
    fitting.insert_or_assign(key(trial), std::move(*choice));
    return true;
  };
  std::vector<Choice> choices;
  for (const Best& row : layers_.best_of_handle(device_key_, handle.text(), fits))
    if (auto found = fitting.find(key(row)); found != fitting.end())
      choices.push_back(found->second);
  return choices;
}

std::vector<Engine::Choice> Engine::borrowed(const Problem& handle) const {
  const Op& op = catalog_.op(handle.op);
  const DeviceIdentity& self = device_->identity();
  std::map<std::string, DeviceIdentity> devices;
  for (const DeviceIdentity& device : layers_.devices()) devices[device.key()] = device;
  // How far a row is: its kind of match first, then its shape.
  struct Candidate {
    Match match;
    int foreign;
    double apart;
    const Best* row;
  };
  std::vector<Best> rows = layers_.best_of_op(handle.op, [](const Trial&) { return true; });
  for (Best& row : layers_.modelled_of_op(handle.op)) rows.push_back(std::move(row));
  std::vector<Candidate> candidates;
  for (const Best& row : rows) {
    const DeviceIdentity& device = devices[row.device];
    if (device.backend != self.backend) continue;
    try {
      Problem other = op.handle(op.canonical(Problem::parse(row.problem), true));
      std::optional<double> apart = distance(op, handle, other);
      // What a simulator or a model timed was never measured.
      bool modelled = row.status == Status::kBuilt || (device.simulated() && !self.simulated());
      bool own = row.device == device_key_ && !modelled;
      if (apart)
        candidates.push_back({own        ? Match::kNear
                              : modelled ? Match::kModelled
                                         : Match::kSibling,
                              own                        ? 0
                              : modelled                 ? (device.arch == self.arch ? 3 : 4)
                              : device.arch == self.arch ? 1
                                                         : 2,
                              *apart, &row});
    } catch (const Error&) {
      continue;  // written by another version of the operator
    }
  }
  auto closer = [](const Candidate& a, const Candidate& b) {
    return std::tie(a.foreign, a.apart, a.row->device, a.row->handle) <
           std::tie(b.foreign, b.apart, b.row->device, b.row->handle);
  };
  std::stable_sort(candidates.begin(), candidates.end(), closer);
  // Every bucket of the nearest handle that has any row which fits here.
  std::vector<Choice> choices;
  const Best* source = nullptr;
  for (const Candidate& candidate : candidates) {
    if (source != nullptr &&
        (candidate.row->device != source->device || candidate.row->handle != source->handle))
      break;
    std::optional<Choice> choice = adapted(*candidate.row, handle, candidate.match);
    if (!choice) continue;
    source = candidate.row;
    choice->median_ns = counted_ns(*candidate.row);
    choices.push_back(std::move(*choice));
  }
  return choices;
}

std::vector<Engine::Choice> Engine::of_one_layout(std::vector<Choice> choices,
                                                  const Problem& handle) const {
  if (choices.empty()) return choices;
  const Op& op = catalog_.op(handle.op);
  // Rows come fastest first: the first of a (layout, point) is its best.
  std::map<std::vector<std::int64_t>, std::map<std::string, const Choice*>> table;
  std::set<std::string> layouts;
  for (const Choice& choice : choices) {
    table[choice.point].try_emplace(choice.layout, &choice);
    layouts.insert(choice.layout);
  }
  std::vector<std::string> dynamic = op.dynamic_dims();
  auto rows_at = [&](const std::vector<std::int64_t>& point) {
    Values values = op.scope(handle);
    for (std::size_t i = 0; i < dynamic.size(); ++i) values.set(dynamic[i], point[i]);
    return knows_all(op.rows, values)
               ? static_cast<double>(std::max<std::int64_t>(op.rows.integer(lookup_in(values)), 1))
               : 1.0;
  };
  std::string best_layout;
  double best_cost = std::numeric_limits<double>::infinity();
  for (const std::string& layout : layouts) {
    double cost = 0;
    for (const auto& [point, by_layout] : table) {
      auto own = by_layout.find(layout);
      double time = std::numeric_limits<double>::infinity();
      if (own != by_layout.end())
        time = static_cast<double>(own->second->median_ns);
      else
        for (const auto& [other, choice] : by_layout)
          time = std::min(time, kUnmeasuredPenalty * static_cast<double>(choice->median_ns));
      cost += time / rows_at(point);
    }
    if (cost < best_cost) best_cost = cost, best_layout = layout;
  }
  std::vector<Choice> result;
  for (const auto& [point, by_layout] : table)
    if (auto own = by_layout.find(best_layout); own != by_layout.end())
      result.push_back(*own->second);
  return result;
}

// What may serve dims that no tuned point's kernel does: the starts of the variants that aren't
// among the chosen, all in one layout. Without a `layout` that of the first variant which serves
// all dims.
std::vector<Engine::Choice> Engine::starts(const Problem& handle, const std::vector<Choice>& chosen,
                                           std::optional<std::string> layout) const {
  const Op& op = catalog_.op(handle.op);
  auto restricts = [&](const Template* variant) { return restricts_dims(op, *variant); };
  if (std::any_of(chosen.begin(), chosen.end(),
                  [&](const Choice& choice) { return !restricts(choice.variant); }))
    return {};
  Problem smallest = handle;  // has every dim, as a Space needs
  for (const Dim& dim : op.dims)
    if (dim.dynamic && !smallest.values.has(dim.name)) smallest.values.set(dim.name, dim.min);
  Values scope = op.scope(handle);
  scope.merge(device_->target().limits);
  Values complete = op.scope(smallest);
  complete.merge(device_->target().limits);

  std::vector<const Template*> serving;
  for (const Template& variant : catalog_.variants(handle.op)) {
    bool there = std::any_of(chosen.begin(), chosen.end(),
                             [&](const Choice& choice) { return choice.variant == &variant; });
    if (!there && variant.serves_problem(scope, backend_->name())) serving.push_back(&variant);
  }
  // Those that serve all dims first.
  std::stable_partition(serving.begin(), serving.end(),
                        [&](const Template* variant) { return !restricts(variant); });
  std::vector<Choice> result;
  for (const Template* variant : serving) {
    std::optional<Config> start = start_in(*variant, scope, complete, layout);
    if (!start) continue;
    if (!layout) layout = layout_of(*variant, *start, scope);
    result.push_back({variant, *start, {}, Match::kStart, 0, {}, *layout});
  }
  return result;
}

Handle::Bucket Engine::load(const Problem& handle, const Choice& choice) {
  bool compiled = false;
  std::shared_ptr<Module> module;
  // A record of this device knows its source: when the binary is at hand, nothing needs to be
  // rendered.
  if (auto found = modules_.find(choice.source); found != modules_.end())
    module = found->second.lock();
  Source source;
  if (module == nullptr && choice.source != Hash{}) {
    source.hash = choice.source;
    for (const Launch& launch : choice.variant->launches)
      if (std::find(source.entries.begin(), source.entries.end(), launch.entry) ==
          source.entries.end())
        source.entries.push_back(launch.entry);
    for (const Pack& pack : choice.variant->packs)
      source.entries.push_back("pack_" + pack.argument);
    module = module_of(source, handle, nullptr);
  }
  if (module == nullptr) {
    source = render(catalog_, *choice.variant, handle, choice.config, device_->target());
    module = module_of(source, handle, &compiled);
  }
  return {choice.point,
          Kernel(catalog_, *choice.variant, handle, choice.config, device_->target(),
                 std::move(module)),
          choice.match, choice.median_ns, compiled};
}

// `compiled` null: only what is stored; nullptr when nothing is.
std::shared_ptr<Module> Engine::module_of(const Source& source, const Problem& handle,
                                          bool* compiled) {
  if (auto found = modules_.find(source.hash); found != modules_.end())
    if (std::shared_ptr<Module> module = found->second.lock()) return module;
  const Target& target = device_->target();
  std::optional<Binary> binary;
  for (const Database* layer : {layers_.user(), layers_.system()}) {
    if (binary || layer == nullptr || !may_run_code_from(layer->file())) continue;
    if (std::optional<std::string> code = layer->binary(source.hash, target.text()))
      binary = Binary{source.hash, target.text(), std::move(*code)};
  }
  if (!binary) binary = backend_->cached(source.hash, target);
  if (!binary) {
    if (compiled == nullptr) return nullptr;
    if (no_compile_)
      throw Error(Code::kNoBinary,
                  fmt::format("'{}': no compiled kernel is stored for {} and HONE_NO_COMPILE is "
                              "set; tune the problem on this machine, or allow compilation",
                              handle.text(), target.text()));
    binary = backend_->compile(source, target, kCompileLimit);
    *compiled = true;
  }
  std::shared_ptr<Module> module = device_->load(*binary, source.entries);
  modules_[source.hash] = module;
  return module;
}

}  // namespace hone
