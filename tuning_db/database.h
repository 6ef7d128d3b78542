// The tuning database: one SQLite file, the thing that ships. The only place that knows SQLite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tuning_db/record.h"

namespace hone {

// A row of the `best` view: the best valid trial of (device, problem, layout).
using Best = Trial;

// The rule of the view: a place in the last final round counts before any time alone, then the
// lower median.
bool ranks_before(const Trial& a, const Trial& b);
// What the winner of the final round took, nanoseconds; nullopt when none of them was in one. The
// trials are of one device and problem.
std::optional<std::int64_t> winner_time(const std::vector<Trial>& trials);

// Opened for reading it works on a read-only or network file system and takes no lock that outlives
// a query; the one thing it may write is the end of a killed writer's last write, which SQLite
// rolls back. Opened for writing it creates or migrates the file. Every write is one transaction: a
// kill at any moment leaves every finished write in place, and two writers on one file wait for
// each other. An older file that is opened for reading is migrated in memory. Not thread safe: one
// object, one thread; not to be used across fork(). Every function throws Error(kDatabase) that
// says what is wrong with which file and what to do: not a database, another program's, newer than
// this Hone, damaged, locked for too long, full disk, read-only. Rows are believed one by one: one
// that flaw_of() refuses is left out, never the whole file.
class Database {
 public:
  enum class Mode { kRead, kWrite };
  // kRead: throws Error(kNotFound) when there is no file.
  Database(const std::filesystem::path& file, Mode mode);
  ~Database();
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;

  const std::filesystem::path& file() const;
  // Walks every page and index. Throws at the first damage.
  void check() const;

  // Devices.
  void put_device(const DeviceIdentity& device);  // inserts, or refreshes label, driver and memory
  void put_ceilings(const std::string& device,
                    const Ceilings& ceilings);  // replaces all; needs the device
  std::vector<DeviceIdentity> devices() const;
  Ceilings ceilings(const std::string& device) const;  // empty when never measured

  // Templates: hash -> variant, and the text it was, for provenance.
  void put_template(const Hash& hash, const std::string& op, const std::string& variant,
                    const std::string& text);

  // Trials. A trial of the same (device, problem, template hash, config) replaces the older one.
  // Throws Error(kUsage) when its device was never put, or flaw_of() finds something.
  void put_trial(const Trial& trial);
  // The outcome of a final round, winner first: stores each with preference 1, 2, ... and its
  // final_ns, and clears those of the problem's other trials. One device, one problem; one
  // transaction.
  void put_final(const std::vector<Trial>& ranked);
  std::optional<Trial> find_trial(const std::string& device, const std::string& problem,
                                  const Hash& template_hash, const std::string& config) const;
  // In the order they were put. `skipped` gets a line per row that was left out.
  std::vector<Trial> trials(const std::string& device, const std::string& problem,
                            std::vector<std::string>* skipped = nullptr) const;
  std::int64_t trial_count() const;

  // Best rows: one per (problem, device, layout), the first in the order of ranks_before() that
  // `valid` accepts. Problems together, in the order in which they were first put; within a problem
  // and device in the order of ranks_before().
  using Valid = std::function<bool(const Trial&)>;
  std::vector<Best> best_of_handle(const std::string& device, const std::string& handle,
                                   const Valid& valid) const;
  std::vector<Best> best_of_op(const std::string& op,
                               const Valid& valid) const;  // every device, every shape
  std::vector<Best> best(const Valid& valid) const;
  // Rows that were only built, and whose time a model told (`hone build`): of every device and
  // problem the one with the least "modelled_ns" of its figures. That time is their median_ns;
  // nobody measured it.
  std::vector<Best> modelled_of_op(const std::string& op) const;

  // Binaries: compressed (zstd), keyed by source hash and target text.
  void put_binary(const Hash& source, const std::string& target, const std::string& code);
  // nullopt when absent, or stored but damaged: either way it has to be compiled again.
  std::optional<std::string> binary(const Hash& source, const std::string& target) const;

  // Takes over what `other` has and this doesn't, in one transaction; returns how many trials were
  // new or newer. `other` is checked whole first and believed row by row; `skipped` gets a line per
  // row left out.
  // - The same (device, problem, template hash, config) in both: the one measured later stays; this
  // one's on a tie.
  // - Final rounds don't mix. Of a (device, problem) with one in both, the round whose winner was
  // faster keeps its preferences, this
  //   one's on a tie; the other round's trials come over as plain trials.
  // - Devices, ceilings, templates and binaries that are here stay as they are; those that aren't
  // come over.
  // - Binaries are machine code that will run: they come over only when asked for.
  std::int64_t merge(const Database& other, bool with_binaries,
                     std::vector<std::string>* skipped = nullptr);

  // One JSON object per line: {"hone_export":1}, then {"device":..}, {"ceilings":..},
  // {"template":..}, {"trial":..} and {"binary":..} (code in base64). Persistent. import_from takes
  // what export_to wrote and merges it by the rules above; it checks every line and changes nothing
  // if one is bad: Error(kDatabase) that begins with `name`:line. Returns what merge() does.
  void export_to(std::ostream& out, bool with_binaries) const;
  std::int64_t import_from(std::istream& in, const std::string& name, bool with_binaries);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// $HONE_DB, else $XDG_DATA_HOME/hone/tuning.db, else ~/.local/share/hone/tuning.db. Throws
// Error(kUsage) without a home.
std::filesystem::path user_database();
// $HONE_SYSTEM_DB, else the installed share/hone/tuning.db when it exists.
std::optional<std::filesystem::path> system_database();

}  // namespace hone
