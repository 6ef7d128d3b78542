#include "tuning_db/database.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "tests/tuning_db/fixture.h"
#include "tuning_db/schema.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Database, GivesBackATrialAsItWasPut) {
  const Folder folder;
  Trial trial = some_trial();
  trial.layout = "w:panel(32)";
  trial.bound_ns = std::numeric_limits<std::int64_t>::max();
  trial.is_default = true;
  trial.reason = std::string("two\nlines and a \0 byte", 22);
  {
    Database database = fresh(folder / "t.db");
    database.put_trial(trial);
  }
  const Database database(folder / "t.db", Database::Mode::kRead);
  EXPECT_EQ(database.find_trial(kDevice, kProblem, trial.template_hash, trial.config), trial);
  EXPECT_THAT(database.trials(kDevice, kProblem), ElementsAre(trial));
  EXPECT_EQ(database.trial_count(), 1);
}

TEST(Database, KeepsErrorsThatAreNoNumbers) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  Trial infinite = failed(some_trial(1), Status::kWrong);
  infinite.error = INFINITY;
  Trial nan = failed(some_trial(2), Status::kWrong);
  nan.error = std::nan("");
  database.put_trial(infinite);
  database.put_trial(nan);
  const std::vector<Trial> trials = database.trials(kDevice, kProblem);
  ASSERT_EQ(trials.size(), 2U);
  EXPECT_TRUE(std::isinf(trials[0].error));
  EXPECT_TRUE(std::isnan(trials[1].error));
}

TEST(Database, FindsNothingForAnotherKey) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  const Trial trial = some_trial();
  database.put_trial(trial);
  EXPECT_FALSE(database.find_trial("cpu/x/y/z/1", kProblem, trial.template_hash, trial.config));
  EXPECT_FALSE(database.find_trial(kDevice, "softmax:rows=1", trial.template_hash, trial.config));
  EXPECT_FALSE(database.find_trial(kDevice, kProblem, hash_of("other"), trial.config));
  EXPECT_FALSE(database.find_trial(kDevice, kProblem, trial.template_hash, "U=9"));
}

TEST(Database, ReplacesATrialOfTheSameKey) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  database.put_trial(some_trial(1, 1000));
  const Trial again = failed(some_trial(1), Status::kCrashed);
  database.put_trial(again);
  EXPECT_THAT(database.trials(kDevice, kProblem), ElementsAre(again));
}

TEST(Database, RefusesATrialOfADeviceThatWasNeverPut) {
  const Folder folder;
  Database database(folder / "t.db", Database::Mode::kWrite);
  EXPECT_THAT(message_of([&] { database.put_trial(some_trial()); }, Code::kUsage),
              HasSubstr("put_device() comes first"));
  EXPECT_EQ(database.trial_count(), 0);
}

TEST(Database, RefusesATrialThatCannotBeBelieved) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  const auto refused = [&](const Trial& trial) {
    return message_of([&] { database.put_trial(trial); }, Code::kUsage);
  };
  Trial trial = some_trial();
  trial.median_ns = 0;
  EXPECT_THAT(refused(trial), HasSubstr("has no time"));
  trial = some_trial();
  trial.samples = -1;
  EXPECT_THAT(refused(trial), HasSubstr("negative"));
  trial = some_trial();
  trial.spread = std::nan("");
  EXPECT_THAT(refused(trial), HasSubstr("spread"));
  trial = some_trial();
  trial.problem = "softmax:rows=032,cols=64,x=bf16";
  EXPECT_THAT(refused(trial), HasSubstr("canonical"));
  trial = some_trial();
  trial.handle = "softmax:cols=65,x=bf16";
  EXPECT_THAT(refused(trial), HasSubstr("handle"));
  EXPECT_EQ(database.trial_count(), 0);
}

TEST(Database, KeepsDevicesAndRefreshesTheirLabels) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  DeviceIdentity renamed = some_device();
  renamed.name = "A chip, overclocked";
  renamed.driver = "6.2";
  database.put_device(renamed);
  database.put_device(some_device(64));
  EXPECT_THAT(database.devices(), ElementsAre(renamed, some_device(64)));
}

