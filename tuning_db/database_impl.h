// What the member functions of Database share. Internal to tuning_db.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tuning_db/connection.h"
#include "tuning_db/database.h"

namespace hone {

struct Database::Impl {
  Impl(std::filesystem::path file, Mode mode) : connection(std::move(file), mode) {}

  std::int64_t device_id(const std::string& key);  // throws Error(kUsage) for a device never put
  std::int64_t problem_id(const Trial& trial);     // inserts it, or refreshes its handle
  void store(const Trial& trial);                  // inserts or replaces
  void clear_finals(std::int64_t device, std::int64_t problem);

  // What comes from elsewhere, by the rules of Database::merge. They return whether it was new or
  // newer.
  bool absorb_device(const DeviceIdentity& device);
  bool absorb_ceilings(const std::string& device, const Ceilings& ceilings);
  bool absorb_template(const Hash& hash, const std::string& op, const std::string& variant,
                       const std::string& text);
  bool absorb_binary(const Hash& source, const std::string& target, std::string_view code);
  // All trials of one (device, problem). Returns how many were new or newer.
  std::int64_t absorb_trials(const std::vector<Trial>& trials);

  Connection connection;
};

// The columns of the view `record` in the order in which read_trial() wants them.
inline constexpr std::string_view kTrialColumns =
    "device, problem, handle, variant, template, config, layout, source, status, median_ns, "
    "spread, samples, bound_ns, error, checked, timed, toolchain, reason, compile_ms, measured, "
    "final_ns, preference, is_default, figures";

// The row under `query`. Sets `flaw` when the row can't be believed; the trial then holds what
// could be read.
Trial read_trial(const Query& query, std::string& flaw);

DeviceIdentity read_device(
    const Query& query);  // backend, vendor, arch, model, units, memory_bytes, driver, name
inline constexpr std::string_view kDeviceColumns =
    "backend, vendor, arch, model, units, memory_bytes, driver, name";

}  // namespace hone
