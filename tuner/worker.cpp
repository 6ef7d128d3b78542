#include "tuner/worker.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/error.h"
#include "runtime/kernel.h"
#include "tuner/checker.h"
#include "tuner/confine.h"
#include "tuner/measurer.h"
#include "tuner/reference.h"
#include "tuner/wire.h"

namespace hone {
namespace {

constexpr auto kForever = std::chrono::hours(24);
constexpr std::int64_t kMostTimingBytes = std::int64_t{3} << 30;  // copies kept between trials

Deadline far_away() { return std::chrono::steady_clock::now() + kForever; }

// What a worker knows between requests.
class Worker {
 public:
  explicit Worker(int channel) : wire_(channel) {}

  void serve() {
    for (;;) {
      const std::optional<Message> request = wire_.receive(far_away());
      if (!request) continue;
      id_ = request->head.at("id");
      Json answer;
      try {
        answer = handle(*request);
      } catch (const Error& error) {
        answer = {{"code", static_cast<int>(error.code())}, {"what", error.what()}};
      }
      answer["id"] = id_;
      wire_.send(std::move(answer), {}, far_away());
    }
  }

 private:
  struct Loaded {
    std::unique_ptr<Kernel> kernel;
    Candidate candidate;
  };

  Json handle(const Message& request) {
    const std::string what = request.head.at("do");
    stage(what);
    if (what == "open") return open(request.head);
    if (what == "problem") return problem(request);
    if (what == "trial") return trial(request);
    if (what == "final") return final_round(request);
    throw Error(Code::kInternal, "worker: unknown request '" + what + "'");
  }

  void stage(const std::string& name) {
    wire_.send({{"id", id_}, {"stage", name}}, {}, far_away());
  }

  Json open(const Json& head) {
    catalog_ = std::make_unique<Catalog>(Catalog::embedded());
    for (const Json& directory : head.at("templates"))
      catalog_->add_directory(directory.get<std::string>());
    seed_ = head.at("seed");
    device_ = open_device(head.at("device"));
    if (device_->identity().simulated()) policy_ = modelled_policy();
    report_fatal_signals(wire_.socket());
    const bool wanted = std::getenv("HONE_NO_SECCOMP") == nullptr;  // tests of the other defences
    return {{"confined", wanted && forbid_new_processes()}};
  }

  Json problem(const Message& request) {
    memory_.reset();
    checker_.reset();
    expectation_.reset();
    problem_ = catalog_->problem(request.head.at("problem").get<std::string>(), true);
    call_ = draw_call(catalog_->op(problem_.op), problem_, seed_);
    reference_ = request.blob;
    return Json::object();
  }

  // Only when something is to be checked: a final round needs no reference.
  void expect() {
    if (checker_) return;
    stage("reference");
    const Op& op = catalog_->op(problem_.op);
    expectation_ = std::make_unique<Expectation>(op, call_, load_reference(op, reference_),
                                                 ReferencePolicy{}, seed_);
    checker_ = std::make_unique<Checker>(*device_, call_, *expectation_, op.tolerance(call_.scope));
  }

  Loaded load(const Json& head, std::string_view code) {
    const Template* variant = catalog_->variant(problem_.op, head.at("variant").get<std::string>());
    if (variant == nullptr)
      throw Error(Code::kNotFound, "worker: no variant " + head.at("variant").get<std::string>());
    const Config config = Values::parse(head.at("config").get<std::string>());
    const auto entries = head.at("entries").get<std::vector<std::string>>();
    const Binary binary{Hash::parse(head.at("source").get<std::string>()), device_->target().text(),
                        std::string(code)};
    Loaded loaded;
    loaded.kernel = std::make_unique<Kernel>(*catalog_, *variant, problem_, config,
                                             device_->target(), device_->load(binary, entries));
    loaded.candidate = candidate_of(*loaded.kernel, call_);
    return loaded;
  }

