// hone db as a user meets it: what it prints and its exit status.
#include <sys/wait.h>

#include "codegen/catalog.h"
#include "codegen/json.h"
#include "tests/tuning_db/fixture.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Ran {
  int status = -1;
  std::string out;  // both streams
};

class CommandDb : public ::testing::Test {
 protected:
  CommandDb() {
    const Catalog catalog = Catalog::embedded();
    const Template& variant = catalog.variants("softmax").front();
    Database database = fresh(file("a.db"));
    for (int config = 1; config <= 3; ++config) {
      Trial trial = some_trial(config, 1000 * config);
      const Problem problem = catalog.problem("softmax:rows=32,cols=64", true);
      trial.problem = problem.text();
      trial.handle = catalog.op("softmax").handle(problem).text();
      trial.variant = variant.variant;
      trial.template_hash = variant.hash;
      trial.toolchain = std::string("g++\x1b[31m");
      database.put_trial(trial);
    }
    database.put_binary(hash_of("source"), "cpu/x", "code");
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  // `%` in a word stands for the folder.
  Ran hone(std::string words) const {
    for (auto at = words.find('%'); at != std::string::npos; at = words.find('%', at)) {
      words.replace(at, 1, folder_.path().string() + "/");
    }
    const std::string line = fmt::format("HONE_SYSTEM_DB={} {} db {} 2>&1 </dev/null",
                                         file("system.db"), HONE_PROGRAM, words);
    Ran ran;
    std::FILE* pipe = popen(line.c_str(), "r");
    char bytes[4096];
    for (std::size_t size = 0; (size = fread(bytes, 1, sizeof bytes, pipe)) > 0;) {
      ran.out.append(bytes, size);
    }
    ran.status = WEXITSTATUS(pclose(pipe));
    return ran;
  }
  static std::vector<Json> objects(const std::string& lines) {
    std::vector<Json> all;
    std::stringstream in(lines);
    for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line));
    return all;
  }

  Folder folder_;
};

TEST_F(CommandDb, ShowsBestRows) {
  const Ran ran = hone("show --db %a.db");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("softmax:rows=32,cols=64"), HasSubstr("U=1,threads=2"),
                             HasSubstr("70 %"), HasSubstr("2025-06-15"), Not(HasSubstr("U=2"))));
}

TEST_F(CommandDb, ShowsAnObjectPerRow) {
  const Ran ran = hone("show --db %a.db --json --op softmax --device " + kDevice);
  EXPECT_EQ(ran.status, 0);
  const auto rows = objects(ran.out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["problem"], "softmax:rows=32,cols=64");
  EXPECT_EQ(rows[0]["median_ns"], 1000);
  EXPECT_EQ(rows[0]["fraction"], 0.7);
  EXPECT_EQ(hone("show --db %a.db --json --op norm").out, "");
  EXPECT_EQ(hone("show --db %a.db --json --device cpu/x/y/z/1").out, "");
}

TEST_F(CommandDb, ExplainsEveryRow) {
  const Ran ran = hone("explain softmax:rows=32,cols=64 --json --db %a.db --device " + kDevice);
  EXPECT_EQ(ran.status, 0) << ran.out;
  const auto rows = objects(ran.out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["verdict"], "chosen");
  EXPECT_EQ(rows[1]["verdict"], "slower");
  EXPECT_THAT(hone("explain softmax:rows=32,cols=64 --db %a.db --device " + kDevice).out,
              HasSubstr("chosen: lowest median"));
}

TEST_F(CommandDb, ExportsAndImports) {
  EXPECT_EQ(hone("export %e.jsonl --db %a.db").status, 0);
  const Ran imported = hone("import %e.jsonl --db %b.db --json");
  EXPECT_EQ(imported.status, 0);
  EXPECT_EQ(objects(imported.out).at(0)["trials"], 3);
  EXPECT_EQ(hone("export - --db %b.db").out, bytes_of(file("e.jsonl")));
  EXPECT_THAT(bytes_of(file("e.jsonl")), Not(HasSubstr("\"binary\"")));
  EXPECT_THAT(hone("export - --db %a.db --binaries").out, HasSubstr("\"binary\""));
}

TEST_F(CommandDb, RefusesABadImportWithItsLine) {
  write_bytes(file("bad.jsonl"), "{\"hone_export\":1}\n{\"trial\":{}}\n");
  const Ran ran = hone("import %bad.jsonl --db %a.db");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("bad.jsonl:2: "), HasSubstr("nothing was imported")));
}

TEST_F(CommandDb, MergesSeveralAndNothingWhenOneIsMissing) {
  fresh(file("b.db")).put_trial(some_trial(9));
  EXPECT_EQ(hone("merge %c.db %a.db %missing.db").status, 1);
  EXPECT_FALSE(std::filesystem::exists(file("c.db")));
  const Ran ran = hone("merge %c.db %a.db %b.db --json");
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_EQ(objects(ran.out).at(0)["trials"], 3);
  EXPECT_EQ(objects(ran.out).at(1)["trials"], 1);
  EXPECT_FALSE(Database(file("c.db"), Database::Mode::kRead).binary(hash_of("source"), "cpu/x"));
}

TEST_F(CommandDb, SaysWhatIsWrongWithWhichFile) {
  write_bytes(file("text.db"), "not a database, but long enough to look at");
  for (const char* words : {"show --db %text.db", "export - --db %text.db", "merge %text.db %a.db",
                            "merge %new.db %text.db", "import /dev/null --db %text.db"}) {
    const Ran ran = hone(words);
    EXPECT_EQ(ran.status, 1) << words;
    EXPECT_THAT(ran.out, HasSubstr("text.db is no tuning database")) << words;
  }
  EXPECT_EQ(hone("show --db %missing.db").status, 1);
  EXPECT_EQ(hone("export %no/such/folder.jsonl --db %a.db").status, 1);
  EXPECT_EQ(hone("import %missing.jsonl --db %a.db").status, 1);
}

TEST_F(CommandDb, EndsWithTwoOnWrongUsage) {
  for (const char* words : {"", "frob", "merge %a.db", "export", "import", "explain",
                            "show something", "show --frob"}) {
    EXPECT_EQ(hone(words).status, 2) << words;
  }
  for (const char* part : {"", "show", "explain", "merge", "export", "import"}) {
    const Ran ran = hone(fmt::format("{} --help", part));
    EXPECT_EQ(ran.status, 0);
    EXPECT_THAT(ran.out, StartsWith("usage: hone db"));
  }
}

}  // namespace
}  // namespace hone
