// The tuning database: one SQLite file, the thing that ships. The only place that knows SQLite.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tuning_db/record.h"

namespace hone {

// A row of the `best` view: the best valid trial of (device, problem, layout).
using Best = Trial;

// Opened for reading it never writes, takes no lock that outlives a query, and works on a read-only or network file system. Opened for
// writing it creates or migrates the file. Every write is one transaction: a kill at any moment leaves every finished write in place, and two
// writers on one file wait for each other. Not thread safe: one object, one thread.
// Throws Error(kDatabase) that says what is wrong with which file and what to do: not a database, another program's, newer than this Hone, damaged, locked
// for too long, full disk, read-only.
class Database {
 public:
  enum class Mode { kRead, kWrite };
  Database(const std::filesystem::path& file, Mode mode);
  ~Database();
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;

  const std::filesystem::path& file() const;

  // Devices.
  void put_device(const DeviceIdentity& device);  // inserts, or refreshes label and driver
  void put_ceilings(const std::string& device, const Ceilings& ceilings);
  std::vector<DeviceIdentity> devices() const;
  Ceilings ceilings(const std::string& device) const;  // empty when never measured

  // Templates: hash -> variant, and the text it was, for provenance.
  void put_template(const Hash& hash, const std::string& op, const std::string& variant, const std::string& text);

  // Trials. A trial of the same (device, problem, template hash, config) replaces the older one.
  void put_trial(const Trial& trial);
  void put_final(const std::vector<Trial>& ranked);  // one transaction: sets final_ns and preference; clears those of the problem's other trials
  std::optional<Trial> find_trial(const std::string& device, const std::string& problem, const Hash& template_hash,
                                  const std::string& config) const;
  std::vector<Trial> trials(const std::string& device, const std::string& problem) const;

  // Best rows, fastest (by preference, then median) first. `valid` decides by template hash; rows it refuses are skipped, never the file.
  using Valid = std::function<bool(const Trial&)>;
  std::vector<Best> best_of_handle(const std::string& device, const std::string& handle, const Valid& valid) const;
  std::vector<Best> best_of_op(const std::string& op, const Valid& valid) const;  // every device, every shape: for near and sibling matches
  std::vector<Best> best(const Valid& valid) const;

  // Binaries: compressed (zstd), keyed by source hash and target text.
  void put_binary(const Hash& source, const std::string& target, const std::string& code);
  std::optional<std::string> binary(const Hash& source, const std::string& target) const;

  // Everything of `other` that is better or new; returns how many trials came over.
  std::int64_t merge(const Database& other);

  // One JSON object per line: header, devices, ceilings, templates, trials, binaries (base64). import accepts what export wrote, checks
  // every line, and changes nothing if one is bad.
  void export_to(std::ostream& out, bool with_binaries) const;
  std::int64_t import_from(std::istream& in, const std::string& name);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// $HONE_DB, else $XDG_DATA_HOME/hone/tuning.db, else ~/.local/share/hone/tuning.db.
std::filesystem::path user_database();
// $HONE_SYSTEM_DB, else the installed share/hone/tuning.db when it exists.
std::optional<std::filesystem::path> system_database();

}  // namespace hone
