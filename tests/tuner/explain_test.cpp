#include "tuner/explain.h"

#include "codegen/hash.h"
#include "tests/tuning_db/fixture.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ExplainTest : public ::testing::Test {
 protected:
  // A trial of a variant as it is embedded; configs are told apart by a number.
  Trial known(int config, std::int64_t median_ns) const {
    Trial trial = some_trial(config, median_ns);
    trial.problem = problem_.text();
    trial.handle = catalog_.op("softmax").handle(problem_).text();
    trial.variant = variant_.variant;
    trial.template_hash = variant_.hash;
    return trial;
  }
  Explanation explained(const Target* target = nullptr) const {
    const Layers layers = Layers::open(folder_ / "user.db", folder_ / "system.db");
    return explain(layers, catalog_, some_device(), target, problem_);
  }
  static std::vector<Standing> standings(const Explanation& explanation) {
    std::vector<Standing> all;
    for (const Considered& row : explanation.rows) all.push_back(row.standing);
    return all;
  }

  Folder folder_;
  Database user_ = fresh(folder_ / "user.db");
  Database system_ = fresh(folder_ / "system.db");
  Catalog catalog_ = Catalog::embedded();
  const Template& variant_ = catalog_.variants("softmax").front();
  Problem problem_ = catalog_.problem("softmax:rows=32,cols=64", true);
};

TEST_F(ExplainTest, TellsWinnersLosersAndFailuresApart) {
  user_.put_trial(known(1, 900));
  user_.put_trial(known(2, 1800));
  user_.put_trial(with_layout(known(3, 1000), "w:panel(32)"));
  user_.put_trial(failed(known(4, 0), Status::kTimeout));
  const Explanation explanation = explained();
  EXPECT_THAT(standings(explanation), ElementsAre(Standing::kChosen, Standing::kOfLayout,
                                                  Standing::kSlower, Standing::kFailed));
  EXPECT_THAT(explanation.rows[2].reason, HasSubstr("2.00 times"));
  EXPECT_THAT(explanation.rows[3].reason, HasSubstr("timeout"));
}

TEST_F(ExplainTest, NamesThePlaceInTheFinalRound) {
  Trial first = known(1, 900);
  first.final_ns = 1000;
  Trial second = known(2, 800);
  second.final_ns = 1100;
  user_.put_final({first, second});
  user_.put_trial(known(3, 700));
  const Explanation explanation = explained();
  ASSERT_EQ(explanation.rows.size(), 3U);
  EXPECT_EQ(explanation.rows[0].trial.config, first.config);
  EXPECT_THAT(explanation.rows[0].reason, HasSubstr("final round"));
  for (const Considered& row : explanation.rows) {
    if (row.trial.config == second.config) {
      EXPECT_THAT(row.reason, HasSubstr("place 2"));
    }
    if (row.trial.config == known(3, 700).config) {
      EXPECT_THAT(row.reason, HasSubstr("in no final round"));
    }
  }
}

TEST_F(ExplainTest, SaysThatATemplateChangedOrIsUnknown) {
  Trial changed = known(1, 100);
  changed.template_hash = hash_of("yesterday's text");
  Trial unknown = known(2, 200);
  unknown.variant = std::string("home_made");
  user_.put_trial(changed);
  user_.put_trial(unknown);
  user_.put_trial(known(3, 900));
  const Explanation explanation = explained();
  ASSERT_THAT(standings(explanation),
              ElementsAre(Standing::kChosen, Standing::kStale, Standing::kStale));
  EXPECT_EQ(explanation.rows[0].trial.config, known(3, 900).config);
  EXPECT_THAT(explanation.rows[1].reason, HasSubstr("another text"));
  EXPECT_THAT(explanation.rows[2].reason, HasSubstr("home_made"));
}

TEST_F(ExplainTest, SaysThatAConfigIsNotLegalOnTheDevice) {
  user_.put_trial(known(1, 100));  // parameters that no variant has
  Target target{"cpu", "x86-64-v3", {}};
  for (const char* limit :
       {"units", "vector_bytes", "registers", "l1_bytes", "l2_bytes", "l3_bytes", "has_avx2",
        "has_avx512", "has_bf16", "has_vnni", "has_f16c"}) {
    target.limits.set(limit, std::int64_t{16});
  }
  EXPECT_THAT(standings(explained(&target)), ElementsAre(Standing::kIllegal));
}

TEST_F(ExplainTest, SaysWhichLayerARowIsFromAndWhichItReplaces) {
  system_.put_trial(known(1, 500));
  system_.put_trial(known(2, 900));
  user_.put_trial(failed(known(1, 0), Status::kCrashed));
  const Explanation explanation = explained();
  ASSERT_EQ(explanation.rows.size(), 3U);
  EXPECT_TRUE(explanation.rows[0].system);
  EXPECT_EQ(explanation.rows[0].trial.config, known(2, 900).config);
  int replaced = 0;
  for (const Considered& row : explanation.rows) replaced += row.standing == Standing::kReplaced;
  EXPECT_EQ(replaced, 1);
}

TEST_F(ExplainTest, ListsBucketsThenShapesThenDevices) {
  const auto at = [&](const std::string& problem) {
    Trial trial = known(1, 500);
    trial.problem = catalog_.problem(problem, true).text();
    trial.handle = catalog_.op("softmax").handle(Problem::parse(trial.problem)).text();
    return trial;
  };
  user_.put_device(some_device(64));
  Trial sibling = at("softmax:rows=32,cols=64");
  sibling.device = some_device(64).key();
  user_.put_trial(sibling);
  user_.put_trial(at("softmax:rows=32,cols=512"));
  user_.put_trial(at("softmax:rows=32,cols=128"));
  user_.put_trial(at("softmax:rows=1,cols=64"));
  user_.put_trial(at("softmax:rows=1,cols=64,x=bf16"));  // another computation
  const Explanation explanation = explained();
  EXPECT_THAT(explanation.rows, IsEmpty());
  std::vector<std::string> relations;
  for (const StandIn& other : explanation.stand_ins) {
    relations.push_back(fmt::format("{} {}", other.relation, other.distance));
  }
  EXPECT_THAT(relations, ElementsAre("bucket 0", "near 1", "near 3", "sibling 0"));
}

}  // namespace
}  // namespace hone
