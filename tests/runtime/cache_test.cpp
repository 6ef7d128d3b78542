#include "runtime/cache.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/runtime/cpu_test.h"

namespace hone {
namespace {

std::size_t files_in(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    count += entry.is_regular_file();
  return count;
}

TEST(Cache, FindsWhatWasPut) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path() / "made" / "on demand");
  EXPECT_EQ(cache.find("key"), std::nullopt);
  const std::string content("code with \0 bytes", 17);
  EXPECT_TRUE(cache.put("key", content));
  EXPECT_EQ(cache.find("key"), content);
  EXPECT_EQ(cache.find("other key"), std::nullopt);
  EXPECT_EQ(files_in(folder.path()), 1U) << "a temporary file is left";
}

TEST(Cache, ReplacesAnEntry) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  EXPECT_TRUE(cache.put("key", "first"));
  EXPECT_TRUE(cache.put("key", "second"));
  EXPECT_EQ(cache.find("key"), "second");
}

TEST(Cache, IgnoresEveryDamagedByteAndEveryTruncation) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  ASSERT_TRUE(cache.put("key", "content"));
  const std::string whole = text_of(cache.file("key"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    write_text(cache.file("key"), damaged);
    EXPECT_EQ(cache.find("key"), std::nullopt) << "byte " << i;
    write_text(cache.file("key"), whole.substr(0, i));
    EXPECT_EQ(cache.find("key"), std::nullopt) << "first " << i << " bytes";
  }
  EXPECT_TRUE(cache.put("key", "content"));
  EXPECT_EQ(cache.find("key"), "content");
}

TEST(Cache, IgnoresAnEntryUnderAnotherKeysName) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  ASSERT_TRUE(cache.put("key", "content"));
  std::filesystem::create_directories(cache.file("other").parent_path());
  std::filesystem::copy_file(cache.file("key"), cache.file("other"));
  EXPECT_EQ(cache.find("other"), std::nullopt);
}

TEST(Cache, ReadsVersionOne) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  const std::filesystem::path file =
      folder.path() / "binaries" / "db" / "a72988825f491995c64f658ec8dd7a";
  EXPECT_EQ(cache.file("persistent"), file);
  const unsigned char entry[] = {0x48, 0x4f, 0x4e, 0x45, 0x42, 0x49, 0x4e, 0x31, 0x03,
                                 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xcd, 0x49,
                                 0x3e, 0xd9, 0x05, 0x0a, 0x1d, 0x76, 0x0e, 0xc8, 0x93,
                                 0x3d, 0x57, 0xba, 0xaf, 0xa5, 0x6f, 0x6c, 0x64};
  std::filesystem::create_directories(file.parent_path());
  write_text(file, std::string(reinterpret_cast<const char*>(entry), sizeof entry));
  EXPECT_EQ(cache.find("persistent"), "old");
}

TEST(Cache, SaysSoWhenItCannotWrite) {
  TemporaryFolder folder;
  write_text(folder.path() / "a file", "");
  const BinaryCache cache(folder.path() / "a file");
  EXPECT_FALSE(cache.put("key", "content"));
  EXPECT_EQ(cache.find("key"), std::nullopt);
  const BinaryCache none{std::filesystem::path()};
  EXPECT_FALSE(none.put("key", "content"));
  EXPECT_EQ(none.find("key"), std::nullopt);
}

TEST(Cache, LeavesNothingBehindOnAFullDisk) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  // A limit on the size of files fails a write half way, as a full disk does.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(cache.put("key", std::string(5000, 'x')) ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "put() claims to have written";
  EXPECT_EQ(cache.find("key"), std::nullopt);
  EXPECT_EQ(files_in(folder.path()), 0U);
}

TEST(Cache, HoldsAWholeEntryWhileProcessesWriteIt) {
  TemporaryFolder folder;
  const BinaryCache cache(folder.path());
  const std::string content(100000, 'c');
  std::vector<pid_t> writers;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool good = true;
      for (int round = 0; round < 50; ++round)
        good = cache.put("key", content) && cache.find("key") == content && good;
      ::_exit(good ? 0 : 1);
    }
    writers.push_back(child);
  }
  for (const pid_t writer : writers) {
    int status = -1;
    ::waitpid(writer, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(Cache, FolderComesFromTheEnvironment) {
  const Variable home("HOME", "/home/someone");
  const Variable xdg("XDG_CACHE_HOME", "");
  const Variable own("HONE_CACHE", "");
  EXPECT_EQ(default_cache_folder(), "/home/someone/.cache/hone");
  const Variable xdg_set("XDG_CACHE_HOME", "/caches");
  EXPECT_EQ(default_cache_folder(), "/caches/hone");
  const Variable own_set("HONE_CACHE", "/own");
  EXPECT_EQ(default_cache_folder(), "/own");
}

}  // namespace
}  // namespace hone
