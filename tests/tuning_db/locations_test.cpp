#include <cstdlib>
#include <map>

#include "tests/tuning_db/fixture.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

class Locations : public ::testing::Test {
 protected:
  Locations() {
    for (const char* name : {"HONE_DB", "HONE_SYSTEM_DB", "XDG_DATA_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) before_[name] = value;
      unsetenv(name);
    }
  }
  ~Locations() override {
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }
  static void set(const char* name, const char* value) { setenv(name, value, 1); }

 private:
  std::map<std::string, std::string> before_;
};

TEST_F(Locations, OfTheUserFollowTheEnvironment) {
  EXPECT_NE(message_of([] { user_database(); }, Code::kUsage), "");
  set("HOME", "/home/ann");
  EXPECT_EQ(user_database(), "/home/ann/.local/share/hone/tuning.db");
  set("XDG_DATA_HOME", "/data");
  EXPECT_EQ(user_database(), "/data/hone/tuning.db");
  set("HONE_DB", "mine.db");
  EXPECT_EQ(user_database(), "mine.db");
  unsetenv("HONE_DB");
  set("HONE_DB", "");
  EXPECT_EQ(user_database(), "/data/hone/tuning.db");
}

TEST_F(Locations, OfTheSystemFollowTheEnvironment) {
  EXPECT_FALSE(system_database());
  set("HONE_SYSTEM_DB", "/srv/hone.db");
  EXPECT_EQ(system_database(), "/srv/hone.db");
}

}  // namespace
}  // namespace hone
