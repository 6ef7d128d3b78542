// What must hold when processes die, write at once, or find no room.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <functional>

#include "tests/tuning_db/fixture.h"
#include "tuning_db/database.h"
#include "tuning_db/schema.h"

namespace hone {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

// A child process that reports what it finished, a byte at a time.
class Child {
 public:
  using Done = std::function<void()>;

  explicit Child(const std::function<void(const Done&)>& work) {
    int ends[2] = {};
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      int status = 0;
      try {
        work([&] {
          if (write(ends[1], "x", 1) != 1) _exit(3);
        });
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        status = 1;
      }
      _exit(status);
    }
    close(ends[1]);
    reports_ = ends[0];
  }
  ~Child() {
    kill();
    close(reports_);
  }
  Child(const Child&) = delete;

  // Waits for up to `most` reports; returns how many came before the child ended.
  int reports(int most) const {
    int count = 0;
    for (char byte = 0; count < most && read(reports_, &byte, 1) == 1;) ++count;
    return count;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
  int reports_ = -1;
};

// Every kill comes at whatever moment the child is in when the parent has seen its last report; the
// rounds differ in where that is.
TEST(Database, HoldsEveryFinishedTrialAfterAKill) {
  const Folder folder;
  const auto file = folder / "t.db";
  constexpr int kRounds = 25;
  int finished = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const int first = 1000 * round;
    Child child([&](const Child::Done& done) {
      Database database(file, Database::Mode::kWrite);
      database.put_device(some_device());
      for (int i = 0; i < 1000; ++i) {
        Trial trial = some_trial(first + i);
        trial.reason.assign(static_cast<std::size_t>(50 * (i % 7)), 'r');
        if (i % 5 == 4) {
          database.put_final({trial, some_trial(first + i - 1)});
        } else {
          database.put_trial(trial);
        }
        done();
      }
    });
    int acknowledged = child.reports(1 + round % 6);
    child.kill();
    acknowledged += child.reports(1000);

    const auto mode = round % 2 == 0 ? Database::Mode::kRead : Database::Mode::kWrite;
    const Database database(file, mode);
    database.check();
    for (int i = 0; i < acknowledged; ++i) {
      const Trial trial = some_trial(first + i);
      EXPECT_TRUE(database.find_trial(kDevice, kProblem, trial.template_hash, trial.config)) << i;
    }
    const auto count = static_cast<int>(database.trial_count());
    EXPECT_GE(count, finished + acknowledged);
    EXPECT_LE(count, finished + acknowledged + 1);
    finished = count;
  }
}

// Leaves a half-written file with the journal that undoes it, as a kill in the middle of a commit
// does.
void die_in_the_middle_of_a_write(const std::filesystem::path& file) {
  Child child([&](const Child::Done& done) {
    SQLite::Database raw(file, SQLite::OPEN_READWRITE);
    raw.exec("PRAGMA cache_size = 2");
    raw.exec("BEGIN IMMEDIATE");
    raw.exec("UPDATE trial SET status = 'crashed', reason = hex(randomblob(500))");
    done();
    raise(SIGKILL);
  });
  EXPECT_EQ(child.reports(2), 1);
}

class HalfWritten : public ::testing::Test {
 protected:
  HalfWritten() {
    Database database = fresh(file_);
    for (int config = 0; config < 50; ++config) database.put_trial(some_trial(config));
    whole_ = bytes_of(file_);
    die_in_the_middle_of_a_write(file_);
    EXPECT_GT(std::filesystem::file_size(folder_ / "t.db-journal"), 0U);
    EXPECT_FALSE(bytes_of(file_) == whole_);
  }
  void expect_whole(Database::Mode mode) const {
    const Database database(file_, mode);
    EXPECT_EQ(database.trials(kDevice, kProblem).size(), 50U);
    EXPECT_EQ(database.best(any).size(), 1U);
    EXPECT_TRUE(bytes_of(file_) == whole_);
  }

  Folder folder_;
  std::filesystem::path file_ = folder_ / "t.db";
  std::string whole_;
};

TEST_F(HalfWritten, IsWholeAgainWhenOpenedForReading) { expect_whole(Database::Mode::kRead); }
TEST_F(HalfWritten, IsWholeAgainWhenOpenedForWriting) { expect_whole(Database::Mode::kWrite); }

TEST_F(HalfWritten, IsRefusedWithAWayOutWhereItCannotBeMended) {
  if (!AsNobody::possible()) GTEST_SKIP() << "needs to become another user";
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0555));
  {
    const AsNobody nobody;
    EXPECT_THAT(opening(file_, Database::Mode::kRead),
                AllOf(HasSubstr("in the middle of a write"), HasSubstr("hone db show")));
  }
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  expect_whole(Database::Mode::kRead);
}