TEST(Database, ReplacesAllCeilingsOfADevice) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  EXPECT_THAT(database.ceilings(kDevice), IsEmpty());
  database.put_ceilings(kDevice, {{"read_gbps", 20.5}, {"copy_gbps", 18}});
  database.put_ceilings(kDevice, {{"read_gbps", 21.25}});
  EXPECT_EQ(database.ceilings(kDevice), (Ceilings{{"read_gbps", 21.25}}));
  EXPECT_THAT(database.ceilings("cpu/x/y/z/1"), IsEmpty());
}

TEST(Database, GivesBackBinariesByteForByte) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  std::string code =
      "\x7f"
      "ELF";
  for (unsigned i = 0; i < 100'000; ++i) code += static_cast<char>(i * i >> 3);
  database.put_binary(hash_of("a"), "cpu/x86-64-v4", code);
  EXPECT_EQ(database.binary(hash_of("a"), "cpu/x86-64-v4"), code);
  EXPECT_FALSE(database.binary(hash_of("a"), "cpu/x86-64-v3"));
  EXPECT_FALSE(database.binary(hash_of("b"), "cpu/x86-64-v4"));
  database.put_binary(hash_of("a"), "cpu/x86-64-v4", "");
  EXPECT_EQ(database.binary(hash_of("a"), "cpu/x86-64-v4"), "");
}

TEST(Database, FindsNoBinaryWhenTheStoredOneIsDamaged) {
  const Folder folder;
  {
    Database database = fresh(folder / "t.db");
    database.put_binary(hash_of("a"), "cpu/x", std::string(100'000, 'x'));
  }
  {
    SQLite::Database raw(folder / "t.db", SQLite::OPEN_READWRITE);
    raw.exec("UPDATE binary SET code = CAST(substr(code, 1, length(code) - 1) || x'00' AS BLOB)");
  }
  const Database database(folder / "t.db", Database::Mode::kRead);
  EXPECT_FALSE(database.binary(hash_of("a"), "cpu/x"));
}

// The rule of `best`.

TEST(Best, IsTheLowestMedianWithoutAFinalRound) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  database.put_trial(some_trial(1, 900));
  database.put_trial(some_trial(2, 800));
  database.put_trial(some_trial(3, 850));
  EXPECT_THAT(configs(database.best_of_handle(kDevice, kHandle, any)),
              ElementsAre("U=2,threads=2"));
}

TEST(Best, IsNeverAFailedTrial) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  int config = 0;
  for (int status = 1; status <= 11; ++status) {
    database.put_trial(failed(some_trial(++config), static_cast<Status>(status)));
  }
  EXPECT_THAT(database.best_of_handle(kDevice, kHandle, any), IsEmpty());
  database.put_trial(some_trial(99, 5000));
  EXPECT_THAT(configs(database.best(any)), ElementsAre("U=99,threads=2"));
}

TEST(Best, FollowsTheFinalRoundAgainstTheMedian) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  for (int config = 1; config <= 4; ++config) database.put_trial(some_trial(config, 1000 - config));
  Trial first = some_trial(2, 998);
  first.final_ns = 990;
  Trial second = some_trial(3, 997);
  second.final_ns = 995;
  database.put_final({first, second});
  EXPECT_THAT(configs(database.best_of_handle(kDevice, kHandle, any)),
              ElementsAre("U=2,threads=2"));
  const auto stored = database.find_trial(kDevice, kProblem, first.template_hash, first.config);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->final_ns, 990);
  EXPECT_EQ(stored->preference, 1);
}

TEST(Best, ForgetsTheFinalRoundBefore) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  for (int config = 1; config <= 3; ++config) database.put_trial(some_trial(config));
  database.put_final({some_trial(1), some_trial(2)});
  database.put_final({some_trial(3)});
  const std::vector<Trial> trials = database.trials(kDevice, kProblem);
  ASSERT_EQ(trials.size(), 3U);
  EXPECT_EQ(trials[0].preference, 0);
  EXPECT_EQ(trials[1].preference, 0);
  EXPECT_EQ(trials[2].preference, 1);
}

