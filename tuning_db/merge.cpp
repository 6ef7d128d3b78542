// What comes into a database from elsewhere: the rules of Database::merge.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "tuning_db/compression.h"
#include "tuning_db/database_impl.h"

namespace hone {
namespace {

using Key = std::pair<Hash, std::string>;  // within a device and problem

Key key_of(const Trial& trial) { return {trial.template_hash, trial.config}; }

}  // namespace

std::optional<std::int64_t> winner_time(const std::vector<Trial>& trials) {
  const Trial* winner = nullptr;
  for (const Trial& trial : trials) {
    if (trial.preference == 0) continue;
    if (winner == nullptr || trial.preference < winner->preference) winner = &trial;
  }
  if (winner == nullptr) return std::nullopt;
  return counted_ns(*winner);
}

bool Database::Impl::absorb_device(const DeviceIdentity& device) {
  connection
      .query(
          "INSERT INTO device (key, backend, vendor, arch, model, units, memory_bytes, driver, "
          "name) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key) DO NOTHING")
      .bind(device.key(), device.backend, device.vendor, device.arch, device.model, device.units,
            device.memory_bytes, device.driver, device.name)
      .run();
  return connection.changes() > 0;
}

bool Database::Impl::absorb_ceilings(const std::string& device, const Ceilings& ceilings) {
  const std::int64_t id = device_id(device);
  Query any = connection.query("SELECT 1 FROM ceiling WHERE device = ?1");
  if (any.bind(id).step()) return false;
  for (const auto& [name, value] : ceilings) {
    connection.query("INSERT OR IGNORE INTO ceiling (device, name, value) VALUES (?1, ?2, ?3)")
        .bind(id, name, value)
        .run();
  }
  return true;
}

bool Database::Impl::absorb_template(const Hash& hash, const std::string& op,
                                     const std::string& variant, const std::string& text) {
  connection
      .query(
          "INSERT INTO template (hash, op, variant, text) VALUES (?1, ?2, ?3, ?4) "
          "ON CONFLICT (hash) DO NOTHING")
      .bind(hash, op, variant, text)
      .run();
  return connection.changes() > 0;
}

bool Database::Impl::absorb_binary(const Hash& source, const std::string& target,
                                   std::string_view code) {
  connection
      .query(
          "INSERT INTO binary (source, target, code) VALUES (?1, ?2, ?3) "
          "ON CONFLICT (source, target) DO NOTHING")
      .bind(source, target, Blob{compressed(code)})
      .run();
  return connection.changes() > 0;
}

std::int64_t Database::Impl::absorb_trials(const std::vector<Trial>& trials) {
  if (trials.empty()) return 0;
  static const std::string sql =
      fmt::format("SELECT {} FROM record WHERE device = ?1 AND problem = ?2", kTrialColumns);
  std::vector<Trial> ours;
  {
    Query query = connection.query(sql);
    query.bind(trials[0].device, trials[0].problem);
    std::string flaw;
    while (query.step()) {
      Trial trial = read_trial(query, flaw);
      if (flaw.empty()) ours.push_back(std::move(trial));
    }
  }
  const std::optional<std::int64_t> their_time = winner_time(trials);
  const std::optional<std::int64_t> our_time = winner_time(ours);
  const bool take_round = their_time && (!our_time || *their_time < *our_time);
  if (take_round) {
    clear_finals(device_id(trials[0].device), problem_id(trials[0]));
    for (Trial& trial : ours) trial.final_ns = trial.preference = 0;
  }

  std::map<Key, const Trial*> known;
  for (const Trial& trial : ours) known[key_of(trial)] = &trial;
  std::int64_t taken = 0;
  for (const Trial& theirs : trials) {
    const auto found = known.find(key_of(theirs));
    const Trial* here = found == known.end() ? nullptr : found->second;
    const bool newer = here == nullptr || theirs.when > here->when;
    Trial result = newer ? theirs : *here;
    const Trial* round = take_round ? &theirs : here;
    const bool placed = round != nullptr && result.status == Status::kOk;
    result.final_ns = placed ? round->final_ns : 0;
    result.preference = placed ? round->preference : 0;
    if (newer || result != *here) store(result);
    if (newer) ++taken;
  }
  return taken;
}

std::int64_t Database::merge(const Database& other, bool with_binaries,
                             std::vector<std::string>* skipped) {
  std::error_code ignored;
  if (std::filesystem::equivalent(file(), other.file(), ignored)) {
    throw Error(Code::kUsage,
                fmt::format("{} can't be merged into itself; name another file", file().string()));
  }
  const auto skip = [&](const std::string& what, const std::string& why) {
    if (skipped != nullptr) skipped->push_back(what + ": " + why);
  };
  Connection& theirs = other.impl_->connection;
  const Scope one_state(theirs, Scope::Kind::kRead);
  other.check();
  Scope scope(impl_->connection, Scope::Kind::kWrite);

  std::vector<std::string> known;
  for (const DeviceIdentity& device : other.devices()) {
    impl_->absorb_device(device);
    impl_->absorb_ceilings(device.key(), other.ceilings(device.key()));
    known.push_back(device.key());
  }

  Query templates = theirs.query("SELECT hash, op, variant, text FROM template ORDER BY id");
  while (templates.step()) {
    try {
      impl_->absorb_template(templates.hash(0), templates.text(1), templates.text(2),
                             templates.text(3));
    } catch (const Error& error) {
      if (templates.text(0).size() == 16) throw;
      skip("template " + templates.text(2), error.what());
    }
  }

  std::int64_t taken = 0;
  Query problems = theirs.query(
      "SELECT DISTINCT device.key, problem.text FROM trial JOIN device ON device.id = trial.device "
      "JOIN problem ON problem.id = trial.problem ORDER BY trial.problem, trial.device");
  while (problems.step()) {
    const std::string device = problems.text(0);
    if (std::find(known.begin(), known.end(), device) == known.end()) {
      skip("device " + device, "its key doesn't say what it is");
      continue;
    }
    taken += impl_->absorb_trials(other.trials(device, problems.text(1), skipped));
  }

  if (with_binaries) {
    Query binaries = theirs.query("SELECT source, target, code FROM binary ORDER BY id");
    while (binaries.step()) {
      const std::optional<std::string> code = decompressed(binaries.text(2));
      if (!code || binaries.text(0).size() != 16) {
        skip("binary for " + binaries.text(1), "it is damaged");
        continue;
      }
      impl_->absorb_binary(binaries.hash(0), binaries.text(1), *code);
    }
  }
  scope.commit();
  return taken;
}

}  // namespace hone
