#include "tuner/evaluator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "codegen/error.h"
#include "runtime/kernel.h"
#include "tuner/confine.h"
#include "tuner/figures.h"

namespace hone {
namespace {

constexpr std::chrono::duration<double> kCompileLimit{20.0};
constexpr double kOpenLimitS = 60;
// A candidate may take this long before it counts as hung: a floor, and what a slow but honest
// kernel needs.
constexpr double kHangS = 5;
constexpr double kSlowestFlops = 1e9;  // operations per second
constexpr double kSlowestBytes =
    50e6;  // bytes per second of memory touched for the first time, several times over
constexpr double kBusyRatio = 10;          // more time for a reference that didn't end in time
constexpr double kSimulatedRatio = 100;    // more time for kernels that are simulated
constexpr double kHangRatio = 10;          // times the first good candidate's whole trial
constexpr std::size_t kMostReason = 2000;  // characters of a compiler's log kept with a trial

volatile std::sig_atomic_t interrupt_flag = 0;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string shortened(std::string text) {
  if (text.size() > kMostReason) text = text.substr(0, kMostReason) + " ...";
  return text;
}

std::int64_t nanoseconds(double seconds) {
  return std::max<std::int64_t>(1, std::llround(seconds * 1e9));
}

}  // namespace

void Evaluator::interrupt() { interrupt_flag = 1; }
bool Evaluator::interrupted() { return interrupt_flag != 0; }

Evaluator::Evaluator(const Catalog& catalog, const EvaluatorOptions& options)
    : catalog_(catalog),
      options_(options),
      device_(open_device(options.device)),
      backend_(find_backend(device_->target().backend)),
      toolchain_(backend_->toolchain()),
      // Nothing is measured on a simulated device: every process has one of its own.
      turns_(device_->identity().simulated() ? "" : options.device),
      device_key_(device_->identity().key()) {}

void Evaluator::begin(const Problem& problem, const Ceilings& ceilings) {
  const Op& op = catalog_.op(problem.op);
  problem_ = problem;
  scope_ = op.scope(problem);
  roofline_ = hone::roofline(op, scope_, device_->target().limits, ceilings);
  double bytes = 0;
  for (const Argument* argument : op.present(scope_))
    if (argument->kind != Argument::Kind::kScalar)
      bytes += static_cast<double>(op.bytes_of(*argument, scope_));
  limit_s_ = kHangS + 2 * static_cast<double>(op.flops.integer(lookup_in(scope_))) / kSlowestFlops +
             bytes / kSlowestBytes;
  if (device_->identity().simulated()) limit_s_ *= kSimulatedRatio;
  scope_.merge(device_->target().limits);

  // References run on the host, whatever the device is.
  Backend* host = find_backend("cpu");
  const Target host_target =
      device_->target().backend == "cpu" ? device_->target() : host->open(0)->target();
  reference_ =
      host->compile(render_reference(catalog_, problem, host_target), host_target, kCompileLimit);
  worker_knows_ = false;
}

Json Evaluator::must(std::variant<Message, WorkerEnd> answer, const std::string& what) {
  if (const auto* end = std::get_if<WorkerEnd>(&answer)) {
    if (end->interrupted) throw Error(Code::kIo, "interrupted");
    throw Error(Code::kTemplate, fmt::format("{} ended the worker: {}", what, end->reason));
  }
  Json head = std::move(std::get<Message>(answer).head);
  if (head.contains("code"))
    throw Error(static_cast<Code>(head.at("code").get<int>()), head.value("what", ""));
  return head;
}

void Evaluator::ready() {
  if (!worker_ || !worker_->alive()) {
    worker_ = std::make_unique<WorkerProcess>(options_.program);
    Json directories = Json::array();
    for (const auto& directory : options_.templates)
      directories.push_back(std::filesystem::absolute(directory).string());
    const Json answer = must(worker_->request({{"do", "open"},
                                               {"device", options_.device},
                                               {"templates", directories},
                                               {"seed", options_.seed}},
                                              {}, kOpenLimitS, interrupted),
                             "opening " + options_.device);
    confined_ = answer.value("confined", false);
    worker_knows_ = false;
  }
  if (worker_knows_) return;
  must(worker_->request({{"do", "problem"}, {"problem", problem_.text()}}, reference_.code,
                        kOpenLimitS + limit_s_, interrupted),
       "the reference of " + problem_.op);
  worker_knows_ = true;
  served_ = 0;
}

Trial Evaluator::blank(const Attempt& attempt) const {
  Trial trial;
  trial.device = device_key_;
  trial.problem = problem_.text();
  trial.handle = catalog_.op(problem_.op).handle(problem_).text();
  trial.variant = attempt.variant->variant;
  trial.template_hash = attempt.variant->hash;
  trial.config = attempt.config.text();
  trial.layout = layout_of(*attempt.variant, attempt.config, scope_);
  trial.is_default = attempt.is_default;
  trial.toolchain = toolchain_;
  trial.bound_ns = std::llround(roofline_.bound_s * 1e9);
  trial.when = std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count();
  return trial;
}

std::map<Hash, Evaluator::Compiled> Evaluator::compile(
    const std::vector<Attempt>& attempts, std::vector<std::pair<Hash, std::string>>* hashes,
    const std::function<bool()>& stop) {
  std::map<Hash, Compiled> compiled;
  for (const Attempt& attempt : attempts) {
    try {
      Source source =
          render(catalog_, *attempt.variant, problem_, attempt.config, device_->target());
      hashes->push_back({source.hash, ""});
      const Hash hash = source.hash;
      compiled[hash].source = std::move(source);
    } catch (const Error& error) {
      hashes->push_back({Hash{}, error.what()});
    }
  }
  std::vector<Compiled*> jobs;
  for (auto& [hash, job] : compiled) jobs.push_back(&job);
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> broken(jobs.size());
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      if (interrupted()) return;
      const auto begin = std::chrono::steady_clock::now();
      try {
        jobs[i]->binary = backend_->compile(jobs[i]->source, device_->target(), kCompileLimit);
      } catch (const Error& error) {
        if (error.code() == Code::kCompile)
          jobs[i]->failure = error.what();
        else
          broken[i] = std::current_exception();
      }
      jobs[i]->milliseconds = std::llround(seconds_since(begin) * 1e3);
    }
  };
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  if (!stop())
    for (std::size_t i = 0; i < std::min(cores, jobs.size()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : broken)
    if (error) std::rethrow_exception(error);
  return compiled;
}

