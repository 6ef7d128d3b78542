// The search over problems under one budget: strategies propose, the evaluator tries, the database
// keeps.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tuner/command.h"
#include "tuner/evaluator.h"
#include "tuner/outcome.h"
#include "tuning_db/database.h"

namespace hone {

struct TuneOptions {
  double budget_s = 0;       // one deadline for everything; 0: none
  std::uint64_t trials = 0;  // per problem, those in the database included; 0: no limit
  std::string strategy = "annealing";
  std::uint64_t seed = 1;
  std::uint64_t shard = 0, shards = 1;  // of the handles, this part
  bool extend = false;                  // search on in problems that had their final round
  bool final_rounds = true;  // false: the winners that the database has stay, whatever comes out
};

struct TuneProgress {
  std::function<void(const Task&, const Trial&)> trial;  // each one that was made
  std::function<void(const Outcome&)> problem;           // each problem when it is finished
  // Now and then: what is being done, problems done and in all, seconds left (negative: unknown).
  std::function<void(const std::string& what, std::size_t done, std::size_t all, double left_s)>
      status;
};

// Tunes every task: searches each problem, makes sure that the problems of a handle have results
// for each other's layouts, and measures finalists and default interleaved. Every trial is in the
// database before the next one begins. Problems that had their share in an earlier run are taken
// from the database. Outcomes come in the order of the tasks, each distinct problem once. Throws
// Error for what is not the candidates' fault: the database, the compiler, a malformed template.
std::vector<Outcome> tune(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
                          const TuneOptions& options, const TuneProgress& progress);

// The device's ceilings from the database; measured and stored first when there are none.
Ceilings ceilings_of(Database& database, Device& device);

}  // namespace hone
