#include "tests/tuning_db/fixture.h"
#include "tuning_db/database.h"
#include "tuning_db/schema.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Merge : public ::testing::Test {
 protected:
  static Trial at(std::int64_t when, Trial trial) {
    trial.when = when;
    return trial;
  }
  static Trial finalist(Trial trial, std::int64_t final_ns) {
    trial.final_ns = final_ns;
    return trial;
  }

  Folder folder_;
  Database here_ = fresh(folder_ / "here.db");
  Database there_ = fresh(folder_ / "there.db");
};

TEST_F(Merge, TakesWhatIsNew) {
  DeviceIdentity other = some_device(64);
  Trial elsewhere = some_trial(2);
  elsewhere.device = other.key();
  there_.put_device(other);
  there_.put_ceilings(other.key(), {{"read_gbps", 200}});
  there_.put_trial(elsewhere);
  there_.put_trial(some_trial(3));
  here_.put_trial(some_trial(1));
  EXPECT_EQ(here_.merge(there_, false), 2);
  EXPECT_EQ(here_.trial_count(), 3);
  EXPECT_THAT(here_.trials(other.key(), kProblem), ElementsAre(elsewhere));
  EXPECT_EQ(here_.ceilings(other.key()), (Ceilings{{"read_gbps", 200}}));
  EXPECT_EQ(here_.merge(there_, false), 0);
}

TEST_F(Merge, KeepsTheTrialThatWasMeasuredLater) {
  here_.put_trial(at(100, some_trial(1, 500)));
  there_.put_trial(at(200, some_trial(1, 600)));
  here_.put_trial(at(200, some_trial(2, 500)));
  there_.put_trial(at(100, some_trial(2, 400)));
  here_.put_trial(at(100, some_trial(3, 500)));
  there_.put_trial(at(100, some_trial(3, 400)));
  EXPECT_EQ(here_.merge(there_, false), 1);
  EXPECT_THAT(here_.trials(kDevice, kProblem),
              ElementsAre(at(200, some_trial(1, 600)), at(200, some_trial(2, 500)),
                          at(100, some_trial(3, 500))));
}

TEST_F(Merge, KeepsTheFinalRoundWithTheFasterWinner) {
  here_.put_final({finalist(some_trial(1), 900), finalist(some_trial(2), 950)});
  there_.put_final({finalist(some_trial(3), 800), finalist(some_trial(1), 1000)});
  here_.merge(there_, false);
  const std::vector<Trial> trials = here_.trials(kDevice, kProblem);
  ASSERT_EQ(trials.size(), 3U);
  EXPECT_EQ(trials[0].preference, 2);
  EXPECT_EQ(trials[0].final_ns, 1000);
  EXPECT_EQ(trials[1].preference, 0);
  EXPECT_EQ(trials[2].preference, 1);
  EXPECT_THAT(configs(here_.best(any)), ElementsAre("U=3,threads=2"));
}

TEST_F(Merge, KeepsItsOwnFinalRoundOnATie) {
  here_.put_final({finalist(some_trial(1), 900)});
  there_.put_final({finalist(some_trial(3), 900)});
  here_.merge(there_, false);
  EXPECT_THAT(configs(here_.best(any)), ElementsAre("U=1,threads=2"));
}

TEST_F(Merge, GivesNoPlaceToATrialThatFailedHereLater) {
  here_.put_trial(at(300, failed(some_trial(1), Status::kCrashed)));
  there_.put_final({at(200, finalist(some_trial(1), 900)), at(200, finalist(some_trial(2), 910))});
  here_.merge(there_, false);
  EXPECT_THAT(configs(here_.best(any)), ElementsAre("U=2,threads=2"));
}

TEST_F(Merge, TakesBinariesOnlyWhenAskedTo) {
  there_.put_binary(hash_of("s"), "cpu/x", "theirs");
  there_.put_binary(hash_of("t"), "cpu/x", "new");
  here_.put_binary(hash_of("s"), "cpu/x", "ours");
  here_.merge(there_, false);
  EXPECT_FALSE(here_.binary(hash_of("t"), "cpu/x"));
  here_.merge(there_, true);
  EXPECT_EQ(here_.binary(hash_of("t"), "cpu/x"), "new");
  EXPECT_EQ(here_.binary(hash_of("s"), "cpu/x"), "ours");
}

TEST_F(Merge, LeavesOutRowsThatCannotBeBelieved) {
  for (int config = 1; config <= 3; ++config) there_.put_trial(some_trial(config));
  {
    SQLite::Database raw(folder_ / "there.db", SQLite::OPEN_READWRITE);
    raw.exec("UPDATE trial SET median_ns = -5 WHERE config LIKE 'U=1,%'");
    raw.exec("UPDATE trial SET status = 'splendid' WHERE config LIKE 'U=2,%'");
  }
  std::vector<std::string> skipped;
  EXPECT_EQ(here_.merge(there_, false, &skipped), 1);
  EXPECT_THAT(skipped, ElementsAre(HasSubstr("negative"), HasSubstr("'splendid'")));
  EXPECT_THAT(configs(here_.trials(kDevice, kProblem)), ElementsAre("U=3,threads=2"));
}

TEST_F(Merge, LeavesOutADeviceWhoseKeyIsForged) {
  there_.put_trial(some_trial(1));
  {
    SQLite::Database raw(folder_ / "there.db", SQLite::OPEN_READWRITE);
    raw.exec("UPDATE device SET units = 128");
  }
  std::vector<std::string> skipped;
  EXPECT_EQ(here_.merge(there_, false, &skipped), 0);
  EXPECT_THAT(skipped, ElementsAre(HasSubstr("doesn't say what it is")));
}

TEST_F(Merge, ChangesNothingWhenTheSourceIsDamagedSomewhere) {
  for (int config = 0; config < 60; ++config) there_.put_trial(some_trial(config));
  const auto file = folder_ / "there.db";
  std::string bytes = bytes_of(file);
  SQLite::Database raw(file);
  const auto page = static_cast<std::size_t>(
      raw.execAndGet("SELECT rootpage FROM sqlite_schema WHERE name = 'trial_rank'").getInt());
  bytes.replace((page - 1) * 4096, 4096, std::string(4096, '\0'));
  write_bytes(folder_ / "broken.db", bytes);
  const Database broken(folder_ / "broken.db", Database::Mode::kRead);
  EXPECT_THAT(message_of([&] { here_.merge(broken, true); }), HasSubstr("broken.db is damaged"));
  EXPECT_EQ(here_.trial_count(), 0);
}

TEST_F(Merge, RefusesItself) {
  const Database again(folder_ / "here.db", Database::Mode::kRead);
  EXPECT_THAT(message_of([&] { here_.merge(again, false); }, Code::kUsage), HasSubstr("itself"));
}

}  // namespace
}  // namespace hone
