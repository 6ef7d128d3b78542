// Results as people read them: tables, units, progress.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "tuner/tune.h"

namespace hone {

std::string time_text(double seconds);   // "1.23 ms", three digits
std::string percent_text(double share);  // "83 %"

// Columns as wide as their content; the last one may run on. Numbers (by `right`) are
// right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header, std::vector<bool> right);
  void add(std::vector<std::string> row);
  void print(std::FILE* out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> right_;
};

// Operator, shape, winner, time, speed-up over the default, share of the machine's limit; for a
// model one table per step, with each problem's calls and its share of the step's time.
void print_outcomes(std::FILE* out, const std::vector<Outcome>& outcomes,
                    const std::vector<Task>& tasks);

// A line that stands still on a terminal, and lines now and then otherwise.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* out);
  ~ProgressLine();  // clears what stands
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(
      const std::string& text);  // replaces the standing line; nothing where there is no terminal
  void line(const std::string& text);  // stays

 private:
  void clear();
  std::FILE* out_;
  bool terminal_;
  bool standing_ = false;
};

}  // namespace hone
