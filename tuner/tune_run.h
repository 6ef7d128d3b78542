// One run of tune(): what it knows between its steps. Internal to tune*.cpp.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tuner/strategy.h"
#include "tuner/tune.h"

namespace hone {

class TuneRun {
 public:
  TuneRun(Evaluator& evaluator, Database& database, const std::vector<Task>& tasks,
          const TuneOptions& options, const TuneProgress& progress);
  std::vector<Outcome> all();

 private:
  using Clock = std::chrono::steady_clock;

  // One problem of the run, and everything known about it.
  struct Work {
    Outcome outcome;
    std::vector<const Template*> variants;  // that serve it, by name
    Values scope;                           // with the target's limits
    std::unique_ptr<SearchSpace> space;
    std::vector<Trial> trials;  // of the templates at hand
    double weight = 0;
    bool done = false;        // had its share before this run
    bool stale_final = true;  // its final round doesn't know all trials
  };
  using Members = std::vector<std::size_t>;  // problems of one handle

  // tune.cpp: what there is to do, and the search of each problem.
  void collect(const std::vector<Task>& tasks);
  void load_trials(Work& work) const;
  bool finished(const Work& work)
      const;  // had a final round, every variant was tried, and no more trials are asked for
  double share_of(const Members& members) const;
  double left_s() const;
  bool in_grace()
      const;  // before the deadline, or so little behind it that what must be done may still begin
  void say(const Work& work, const char* what);
  void group(const Members& members, double part);
  void search(Work& work, double seconds);
  // Tries points that nobody tried yet, and tells what came out, in order of their end.
  void attempt(Work& work, const std::vector<Point>& points, const std::function<bool()>& stop,
               const std::function<void(const Point&, const Trial&)>& told);
  void begin(const Work& work);
  Attempt attempt_of(const Work& work, const Point& point) const;

  // tune_final.cpp: what makes the problems of a handle comparable, and their end.
  // Buckets of a handle share their packed weights: a layout that one of them prefers needs results
  // in all of them.
  void fill_layout(const Members& members, Work& work, const std::string& layout, double seconds);
  // Finalists: the default, the fastest, the fastest of each layout in question and of the variant
  // that won the next bucket.
  void final_round(Work& work, const std::set<std::string>& layouts, const Members& members);
  void finish(Work& work, const std::set<std::string>& layouts, const Members& members);
  // The winner of the bucket of the handle that has one and is nearest by log distance, or null.
  const Trial* next_winner(const Work& work, const Members& members) const;

  // The index of the trial's template among the variants at hand.
  static std::optional<std::size_t> variant_of(const Work& work, const Trial& trial);
  static bool in_space(const Work& work, const Trial& trial);
  static const Trial* fastest(const Work& work, const std::string* layout = nullptr,
                              const std::string* variant = nullptr);
  static bool tried(const Work& work, const Point& point);
  static double since(Clock::time_point begin);
  std::string layout_at(const Work& work, const Point& point) const;

  Evaluator& evaluator_;
  Database& database_;
  const TuneOptions& options_;
  const TuneProgress& progress_;
  std::string device_key_;
  std::optional<Clock::time_point> deadline_;
  Ceilings ceilings_;
  std::vector<Work> works_;
  std::vector<std::pair<std::string, Members>> groups_;  // handle -> problems
  const Work* current_ = nullptr;                        // the evaluator's problem
};

}  // namespace hone
