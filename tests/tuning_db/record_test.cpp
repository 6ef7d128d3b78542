#include "tuning_db/record.h"

#include "tests/tuning_db/fixture.h"

namespace hone {
namespace {

TEST(Status, NamesParseBack) {
  for (int value = 0; value <= 11; ++value) {
    const auto status = static_cast<Status>(value);
    EXPECT_EQ(parse_status(to_text(status)), status);
  }
}

TEST(Status, KeepsItsPersistentNames) {
  EXPECT_EQ(to_text(Status::kOk), "ok");
  EXPECT_EQ(to_text(Status::kCompileFailed), "compile_failed");
  EXPECT_EQ(to_text(Status::kOutOfBounds), "out_of_bounds");
  EXPECT_EQ(to_text(Status::kBuilt), "built");
}

TEST(Status, SaysWhichTextItDoesNotKnow) {
  EXPECT_THAT(message_of([] { parse_status("superb"); }), ::testing::HasSubstr("'superb'"));
}

TEST(DeviceIdentity, KeyLeavesOutLabelDriverAndMemory) {
  DeviceIdentity device = some_device();
  EXPECT_EQ(device.key(), "cpu/AuthenticAMD/x86-64-v4/25.17.1/2");
  device.name = std::string("another name");
  device.driver = std::string("another driver");
  device.memory_bytes = 1;
  EXPECT_EQ(device.key(), some_device().key());
  device.units = 1;
  EXPECT_NE(device.key(), some_device().key());
}

TEST(Trial, OfPlainValuesHasNoFlaw) { EXPECT_EQ(flaw_of(some_trial()), ""); }

TEST(Trial, WithoutParametersHasNoFlaw) {
  Trial trial = some_trial();
  trial.config.clear();
  EXPECT_EQ(flaw_of(trial), "");
}

}  // namespace
}  // namespace hone
