#include "tuning_db/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "codegen/values.h"
#include "tuning_db/compression.h"
#include "tuning_db/database_impl.h"

namespace hone {
namespace {

const std::string kReadTrial = fmt::format("SELECT {} FROM record WHERE id = ?1", kTrialColumns);

std::string op_of(const std::string& problem) { return problem.substr(0, problem.find(':')); }

std::string name_of(const Trial& trial) {
  return fmt::format("{} {} {} on {}", trial.problem, trial.variant, trial.config, trial.device);
}

std::optional<std::int64_t> id_of(Connection& connection, std::string_view sql,
                                  const std::string& text) {
  Query query = connection.query(sql);
  if (!query.bind(text).step()) return std::nullopt;
  return query.integer(0);
}

std::optional<std::int64_t> find_device(Connection& connection, const std::string& key) {
  return id_of(connection, "SELECT id FROM device WHERE key = ?1", key);
}

std::optional<std::int64_t> find_problem(Connection& connection, const std::string& text) {
  return id_of(connection, "SELECT id FROM problem WHERE text = ?1", text);
}

std::vector<std::int64_t> ids(Query& query) {
  std::vector<std::int64_t> all;
  while (query.step()) all.push_back(query.integer(0));
  return all;
}

std::optional<Trial> trial_of(Connection& connection, std::int64_t id) {
  Query query = connection.query(kReadTrial);
  std::string flaw;
  if (!query.bind(id).step()) return std::nullopt;
  Trial trial = read_trial(query, flaw);
  if (!flaw.empty()) return std::nullopt;
  return trial;
}

// Appends the winner of each layout of (problem, device). Losers are never read: after a winner the
// walk goes on at the next layout.
void add_winners(Connection& connection, std::int64_t problem, std::int64_t device,
                 const Database::Valid& valid, std::vector<Best>& best) {
  const std::size_t first = best.size();
  std::string from;
  for (bool more = true; more;) {
    more = false;
    Query rows = connection.query(
        "SELECT id FROM trial WHERE problem = ?1 AND device = ?2 AND layout >= ?3 AND "
        "status = 'ok' AND median_ns > 0"
        " ORDER BY layout, preference = 0, preference, median_ns, id");
    rows.bind(problem, device, from);
    while (rows.step()) {
      std::optional<Trial> trial = trial_of(connection, rows.integer(0));
      if (!trial || !valid(*trial)) continue;
      from = trial->layout + '\0';  // the next text after it in SQLite's order
      best.push_back(std::move(*trial));
      more = true;
      break;
    }
  }
  std::stable_sort(best.begin() + static_cast<std::ptrdiff_t>(first), best.end(), ranks_before);
}

void add_winners_of_devices(Connection& connection, std::int64_t problem,
                            const Database::Valid& valid, std::vector<Best>& best) {
  std::int64_t device = std::numeric_limits<std::int64_t>::min();
  while (true) {
    Query next = connection.query(
        "SELECT min(device) FROM trial WHERE problem = ?1 AND device > ?2 AND "
        "status = 'ok' AND median_ns > 0");
    if (!next.bind(problem, device).step() || next.is_null(0)) return;
    device = next.integer(0);
    add_winners(connection, problem, device, valid, best);
  }
}

}  // namespace

bool ranks_before(const Trial& a, const Trial& b) {
  return std::tuple(a.preference == 0, a.preference, a.median_ns) <
         std::tuple(b.preference == 0, b.preference, b.median_ns);
}

// Rows

Trial read_trial(const Query& query, std::string& flaw) {
  Trial trial;
  flaw.clear();
  try {
    trial.device = query.text(0);
    trial.problem = query.text(1);
    trial.handle = query.text(2);
    trial.variant = query.text(3);
    trial.config = query.text(5);
    trial.layout = query.text(6);
    trial.median_ns = query.integer(9);
    trial.spread = query.real(10);
    trial.samples = query.integer(11);
    trial.bound_ns = query.integer(12);
    trial.error = query.is_null(13) ? std::numeric_limits<double>::quiet_NaN() : query.real(13);
    trial.checked = query.text(14);
    trial.timed = query.text(15);
    trial.toolchain = query.text(16);
    trial.reason = query.text(17);
    trial.compile_ms = query.integer(18);
    trial.when = query.integer(19);
    trial.final_ns = query.integer(20);
    trial.preference = query.integer(21);
    trial.is_default = query.integer(22) != 0;
    trial.figures = query.text(23);
    trial.template_hash = query.hash(4);
    trial.source = query.hash(7);
    trial.status = parse_status(query.text(8));
    flaw = flaw_of(trial);
  } catch (const Error& error) {
    flaw = error.what();
  }
  return trial;
}

DeviceIdentity read_device(const Query& query) {
  return {.backend = query.text(0),
          .vendor = query.text(1),
          .arch = query.text(2),
          .model = query.text(3),
          .units = query.integer(4),
          .memory_bytes = query.integer(5),
          .driver = query.text(6),
          .name = query.text(7)};
}

std::int64_t Database::Impl::device_id(const std::string& key) {
  if (const auto id = find_device(connection, key)) return *id;
  throw Error(Code::kUsage, fmt::format("device {} isn't in {}: put_device() comes first", key,
                                        connection.file().string()));
}

std::int64_t Database::Impl::problem_id(const Trial& trial) {
  connection
      .query(
          "INSERT INTO problem (text, handle, op) VALUES (?1, ?2, ?3) "
          "ON CONFLICT (text) DO UPDATE SET handle = excluded.handle WHERE handle <> "
          "excluded.handle")
      .bind(trial.problem, trial.handle, op_of(trial.problem))
      .run();
  return *find_problem(connection, trial.problem);
}

void Database::Impl::store(const Trial& trial) {
  const std::int64_t device = device_id(trial.device);
  const std::int64_t problem = problem_id(trial);
  Query query = connection.query(
      "INSERT INTO trial (device, problem, variant, template, config, layout, source, status, "
      "median_ns, spread, "
      "samples, bound_ns, error, checked, timed, toolchain, reason, compile_ms, measured, "
      "final_ns, preference, "
      "is_default, figures) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
      "?15, ?16, "
      "?17, ?18, ?19, "
      "?20, ?21, ?22, ?23) ON CONFLICT (problem, device, template, config) DO UPDATE SET variant = "
      "excluded.variant, "
      "layout = excluded.layout, source = excluded.source, status = excluded.status, "
      "median_ns = excluded.median_ns, spread = excluded.spread, samples = excluded.samples, "
      "bound_ns = excluded.bound_ns, error = excluded.error, checked = excluded.checked, timed = "
      "excluded.timed, "
      "toolchain = excluded.toolchain, reason = excluded.reason, compile_ms = excluded.compile_ms, "
      "measured = excluded.measured, final_ns = excluded.final_ns, preference = "
      "excluded.preference, "
      "is_default = excluded.is_default, figures = excluded.figures");
  // SQLite has no NaN: it stores one as NULL.
  query.bind(device, problem, trial.variant, trial.template_hash, trial.config, trial.layout,
             trial.source, to_text(trial.status), trial.median_ns, trial.spread, trial.samples,
             trial.bound_ns, trial.error, trial.checked, trial.timed, trial.toolchain, trial.reason,
             trial.compile_ms, trial.when, trial.final_ns, trial.preference,
             std::int64_t{trial.is_default}, trial.figures);
  query.run();
}

void Database::Impl::clear_finals(std::int64_t device, std::int64_t problem) {
  connection
      .query(
          "UPDATE trial SET final_ns = 0, preference = 0 WHERE problem = ?1 AND device = ?2 "
          "AND (final_ns <> 0 OR preference <> 0)")
      .bind(problem, device)
      .run();
}

// Database

Database::Database(const std::filesystem::path& file, Mode mode)
    : impl_(std::make_unique<Impl>(file, mode)) {}
Database::~Database() = default;
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;

const std::filesystem::path& Database::file() const { return impl_->connection.file(); }

void Database::check() const { impl_->connection.check(); }

void Database::put_device(const DeviceIdentity& device) {
  impl_->connection
      .query(
          "INSERT INTO device (key, backend, vendor, arch, model, units, memory_bytes, driver, "
          "name) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key) DO UPDATE SET "
          "memory_bytes = excluded.memory_bytes, driver = excluded.driver, name = excluded.name")
      .bind(device.key(), device.backend, device.vendor, device.arch, device.model, device.units,
            device.memory_bytes, device.driver, device.name)
      .run();
}

void Database::put_ceilings(const std::string& device, const Ceilings& ceilings) {
  for (const auto& [name, value] : ceilings) {
    if (!std::isfinite(value) || value < 0) {
      throw Error(Code::kUsage, fmt::format("the ceiling {} of {} is {}", name, device, value));
    }
  }
  Scope scope(impl_->connection, Scope::Kind::kWrite);
  const std::int64_t id = impl_->device_id(device);
  impl_->connection.query("DELETE FROM ceiling WHERE device = ?1").bind(id).run();
  for (const auto& [name, value] : ceilings) {
    impl_->connection.query("INSERT INTO ceiling (device, name, value) VALUES (?1, ?2, ?3)")
        .bind(id, name, value)
        .run();
  }
  scope.commit();
}

std::vector<DeviceIdentity> Database::devices() const {
  static const std::string sql = fmt::format("SELECT {} FROM device ORDER BY id", kDeviceColumns);
  std::vector<DeviceIdentity> all;
  Query query = impl_->connection.query(sql);
  while (query.step()) all.push_back(read_device(query));
  return all;
}

Ceilings Database::ceilings(const std::string& device) const {
  Ceilings all;
  Query query = impl_->connection.query(
      "SELECT ceiling.name, value FROM ceiling JOIN device ON device.id = ceiling.device WHERE key "
      "= ?1");
  query.bind(device);
  while (query.step()) {
    const double value = query.real(1);
    if (std::isfinite(value) && value >= 0) all[query.text(0)] = value;
  }
  return all;
}

void Database::put_template(const Hash& hash, const std::string& op, const std::string& variant,
                            const std::string& text) {
  impl_->absorb_template(hash, op, variant, text);
}

void Database::put_trial(const Trial& trial) {
  if (const std::string flaw = flaw_of(trial); !flaw.empty()) {
    throw Error(Code::kUsage, fmt::format("trial {} can't be stored: {}", name_of(trial), flaw));
  }
  Scope scope(impl_->connection, Scope::Kind::kWrite);
  impl_->store(trial);
  scope.commit();
}

void Database::put_final(const std::vector<Trial>& ranked) {
  if (ranked.empty()) return;
  Scope scope(impl_->connection, Scope::Kind::kWrite);
  impl_->clear_finals(impl_->device_id(ranked[0].device), impl_->problem_id(ranked[0]));
  std::int64_t place = 0;
  for (Trial trial : ranked) {
    if (trial.device != ranked[0].device || trial.problem != ranked[0].problem) {
      throw Error(Code::kInternal, fmt::format("a final round of {} holds a trial of {}",
                                               ranked[0].problem, name_of(trial)));
    }
    trial.preference = ++place;
    put_trial(trial);
  }
  scope.commit();
}

std::optional<Trial> Database::find_trial(const std::string& device, const std::string& problem,
                                          const Hash& template_hash,
                                          const std::string& config) const {
  static const std::string sql = fmt::format(
      "SELECT {} FROM record WHERE device = ?1 AND problem = ?2 AND template = ?3 AND config = ?4",
      kTrialColumns);
  Query query = impl_->connection.query(sql);
  std::string flaw;
  if (!query.bind(device, problem, template_hash, config).step()) return std::nullopt;
  Trial trial = read_trial(query, flaw);
  if (!flaw.empty()) return std::nullopt;
  return trial;
}

std::vector<Trial> Database::trials(const std::string& device, const std::string& problem,
                                    std::vector<std::string>* skipped) const {
  static const std::string sql = fmt::format(
      "SELECT {} FROM record WHERE device = ?1 AND problem = ?2 ORDER BY id", kTrialColumns);
  std::vector<Trial> all;
  Query query = impl_->connection.query(sql);
  query.bind(device, problem);
  std::string flaw;
  while (query.step()) {
    Trial trial = read_trial(query, flaw);
    if (flaw.empty()) {
      all.push_back(std::move(trial));
    } else if (skipped != nullptr) {
      skipped->push_back(fmt::format("{}: {}", name_of(trial), flaw));
    }
  }
  return all;
}

std::int64_t Database::trial_count() const {
  Query query = impl_->connection.query("SELECT count(*) FROM trial");
  query.step();
  return query.integer(0);
}

std::vector<Best> Database::best_of_handle(const std::string& device, const std::string& handle,
                                           const Valid& valid) const {
  Connection& connection = impl_->connection;
  const Scope one_state(connection, Scope::Kind::kRead);
  std::vector<Best> best;
  const auto device_id = find_device(connection, device);
  if (!device_id) return best;
  Query problems = connection.query("SELECT id FROM problem WHERE handle = ?1 ORDER BY id");
  for (const std::int64_t problem : ids(problems.bind(handle))) {
    add_winners(connection, problem, *device_id, valid, best);
  }
  return best;
}

std::vector<Best> Database::best_of_op(const std::string& op, const Valid& valid) const {
  Connection& connection = impl_->connection;
  const Scope one_state(connection, Scope::Kind::kRead);
  std::vector<Best> best;
  Query problems = connection.query("SELECT id FROM problem WHERE op = ?1 ORDER BY id");
  for (const std::int64_t problem : ids(problems.bind(op))) {
    add_winners_of_devices(connection, problem, valid, best);
  }
  return best;
}

std::vector<Best> Database::best(const Valid& valid) const {
  Connection& connection = impl_->connection;
  const Scope one_state(connection, Scope::Kind::kRead);
  std::vector<Best> best;
  Query problems = connection.query("SELECT id FROM problem ORDER BY id");
  for (const std::int64_t problem : ids(problems)) {
    add_winners_of_devices(connection, problem, valid, best);
  }
  return best;
}

std::vector<Best> Database::modelled_of_op(const std::string& op) const {
  static const std::string sql = fmt::format(
      "SELECT {} FROM record WHERE op = ?1 AND status = 'built' AND json_valid(figures) AND "
      "json_extract(figures, '$.modelled_ns') > 0 ORDER BY json_extract(figures, '$.modelled_ns'), "
      "id",
      kTrialColumns);
  static const std::string time = "SELECT CAST(json_extract(?1, '$.modelled_ns') AS INTEGER)";
  std::vector<Best> best;
  std::set<std::pair<std::string, std::string>> known;
  Query query = impl_->connection.query(sql);
  query.bind(op);
  std::string flaw;
  while (query.step()) {
    Trial trial = read_trial(query, flaw);
    if (!flaw.empty() || !known.emplace(trial.device, trial.problem).second) continue;
    Query number = impl_->connection.query(time);
    if (!number.bind(trial.figures).step()) continue;
    trial.median_ns = number.integer(0);
    best.push_back(std::move(trial));
  }
  return best;
}

void Database::put_binary(const Hash& source, const std::string& target, const std::string& code) {
  impl_->connection
      .query(
          "INSERT INTO binary (source, target, code) VALUES (?1, ?2, ?3) "
          "ON CONFLICT (source, target) DO UPDATE SET code = excluded.code")
      .bind(source, target, Blob{compressed(code)})
      .run();
}

std::optional<std::string> Database::binary(const Hash& source, const std::string& target) const {
  Query query =
      impl_->connection.query("SELECT code FROM binary WHERE source = ?1 AND target = ?2");
  if (!query.bind(source, target).step()) return std::nullopt;
  return decompressed(query.text(0));
}

}  // namespace hone
