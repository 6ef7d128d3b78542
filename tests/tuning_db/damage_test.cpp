// Files that are not, or no longer, what they should be: a message with what, where and what to do;
// the file stays as it is.
#include <sys/stat.h>

#include <random>

#include "tests/tuning_db/fixture.h"
#include "tuning_db/database.h"
#include "tuning_db/schema.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using Mode = Database::Mode;

class Damage : public ::testing::Test {
 protected:
  void make(int trials = 300) const {
    Database database = fresh(file_);
    std::vector<Trial> all;
    for (int config = 0; config < trials; ++config) all.push_back(some_trial(config));
    database.put_final(all);  // one transaction, for speed
    database.put_template(hash_of("rowwise.cpp"), "softmax", "rowwise", std::string(20'000, 't'));
  }
  // What it says when opened either way. The file must not change.
  void expect_refusal(const ::testing::Matcher<std::string>& said) const {
    const std::string before = bytes_of(file_);
    for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
      EXPECT_THAT(opening(file_, mode), AllOf(HasSubstr(file_.string()), said));
    }
    EXPECT_TRUE(bytes_of(file_) == before);
  }
  void sql(const std::string& text) const {
    SQLite::Database raw(file_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    raw.exec(text);
  }

  Folder folder_;
  std::filesystem::path file_ = folder_ / "t.db";
};

TEST_F(Damage, IsNoDatabaseWhenBytesAreRandom) {
  std::mt19937 random(7);
  std::string bytes(50'000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  write_bytes(file_, bytes);
  expect_refusal(AllOf(HasSubstr("is no tuning database"), HasSubstr("--db")));
}

TEST_F(Damage, IsNoDatabaseWhenItIsAText) {
  write_bytes(file_, "Dear diary, today I tuned a GEMM.\n");
  expect_refusal(HasSubstr("is no tuning database"));
}

TEST_F(Damage, IsForeignWhenAnotherProgramMadeIt) {
  sql("CREATE TABLE places (url TEXT)");
  expect_refusal(AllOf(HasSubstr("another program"), HasSubstr("--db")));
  sql("PRAGMA application_id = 252006; PRAGMA user_version = 1");
  expect_refusal(HasSubstr("another program"));
}

TEST_F(Damage, IsRefusedClearlyWhenANewerHoneMadeIt) {
  make();
  sql("PRAGMA user_version = 99");
  expect_refusal(AllOf(HasSubstr("version 99"), HasSubstr("newer Hone"), HasSubstr("install")));
}

TEST_F(Damage, IsRefusedWhenItsVersionNeverWas) {
  make();
  sql("PRAGMA user_version = -3");
  expect_refusal(HasSubstr("version -3"));
}

TEST_F(Damage, IsSeenWhereverTheFileIsCut) {
  make();
  const std::string whole = bytes_of(file_);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{99}, std::size_t{100}, std::size_t{511}, std::size_t{4096},
        whole.size() / 2, whole.size() - 4096, whole.size() - 1}) {
    SCOPED_TRACE(fmt::format("{} of {} bytes", size, whole.size()));
    write_bytes(file_, whole.substr(0, size));
    expect_refusal(AnyOf(HasSubstr("is no tuning database"), HasSubstr("damaged or cut short")));
  }
}

TEST_F(Damage, OfAPageInTheMiddleIsReportedWhenItIsMet) {
  make();
  std::string bytes = bytes_of(file_);
  SQLite::Database raw(file_);
  const auto page = static_cast<std::size_t>(
      raw.execAndGet("SELECT rootpage FROM sqlite_schema WHERE name = 'trial'").getInt());
  bytes.replace((page - 1) * 4096, 4096, std::string(4096, '\xa5'));
  write_bytes(file_, bytes);
  const Database database(file_, Mode::kRead);
  const auto said = AllOf(HasSubstr(file_.string()), HasSubstr("damaged"), HasSubstr("recover"));
  EXPECT_THAT(message_of([&] { database.trials(kDevice, kProblem); }), said);
  EXPECT_THAT(message_of([&] { database.best(any); }), said);
  EXPECT_THAT(message_of([&] { database.check(); }), said);
  Database writer(file_, Mode::kWrite);
  EXPECT_THAT(message_of([&] { writer.put_trial(some_trial(1000)); }), said);
  EXPECT_TRUE(bytes_of(file_) == bytes);
}

TEST_F(Damage, NeverCrashesNorHangsWhateverBitsFlip) {
  make(60);
  const std::string whole = bytes_of(file_);
  const char* rounds_text = std::getenv("HONE_FUZZ_ROUNDS");
  const int rounds = rounds_text == nullptr ? 300 : std::atoi(rounds_text);
  const char* seed_text = std::getenv("HONE_FUZZ_SEED");
  const unsigned seed = seed_text == nullptr ? 1 : static_cast<unsigned>(std::atoi(seed_text));
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("HONE_FUZZ_SEED={} round {}", seed, round));
    std::mt19937 generator(seed * 1'000'003 + static_cast<unsigned>(round));
    const auto random = [&](std::size_t below) {
      return std::uniform_int_distribution<std::size_t>(0, below - 1)(generator);
    };
    std::string bytes = whole;
    const bool headers = random(2) == 0;  // where the structure is
    for (std::size_t flips = 1 + random(30); flips > 0; --flips) {
      const std::size_t at =
          headers ? random(bytes.size() / 4096) * 4096 + random(64) : random(bytes.size());
      if (random(2) == 0) {
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random(8)));
      } else {
        bytes[at] = static_cast<char>(random(256));
      }
    }
    write_bytes(file_, bytes);
    try {
      {
        const Database database(file_, Mode::kRead);
        for (const DeviceIdentity& device : database.devices()) database.ceilings(device.key());
        database.best(any);
        database.best_of_op("softmax", any);
        std::vector<std::string> skipped;
        database.trials(kDevice, kProblem, &skipped);
        std::stringstream out;
        database.export_to(out, true);
        Database target(folder_ / "target.db", Mode::kWrite);
        target.merge(database, true);
      }
      Database writer(file_, Mode::kWrite);
      writer.put_device(some_device());
      writer.put_final({some_trial(1), some_trial(2000 + round)});
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(error.code(), Code::kDatabase) << error.what();
    }
    std::filesystem::remove(folder_ / "t.db-journal");
  }
  fmt::print("{} of {} damaged files refused\n", refused, rounds);
  EXPECT_GT(refused, rounds / 4);
}

