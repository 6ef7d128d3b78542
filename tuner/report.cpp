#include "tuner/report.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace hone {
namespace {

constexpr std::size_t kPlainWidth = 120;  // where no terminal tells its own

double seconds_of(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

std::vector<std::string> row_of(const Outcome& outcome) {
  const Problem& problem = outcome.task.problem;
  std::vector<std::string> row = {problem.op, problem.values.text()};
  if (!outcome.winner) {
    row.insert(row.end(), {"-", "", "", "", outcome.note});
    return row;
  }
  const auto time = static_cast<double>(counted_ns(*outcome.winner));
  row.push_back(outcome.winner->variant);
  row.push_back(time_text(time * 1e-9));
  row.push_back(outcome.default_ns > 0
                    ? fmt::format("{:.2f}x", static_cast<double>(outcome.default_ns) / time)
                    : "-");
  row.push_back(outcome.winner->bound_ns > 0
                    ? percent_text(static_cast<double>(outcome.winner->bound_ns) / time)
                    : "-");
  row.push_back(outcome.winner->config);
  return row;
}

}  // namespace

std::string time_text(double seconds) {
  for (const auto& [unit, scale] : {std::pair{"ns", 1e9}, {"us", 1e6}, {"ms", 1e3}}) {
    const double value = seconds * scale;
    if (value < 999.5)
      return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, unit);
  }
  return fmt::format("{:.2f} s", seconds);
}

std::string percent_text(double share) { return fmt::format("{:.0f} %", 100 * share); }

Table::Table(std::vector<std::string> header, std::vector<bool> right) : right_(std::move(right)) {
  rows_.push_back(std::move(header));
}

void Table::add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

void Table::print(std::FILE* out) const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i)
      line += right_[i] ? fmt::format("{:>{}}  ", row[i], widths[i])
                        : fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print(out, "{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

void print_outcomes(std::FILE* out, const std::vector<Outcome>& outcomes,
                    const std::vector<Task>& tasks) {
  std::map<std::string, const Outcome*> by_problem;
  for (const Outcome& outcome : outcomes) by_problem[outcome.task.problem.text()] = &outcome;
  std::vector<std::int64_t> steps;
  bool model = false;
  for (const Task& task : tasks) {
    model |= !task.role.empty();
    if (std::find(steps.begin(), steps.end(), task.tokens) == steps.end())
      steps.push_back(task.tokens);
  }
  for (const std::int64_t step : steps) {
    // Of one step: a problem that several roles share counts with all their calls.
    std::vector<const Outcome*> order;
    std::map<const Outcome*, std::int64_t> calls;
    std::map<const Outcome*, std::string> roles;
    double total = 0, total_default = 0, limit = 0;
    for (const Task& task : tasks) {
      const auto found = by_problem.find(task.problem.text());
      if (task.tokens != step || found == by_problem.end()) continue;
      const Outcome* outcome = found->second;
      if (!calls.contains(outcome)) order.push_back(outcome);
      calls[outcome] += task.count;
      std::string& role = roles[outcome];
      if (role.find(task.role) == std::string::npos) role += (role.empty() ? "" : " ") + task.role;
      if (!outcome->winner) continue;
      const double time =
          seconds_of(counted_ns(*outcome->winner)) * static_cast<double>(task.count);
      total += time;
      limit += seconds_of(outcome->winner->bound_ns) * static_cast<double>(task.count);
      total_default += outcome->default_ns > 0
                           ? seconds_of(outcome->default_ns) * static_cast<double>(task.count)
                           : time;
    }
    if (order.empty()) continue;
    std::vector<std::string> header = {"operator", "shape",    "variant", "time",
                                       "speed-up", "of limit", "config"};
    std::vector<bool> right = {false, false, false, true, true, true, false};
    if (step > 0) {
      header.insert(header.begin(), {"role", "calls", "share"});
      right.insert(right.begin(), {false, true, true});
      fmt::print(out, "\n{} token{} a step:\n", step, step == 1 ? "" : "s");
    } else {
      fmt::print(out, "\n");
    }
    Table table(header, right);
    for (const Outcome* outcome : order) {
      std::vector<std::string> row = row_of(*outcome);
      if (step > 0) {
        const double time = outcome->winner ? seconds_of(counted_ns(*outcome->winner)) *
                                                  static_cast<double>(calls[outcome])
                                            : 0;
        row.insert(row.begin(), {roles[outcome], std::to_string(calls[outcome]),
                                 total > 0 ? percent_text(time / total) : "-"});
      }
      table.add(std::move(row));
    }
    table.print(out);
    if (model && step > 0 && total > 0)
      fmt::print(
          out, "one step: {}, {} of the limit{}\n", time_text(total), percent_text(limit / total),
          total_default > total ? fmt::format(" (all defaults: {}, {:.2f}x)",
                                              time_text(total_default), total_default / total)
                                : "");
  }
}

ProgressLine::ProgressLine(std::FILE* out) : out_(out), terminal_(isatty(fileno(out)) != 0) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::clear() {
  if (!standing_) return;
  fmt::print(out_, "\r\033[K");
  std::fflush(out_);
  standing_ = false;
}

void ProgressLine::update(const std::string& text) {
  if (!terminal_) return;
  winsize size{};
  std::size_t width = kPlainWidth;
  if (ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1) width = size.ws_col - 1u;
  fmt::print(out_, "\r{}\033[K", text.substr(0, width));
  std::fflush(out_);
  standing_ = true;
}

void ProgressLine::line(const std::string& text) {
  clear();
  fmt::print(out_, "{}\n", text);
  std::fflush(out_);
}

}  // namespace hone
