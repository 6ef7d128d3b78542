// One run of a prepared statement. Internal to tuning_db.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "codegen/hash.h"

namespace hone {

class Connection;

// Of one row: beyond any kernel.
inline constexpr std::size_t kMaxValueBytes = std::size_t{128} << 20;

// Bytes, as opposed to text.
struct Blob {
  std::string_view bytes;
};

// One run of a prepared statement. Gives back its locks when it goes out of scope.
class Query {
 public:
  Query(const Connection& connection, SQLite::Statement& statement, bool& in_use);
  Query(const Connection& connection, std::unique_ptr<SQLite::Statement> own);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // Parameters 1, 2, ... in order.
  template <class... Parameters>
  Query& bind(const Parameters&... parameters) {
    try {
      int index = 0;
      (put(++index, parameters), ...);
    } catch (const SQLite::Exception&) {
      fail();
    }
    return *this;
  }
  bool step();  // true: there is a row
  void run() {
    while (step()) continue;
  }

  // Columns from 0 on.
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  // of text and blobs: its bytes
  Hash hash(int column) const;         // throws Error(kDatabase) unless it is a blob of 16 bytes

 private:
  void put(int index, std::int64_t value);
  void put(int index, double value);
  void put(int index, std::string_view text);
  void put(int index, Blob blob);
  void put(int index, const Hash& hash);

  void check_size(std::size_t bytes) const;
  [[noreturn]] void fail() const;

  const Connection& connection_;
  std::unique_ptr<SQLite::Statement> own_;
  SQLite::Statement& statement_;
  bool* in_use_ = nullptr;
};

}  // namespace hone
