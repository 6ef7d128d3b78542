// What became of a problem, and who wins it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tuner/command.h"
#include "tuner/measurer.h"
#include "tuning_db/database.h"

namespace hone {

// What became of one problem.
struct Outcome {
  Task task;
  std::optional<Trial> winner;  // nullopt: nothing works, or there was no time
  std::int64_t default_ns = 0;  // the default's time in the same round; 0 when it failed
  std::int64_t trials = 0;      // in the database, of the templates at hand
  bool fresh = false;           // trials were made in this run
  std::string note;             // why there is no winner
};

// Ok, with a time.
bool works(const Trial& trial);

// What a finished problem's rows say. `valid`: is this row's template the one at hand?
Outcome outcome_of(const Task& task, const std::vector<Trial>& trials,
                   const Database::Valid& valid);

// Of finalists measured together, the one to prefer: the fastest, unless others are so close that
// noise could have decided; of those one of the variant that the next bucket of the handle has, so
// that noise doesn't make neighbours differ, then the default, then fewer threads, then less
// workspace, then the faster. Never one slower than the default.
struct Finalist {
  Measurement measured;
  bool is_default = false;
  std::int64_t threads = 1;
  std::int64_t workspace_bytes = 0;
  bool as_next_bucket = false;  // of the variant that won there
};
std::size_t choose_winner(const std::vector<Finalist>& finalists);

}  // namespace hone
