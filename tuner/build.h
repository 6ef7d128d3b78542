// Compiling without a device: many configs side by side, each kept with what its compiler told.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "runtime/backend.h"
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
};

// Compiles every job for `target` on `threads` threads and stores binary and trial (kBuilt or
// kCompileFailed) under `device`, each the moment it is done; `done` is called then, on this
// thread. What the database has already isn't compiled again, and a trial that was run isn't
// replaced. `stop()` is asked between jobs. Throws Error for what is not a job's fault.
void build(const Catalog& catalog, Database& database, Backend& backend, const Target& target,
           const DeviceIdentity& device, const std::vector<BuildJob>& jobs, std::size_t threads,
           const std::function<bool()>& stop, const std::function<void(const BuildResult&)>& done);

}  // namespace hone
