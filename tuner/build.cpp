#include "tuner/build.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "codegen/error.h"
#include "codegen/source.h"
#include "runtime/kernel.h"
#include "tuner/figures.h"
#include "tuner/modelled.h"

namespace hone {
namespace {

constexpr std::chrono::seconds kBuildLimit{60};

// What one job leaves behind before it is stored.
struct Made {
  BuildResult result;
  std::optional<Binary> binary;
  std::exception_ptr broken;
};

Trial blank(const Catalog& catalog, const BuildJob& job, const Target& target,
            const DeviceIdentity& device, const std::string& toolchain) {
  const Op& op = catalog.op(job.problem.op);
  Values scope = op.scope(job.problem);
  scope.merge(target.limits);
  Trial trial;
  trial.device = device.key();
  trial.problem = job.problem.text();
  trial.handle = op.handle(job.problem).text();
  trial.variant = job.variant->variant;
  trial.template_hash = job.variant->hash;
  trial.config = job.config.text();
  trial.layout = layout_of(*job.variant, job.config, scope);
  trial.toolchain = toolchain;
  trial.status = Status::kBuilt;
  trial.when = std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count();
  return trial;
}

Made make(const Catalog& catalog, const BuildJob& job, Backend& backend, const Target& target,
          const sim::Gpu* gpu, Trial trial) {
  Made made;
  const auto begin = std::chrono::steady_clock::now();
  try {
    const Source source = render(catalog, *job.variant, job.problem, job.config, target);
    trial.source = source.hash;
    made.binary = backend.compile(source, target, kBuildLimit);
    made.result.bytes = made.binary->code.size();
    Values scope = catalog.op(job.problem.op).scope(job.problem);
    scope.merge(target.limits);
    add_figures(resource_figures(backend, *made.binary, target, *job.variant, job.config, scope),
                &trial);
    if (gpu != nullptr) {
      const auto start = std::chrono::steady_clock::now();
      const Modelled modelled = model_call(catalog, backend, *job.variant, job.problem, job.config,
                                           target, *made.binary, *gpu);
      made.result.model_ms =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count();
      if (!modelled.refused.empty()) {
        trial.status = Status::kLaunchFailed;
        trial.reason = modelled.refused;
      } else {
        add_figures(modelled_figures(modelled, *gpu), &trial);
      }
    }
  } catch (const Error& error) {
    if (error.code() != Code::kCompile) {
      made.broken = std::current_exception();
      return made;
    }
    trial.status = Status::kCompileFailed;
    trial.reason = error.what();
  }
  trial.compile_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::steady_clock::now() - begin)
                         .count();
  made.result.trial = std::move(trial);
  return made;
}

}  // namespace

void build(const Catalog& catalog, Database& database, Backend& backend, const Target& target,
           const DeviceIdentity& device, const sim::Gpu* gpu, const std::vector<BuildJob>& jobs,
           std::size_t threads, const std::function<bool()>& stop,
           const std::function<void(const BuildResult&)>& done) {
  const std::string toolchain = backend.toolchain();
  database.put_device(device);
  std::vector<const BuildJob*> open;
  for (const BuildJob& job : jobs) {
    const auto known =
        database.find_trial(device.key(), job.problem.text(), job.variant->hash, job.config.text());
    // What was built but not modelled is built again: the cache has its binary.
    const bool modelled = gpu == nullptr || !known || known->status != Status::kBuilt ||
                          known->figures.find("\"modelled_ns\"") != std::string::npos;
    if (known && known->status != Status::kCompileFailed && modelled) {
      if (const auto code = database.binary(known->source, target.text())) {
        done({*known, code->size(), true});
        continue;
      }
    }
    open.push_back(&job);
  }

  std::mutex mutex;
  std::condition_variable finished;
  std::deque<Made> results;
  std::size_t next = 0, left = open.size();
  bool ended = false;
  const auto work = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      if (ended || next == open.size()) return;
      const BuildJob& job = *open[next++];
      lock.unlock();
      Made made =
          make(catalog, job, backend, target, gpu, blank(catalog, job, target, device, toolchain));
      lock.lock();
      results.push_back(std::move(made));
      finished.notify_one();
    }
  };
  std::vector<std::thread> pool;
  for (std::size_t i = 0; i < std::min(std::max<std::size_t>(threads, 1), open.size()); ++i)
    pool.emplace_back(work);
  std::exception_ptr broken;
  while (left > 0 && !broken && !stop()) {
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return !results.empty(); });
    Made made = std::move(results.front());
    results.pop_front();
    lock.unlock();
    --left;
    if (made.broken) {
      broken = made.broken;
      break;
    }
    try {
      const Trial& trial = made.result.trial;
      if (made.binary)
        database.put_binary(made.binary->source, made.binary->target, made.binary->code);
      if (const Template* variant =
              catalog.variant(Problem::parse(trial.problem).op, trial.variant))
        database.put_template(variant->hash, variant->op, variant->variant, variant->text);
      // A trial that was run says more than one that was only built.
      const auto known =
          database.find_trial(trial.device, trial.problem, trial.template_hash, trial.config);
      if (!known || known->status == Status::kBuilt || known->status == Status::kCompileFailed ||
          known->samples == 0)
        database.put_trial(trial);
      done(made.result);
    } catch (...) {
      broken = std::current_exception();
    }
  }
  {
    const std::lock_guard lock(mutex);
    ended = true;
  }
  for (std::thread& thread : pool) thread.join();
  if (broken) std::rethrow_exception(broken);
}

}  // namespace hone
