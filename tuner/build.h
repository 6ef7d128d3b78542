// Compiling without a device: many configs side by side, each kept with what its compiler told.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "runtime/backend.h"
#include "runtime/simulator/gpus.h"
#include "tuner/evaluator.h"
#include "tuning_db/database.h"

namespace hone {

struct BuildJob {
  Problem problem;
  const Template* variant = nullptr;
  Config config;
};

struct BuildResult {
  Trial trial;
  std::size_t bytes = 0;  // of the binary; 0 when it failed
  bool known = false;     // an earlier run did it
  double model_ms = 0;    // that modelling took
};

// Compiles every job for `target` on `threads` threads and stores binary and trial (kBuilt,
// kCompileFailed, or kLaunchFailed where `gpu`'s limits rule every launch out) under `device`, each
// the moment it is done; `done` is called then, on this thread. What the database has already isn't
// compiled again, and a trial that was run isn't replaced. `gpu`: whose times are modelled, into
// the figure "modelled_ns"; nullptr: nobody's. `stop()` is asked between jobs. Throws Error for
// what is not a job's fault.
void build(const Catalog& catalog, Database& database, Backend& backend, const Target& target,
           const DeviceIdentity& device, const sim::Gpu* gpu, const std::vector<BuildJob>& jobs,
           std::size_t threads, const std::function<bool()>& stop,
           const std::function<void(const BuildResult&)>& done);

}  // namespace hone
