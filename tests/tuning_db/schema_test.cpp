// Files of every version that was ever released open, and go on to the next. version_1.sql was
// written down when version 1 was made and never changes.
#include "tuning_db/schema.h"

#include "tests/tuning_db/fixture.h"
#include "tuning_db/connection.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OldFile : public ::testing::Test {
 protected:
  OldFile() {
    SQLite::Database raw(file_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    raw.exec(bytes_of(std::filesystem::path(HONE_ROOT) / "tests/tuning_db/version_1.sql"));
  }
  static std::int64_t version(const std::filesystem::path& file) {
    SQLite::Database raw(file);
    return raw.execAndGet("PRAGMA user_version").getInt64();
  }

  Folder folder_;
  std::filesystem::path file_ = folder_ / "t.db";
};

TEST_F(OldFile, OfVersion1IsReadInFull) {
  for (const auto mode : {Database::Mode::kRead, Database::Mode::kWrite}) {
    const Database database(file_, mode);
    database.check();
    EXPECT_THAT(database.devices(), ElementsAre(some_device()));
    EXPECT_EQ(database.ceilings(kDevice), (Ceilings{{"read_gbps", 20.5}}));
    Trial winner = with_layout(some_trial(2, 800), "w:panel(32)");
    winner.final_ns = 810;
    winner.preference = 1;
    Trial wrong = failed(some_trial(3), Status::kWrong);
    wrong.error = 0.5;
    EXPECT_THAT(database.trials(kDevice, kProblem), ElementsAre(some_trial(1), winner, wrong));
    EXPECT_THAT(database.best(any), ElementsAre(winner, some_trial(1)));
    EXPECT_EQ(database.binary(winner.source, "cpu/x86-64-v4"), "code of a kernel");
  }
}

TEST_F(OldFile, OfVersion1HasTheTablesThatTheFirstStepMakes) {
  SQLite::Database raw(file_);
  EXPECT_EQ(schema_difference(raw, migrations().first(1)), "");
}

// The mechanism, tried with a step that no release has.
class NextStep : public OldFile {
 protected:
  static constexpr const char* kGood =
      "ALTER TABLE device ADD COLUMN site TEXT NOT NULL DEFAULT 'here'; UPDATE device SET site = "
      "'there'";
  static constexpr const char* kBad =
      "ALTER TABLE device ADD COLUMN site TEXT; UPDATE missing SET x = 1";
  static std::vector<const char*> steps_and(const char* next) {
    std::vector<const char*> steps(migrations().begin(), migrations().end());
    steps.push_back(next);
    return steps;
  }
};

TEST_F(NextStep, IsTakenWithTheDataWhenOpenedForWriting) {
  const std::vector<const char*> steps = steps_and(kGood);
  {
    Connection connection(file_, Database::Mode::kWrite, steps);
    Query query = connection.query("SELECT site, (SELECT count(*) FROM trial) FROM device");
    ASSERT_TRUE(query.step());
    EXPECT_EQ(query.text(0), "there");
    EXPECT_EQ(query.integer(1), 3);
  }
  EXPECT_EQ(version(file_), static_cast<std::int64_t>(steps.size()));
  EXPECT_THAT(opening(file_, Database::Mode::kRead), HasSubstr("newer Hone"));
  Connection again(file_, Database::Mode::kWrite, steps);
}

TEST_F(NextStep, IsTakenInMemoryWhenOpenedForReading) {
  const std::string before = bytes_of(file_);
  const std::vector<const char*> steps = steps_and(kGood);
  Connection connection(file_, Database::Mode::kRead, steps);
  Query query = connection.query("SELECT site FROM device");
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.text(0), "there");
  EXPECT_TRUE(bytes_of(file_) == before);
}

TEST_F(NextStep, LeavesTheFileAsItWasWhenItFails) {
  const std::vector<const char*> steps = steps_and(kBad);
  EXPECT_THAT(message_of([&] { Connection(file_, Database::Mode::kWrite, steps); }),
              HasSubstr("no such table"));
  EXPECT_EQ(version(file_), 1);
  EXPECT_EQ(opening(file_, Database::Mode::kRead), "");
}

TEST_F(NextStep, IsNotTakenTwice) {
  const std::vector<const char*> steps = steps_and(kGood);
  SQLite::Database raw(file_, SQLite::OPEN_READWRITE);
  migrate(raw, steps);
  migrate(raw, steps);
  EXPECT_EQ(version(file_), static_cast<std::int64_t>(steps.size()));
}

}  // namespace
}  // namespace hone
