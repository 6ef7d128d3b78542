#include "tuning_db/query.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "codegen/error.h"
#include "tuning_db/connection.h"

namespace hone {

Query::Query(const Connection& connection, SQLite::Statement& statement, bool& in_use)
    : connection_(connection), statement_(statement), in_use_(&in_use) {
  in_use = true;
}

Query::Query(const Connection& connection, std::unique_ptr<SQLite::Statement> own)
    : connection_(connection), own_(std::move(own)), statement_(*own_) {}

Query::~Query() {
  statement_.tryReset();
  if (in_use_ != nullptr) *in_use_ = false;
}

bool Query::step() {
  const int code = statement_.tryExecuteStep();
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw connection_.failure();
}

bool Query::is_null(int column) const { return statement_.isColumnNull(column); }
std::int64_t Query::integer(int column) const { return statement_.getColumn(column).getInt64(); }
double Query::real(int column) const { return statement_.getColumn(column).getDouble(); }
std::string Query::text(int column) const { return statement_.getColumn(column).getString(); }

Hash Query::hash(int column) const {
  const std::string bytes = text(column);
  Hash hash;
  if (bytes.size() != sizeof hash.high + sizeof hash.low) {
    throw Error(Code::kDatabase,
                fmt::format("a hash in {} has {} bytes and should have 16: the file is damaged",
                            connection_.file().string(), bytes.size()));
  }
  for (std::size_t i = 0; i < 8; ++i) {
    hash.high = hash.high << 8 | static_cast<unsigned char>(bytes[i]);
    hash.low = hash.low << 8 | static_cast<unsigned char>(bytes[i + 8]);
  }
  return hash;
}

void Query::put(int index, std::int64_t value) { statement_.bind(index, value); }
void Query::put(int index, double value) { statement_.bind(index, value); }
void Query::put(int index, std::string_view text) {
  check_size(text.size());
  statement_.bind(index, std::string(text));
}

void Query::put(int index, Blob blob) {
  check_size(blob.bytes.size());
  statement_.bind(index, blob.bytes.data(), static_cast<int>(blob.bytes.size()));
}

void Query::put(int index, const Hash& hash) {
  std::string bytes(16, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(hash.high >> (56 - 8 * i) & 0xff);
    bytes[i + 8] = static_cast<char>(hash.low >> (56 - 8 * i) & 0xff);
  }
  put(index, Blob{bytes});
}

void Query::check_size(std::size_t bytes) const {
  if (bytes > kMaxValueBytes) {
    throw connection_.failure(SQLITE_TOOBIG, fmt::format("{} bytes", bytes));
  }
}

void Query::fail() const { throw connection_.failure(); }

}  // namespace hone
