#include "tests/tuning_db/fixture.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Transfer : public ::testing::Test {
 protected:
  static Database full(const std::filesystem::path& file) {
    Database database = fresh(file);
    database.put_ceilings(kDevice, {{"read_gbps", 20.123456789}, {"launch_ns", 500}});
    database.put_template(hash_of("rowwise.cpp"), "softmax", "rowwise", "//! serves cpu\n\"\t\"");
    for (int config = 0; config < 5; ++config) database.put_trial(some_trial(config));
    Trial wrong = failed(some_trial(5), Status::kWrong);
    wrong.error = INFINITY;
    wrong.reason = "row 3: \"quoted\"\n\x1b[31m red";
    database.put_trial(wrong);
    Trial winner = with_layout(some_trial(6, 900), "w:panel(32)");
    winner.final_ns = 905;
    winner.is_default = true;
    database.put_final({winner, some_trial(1)});
    std::string code;
    for (int i = 0; i < 1000; ++i) code += static_cast<char>(i * 37);
    database.put_binary(hash_of("source 6"), "cpu/x86-64-v4", code);
    return database;
  }
  static std::string exported(const Database& database, bool with_binaries = true) {
    std::stringstream out;
    database.export_to(out, with_binaries);
    return out.str();
  }
  static std::int64_t import(Database& database, const std::string& text,
                             bool with_binaries = true) {
    std::stringstream in(text);
    return database.import_from(in, "export.jsonl", with_binaries);
  }
  // Replaces the first `from` in `text`, which must be there.
  static std::string changed(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }

  Folder folder_;
};

TEST_F(Transfer, ImportsWhatItExported) {
  const Database source = full(folder_ / "a.db");
  Database target(folder_ / "b.db", Database::Mode::kWrite);
  EXPECT_EQ(import(target, exported(source)), 7);
  EXPECT_EQ(target.trials(kDevice, kProblem), source.trials(kDevice, kProblem));
  EXPECT_EQ(target.devices(), source.devices());
  EXPECT_EQ(target.ceilings(kDevice), source.ceilings(kDevice));
  EXPECT_EQ(target.binary(hash_of("source 6"), "cpu/x86-64-v4"),
            source.binary(hash_of("source 6"), "cpu/x86-64-v4"));
  EXPECT_EQ(exported(target), exported(source));
  EXPECT_EQ(import(target, exported(source)), 0);
}

TEST_F(Transfer, BeginsWithItsVersionAndHasAnObjectPerLine) {
  const std::string text = exported(full(folder_ / "a.db"));
  EXPECT_THAT(text, StartsWith("{\"hone_export\":1}\n{\"device\":"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 1 + 1 + 1 + 7 + 1);
}

TEST_F(Transfer, LeavesBinariesOutUnlessAskedOnEitherSide) {
  const Database source = full(folder_ / "a.db");
  EXPECT_EQ(exported(source, false).find("\"binary\""), std::string::npos);
  Database target(folder_ / "b.db", Database::Mode::kWrite);
  import(target, exported(source, true), false);
  EXPECT_FALSE(target.binary(hash_of("source 6"), "cpu/x86-64-v4"));
}

TEST_F(Transfer, ExportsTextThatIsNoUtf8) {
  Database source = fresh(folder_ / "a.db");
  Trial trial = failed(some_trial(), Status::kCompileFailed);
  trial.reason = "error: \xe2\x80";
  source.put_trial(trial);
  Database target(folder_ / "b.db", Database::Mode::kWrite);
  EXPECT_EQ(import(target, exported(source)), 1);
}

TEST_F(Transfer, ChangesNothingWhenALineIsBad) {
  const std::string good = exported(full(folder_ / "a.db"));
  Database target = fresh(folder_ / "b.db");
  target.put_trial(some_trial(77));
  const auto refused = [&](const std::string& text) {
    return message_of([&] { import(target, text); });
  };
  const auto at = [](int line, const char* why) {
    return AllOf(StartsWith(fmt::format("export.jsonl:{}: ", line)), HasSubstr(why),
                 HasSubstr("nothing was imported"));
  };
  EXPECT_THAT(refused(""), at(0, "empty"));
  EXPECT_THAT(refused(changed(good, "hone_export", "other_export")), at(1, "begins with"));
  EXPECT_THAT(refused(changed(good, "\"hone_export\":1", "\"hone_export\":2")), at(1, "version 2"));
  EXPECT_THAT(refused(good + "{\"trial\":{}}\n"), at(13, "'device' is missing"));
  EXPECT_THAT(refused(good + "{\"trial\":\n"), at(13, "parse error"));
  EXPECT_THAT(refused(good + "[1, 2]\n"), at(13, "not an object"));
  EXPECT_THAT(refused(good + "{\"trigger\":{}}\n"), at(13, "'trigger'"));
  EXPECT_THAT(refused(good.substr(0, good.size() - 20)), at(12, ""));
  EXPECT_THAT(refused(changed(good, "\"median_ns\":1000", "\"median_ns\":-1000")),
              at(5, "negative"));
  EXPECT_THAT(refused(changed(good, "\"median_ns\":1000", "\"median_ns\":1e300")),
              at(5, "not an integer"));
  EXPECT_THAT(refused(changed(good, "\"median_ns\":1000", "\"median_ns\":18446744073709551615")),
              at(5, "64 bits"));
  EXPECT_THAT(refused(changed(good, "\"status\":\"ok\"", "\"status\":\"best\"")), at(5, "'best'"));
  EXPECT_THAT(refused(changed(good, "\"template\":\"", "\"template\":\"zz")), at(5, ""));
  EXPECT_THAT(
      refused(changed(good, "{\"trial\":{\"device\":\"cpu", "{\"trial\":{\"device\":\"gpu")),
      at(5, "wasn't described"));
  EXPECT_THAT(refused(changed(good, "\"code\":\"", "\"code\":\"*")), at(12, "base64"));
  EXPECT_THAT(refused(changed(good, "\"values\":{", "\"values\":{\"x\":-1,")), at(3, "'x'"));
  EXPECT_EQ(target.trial_count(), 1);
  EXPECT_TRUE(target.ceilings(kDevice).empty());
}

}  // namespace
}  // namespace hone
