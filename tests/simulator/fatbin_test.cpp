// Containers of the CUDA toolkit that hold PTX, as its tools write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "tests/simulator/support/damage.h"
#include "tests/simulator/support/driver.h"
#include "tests/simulator/support/everywhere.h"

namespace hone::test {
namespace {

constexpr std::uint64_t kLz4 = 0x2000, kZstd = 0x8000;

std::string ptx_with(const std::string& kernel) {
  return ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry " + kernel +
         "()\n{\n  ret;\n}\n";
}

template <typename T>
void put(std::string* to, T value) {
  to->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// All literals, no match: a legal LZ4 block.
std::string lz4_of(const std::string& text) {
  std::string block;
  block.push_back(static_cast<char>(0xF0));
  std::size_t left = text.size() - 15;
  for (; left >= 255; left -= 255) block.push_back(static_cast<char>(255));
  block.push_back(static_cast<char>(left));
  return block + text;
}

// One raw block: a legal Zstandard frame.
std::string zstd_of(const std::string& text) {
  std::string frame("\x28\xb5\x2f\xfd\xa0", 5);
  put(&frame, static_cast<std::uint32_t>(text.size()));
  const auto header = static_cast<std::uint32_t>(text.size() << 3 | 1);
  frame.append(reinterpret_cast<const char*>(&header), 3);
  return frame + text;
}

std::string entry_of(int kind, unsigned arch, std::string payload, std::uint64_t flags,
                     std::size_t plain) {
  const std::size_t packed = payload.size();
  payload.resize((payload.size() + 7) / 8 * 8);
  std::string entry;
  put(&entry, static_cast<std::uint16_t>(kind));
  put(&entry, static_cast<std::uint16_t>(0x0101));
  put(&entry, std::uint32_t{64});
  put(&entry, static_cast<std::uint64_t>(payload.size()));
  put(&entry, static_cast<std::uint32_t>(flags != 0 ? packed : 0));
  put(&entry, std::uint32_t{0});
  put(&entry, std::uint16_t{0});
  put(&entry, std::uint16_t{9});
  put(&entry, std::uint32_t{arch});
  put(&entry, std::uint64_t{0});
  put(&entry, flags | 0x11);
  put(&entry, std::uint64_t{0});
  put(&entry, static_cast<std::uint64_t>(flags != 0 ? plain : 0));
  return entry + payload;
}

std::string fatbin_of(const std::string& entries) {
  std::string made;
  put(&made, std::uint32_t{0xBA55ED50});
  put(&made, std::uint16_t{1});
  put(&made, std::uint16_t{16});
  put(&made, static_cast<std::uint64_t>(entries.size()));
  return made + entries;
}

struct Loading {
  Loading() {
    EXPECT_EQ(cu.cuInit(0), kSuccess);
    EXPECT_EQ(cu.cuCtxCreate(&context, 0, 0), kSuccess);
  }
  // The status of loading and of finding `kernel` in it.
  int operator()(const void* image, const char* kernel) {
    void *module = nullptr, *function = nullptr;
    if (const int status = cu.cuModuleLoadData(&module, image); status != kSuccess) return status;
    return cu.cuModuleGetFunction(&function, module, kernel);
  }
  Driver cu;
  void* context = nullptr;
};

void on_a100(const std::function<void(Loading&)>& body) {
  in_child({{"HONE_SIM_DEVICE", "a100"}}, [&] {
    Loading loading;
    body(loading);
  });
}

TEST(Fatbin, GivesItsTextPlainOrCompressed) {
  const std::string text = ptx_with("k");
  on_a100([&](Loading& load) {
    EXPECT_EQ(load(fatbin_of(entry_of(1, 75, text, 0, 0)).data(), "k"), kSuccess);
    EXPECT_EQ(load(fatbin_of(entry_of(1, 75, lz4_of(text), kLz4, text.size())).data(), "k"),
              kSuccess);
    EXPECT_EQ(load(fatbin_of(entry_of(1, 75, zstd_of(text), kZstd, text.size())).data(), "k"),
              kSuccess);
  });
}

TEST(Fatbin, GivesTheNewestTextThatTheGpuRuns) {
  const std::string entries =
      entry_of(1, 75, ptx_with("old"), 0, 0) + entry_of(2, 80, std::string(100, 'x'), 0, 0) +
      entry_of(1, 80, ptx_with("fitting"), 0, 0) + entry_of(1, 90, ptx_with("newer"), 0, 0);
  on_a100([&](Loading& load) {
    EXPECT_EQ(load(fatbin_of(entries).data(), "fitting"), kSuccess);
    EXPECT_EQ(load(fatbin_of(entries).data(), "old"), kNotFound);
  });
}

TEST(Fatbin, IsFoundBehindTheWrapperOfAProgramsDataSegment) {
  const std::string image = fatbin_of(entry_of(1, 75, ptx_with("k"), 0, 0));
  const struct {
    std::uint32_t magic, version;
    const void* data;
    void* unused;
  } wrapper{0x466243B1, 1, image.data(), nullptr};
  on_a100([&](Loading& load) { EXPECT_EQ(load(&wrapper, "k"), kSuccess); });
}

TEST(Fatbin, WithMachineCodeAloneIsRefusedAsNotForThisGpu) {
  on_a100([&](Loading& load) {
    EXPECT_EQ(load(fatbin_of(entry_of(2, 80, std::string(100, 'x'), 0, 0)).data(), "k"),
              kNoBinaryForGpu);
    EXPECT_EQ(load(fatbin_of("").data(), "k"), kNoBinaryForGpu);
    EXPECT_EQ(load(fatbin_of(entry_of(1, 90, ptx_with("k"), 0, 0)).data(), "k"), kNoBinaryForGpu);
    EXPECT_EQ(load("\x7f"
                   "ELF\2\1\1",
                   "k"),
              kNoBinaryForGpu);
  });
}

TEST(Fatbin, ThatIsDamagedIsRefused) {
  const std::string text = ptx_with("k");
  const std::string lz4 = lz4_of(text), zstd = zstd_of(text);
  std::vector<std::string> damaged = {
      fatbin_of(entry_of(1, 75, lz4, kLz4, text.size() + 1)),
      fatbin_of(entry_of(1, 75, lz4.substr(0, 20), kLz4, text.size())),
      fatbin_of(entry_of(1, 75, zstd.substr(0, zstd.size() / 2), kZstd, text.size())),
      fatbin_of(entry_of(1, 75, zstd, kZstd, std::size_t{1} << 40)),
  };
  // Sizes that lead out of the image.
  std::string entry = entry_of(1, 75, text, 0, 0);
  const std::uint64_t huge = std::uint64_t{1} << 62;
  std::memcpy(entry.data() + 8, &huge, sizeof huge);
  damaged.push_back(fatbin_of(entry));
  const std::uint32_t tiny = 3;
  entry = entry_of(1, 75, text, 0, 0);
  std::memcpy(entry.data() + 4, &tiny, sizeof tiny);
  damaged.push_back(fatbin_of(entry));
  on_a100([&](Loading& load) {
    for (std::size_t i = 0; i < damaged.size(); ++i)
      EXPECT_EQ(load(damaged[i].data(), "k"), kInvalidImage) << i;
  });
}

// Bytes and numbers changed at random, pieces cut out: refused or taken, never a crash. The
// linker's calls tell the length of what they give; the loader's believe the first header.
TEST(Fatbin, ThatIsDamagedAtRandomIsSurvived) {
  const std::string text = ptx_with("k");
  const std::string whole =
      fatbin_of(entry_of(1, 75, lz4_of(text), kLz4, text.size()) +
                entry_of(2, 80, std::string(64, 'x'), 0, 0) +
                entry_of(1, 75, zstd_of(text), kZstd, text.size()) + entry_of(1, 70, text, 0, 0));
  constexpr std::size_t kHeaderBytes = 16;
  on_a100([&](Loading& load) {
    ASSERT_NE(std::freopen("/dev/null", "w", stderr), nullptr);  // thousands of reasons
    int taken = 0;
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      SCOPED_TRACE(seed);
      const std::string damaged = damaged_bytes(whole, seed);
      // A buffer of just that size: reading beyond it is seen by the address sanitizer.
      std::vector<char> bytes(damaged.begin(), damaged.end());
      void* linker = nullptr;
      ASSERT_EQ(load.cu.cuLinkCreate(0, nullptr, nullptr, &linker), kSuccess);
      constexpr int kFatbinKind = 2;
      const int status = load.cu.cuLinkAddData(linker, kFatbinKind, bytes.data(), bytes.size(),
                                               "damaged", 0, nullptr, nullptr);
      EXPECT_THAT(status, testing::AnyOf(kSuccess, kInvalidValue, kInvalidImage, kNoBinaryForGpu));
      ASSERT_EQ(load.cu.cuLinkDestroy(linker), kSuccess);
      if (bytes.size() < kHeaderBytes) continue;
      const std::uint64_t behind = bytes.size() - kHeaderBytes;
      std::memcpy(bytes.data(), whole.data(), kHeaderBytes);
      std::memcpy(bytes.data() + 8, &behind, sizeof behind);
      taken += load(bytes.data(), "k") == kSuccess;
    }
    // Much of the damage is where it doesn't matter, and much is where it does.
    EXPECT_GT(taken, 100);
    EXPECT_LT(taken, 2900);
  });
}

}  // namespace
}  // namespace hone::test
