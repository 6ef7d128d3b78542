#include "tests/tuner/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "codegen/catalog.h"
#include "codegen/space.h"
#include "runtime/backend.h"
#include "runtime/engine.h"
#include "tuning_db/database.h"

namespace hone {

Scratch::Scratch() {
  std::string name = (std::filesystem::temp_directory_path() / "hone-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder");
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Program::Program(const std::vector<std::string>& words, const std::vector<std::string>& environment)
    : error_file_(scratch_ / "errors") {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  process_ = fork();
  if (process_ == 0) {
    for (const std::string& entry : environment) putenv(const_cast<char*>(entry.c_str()));
    dup2(ends[1], STDOUT_FILENO);
    dup2(open(error_file_.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<char*> pointers = {const_cast<char*>(HONE_PROGRAM)};
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    execv(HONE_PROGRAM, pointers.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
}

Program::~Program() {
  kill();
  close(output_);
}

std::optional<std::string> Program::line() {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string text = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return text;
    }
    char chunk[4096];
    const ssize_t got = read(output_, chunk, sizeof chunk);
    if (got <= 0) return std::nullopt;
    buffer_.append(chunk, static_cast<std::size_t>(got));
  }
}

std::string Program::rest() {
  std::string all;
  while (auto text = line()) all += *text + '\n';
  return all + buffer_;
}

std::string Program::errors() {
  std::ifstream file(error_file_);
  return {std::istreambuf_iterator<char>(file), {}};
}

int Program::wait() {
  rest();
  int status = 0;
  waitpid(process_, &status, 0);
  process_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void Program::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

std::vector<Json> Program::objects() {
  std::vector<Json> found;
  while (auto text = line())
    if (auto object = Json::parse(*text, nullptr, false); object.is_object())
      found.push_back(std::move(object));
  return found;
}

bool nothing_left_of(pid_t tuner) {
  constexpr int kLooks = 500;
  const std::string mark = fmt::format("HONE_WORKER_OF={}", tuner);
  for (int look = 0; look < kLooks; ++look) {
    bool found = false;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      std::ifstream file(entry.path() / "environ", std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      found |= text.find(mark + '\0') != std::string::npos;
    }
    if (!found) return true;
    // The kernel ends children of a killed process in its own time.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void prepare_database(const std::filesystem::path& file) {
  Database database(file, Database::Mode::kWrite);
  const DeviceIdentity device = open_device("cpu:0")->identity();
  database.put_device(device);
  database.put_ceilings(device.key(), {{"read_gbps", 1e4}, {"l1_gbps", 1e6}, {"f32_gflops", 1e6}});
}

namespace {

const std::string kData = HONE_ROOT "/tests/tuner/data";

std::vector<std::string> tune_words(const std::filesystem::path& database,
                                    std::vector<std::string> more) {
  std::vector<std::string> words = {"tune",        "--json",       "--db", database.string(),
                                    "--templates", kData + "/good"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::size_t count_kind(const std::vector<Json>& objects, const std::string& kind) {
  return static_cast<std::size_t>(
      std::count_if(objects.begin(), objects.end(),
                    [&](const Json& object) { return object.value("kind", "") == kind; }));
}

constexpr std::size_t kBlendConfigs = 9;

TEST(Program, EveryBadVariantGetsItsStatusAndNoneWins) {
  const std::map<std::string, std::set<std::string>> expected = {
      {"compile_failed", {"compile_failed"}},
      {"segv", {"crashed"}},
      {"ill", {"crashed"}},
      {"aborts", {"crashed"}},
      {"exits", {"crashed"}},
      {"closes", {"crashed"}},
      {"talks", {"crashed"}},
      {"hangs", {"timeout"}},
      {"behind", {"out_of_bounds"}},
      {"before", {"out_of_bounds"}},
      {"input", {"out_of_bounds"}},
      {"workspace", {"out_of_bounds"}},
      {"wrong", {"wrong"}},
      {"unwritten", {"wrong"}},
      {"garbage", {"wrong", "nondeterministic"}},
      {"flaky", {"nondeterministic"}},
      {"forks", {"forked"}},
      {"forks_away", {"forked"}}};
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  Program program(tune_words(scratch / "t.db",
                             {"blend:n=1000", "--templates", kData + "/bad", "--trials", "all"}));
  const pid_t tuner = program.process();
  const auto objects = program.objects();
  EXPECT_EQ(program.wait(), 0) << program.errors();
  std::map<std::string, std::string> met;
  std::size_t good = 0;
  for (const auto& object : objects) {
    if (object.at("kind") == "winner") {
      EXPECT_EQ(object.at("variant"), "plain");
      EXPECT_EQ(object.at("status"), "ok");
    } else if (object.at("variant") == "plain") {
      EXPECT_EQ(object.at("status"), "ok") << object;
      ++good;
    } else {
      met[object.at("variant")] = object.at("status");
      EXPECT_NE(object.value("reason", ""), "") << object;
      ASSERT_TRUE(expected.contains(object.at("variant"))) << object;
      EXPECT_TRUE(expected.at(object.at("variant")).contains(object.at("status"))) << object;
    }
  }
  EXPECT_EQ(met.size(), expected.size());
  EXPECT_EQ(good, kBlendConfigs);
  EXPECT_TRUE(nothing_left_of(tuner));
}

TEST(Program, ForkedChildrenAreFoundWhereTheSystemHasNoFilter) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  for (const char* variant : {"forks", "forks_away"}) {
    Program program({"check", "--json", "blend:n=100", "--variant", variant, "--templates",
                     kData + "/good", "--templates", kData + "/bad"},
                    {"HONE_NO_SECCOMP=1"});
    const pid_t tuner = program.process();
    const auto objects = program.objects();
    EXPECT_EQ(program.wait(), 1);
    ASSERT_EQ(objects.size(), 1u) << program.errors();
    EXPECT_EQ(objects[0].at("status"), "forked") << objects[0];
    EXPECT_TRUE(nothing_left_of(tuner)) << variant;
  }
}

TEST(Program, OwnOperatorIsListedCheckedTunedStoredAndResolved) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  Program listing({"ops", "--json", "blend", "--templates", kData + "/good"});
  const auto listed = listing.objects();
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].at("variants").at(0).at("configs"), kBlendConfigs);
  Program check({"check", "blend:n=777", "--templates", kData + "/good"});
  EXPECT_EQ(check.wait(), 0) << check.errors();

  Program tuning(tune_words(scratch / "t.db", {"blend", "--trials", "all"}));
  const auto objects = tuning.objects();
  EXPECT_EQ(tuning.wait(), 0) << tuning.errors();
  EXPECT_EQ(count_kind(objects, "trial"), kBlendConfigs) << "the whole space";
  ASSERT_EQ(count_kind(objects, "winner"), 1u);
  EXPECT_GE(objects.back().at("speedup").get<double>(), 1.0) << objects.back();

  EngineOptions options;
  options.database = scratch / "t.db";
  options.templates = {kData + "/good"};
  options.no_compile = true;  // the winner's binary is in the database
  Engine engine(options);
  const auto handle = engine.resolve("blend");
  const std::int64_t dims[] = {1000};
  ASSERT_NE(handle->choose(dims), nullptr);
  EXPECT_EQ(to_text(handle->match(dims)), "exact");
  EXPECT_EQ(handle->choose(dims)->kernel.config().text(), objects.back().at("config"));
  std::vector<float> a(1000, 3.0f), b(1000, 0.5f), y(1000);
  void* arguments[] = {a.data(), b.data(), y.data()};
  EXPECT_TRUE(handle->choose(dims)->kernel.launch(arguments, dims, nullptr, nullptr));
  EXPECT_EQ(y, std::vector<float>(1000, 6.5f));
}

TEST(Program, SecondRunFindsItsResults) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  const auto words =
      tune_words(scratch / "t.db", {"blend", "--trials", "5", "--strategy", "random"});
  Program first(words);
  const auto before = first.objects();
  EXPECT_EQ(first.wait(), 0) << first.errors();
  EXPECT_EQ(count_kind(before, "trial"), 5u);
  Program second(words);
  const auto after = second.objects();
  EXPECT_EQ(second.wait(), 0) << second.errors();
  EXPECT_EQ(count_kind(after, "trial"), 0u);
  ASSERT_EQ(count_kind(after, "winner"), 1u);
  EXPECT_EQ(after.back().at("config"), before.back().at("config"));
  Program more(tune_words(scratch / "t.db", {"blend", "--trials", "7", "--strategy", "random"}));
  EXPECT_EQ(count_kind(more.objects(), "trial"), 2u) << "asking for more goes on, not over";
}

TEST(Program, KilledTunerLosesNothingAndGoesOn) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  const auto words =
      tune_words(scratch / "t.db", {"blend:n=1000", "blend:n=5000", "--trials", "all"});
  std::size_t printed = 0;
  {
    Program program(words);
    while (printed < 4) {
      const auto line = program.line();
      ASSERT_TRUE(line.has_value()) << program.errors();
      printed += line->find("\"trial\"") != std::string::npos;
    }
    const pid_t tuner = program.process();
    program.kill();
    EXPECT_TRUE(nothing_left_of(tuner));
  }
  std::size_t kept = 0;
  {
    Database database(scratch / "t.db", Database::Mode::kRead);
    database.check();
    kept = static_cast<std::size_t>(database.trial_count());
    EXPECT_GE(kept, printed);
    EXPECT_LT(kept, 2 * kBlendConfigs);
  }
  Program program(words);
  const auto objects = program.objects();
  EXPECT_EQ(program.wait(), 0) << program.errors();
  EXPECT_EQ(count_kind(objects, "trial"), 2 * kBlendConfigs - kept);
  EXPECT_EQ(count_kind(objects, "winner"), 2u);
}

TEST(Program, InterruptedTunerStopsAndSaysSo) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  Program program(
      tune_words(scratch / "t.db", {"blend", "--templates", kData + "/bad", "--trials", "all"}));
  ASSERT_TRUE(program.line().has_value()) << program.errors();
  ::kill(program.process(), SIGINT);
  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(program.errors().find("interrupted"), std::string::npos) << program.errors();
}

TEST(Program, TwoTunersOnOneDatabaseLoseNothing) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  const auto words =
      tune_words(scratch / "t.db", {"blend:n=1000", "blend:n=3000", "--trials", "all"});
  Program first(words), second(words);
  EXPECT_EQ(first.wait(), 0) << first.errors();
  EXPECT_EQ(second.wait(), 0) << second.errors();
  Database database(scratch / "t.db", Database::Mode::kRead);
  database.check();
  EXPECT_EQ(database.trial_count(), static_cast<std::int64_t>(2 * kBlendConfigs));
}

TEST(Program, BucketsOfAHandleHaveResultsInEachOthersLayouts) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  Program program(
      tune_words(scratch / "t.db", {"rowdot", "--trials", "3", "--strategy", "random"}));
  const auto objects = program.objects();
  EXPECT_EQ(program.wait(), 0) << program.errors();
  std::map<std::string, std::set<std::string>> measured;  // problem -> layouts
  std::set<std::string> wanted = {""};
  Database database(scratch / "t.db", Database::Mode::kRead);
  for (const auto& object : objects) {
    if (object.at("kind") != "winner") continue;
    wanted.insert(object.at("layout").get<std::string>());
    const std::string problem = object.at("problem");
    for (const Trial& trial : database.trials(open_device("cpu:0")->identity().key(), problem))
      if (trial.status == Status::kOk) measured[problem].insert(trial.layout);
  }
  ASSERT_EQ(measured.size(), 2u);
  for (const auto& [problem, layouts] : measured)
    for (const std::string& layout : wanted)
      EXPECT_TRUE(layouts.contains(layout)) << problem << " in '" << layout << "'";