TEST(Best, KeepsTheOldFinalRoundWhenTheNewOneIsRefused) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  database.put_final({some_trial(1)});
  EXPECT_NE(message_of(
                [&] {
                  database.put_final({some_trial(2), failed(some_trial(3), Status::kWrong)});
                },
                Code::kUsage),
            "");
  EXPECT_THAT(configs(database.best(any)), ElementsAre("U=1,threads=2"));
  EXPECT_EQ(database.trial_count(), 1);
}

TEST(Best, HasARowPerLayoutBestFirst) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  database.put_trial(some_trial(1, 900));
  database.put_trial(some_trial(2, 950));
  database.put_trial(with_layout(some_trial(3, 800), "w:panel(32)"));
  database.put_trial(with_layout(some_trial(4, 700), "w:panel(32)"));
  database.put_trial(with_layout(some_trial(5, 1200), "w:panel(64)"));
  EXPECT_THAT(configs(database.best_of_handle(kDevice, kHandle, any)),
              ElementsAre("U=4,threads=2", "U=1,threads=2", "U=5,threads=2"));
}

TEST(Best, SkipsRowsThatAreNotValidOneByOne) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  Trial stale = some_trial(1, 500);
  stale.template_hash = hash_of("an older rowwise.cpp");
  database.put_trial(stale);
  database.put_trial(some_trial(2, 900));
  database.put_trial(some_trial(3, 800));
  Trial only = with_layout(stale, "w:panel(32)");
  only.config = "U=7,threads=2";
  database.put_trial(only);
  const auto known = [&](const Trial& trial) {
    return trial.template_hash == some_trial().template_hash;
  };
  EXPECT_THAT(configs(database.best_of_handle(kDevice, kHandle, known)),
              ElementsAre("U=3,threads=2"));
  EXPECT_THAT(configs(database.best_of_op("softmax", known)), ElementsAre("U=3,threads=2"));
}

TEST(Best, IsPerDeviceAndProblem) {
  const Folder folder;
  Database database = fresh(folder / "t.db");
  database.put_device(some_device(64));
  Trial elsewhere = some_trial(1, 100);
  elsewhere.device = some_device(64).key();
  Trial larger = some_trial(2, 3000);
  larger.problem = "softmax:rows=512,cols=64,x=bf16";
  Trial other_handle = some_trial(3, 10);
  other_handle.problem = "softmax:rows=32,cols=128";
  other_handle.handle = "softmax:cols=128";
  Trial other_op = some_trial(4, 10);
  other_op.problem = other_op.handle = "norm:cols=64";
  for (const Trial& trial : {elsewhere, larger, other_handle, other_op, some_trial(5, 400)}) {
    database.put_trial(trial);
  }
  EXPECT_THAT(database.best_of_handle(kDevice, kHandle, any),
              ElementsAre(some_trial(5, 400), larger));
  EXPECT_EQ(database.best_of_op("softmax", any).size(), 4U);
  EXPECT_EQ(database.best(any).size(), 5U);
  EXPECT_THAT(database.best_of_handle("cpu/x/y/z/1", kHandle, any), IsEmpty());
  EXPECT_THAT(database.best_of_handle(kDevice, "softmax:cols=1", any), IsEmpty());
}

TEST(Best, OfTheCodeIsThatOfTheView) {
  const Folder folder;
  const unsigned seed = 20251122;
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 generator(seed);
  const auto random = [&] { return static_cast<int>(generator() % 1000); };
  {
    Database database = fresh(folder / "t.db");
    for (int config = 0; config < 400; ++config) {
      Trial trial = some_trial(config, 100 + random() % 50);
      const int rows = 1 + random() % 7;
      trial.problem = fmt::format("softmax:rows={},cols=64,x=bf16", rows);
      if (random() % 3 != 0) trial.layout = fmt::format("w:panel({})", random() % 3);
      if (random() % 4 == 0) trial = failed(trial, Status::kWrong);
      if (trial.status == Status::kOk && random() % 9 == 0) trial.preference = 1 + random() % 4;
      database.put_trial(trial);
    }
  }
  std::set<std::string> view;
  SQLite::Database raw(folder / "t.db");
  SQLite::Statement rows(raw, "SELECT problem || ' ' || config FROM best");
  while (rows.executeStep()) view.insert(rows.getColumn(0).getString());
  std::set<std::string> code;
  const Database database(folder / "t.db", Database::Mode::kRead);
  for (const Best& best : database.best(any)) code.insert(best.problem + " " + best.config);
  EXPECT_EQ(code, view);
  EXPECT_GT(view.size(), 20U);
}