void Evaluator::evaluate(const Attempt& attempt, const Compiled& compiled, double best_s,
                         Trial* trial) {
  const Json head = {{"do", "trial"},
                     {"variant", trial->variant},
                     {"config", trial->config},
                     {"source", trial->source.text()},
                     {"entries", compiled.source.entries},
                     {"time", attempt.time},
                     {"best_s", best_s}};
  // A candidate that ends a worker which others used before it gets a second chance in a fresh one:
  // they may have left the damage. One that never got its request did nothing.
  double patience_s = limit_s_;
  for (int tries = 0;; ++tries) {
    ready();
    const bool fresh = served_ == 0;
    ++served_;
    const auto begin = std::chrono::steady_clock::now();
    auto answer = [&] {
      const auto turn = turns_.take();
      return worker_->request(head, compiled.binary->code, patience_s, interrupted);
    }();
    if (const auto* end = std::get_if<WorkerEnd>(&answer)) {
      trial->status = end->status;
      trial->reason = end->reason;
      if (end->interrupted) return;
      if (end->stage == "reference" && end->status == Status::kTimeout && tries < 2) {
        patience_s *= kBusyRatio;  // the machine is busy: the limit is for candidates
        continue;
      }
      if (end->stage == "reference")
        throw Error(Code::kTemplate, fmt::format("the reference of {} ended the worker on {}: {}",
                                                 problem_.op, problem_.text(), end->reason));
      trial->reason += fmt::format(" (in {})", end->stage);
      const bool retry = end->stage.empty() || (!fresh && end->status == Status::kCrashed);
      if (retry && tries < 2) continue;
      return;
    }
    const Json result = must(std::move(answer), "a trial");
    if (!confined_ && !strays(worker_->process()).empty()) {
      worker_->end();
      trial->status = Status::kForked;
      trial->reason = "started a process";
      return;
    }
    const Json& error = result.at("error");
    trial->status = parse_status(result.at("status"));
    trial->error =
        error.is_number() ? error.get<double>() : std::numeric_limits<double>::infinity();
    trial->reason = shortened(result.value("reason", ""));
    trial->checked = result.value("checked", "");
    if (trial->status == Status::kOutOfBounds || result.value("lost", false)) worker_->end();
    if (result.contains("counters")) add_figures({{"counters", result.at("counters")}}, trial);
    if (!result.contains("median_s")) {
      if (trial->status == Status::kOk) trial->status = Status::kBuilt;
      return;
    }
    const bool modelled = device_->identity().simulated();
    trial->timed =
        modelled ? "modelled by " + device_->identity().driver : result.value("timed", "");
    if (const Value* threads = attempt.config.find("threads");
        threads && device_->identity().backend == "cpu")
      trial->timed += fmt::format(", {} threads", to_text(*threads));
    trial->median_ns = nanoseconds(result.at("median_s"));
    trial->spread = result.at("spread");
    trial->samples = result.at("samples");
    if (!modelled)
      limit_s_ = std::min(limit_s_, std::max(kHangS, kHangRatio * seconds_since(begin)));
    // The default stays whatever the machine does meanwhile: the final round measures it again.
    if (trial->status == Status::kUnstable && attempt.is_default) trial->status = Status::kOk;
    if (trial->status == Status::kUnstable) {
      trial->reason =
          fmt::format("samples spread by {:.0f} % of their median", 100 * trial->spread);
      trial->median_ns = 0;
    } else if (!modelled && result.at("median_s").get<double>() < roofline_.floor_s) {
      trial->status = Status::kImpossible;
      trial->reason = fmt::format("{} ns, where the machine's ceilings need at least {:.0f} ns",
                                  trial->median_ns, roofline_.floor_s * 1e9);
      trial->median_ns = 0;
    }
    return;
  }
}

