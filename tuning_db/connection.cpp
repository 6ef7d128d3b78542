#include "tuning_db/connection.h"

#include <SQLiteCpp/Backup.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>

namespace hone {
namespace {

constexpr int kBusyWaitMs = 30'000;        // for another writer to finish
constexpr int kStepsPerCheck = 1'000'000;  // virtual machine steps of SQLite
constexpr std::int64_t kMaxStepsPerQuery =
    5'000;  // of kStepsPerCheck: a minute and more; only a damaged file needs it

const char* const kUseAnother = "choose another file with --db or HONE_DB";

bool may(const std::filesystem::path& path, int mode) {
  return faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0;
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

std::filesystem::path journal_of(const std::filesystem::path& file) {
  std::filesystem::path journal = file;
  journal += "-journal";
  return journal;
}

bool has_journal(const std::filesystem::path& file) {
  std::error_code ignored;
  const std::uintmax_t size = std::filesystem::file_size(journal_of(file), ignored);
  return !ignored && size > 0;
}

bool on_read_only_file_system(const std::filesystem::path& file) {
  struct statvfs system = {};
  return statvfs(file.c_str(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0;
}

// "file:" names give '?', '#' and '%' a meaning.
std::string immutable_name(const std::filesystem::path& file) {
  std::string name = "file:";
  for (const char c : std::filesystem::absolute(file).string()) {
    if (c == '?' || c == '#' || c == '%') {
      name += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      name += c;
    }
  }
  return name + "?immutable=1";
}

// A file that somebody else made must not run anything, nor make SQLite take more than a database
// of kernels needs.
void defend(SQLite::Database& database) {
  sqlite3* handle = database.getHandle();
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, static_cast<int>(kMaxValueBytes));
  sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, 64 << 10);
  sqlite3_limit(handle, SQLITE_LIMIT_COLUMN, 64);
  sqlite3_limit(handle, SQLITE_LIMIT_EXPR_DEPTH, 32);
  sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, 4);
  sqlite3_limit(handle, SQLITE_LIMIT_FUNCTION_ARG, 8);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256);
  sqlite3_limit(handle, SQLITE_LIMIT_VARIABLE_NUMBER, 64);
  sqlite3_limit(handle, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
  sqlite3_limit(handle, SQLITE_LIMIT_WORKER_THREADS, 0);
}

int count_steps(void* left) { return --*static_cast<std::int64_t*>(left) < 0 ? 1 : 0; }

}  // namespace

// Scope

Scope::Scope(Connection& connection, Kind kind) : connection_(connection) {
  if (connection_.in_transaction()) return;
  connection_.query(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN").run();
  open_ = true;
}

Scope::~Scope() {
  if (!open_ || !connection_.in_transaction()) return;
  try {
    connection_.query("ROLLBACK").run();
  } catch (const Error&) {
    // What made this scope end early is being reported; closing the file rolls back as well.
  }
}

void Scope::commit() {
  if (open_) connection_.query("COMMIT").run();
  open_ = false;
}

// Connection

Connection::Connection(std::filesystem::path file, Database::Mode mode, Migrations steps)
    : file_(std::move(file)) {
  try {
    if (mode == Database::Mode::kRead) {
      open_to_read(steps);
    } else {
      open_to_write(steps);
    }
  } catch (const SQLite::Exception& error) {
    throw failure(error.getExtendedErrorCode(), error.what());
  }
}

Connection::~Connection() = default;

Query Connection::query(std::string_view sql) {
  steps_left_ = kMaxStepsPerQuery;
  try {
    Prepared& prepared = prepared_[sql];
    if (prepared.in_use) {  // the caller of a running query asks the same again, from within
      return Query(*this, std::make_unique<SQLite::Statement>(*database_, std::string(sql)));
    }
    if (!prepared.statement) {
      prepared.statement = std::make_unique<SQLite::Statement>(*database_, std::string(sql));
    }
    return Query(*this, *prepared.statement, prepared.in_use);
  } catch (const SQLite::Exception& error) {
    throw failure(error.getExtendedErrorCode(), error.what());
  }
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(database_->getHandle()) == 0;
}

void Connection::open(const std::string& name, int flags) {
  adopt(std::make_unique<SQLite::Database>(name, flags | SQLite::OPEN_NOMUTEX, kBusyWaitMs));
}

void Connection::adopt(std::unique_ptr<SQLite::Database> database) {
  database_ = std::move(database);
  defend(*database_);
  steps_left_ = kMaxStepsPerQuery;
  sqlite3_progress_handler(database_->getHandle(), kStepsPerCheck, count_steps, &steps_left_);
  database_->exec("PRAGMA cell_size_check = ON");
  database_->exec("PRAGMA mmap_size = 0");
  database_->exec("PRAGMA temp_store = MEMORY");
}

void Connection::open_to_read(Migrations steps) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file_, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw Error(Code::kNotFound,
                fmt::format("there is no tuning database {}: `hone tune` makes one; "
                            "or choose one with --db or HONE_DB",
                            file_.string()));
  }
  if (error) throw unusable("can't be looked at (" + error.message() + ")", kUseAnother);
  if (status.type() != std::filesystem::file_type::regular) {
    throw unusable("is no file", kUseAnother);
  }
  if (!may(file_, R_OK)) {
    throw unusable(fmt::format("can't be read ({})", std::strerror(errno)),
                   "get the permission from its owner, or " + std::string(kUseAnother));
  }

