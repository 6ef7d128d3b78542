#include "tuning_db/record.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "codegen/error.h"
#include "codegen/values.h"

namespace hone {
namespace {

struct Name {
  Status status;
  const char* text;
};
constexpr std::array<Name, 12> kNames = {{
    {Status::kOk, "ok"},
    {Status::kCompileFailed, "compile_failed"},
    {Status::kCrashed, "crashed"},
    {Status::kTimeout, "timeout"},
    {Status::kOutOfBounds, "out_of_bounds"},
    {Status::kWrong, "wrong"},
    {Status::kNondeterministic, "nondeterministic"},
    {Status::kForked, "forked"},
    {Status::kImpossible, "impossible"},
    {Status::kUnstable, "unstable"},
    {Status::kLaunchFailed, "launch_failed"},
    {Status::kBuilt, "built"},
}};

bool canonical(const std::string& config) {
  return config.empty() || Values::parse(config).text() == config;
}

// A handle names the problem's operator and repeats some of its values.
bool belongs(const std::string& handle_text, const Problem& problem) {
  const Problem handle = Problem::parse(handle_text);
  if (handle.op != problem.op || handle.text() != handle_text) return false;
  for (const auto& [name, value] : handle.values) {
    const Value* there = problem.values.find(name);
    if (there == nullptr || *there != value) return false;
  }
  return true;
}

}  // namespace

std::string DeviceIdentity::key() const {
  return fmt::format("{}/{}/{}/{}/{}", backend, vendor, arch, model, units);
}

std::string to_text(Status status) {
  for (const Name& name : kNames) {
    if (name.status == status) return name.text;
  }
  throw Error(Code::kInternal, fmt::format("status {} has no name", static_cast<int>(status)));
}

Status parse_status(const std::string& text) {
  for (const Name& name : kNames) {
    if (text == name.text) return name.status;
  }
  throw Error(
      Code::kDatabase,
      fmt::format("'{}' is no status of a trial that this Hone knows; a newer Hone may", text));
}

std::string flaw_of(const Trial& trial) {
  if (trial.device.empty()) return "it names no device";
  if (trial.variant.empty()) return "it names no variant";
  for (const std::int64_t number :
       {trial.median_ns, trial.samples, trial.bound_ns, trial.compile_ms, trial.when,
        trial.final_ns, trial.preference}) {
    if (number < 0) return fmt::format("a time or count is negative ({})", number);
  }
  if (!std::isfinite(trial.spread) || trial.spread < 0) return "its spread is no number from 0 up";
  if (trial.error < 0) return "its error is negative";
  if (trial.status == Status::kOk && trial.median_ns == 0) return "it is ok but has no time";
  if (trial.status != Status::kOk && trial.preference != 0) return "it failed but is preferred";
  if (!trial.figures.empty() && !(trial.figures.starts_with('{') && trial.figures.ends_with('}')))
    return "its figures are no JSON object";
  try {
    const Problem problem = Problem::parse(trial.problem);
    if (problem.text() != trial.problem) return "its problem isn't in canonical form";
    if (!belongs(trial.handle, problem)) return "its handle isn't one of its problem";
    if (!canonical(trial.config)) return "its config isn't in canonical form";
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace hone
