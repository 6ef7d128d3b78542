// The parent's side of trials: renders, compiles side by side, has a worker check and time one
// candidate after the other, and turns whatever happens into Trials.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/space.h"
#include "runtime/backend.h"
#include "tuner/measurer.h"
#include "tuner/roofline.h"
#include "tuner/turn.h"
#include "tuner/worker_process.h"
#include "tuning_db/record.h"

namespace hone {

struct EvaluatorOptions {
  std::string device = "cpu:0";
  std::vector<std::filesystem::path> templates;      // those that the catalog was given
  std::uint64_t seed = 1;                            // of the inputs
  std::filesystem::path program = "/proc/self/exe";  // a hone binary: its `worker` command is run
};

struct Attempt {
  const Template* variant = nullptr;
  Config config;
  bool is_default = false;
  bool time = true;  // false: check only; the trial is then kBuilt when it passes
};

// Not thread safe; stays on the thread that made it.
class Evaluator {
 public:
  // `catalog` outlives it. Throws what open_device() throws, and Error(kCompile) when there is no
  // compiler.
  Evaluator(const Catalog& catalog, const EvaluatorOptions& options);

  Device& device() { return *device_; }
  Backend& backend() { return *backend_; }
  const Catalog& catalog() const { return catalog_; }

  // The problem that following calls are about. Throws Error(kCompile), Error(kTemplate) when its
  // reference is no good.
  void begin(const Problem& problem, const Ceilings& ceilings);
  const Roofline& roofline() const { return roofline_; }

  // One Trial per attempt, in order, each given to `done` the moment it is finished. Attempts that
  // differ in launch parameters only share one compilation. `stop()` is asked between candidates
  // (and while a worker runs, as far as it is about interruption): true leaves the rest out. Throws
  // Error(kIo, kNotFound, ...) for what is not the candidates' fault.
  void run(const std::vector<Attempt>& attempts, double best_s, const std::function<bool()>& stop,
           const std::function<void(const Trial&)>& done);

  // Measures interleaved; one result per attempt. nullopt when the round could not be finished.
  std::optional<std::vector<Measurement>> final_round(const std::vector<Attempt>& attempts);

  // The compiled code of a config of the current problem (from the backend's cache when it is
  // there).
  Binary binary_of(const Attempt& attempt);

  // Set by a signal handler: a running request ends within a moment.
  static void interrupt();
  static bool interrupted();

 private:
  struct Compiled {
    Source source;
    std::optional<Binary> binary;
    std::string failure;
    std::int64_t milliseconds = 0;
  };
  Trial blank(const Attempt& attempt) const;
  std::map<Hash, Compiled> compile(const std::vector<Attempt>& attempts,
                                   std::vector<std::pair<Hash, std::string>>* hashes,
                                   const std::function<bool()>& stop);
  void evaluate(const Attempt& attempt, const Compiled& compiled, double best_s, Trial* trial);
  void ready();  // a worker that knows the problem
  Json must(std::variant<Message, WorkerEnd> answer, const std::string& what);

  const Catalog& catalog_;
  EvaluatorOptions options_;
  std::unique_ptr<Device> device_;
  Backend* backend_;
  std::string toolchain_;
  DeviceTurns turns_;
  std::string device_key_;
  std::unique_ptr<WorkerProcess> worker_;
  bool confined_ = false;
  bool worker_knows_ = false;  // the problem
  int served_ = 0;             // trials by this worker
  Problem problem_;
  Values scope_;  // of it, with the target's limits
  Binary reference_;
  Roofline roofline_;
  double limit_s_ = 0;  // of one request that runs kernels
};

}  // namespace hone