  // Nobody writes on a read-only file system, and locks may not work on one. Elsewhere a writer may
  // have been killed half way, even while this is open: only a handle that may write can roll that
  // back, so one is taken where it can be had.
  if (on_read_only_file_system(file_)) {
    if (has_journal(file_)) {
      throw unusable(
          fmt::format(
              "is in the middle of a write ({} lies beside it), and on a read-only file system",
              journal_of(file_).filename().string()),
          "open it once where it can be written, e.g. with `hone db show`");
    }
    open(immutable_name(file_), SQLite::OPEN_READONLY | SQLite::OPEN_URI);
  } else {
    const bool writable = may(file_, W_OK) && may(folder_of(file_), W_OK);
    open(file_.string(), writable ? SQLite::OPEN_READWRITE : SQLite::OPEN_READONLY);
  }
  database_->exec("PRAGMA query_only = ON");

  const std::int64_t found = version(steps);
  if (found < static_cast<std::int64_t>(steps.size())) {
    // Older, or empty since its first writer was killed. It may lie where nothing can be written: a
    // copy in memory takes the steps.
    auto copy = std::make_unique<SQLite::Database>(
        ":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX);
    SQLite::Backup(*copy, *database_).executeStep(-1);
    adopt(std::move(copy));
    migrate(*database_, steps);
  }
  check_schema(steps);
}

void Connection::open_to_write(Migrations steps) {
  const std::filesystem::path folder = folder_of(file_);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw unusable(fmt::format("can't be made: its folder can't ({})", error.message()),
                   kUseAnother);
  }
  const std::filesystem::file_status status = std::filesystem::status(file_, error);
  const bool exists = status.type() != std::filesystem::file_type::not_found;
  if (exists && status.type() != std::filesystem::file_type::regular) {
    throw unusable("is no file", kUseAnother);
  }
  for (const std::filesystem::path& path : {folder, file_}) {
    if (path == file_ && !exists) continue;
    if (!may(path, W_OK)) {
      throw unusable(fmt::format("can't be written ({}: {})", path.string(), std::strerror(errno)),
                     kUseAnother);
    }
  }
  open(file_.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  if (sqlite3_db_readonly(database_->getHandle(), "main") == 1) {
    throw unusable("can't be written", kUseAnother);
  }

  if (version(steps) < static_cast<std::int64_t>(steps.size())) migrate(*database_, steps);
  check_schema(steps);
  // A write-ahead log would need shared memory and leave files beside: neither goes with NFS and
  // read-only readers.
  database_->exec("PRAGMA journal_mode = DELETE");
  database_->exec("PRAGMA synchronous = FULL");
  database_->exec("PRAGMA secure_delete = OFF");
  database_->exec("PRAGMA foreign_keys = ON");
}

std::int64_t Connection::version(Migrations steps) {
  const SQLite::Transaction one_state(*database_);
  const std::int64_t application = database_->execAndGet("PRAGMA application_id").getInt64();
  const std::int64_t found = database_->execAndGet("PRAGMA user_version").getInt64();
  const std::int64_t parts = database_->execAndGet("SELECT count(*) FROM sqlite_schema").getInt64();
  // SQLite takes the missing part of a last page for zeros, and a few bytes for an empty file.
  const std::int64_t pages = database_->execAndGet("PRAGMA page_count").getInt64();
  const std::int64_t page_bytes = database_->execAndGet("PRAGMA page_size").getInt64();
  std::error_code ignored;
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(file_, ignored));
  if (bytes < pages * page_bytes) {
    throw failure(SQLITE_CORRUPT, fmt::format("it has {} pages of {} bytes", pages, page_bytes));
  }
  if (pages == 0 && bytes > 0) throw failure(SQLITE_NOTADB, fmt::format("{} bytes", bytes));
  if (application == 0 && found == 0 && parts == 0) return 0;
  if (application != kApplicationId) {
    throw unusable("is a database of another program", kUseAnother);
  }
  if (found > static_cast<std::int64_t>(steps.size())) {
    throw unusable(
        fmt::format("is of version {}, made by a newer Hone; this one knows versions up to {}",
                    found, steps.size()),
        std::string("install a newer Hone, or ") + kUseAnother);
  }
  if (found < 1) {
    throw unusable(fmt::format("is of version {}, which never was", found), kUseAnother);
  }
  return found;
}

