// The tables of a tuning database, as a list of steps from an empty file to today's version.
// Persistent.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <span>
#include <string>

namespace hone {

// Marks a file as ours: "Hone" in ASCII, in the header of the file.
inline constexpr int kApplicationId = 0x486f6e65;

// Step i takes a file from version i to version i + 1, data included. Steps that were ever released
// never change; a new version is a new step at the end, with a file of the version before kept in
// tests/tuning_db.
using Migrations = std::span<const char* const>;
Migrations migrations();

// Brings the file of `database` to version `steps.size()` in one transaction: all of it or nothing.
// Another process may do the same at the same time. Throws SQLite::Exception.
void migrate(SQLite::Database& database, Migrations steps);

// What differs between the tables, indexes and views of `database` and those that the steps make;
// "" when nothing does. A file that somebody else prepared can hold triggers and views of its own:
// they'd run as ours.
std::string schema_difference(SQLite::Database& database, Migrations steps);

}  // namespace hone