  EngineOptions options;
  options.database = scratch / "t.db";
  options.templates = {kData + "/good"};
  Engine engine(options);
  const auto handle = engine.resolve("rowdot:n=30,k=40");
  for (const std::int64_t m : {1, 9}) EXPECT_EQ(to_text(handle->match(&m)), "exact") << m;
}

TEST(Program, BudgetIsOneDeadlineOverAllProblems) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  std::vector<std::string> more = {"--budget", "3s"};
  for (int n = 1000; n < 1020; ++n) more.push_back(fmt::format("blend:n={}", n));
  const auto begin = std::chrono::steady_clock::now();
  Program program(tune_words(scratch / "t.db", more));
  const auto objects = program.objects();
  program.wait();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(count_kind(objects, "winner"), 20u)
      << "every problem is answered, if only with what is missing";
  EXPECT_LT(seconds, 30) << "the deadline holds, with room for a final round on a busy machine";
}

struct Misuse {
  std::vector<std::string> words;
  int status;
  std::string says;
};

TEST(Program, MisuseIsExplained) {
  const Scratch scratch;
  std::ofstream(scratch / "text.db") << "this is no database, and longer than a header would be";
  const std::string database = (scratch / "t.db").string();
  prepare_database(database);
  const std::vector<Misuse> cases = {
      {{}, 2, "usage"},
      {{"frobnicate"}, 2, "unknown command"},
      {{"tune"}, 2, "no problem given"},
      {{"tune", "--frob"}, 2, "frob"},
      {{"tune", "nosuchop:n=1", "--db", database}, 1, "nosuchop"},
      {{"tune", "softmax:rows=1", "--db", database}, 2, "cols"},
      {{"tune", "softmax:rows=1,cols=0", "--db", database}, 2, "cols"},
      {{"tune", "softmax", "--budget", "soon", "--db", database}, 2, "duration"},
      {{"tune", "softmax", "--strategy", "astrology", "--db", database}, 2, "annealing"},
      {{"tune", "softmax", "--shard", "4/4", "--db", database}, 2, "shard"},
      {{"tune", "--model", "no-such-model", "--db", database}, 1, "smollm2-135m"},
      {{"tune", "softmax", "--device", "cpu:7", "--db", database}, 1, "cpu:7"},
      {{"tune", "softmax", "--db", (scratch / "text.db").string()}, 1, "text.db"},
      {{"tune", "softmax", "--templates", "/no/such/folder", "--db", database},
       1,
       "/no/such/folder"},
      {{"check", "softmax:rows=2,cols=8", "--variant", "nosuch"}, 1, "no variant"},
      {{"bench", "softmax:rows=2,cols=8", "--db", (scratch / "none.db").string()}, 1, "none.db"},
  };
  for (const Misuse& misuse : cases) {
    Program program(misuse.words);
    const int status = program.wait();
    std::string line = "hone";
    for (const std::string& word : misuse.words) line += " " + word;
    EXPECT_EQ(status, misuse.status) << line << "\n" << program.errors();
    EXPECT_NE(program.errors().find(misuse.says), std::string::npos) << line << "\n"
                                                                     << program.errors();
  }
}

