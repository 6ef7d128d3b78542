#include "tuning_db/layers.h"

#include "tests/tuning_db/fixture.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LayersTest : public ::testing::Test {
 protected:
  Layers layers() const { return Layers::open(folder_ / "user.db", folder_ / "system.db"); }
  static Trial finalist(Trial trial, std::int64_t final_ns) {
    trial.final_ns = final_ns;
    return trial;
  }
  std::vector<std::string> best() const {
    return configs(layers().best_of_handle(kDevice, kHandle, any));
  }

  Folder folder_;
  Database user_ = fresh(folder_ / "user.db");
  Database system_ = fresh(folder_ / "system.db");
};

TEST_F(LayersTest, AreEmptyWithoutFiles) {
  const Layers none = Layers::open(folder_ / "none.db", std::nullopt);
  EXPECT_TRUE(none.empty());
  EXPECT_THAT(none.best(any), IsEmpty());
  EXPECT_THAT(none.devices(), IsEmpty());
  EXPECT_FALSE(none.binary(hash_of("s"), "cpu/x"));
}

TEST_F(LayersTest, AnswerFromEitherAlone) {
  system_.put_trial(some_trial(1));
  EXPECT_THAT(configs(Layers::open(folder_ / "none.db", folder_ / "system.db").best(any)),
              ElementsAre("U=1,threads=2"));
  EXPECT_THAT(configs(Layers::open(folder_ / "system.db", std::nullopt).best(any)),
              ElementsAre("U=1,threads=2"));
}

TEST_F(LayersTest, GiveTheFasterOfBothAndTheUsersOnATie) {
  user_.put_trial(some_trial(1, 900));
  system_.put_trial(some_trial(2, 800));
  EXPECT_THAT(best(), ElementsAre("U=2,threads=2"));
  user_.put_trial(some_trial(3, 800));
  EXPECT_THAT(best(), ElementsAre("U=3,threads=2"));
}

TEST_F(LayersTest, LetTheUsersTrialOfTheSameConfigCount) {
  system_.put_trial(some_trial(1, 500));
  system_.put_trial(some_trial(2, 700));
  user_.put_trial(failed(some_trial(1), Status::kCrashed));
  EXPECT_THAT(best(), ElementsAre("U=2,threads=2"));
  const Trial trial = some_trial(1);
  EXPECT_EQ(layers().find_trial(kDevice, kProblem, trial.template_hash, trial.config)->status,
            Status::kCrashed);
  EXPECT_EQ(layers().trials(kDevice, kProblem).size(), 2U);
}

TEST_F(LayersTest, CountTheFinalRoundWithTheFasterWinner) {
  user_.put_final({finalist(some_trial(1, 100), 900)});
  system_.put_final({finalist(some_trial(2, 950), 850)});
  EXPECT_THAT(best(), ElementsAre("U=2,threads=2"));
  user_.put_final({finalist(some_trial(1, 100), 850)});
  EXPECT_THAT(best(), ElementsAre("U=1,threads=2"));
}

TEST_F(LayersTest, PreferAFinalRoundToNone) {
  user_.put_final({finalist(some_trial(1, 950), 900)});
  system_.put_trial(some_trial(2, 400));
  EXPECT_THAT(best(), ElementsAre("U=1,threads=2"));
}

TEST_F(LayersTest, JoinLayoutsOfAProblemBestFirst) {
  user_.put_trial(with_layout(some_trial(1, 900), "w:panel(32)"));
  user_.put_trial(some_trial(2, 1000));
  system_.put_trial(with_layout(some_trial(3, 950), "w:panel(64)"));
  system_.put_trial(with_layout(some_trial(4, 800), "w:panel(32)"));
  EXPECT_THAT(best(), ElementsAre("U=4,threads=2", "U=3,threads=2", "U=2,threads=2"));
}

TEST_F(LayersTest, GiveTheUsersBinaryAndCeilingsFirst) {
  system_.put_binary(hash_of("s"), "cpu/x", "shipped");
  EXPECT_EQ(layers().binary(hash_of("s"), "cpu/x"), "shipped");
  user_.put_binary(hash_of("s"), "cpu/x", "own");
  EXPECT_EQ(layers().binary(hash_of("s"), "cpu/x"), "own");
  system_.put_ceilings(kDevice, {{"read_gbps", 1}});
  EXPECT_EQ(layers().ceilings(kDevice), (Ceilings{{"read_gbps", 1}}));
  user_.put_ceilings(kDevice, {{"read_gbps", 2}});
  EXPECT_EQ(layers().ceilings(kDevice), (Ceilings{{"read_gbps", 2}}));
}

TEST_F(LayersTest, ListADeviceOnce) {
  system_.put_device(some_device(64));
  EXPECT_THAT(layers().devices(), ElementsAre(some_device(), some_device(64)));
}

}  // namespace
}  // namespace hone