TEST(Database, IsMendedWhileAReaderHasItOpen) {
  const Folder folder;
  const auto file = folder / "t.db";
  {
    Database database = fresh(file);
    for (int config = 0; config < 50; ++config) database.put_trial(some_trial(config));
  }
  const Database reader(file, Database::Mode::kRead);
  EXPECT_EQ(reader.best(any).size(), 1U);
  die_in_the_middle_of_a_write(file);
  EXPECT_EQ(reader.best(any).size(), 1U);
}

TEST(Database, LosesNothingWhenTwoProcessesWriteAtOnce) {
  const Folder folder;
  const auto file = folder / "t.db";
  constexpr int kEach = 120;
  const auto writer = [&](int first) {
    return [&file, first](const Child::Done& done) {
      Database database(file, Database::Mode::kWrite);  // both find no file and create it
      database.put_device(some_device());
      for (int i = 0; i < kEach; ++i) {
        database.put_trial(some_trial(first + i));
        if (i % 10 == 0) database.put_final({some_trial(first + i)});
        done();
      }
    };
  };
  Child one(writer(0));
  Child two(writer(1000));
  EXPECT_EQ(one.reports(kEach), kEach);
  EXPECT_EQ(two.reports(kEach), kEach);
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
  const Database database(file, Database::Mode::kRead);
  database.check();
  EXPECT_EQ(database.trial_count(), 2 * kEach);
  int preferred = 0;
  for (const Trial& trial : database.trials(kDevice, kProblem)) preferred += trial.preference != 0;
  EXPECT_EQ(preferred, 1);
}

TEST(Database, ReadsWhileAnotherProcessWrites) {
  const Folder folder;
  const auto file = folder / "t.db";
  fresh(file).put_trial(some_trial(0));
  Child writer([&](const Child::Done& done) {
    Database database(file, Database::Mode::kWrite);
    for (int i = 1; i < 100; ++i) {
      database.put_trial(some_trial(i));
      done();
    }
  });
  const Database reader(file, Database::Mode::kRead);
  std::int64_t seen = 0;
  for (int i = 1; i < 100; ++i) {
    ASSERT_EQ(writer.reports(1), 1);
    const std::int64_t now = reader.trial_count();
    EXPECT_GE(now, i + 1);
    EXPECT_GE(now, seen);
    seen = now;
  }
  EXPECT_EQ(writer.wait(), 0);
}

// Puts trials until one is refused; returns what was said, and in `stored` how many went in.
std::string fill(Database& database, int& stored) {
  return message_of([&] {
    for (stored = 0; stored < 100'000; ++stored) {
      Trial trial = some_trial(stored);
      trial.reason.assign(2000, 'r');
      database.put_trial(trial);
    }
  });
}

TEST(Database, LosesNothingOnAFullDisk) {
  const Folder folder;
  const SmallDisk disk(folder / "disk", 300);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  const auto file = folder / "disk/t.db";
  int stored = 0;
  {
    Database database = fresh(file);
    EXPECT_THAT(fill(database, stored), AllOf(HasSubstr("t.db"), HasSubstr("the disk is full"),
                                              HasSubstr("run the same command again")));
    EXPECT_GT(stored, 10);
    EXPECT_EQ(database.trial_count(), stored);
  }
  const Database database(file, Database::Mode::kRead);
  database.check();
  EXPECT_EQ(database.trial_count(), stored);
}

TEST(Database, SaysThatTheDiskIsFullWhenItCannotBeCreated) {
  const Folder folder;
  const SmallDisk disk(folder / "disk", 8);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  EXPECT_THAT(opening(folder / "disk/t.db", Database::Mode::kWrite), HasSubstr("the disk is full"));
}

TEST(Database, LosesNothingBeyondTheLimitOnFileSizes) {
  const Folder folder;
  const auto file = folder / "t.db";
  fresh(file);
  int stored = 0;
  {
    Child child([&](const Child::Done& done) {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit = {200 << 10, 200 << 10};
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(4);
      Database database(file, Database::Mode::kWrite);
      int count = 0;
      const std::string said = fill(database, count);
      if (said.find("t.db") == std::string::npos ||
          said.find("system refuses") == std::string::npos) {
        throw std::runtime_error("it said: " + said);
      }
      for (int i = 0; i < count; ++i) done();
    });
    stored = child.reports(100'000);
    EXPECT_EQ(child.wait(), 0);
  }
  EXPECT_GT(stored, 10);
  const Database database(file, Database::Mode::kRead);
  database.check();
  EXPECT_EQ(database.trial_count(), stored);
}

}  // namespace
}  // namespace hone
