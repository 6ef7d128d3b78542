// What hone build and hone report compile, and for whom, as their command lines say it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tuner/build.h"
#include "tuner/command.h"

namespace hone {

struct BuildPlan {
  Target target;
  DeviceIdentity device;              // results stand under it
  const sim::Gpu* gpu = nullptr;      // whose times are modelled; null: nobody's
  std::vector<BuildJob> jobs;         // of a problem: what is best in the database, starts, samples
  std::vector<std::string> unserved;  // problems that no variant serves there
  std::size_t threads = 1;
};

void add_build_options(CommandLine& line);  // --target --as --samples --trials --jobs --seed
// Throws Error(kUsage) for an unknown target or GPU.
BuildPlan plan_build(const CommandLine& line, const Catalog& catalog, const Database& database,
                     const std::vector<Task>& tasks);

// build() of the plan, which an interrupt ends between two jobs.
void build(const BuildPlan& plan, const Catalog& catalog, Database& database,
           const std::function<void(const BuildResult&)>& done);

}  // namespace hone
