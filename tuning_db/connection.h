// One open SQLite file: opened defensively, statements prepared once, every failure an Error that
// names the file. Internal to tuning_db.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "codegen/error.h"
#include "tuning_db/database.h"
#include "tuning_db/query.h"
#include "tuning_db/schema.h"

namespace hone {

class Connection {
 public:
  Connection(std::filesystem::path file, Database::Mode mode, Migrations steps = migrations());
  ~Connection();

  const std::filesystem::path& file() const { return file_; }
  Query query(std::string_view sql);  // sql: a literal, it is kept by address
  std::int64_t changes() const { return database_->getChanges(); }
  bool in_transaction() const;

  // Walks every page and index. Throws Error(kDatabase) at the first damage.
  void check();

  // The Error for what SQLite just refused.
  Error failure() const;
  Error failure(int code, const std::string& detail) const;
  Error unusable(const std::string& what, const std::string& remedy) const;

 private:
  void open_to_read(Migrations steps);
  void open_to_write(Migrations steps);
  void open(const std::string& name, int flags);
  void adopt(std::unique_ptr<SQLite::Database> database);
  std::int64_t version(Migrations steps);  // 0: an empty file; throws for a file that isn't ours
  void check_schema(Migrations steps);

  struct Prepared {
    std::unique_ptr<SQLite::Statement> statement;
    bool in_use = false;
  };

  std::filesystem::path file_;
  std::unique_ptr<SQLite::Database> database_;
  std::unordered_map<std::string_view, Prepared> prepared_;
  std::int64_t steps_left_ = 0;  // of the running query, in units of the progress handler
};

// A transaction, unless one is open already: then part of that. Rolls back unless committed.
class Scope {
 public:
  enum class Kind { kRead, kWrite };
  Scope(Connection& connection, Kind kind);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  void commit();

 private:
  Connection& connection_;
  bool open_ = false;
};

}  // namespace hone
