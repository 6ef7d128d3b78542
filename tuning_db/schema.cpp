#include "tuning_db/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace hone {
namespace {

// Ids stand for texts that repeat in every row. Hashes are blobs of 16 bytes. The error of a trial
// is null when it is not a number. `trial_rank` holds the rows that can win in the order in which
// they win: the winner is one seek away, however many lost.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  backend TEXT NOT NULL,
  vendor TEXT NOT NULL,
  arch TEXT NOT NULL,
  model TEXT NOT NULL,
  units INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  driver TEXT NOT NULL,
  name TEXT NOT NULL
) STRICT;

CREATE TABLE ceiling (
  device INTEGER NOT NULL REFERENCES device(id),
  name TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE template (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  op TEXT NOT NULL,
  variant TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE problem (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  handle TEXT NOT NULL,
  op TEXT NOT NULL
) STRICT;
CREATE INDEX problem_handle ON problem(handle);
CREATE INDEX problem_op ON problem(op);

CREATE TABLE trial (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES device(id),
  problem INTEGER NOT NULL REFERENCES problem(id),
  variant TEXT NOT NULL,
  template BLOB NOT NULL,
  config TEXT NOT NULL,
  layout TEXT NOT NULL,
  source BLOB NOT NULL,
  status TEXT NOT NULL,
  median_ns INTEGER NOT NULL,
  spread REAL NOT NULL,
  samples INTEGER NOT NULL,
  bound_ns INTEGER NOT NULL,
  error REAL,
  checked TEXT NOT NULL,
  timed TEXT NOT NULL,
  toolchain TEXT NOT NULL,
  reason TEXT NOT NULL,
  compile_ms INTEGER NOT NULL,
  measured INTEGER NOT NULL,
  final_ns INTEGER NOT NULL,
  preference INTEGER NOT NULL,
  is_default INTEGER NOT NULL,
  UNIQUE (problem, device, template, config)
) STRICT;
CREATE INDEX trial_rank ON trial(problem, device, layout, preference = 0, preference, median_ns)
  WHERE status = 'ok' AND median_ns > 0;

CREATE TABLE binary (
  id INTEGER PRIMARY KEY,
  source BLOB NOT NULL,
  target TEXT NOT NULL,
  code BLOB NOT NULL,
  UNIQUE (source, target)
) STRICT;

CREATE VIEW record AS
  SELECT trial.id AS id, device.key AS device, problem.text AS problem, problem.handle AS handle, problem.op AS op,
         variant, template, config, layout, source, status, median_ns, spread, samples, bound_ns, error, checked, timed,
         toolchain, reason, compile_ms, measured, final_ns, preference, is_default
  FROM trial JOIN device ON device.id = trial.device JOIN problem ON problem.id = trial.problem;

CREATE VIEW best AS
  SELECT id, device, problem, handle, op, variant, template, config, layout, source, median_ns, spread, samples, bound_ns,
         error, checked, timed, toolchain, compile_ms, measured, final_ns, preference, is_default
  FROM (SELECT *, row_number() OVER (PARTITION BY device, problem, layout
                                     ORDER BY preference = 0, preference, median_ns, id) AS place
        FROM record WHERE status = 'ok' AND median_ns > 0)
  WHERE place = 1;
)sql";

// What compilers and simulators tell of GPU kernels.
constexpr const char* kVersion2 = R"sql(
DROP VIEW best;
DROP VIEW record;
ALTER TABLE trial ADD COLUMN figures TEXT NOT NULL DEFAULT '';
CREATE VIEW record AS
  SELECT trial.id AS id, device.key AS device, problem.text AS problem, problem.handle AS handle, problem.op AS op,
         variant, template, config, layout, source, status, median_ns, spread, samples, bound_ns, error, checked, timed,
         toolchain, reason, compile_ms, measured, final_ns, preference, is_default, figures
  FROM trial JOIN device ON device.id = trial.device JOIN problem ON problem.id = trial.problem;

CREATE VIEW best AS
  SELECT id, device, problem, handle, op, variant, template, config, layout, source, median_ns, spread, samples, bound_ns,
         error, checked, timed, toolchain, compile_ms, measured, final_ns, preference, is_default, figures
  FROM (SELECT *, row_number() OVER (PARTITION BY device, problem, layout
                                     ORDER BY preference = 0, preference, median_ns, id) AS place
        FROM record WHERE status = 'ok' AND median_ns > 0)
  WHERE place = 1;
)sql";

constexpr std::array<const char*, 2> kSteps = {kVersion1, kVersion2};

// What ANALYZE leaves behind: harmless, and no part of a version.
constexpr std::array<std::string_view, 2> kStatistics = {
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"};

using Schema = std::map<std::string, std::string>;  // "table trial" -> its text

Schema schema_of(SQLite::Database& database) {
  Schema schema;
  SQLite::Statement rows(database,
                         "SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema");
  while (rows.executeStep()) {
    const std::string sql = rows.getColumn(3).getString();
    if (std::find(kStatistics.begin(), kStatistics.end(), sql) != kStatistics.end()) continue;
    const std::string name = rows.getColumn(0).getString() + " " + rows.getColumn(1).getString();
    schema[name] = rows.getColumn(2).getString() + ": " + sql;
  }
  return schema;
}

Schema schema_of(Migrations steps) {
  SQLite::Database fresh(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  migrate(fresh, steps);
  return schema_of(fresh);
}

const Schema& todays_schema() {
  static const Schema schema = schema_of(migrations());
  return schema;
}

}  // namespace

Migrations migrations() { return kSteps; }

void migrate(SQLite::Database& database, Migrations steps) {
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  const auto version =
      static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt64());
  for (std::size_t step = version; step < steps.size(); ++step) database.exec(steps[step]);
  if (version < steps.size()) {
    database.exec(fmt::format("PRAGMA application_id = {}", kApplicationId));
    database.exec(fmt::format("PRAGMA user_version = {}", steps.size()));
  }
  transaction.commit();
}

std::string schema_difference(SQLite::Database& database, Migrations steps) {
  const bool today = steps.data() == migrations().data() && steps.size() == migrations().size();
  const Schema want = today ? todays_schema() : schema_of(steps);
  const Schema have = schema_of(database);
  for (const auto& [name, text] : want) {
    const auto found = have.find(name);
    if (found == have.end()) return name + " is missing";
    if (found->second != text) return name + " is not as Hone makes it";
  }
  for (const auto& [name, text] : have) {
    if (want.find(name) == want.end()) return name + " is not Hone's";
  }
  return "";
}

}  // namespace hone