void Evaluator::run(const std::vector<Attempt>& attempts, double best_s,
                    const std::function<bool()>& stop,
                    const std::function<void(const Trial&)>& done) {
  std::vector<std::pair<Hash, std::string>> hashes;
  const std::map<Hash, Compiled> compiled = compile(attempts, &hashes, stop);
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (stop() || interrupted()) return;
    Trial trial = blank(attempts[i]);
    trial.source = hashes[i].first;
    if (!hashes[i].second.empty()) {
      trial.status = Status::kCompileFailed;
      trial.reason = hashes[i].second;
      done(trial);
      continue;
    }
    const Compiled& own = compiled.at(hashes[i].first);
    trial.compile_ms = own.milliseconds;
    if (!own.binary) {
      trial.status = Status::kCompileFailed;
      trial.reason = shortened(own.failure);
    } else {
      add_figures(resource_figures(*backend_, *own.binary, device_->target(), *attempts[i].variant,
                                   attempts[i].config, scope_),
                  &trial);
      evaluate(attempts[i], own, best_s, &trial);
    }
    if (interrupted()) return;
    if (trial.status == Status::kOk) {
      const double seconds = static_cast<double>(trial.median_ns) * 1e-9;
      best_s = best_s > 0 ? std::min(best_s, seconds) : seconds;
    }
    done(trial);
  }
}

std::optional<std::vector<Measurement>> Evaluator::final_round(
    const std::vector<Attempt>& attempts) {
  Json candidates = Json::array();
  std::string codes;
  for (const Attempt& attempt : attempts) {
    const Source source =
        render(catalog_, *attempt.variant, problem_, attempt.config, device_->target());
    const Binary binary = backend_->compile(source, device_->target(), kCompileLimit);
    candidates.push_back({{"variant", attempt.variant->variant},
                          {"config", attempt.config.text()},
                          {"source", source.hash.text()},
                          {"entries", source.entries},
                          {"bytes", binary.code.size()}});
    codes += binary.code;
  }
  ready();
  const double limit = limit_s_ * static_cast<double>(attempts.size() + 1);
  auto answer = [&] {
    const auto turn = turns_.take();
    return worker_->request({{"do", "final"}, {"candidates", candidates}}, codes, limit,
                            interrupted);
  }();
  if (std::holds_alternative<WorkerEnd>(answer)) return std::nullopt;
  const Json result = must(std::move(answer), "the final round");
  std::vector<Measurement> measured;
  for (const Json& one : result.at("results"))
    measured.push_back({one.at("median_s"), one.at("spread"), one.at("samples"), false});
  return measured;
}

Binary Evaluator::binary_of(const Attempt& attempt) {
  return backend_->compile(
      render(catalog_, *attempt.variant, problem_, attempt.config, device_->target()),
      device_->target(), kCompileLimit);
}

}  // namespace hone