TEST(Program, EveryCommandHasHelp) {
  for (const char* command : {"bench", "build", "check", "devices", "ops", "tune"}) {
    Program program({command, "--help"});
    const std::string text = program.rest();
    EXPECT_EQ(program.wait(), 0) << command;
    EXPECT_EQ(text.rfind("usage: hone ", 0), 0u) << text;
  }
}

TEST(Program, MissingCompilerIsAMessage) {
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  Program program(tune_words(scratch / "t.db", {"blend", "--trials", "1"}),
                  {"HONE_CXX=/no/such/compiler", "PATH=/nowhere"});
  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(program.errors().find("compiler"), std::string::npos) << program.errors();
}

TEST(Program, ReadOnlyDatabaseIsAMessage) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everything";
  const Scratch scratch;
  prepare_database(scratch / "t.db");
  std::filesystem::permissions(scratch / "t.db", std::filesystem::perms::owner_read);
  Program program(tune_words(scratch / "t.db", {"blend", "--trials", "1"}));
  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(program.errors().find("t.db"), std::string::npos) << program.errors();
}

TEST(Program, BuildStoresBinariesWithoutRunning) {
  const Scratch scratch;
  Program program({"build", "blend", "--json", "--templates", kData + "/good", "--db",
                   (scratch / "t.db").string()});
  const auto objects = program.objects();
  EXPECT_EQ(program.wait(), 0) << program.errors();
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0].at("status"), "built");
  Database database(scratch / "t.db", Database::Mode::kRead);
  EXPECT_TRUE(database
                  .binary(Hash::parse(objects[0].at("source").get<std::string>()),
                          objects[0].at("target").get<std::string>())
                  .has_value());
}

}  // namespace
}  // namespace hone