TEST(Best, SkipsARowThatSomebodyBroke) {
  const Folder folder;
  {
    Database database = fresh(folder / "t.db");
    for (int config = 1; config <= 5; ++config)
      database.put_trial(some_trial(config, 100 * config));
  }
  {
    SQLite::Database raw(folder / "t.db", SQLite::OPEN_READWRITE);
    raw.exec("UPDATE trial SET source = x'0102' WHERE config LIKE 'U=1,%'");
    raw.exec("UPDATE trial SET spread = -1 WHERE config LIKE 'U=2,%'");
    raw.exec("UPDATE trial SET config = 'rm -rf' WHERE config LIKE 'U=3,%'");
  }
  const Database database(folder / "t.db", Database::Mode::kRead);
  EXPECT_THAT(configs(database.best_of_handle(kDevice, kHandle, any)),
              ElementsAre("U=4,threads=2"));
  std::vector<std::string> skipped;
  EXPECT_EQ(database.trials(kDevice, kProblem, &skipped).size(), 2U);
  ASSERT_EQ(skipped.size(), 3U);
  EXPECT_THAT(skipped[0], HasSubstr("2 bytes"));
  EXPECT_THAT(skipped[1], HasSubstr("spread"));
}

// What the runtime does at its start. The time is printed; what makes it short is asserted: losers
// aren't read.
TEST(Best, ReadsWinnersOnlyOutOfTenThousandRecords) {
  const Folder folder;
  constexpr int kHandles = 100;
  std::stringstream lines;
  {
    Database source = fresh(folder / "small.db");
    source.put_trial(some_trial());
    source.export_to(lines, false);
  }
  std::vector<std::string> handles;
  {
    std::string text = lines.str();
    const std::string first = text.substr(text.find(R"({"trial")"));
    text.resize(text.size() - first.size());
    for (int i = 0; i < 10'000; ++i) {
      const int cols = 64 + i % kHandles;
      std::string line = first;
      const auto replace = [&](const std::string& from, const std::string& to) {
        for (auto at = line.find(from); at != std::string::npos;
             at = line.find(from, at + to.size())) {
          line.replace(at, from.size(), to);
        }
      };
      replace("cols=64", fmt::format("cols={}", cols));
      replace("rows=32", fmt::format("rows={}", 1 << i / kHandles % 4));
      replace("U=0", fmt::format("U={}", i));
      replace(R"("median_ns":1000)", fmt::format(R"("median_ns":{})", 1000 + i * 7919 % 10007));
      text += line;
      if (i < kHandles) handles.push_back(fmt::format("softmax:cols={},x=bf16", cols));
    }
    std::stringstream in(text);
    Database database(folder / "t.db", Database::Mode::kWrite);
    ASSERT_EQ(database.import_from(in, "generated", false), 10'000);
  }
  const auto begin = std::chrono::steady_clock::now();
  const Database database(folder / "t.db", Database::Mode::kRead);
  const auto opened = std::chrono::steady_clock::now();
  int asked = 0;
  std::size_t found = 0;
  for (const std::string& handle : handles) {
    found += database
                 .best_of_handle(kDevice, handle,
                                 [&](const Trial&) {
                                   ++asked;
                                   return true;
                                 })
                 .size();
  }
  const auto end = std::chrono::steady_clock::now();
  EXPECT_EQ(found, 400U);
  EXPECT_EQ(asked, 400);
  const auto milliseconds = [](auto span) {
    return std::chrono::duration<double, std::milli>(span).count();
  };
  fmt::print("opened in {:.2f} ms, {} handles resolved in {:.2f} ms\n",
             milliseconds(opened - begin), handles.size(), milliseconds(end - opened));
}

}  // namespace
}  // namespace hone