void Connection::check_schema(Migrations steps) {
  const std::string difference = schema_difference(*database_, steps);
  if (!difference.empty()) {
    throw unusable(fmt::format("isn't as Hone made it: {}", difference),
                   "don't trust it; tune or merge into a new file");
  }
}

void Connection::check() {
  Query pages = query("PRAGMA integrity_check(1)");
  pages.step();
  const std::string found = pages.text(0);
  if (found != "ok") throw failure(SQLITE_CORRUPT, found);
}

Error Connection::unusable(const std::string& what, const std::string& remedy) const {
  return Error(Code::kDatabase, fmt::format("{} {}; {}", file_.string(), what, remedy));
}

Error Connection::failure() const {
  sqlite3* handle = database_->getHandle();
  std::string detail = sqlite3_errmsg(handle);
  if (const int system = sqlite3_system_errno(handle); system != 0) {
    detail += fmt::format(", {}", std::strerror(system));
  }
  return failure(sqlite3_extended_errcode(handle), detail);
}

Error Connection::failure(int code, const std::string& detail) const {
  const auto say = [&](const std::string& what, const std::string& remedy) {
    return unusable(fmt::format("{} ({})", what, detail), remedy);
  };
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return say("is no tuning database, or its first page is damaged", kUseAnother);
    case SQLITE_CORRUPT: {
      std::error_code ignored;
      return say(fmt::format("is damaged or cut short at {} bytes",
                             std::filesystem::file_size(file_, ignored)),
                 "nothing was written; restore a copy, or save what is readable with "
                 "`sqlite3 FILE .recover`, or move it away and tune again");
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return say(fmt::format("was locked by another process for {} s", kBusyWaitMs / 1000),
                 "let that one finish, or " + std::string(kUseAnother));
    case SQLITE_FULL:
      return say(
          "can't grow: the disk is full",
          "everything finished before is in it; free some space and run the same command again");
    case SQLITE_READONLY:
      if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY) {
        return say("was left in the middle of a write, and may not be written by you",
                   "let its owner open it once, e.g. `hone db show`");
      }
      return say("can't be written", kUseAnother);
    case SQLITE_IOERR:
      return say("can't be read or written: the system refuses",
                 "check the disk and its quota; everything finished before is in the file");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return say(
          "can't be opened, or its journal beside it can't",
          "check the permissions of the file and its folder, or " + std::string(kUseAnother));
    case SQLITE_TOOBIG:
      return say(fmt::format("can't take a value of more than {} MiB", kMaxValueBytes >> 20),
                 "leave it out");
    case SQLITE_INTERRUPT:
      return say("makes a query run without end: it is damaged",
                 "restore a copy, or tune into a new file");
    default:
      return say("can't be used", "restore a copy, or " + std::string(kUseAnother));
  }
}

}  // namespace hone