TEST_F(Damage, CannotSmuggleInATrigger) {
  make();
  sql("CREATE TRIGGER evil AFTER INSERT ON trial BEGIN DELETE FROM device; END");
  expect_refusal(AllOf(HasSubstr("trigger evil"), HasSubstr("don't trust it")));
}

TEST_F(Damage, CannotSmuggleInAnotherView) {
  make();
  sql("DROP VIEW best; CREATE VIEW best AS SELECT * FROM record");
  expect_refusal(HasSubstr("view best"));
}

TEST_F(Damage, IsNotSeenInStatisticsThatAnalyzeLeft) {
  make();
  sql("ANALYZE");
  EXPECT_EQ(opening(file_, Mode::kRead), "");
  EXPECT_EQ(opening(file_, Mode::kWrite), "");
}

TEST_F(Damage, IsNotSeenInAFileThatSomebodyGaveALog) {
  make();
  sql("PRAGMA journal_mode = WAL");
  EXPECT_EQ(opening(file_, Mode::kRead), "");
  EXPECT_EQ(opening(file_, Mode::kWrite), "");
  SQLite::Database raw(file_);
  EXPECT_EQ(raw.execAndGet("PRAGMA journal_mode").getString(), "delete");
}

// Places rather than contents.

TEST_F(Damage, SaysThatThereIsNoFile) {
  EXPECT_THAT(message_of([&] { Database database(file_, Mode::kRead); }, Code::kNotFound),
              AllOf(HasSubstr(file_.string()), HasSubstr("hone tune")));
}

// What a writer leaves that is killed before its first write.
TEST_F(Damage, IsNotSeenInAnEmptyFile) {
  write_bytes(file_, "");
  {
    const Database database(file_, Mode::kRead);
    EXPECT_EQ(database.trial_count(), 0);
    EXPECT_TRUE(database.best(any).empty());
  }
  EXPECT_EQ(std::filesystem::file_size(file_), 0U);
  EXPECT_EQ(opening(file_, Mode::kWrite), "");
  EXPECT_EQ(opening(file_, Mode::kRead), "");
}

TEST_F(Damage, RefusesFoldersAndPipes) {
  std::filesystem::create_directory(file_);
  for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
    EXPECT_THAT(opening(file_, mode), HasSubstr("is no file"));
  }
  std::filesystem::remove(file_);
  ASSERT_EQ(mkfifo(file_.c_str(), 0666), 0);
  for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
    EXPECT_THAT(opening(file_, mode), HasSubstr("is no file"));
  }
}

TEST_F(Damage, CreatesTheFoldersAboveTheFile) {
  EXPECT_EQ(opening(folder_ / "a/b/c.db", Mode::kWrite), "");
  write_bytes(folder_ / "file", "");
  EXPECT_THAT(opening(folder_ / "file/c.db", Mode::kWrite), HasSubstr("folder can't"));
}

TEST_F(Damage, ReadsButDoesNotWriteInAFolderOfSomebodyElse) {
  if (!AsNobody::possible()) GTEST_SKIP() << "needs to become another user";
  make(3);
  const AsNobody nobody;
  const Database database(file_, Mode::kRead);
  EXPECT_EQ(database.trials(kDevice, kProblem).size(), 3U);
  EXPECT_THAT(opening(file_, Mode::kWrite),
              AllOf(HasSubstr("can't be written"), HasSubstr("--db")));
  EXPECT_THAT(opening(folder_ / "new.db", Mode::kWrite), HasSubstr("can't be written"));
}

TEST_F(Damage, SaysThatItMayNotBeRead) {
  if (!AsNobody::possible()) GTEST_SKIP() << "needs to become another user";
  make(3);
  std::filesystem::permissions(file_, std::filesystem::perms(0));
  const AsNobody nobody;
  EXPECT_THAT(opening(file_, Mode::kRead), HasSubstr("can't be read"));
}

TEST_F(Damage, ReadsButDoesNotWriteOnAReadOnlyFileSystem) {
  const SmallDisk disk(folder_ / "disk", 1000);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  make(3);
  const auto file = folder_ / "disk/100% odd?#name.db";
  std::filesystem::copy(file_, file);
  write_bytes(folder_ / "disk/journalled.db", bytes_of(file_));
  write_bytes(folder_ / "disk/journalled.db-journal", "half a write");
  ASSERT_TRUE(disk.make_read_only());
  {
    const Database database(file, Mode::kRead);
    EXPECT_EQ(database.trials(kDevice, kProblem).size(), 3U);
    EXPECT_EQ(database.best_of_handle(kDevice, kHandle, any).size(), 1U);
  }
  EXPECT_THAT(opening(file, Mode::kWrite),
              AllOf(HasSubstr("can't be written"), HasSubstr("Read-only"), HasSubstr("--db")));
  EXPECT_THAT(opening(folder_ / "disk/journalled.db", Mode::kRead),
              HasSubstr("in the middle of a write"));
}

}  // namespace
}  // namespace hone