  TimingMemory& timing() {
    const Values& limits = device_->target().limits;
    if (memory_ && memory_->bytes() > kMostTimingBytes) memory_.reset();
    if (!memory_)
      memory_ = std::make_unique<TimingMemory>(*device_, call_, policy_, last_level_bytes(limits));
    return *memory_;
  }

  TimedRun timed(std::function<void()> call) {
    return [this, call = std::move(call)](int repeats) { return device_->time(call, repeats); };
  }

  // A device that a kernel took down can tell why, and nothing else: this process has to end.
  Json trial(const Message& request) {
    expect();
    Json answer = {{"status", to_text(Status::kLaunchFailed)},
                   {"error", 0.0},
                   {"checked", expectation_->rows()}};
    device_->counters();
    try {
      attempt(request, &answer);
    } catch (const Error& error) {
      if (!device_->lost()) throw;
      answer["status"] = to_text(Status::kLaunchFailed);
      answer["reason"] = error.what();
    }
    answer["lost"] = device_->lost();
    return answer;
  }

  void attempt(const Message& request, Json* out) {
    const Json& head = request.head;
    Json& answer = *out;
    stage("load");
    Loaded loaded;
    try {
      loaded = load(head, request.blob);
    } catch (const Error& error) {
      answer["reason"] = error.what();
      return;
    }
    stage("check");
    const Verdict verdict = checker_->check(loaded.candidate);
    answer["status"] = to_text(verdict.status);
    answer["error"] = verdict.error;
    answer["reason"] = verdict.reason;
    if (const Counters counted = device_->counters(); !counted.empty()) {
      Json counters = Json::object();
      for (const auto& [name, value] : counted) counters[name] = value;
      answer["counters"] = std::move(counters);
    }
    if (verdict.status != Status::kOk || !head.at("time").get<bool>()) return;

    stage("measure");
    TimingMemory& memory = timing();
    const TimedRun run = timed(memory.prepare(loaded.candidate));
    Measurement result = measure(run, policy_, head.at("best_s"));
    // Another program may have had the machine.
    for (int tried = 1;
         tried < policy_.tries && !result.rejected && result.spread > policy_.unstable_spread;
         ++tried)
      result = measure(run, policy_, head.at("best_s"));
    if (memory.refused()) {
      answer["status"] = to_text(Status::kLaunchFailed);
      answer["reason"] = device_->last_error();
      return;
    }
    answer["timed"] = memory.policy_text();
    answer["median_s"] = result.median_s;
    answer["spread"] = result.spread;
    answer["samples"] = result.samples;
    if (result.spread > policy_.unstable_spread && !result.rejected)
      answer["status"] = to_text(Status::kUnstable);
  }

  Json final_round(const Message& request) {
    stage("load");
    std::list<Loaded> loaded;  // candidates keep their addresses
    std::vector<TimedRun> runs;
    std::size_t offset = 0;
    TimingMemory& memory = timing();
    for (const Json& head : request.head.at("candidates")) {
      const std::size_t bytes = head.at("bytes");
      loaded.push_back(load(head, std::string_view(request.blob).substr(offset, bytes)));
      offset += bytes;
      runs.push_back(timed(memory.prepare(loaded.back().candidate)));
    }
    stage("measure");
    Json results = Json::array();
    for (const Measurement& result : measure_interleaved(runs, policy_))
      results.push_back(
          {{"median_s", result.median_s}, {"spread", result.spread}, {"samples", result.samples}});
    return {{"results", results}};
  }

  Wire wire_;
  Json id_;
  MeasurePolicy policy_;
  std::uint64_t seed_ = 0;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Device> device_;
  Problem problem_;
  Call call_;
  std::string reference_;  // compiled
  std::unique_ptr<Expectation> expectation_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<TimingMemory> memory_;
};

}  // namespace

int serve_worker(int channel) {
  // Ends without running destructors: whatever untested code left behind is not ours to walk
  // through.
  try {
    Worker(channel).serve();
  } catch (...) {
  }
  _exit(kChannelLost);
}

}  // namespace hone
