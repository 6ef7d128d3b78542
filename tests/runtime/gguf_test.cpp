#include "runtime/llm/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <sstream>

#include "codegen/error.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes a GGUF file, field by field.
class Writer {
 public:
  template <typename T>
  Writer& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Writer& text(const std::string& value) {
    number<std::uint64_t>(value.size());
    bytes_ += value;
    return *this;
  }
  Writer& head(std::uint32_t version, std::uint64_t tensors, std::uint64_t keys) {
    bytes_ += "GGUF";
    return number(version).number(tensors).number(keys);
  }
  Writer& key(const std::string& name, std::uint32_t kind) { return text(name).number(kind); }
  Writer& tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                 std::uint32_t type, std::uint64_t offset) {
    text(name).number(static_cast<std::uint32_t>(dims.size()));
    for (std::uint64_t dim : dims) number(dim);
    return number(type).number(offset);
  }
  Writer& pad(std::size_t alignment, std::size_t data) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + data, '\x11');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint32_t kU8 = 0, kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10;

std::string small_file(std::uint32_t version = 3) {
  Writer out;
  out.head(version, 2, 8);
  out.key("general.architecture", kString).text("llama");
  out.key("llama.block_count", kU32).number<std::uint32_t>(30);
  out.key("llama.eps", kF32).number(0.5F);
  out.key("flag", kBool).number<std::uint8_t>(1);
  out.key("long", kU64).number<std::uint64_t>(1ULL << 40);
  out.key("tokens", kArray).number(kString).number<std::uint64_t>(2).text("a").text("");
  out.key("bytes", kArray)
      .number(kU8)
      .number<std::uint64_t>(3)
      .number<std::uint8_t>(1)
      .number<std::uint8_t>(2)
      .number<std::uint8_t>(255);
  out.key("scores", kArray).number(kF32).number<std::uint64_t>(1).number(-2.5F);
  out.tensor("token_embd.weight", {64, 5}, 8, 0);
  out.tensor("norm.weight", {64}, 0, 352);
  return out.pad(32, 352 + 256).bytes();
}

Gguf parse(const std::string& bytes) {
  std::istringstream in(bytes);
  return read_gguf(in, bytes.size(), "model.gguf");
}

testing::AssertionResult refused(const std::string& bytes, Code code, const std::string& what) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    if (error.code() == code && std::string(error.what()).find(what) != std::string::npos)
      return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "code " << static_cast<int>(error.code()) << ": " << error.what();
  }
  return testing::AssertionFailure() << "was read";
}

TEST(Gguf, ReadsMetadataAndTensorsOfBothVersions) {
  for (std::uint32_t version : {2U, 3U}) {
    const std::string bytes = small_file(version);
    const Gguf gguf = parse(bytes);
    EXPECT_EQ(gguf.version, version);
    EXPECT_EQ(gguf.word("general.architecture"), "llama");
    EXPECT_EQ(gguf.integer("llama.block_count"), 30);
    EXPECT_EQ(gguf.number_or("llama.eps", 0), 0.5);
    EXPECT_EQ(std::get<bool>(*gguf.find("flag")), true);
    EXPECT_EQ(gguf.integer("long"), std::int64_t{1} << 40);
    EXPECT_THAT(std::get<std::vector<std::string>>(*gguf.find("tokens")), ElementsAre("a", ""));
    EXPECT_THAT(std::get<std::vector<std::int64_t>>(*gguf.find("bytes")), ElementsAre(1, 2, 255));
    EXPECT_THAT(std::get<std::vector<double>>(*gguf.find("scores")), ElementsAre(-2.5));
    const std::uint64_t data = bytes.size() - 352 - 256;
    EXPECT_EQ(*gguf.tensor("token_embd.weight"),
              (GgufTensor{"token_embd.weight", "q8_0", {5, 64}, data, 10 * 34}));
    EXPECT_EQ(*gguf.tensor("norm.weight"),
              (GgufTensor{"norm.weight", "f32", {64}, data + 352, 256}));
    EXPECT_EQ(gguf.data_end, bytes.size());
    EXPECT_NO_THROW(gguf.require_data());
  }
}

TEST(Gguf, NamesTheKeyWhenItIsMissingOrOfAnotherKind) {
  const Gguf gguf = parse(small_file());
  EXPECT_EQ(gguf.integer_or("absent", 7), 7);
  EXPECT_EQ(gguf.find("absent"), nullptr);
  EXPECT_EQ(gguf.tensor("absent"), nullptr);
  try {
    (void)gguf.integer("general.architecture");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.gguf"));
    EXPECT_THAT(error.what(), HasSubstr("general.architecture"));
  }
}

TEST(Gguf, RefusesEveryTruncatedHeader) {
  const std::string bytes = small_file();
  const std::size_t header = bytes.size() - 352 - 256 - 31;
  for (std::size_t size = 0; size < header; ++size)
    EXPECT_THROW(parse(bytes.substr(0, size)), Error) << size;
}

TEST(Gguf, ReadsTheHeaderWithoutTheDataAndSaysThatItIsMissing) {
  const std::string bytes = small_file();
  const Gguf gguf = parse(bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(gguf.tensors.size(), 2U);
  EXPECT_THROW(gguf.require_data(), Error);
}

TEST(Gguf, RefusesWhatItDoesNotUnderstand) {
  EXPECT_TRUE(refused("", Code::kIo, "not a GGUF file"));
  EXPECT_TRUE(refused("GGML....................", Code::kIo, "not a GGUF file"));
  EXPECT_TRUE(refused(small_file(1), Code::kUnsupported, "version 1"));
  EXPECT_TRUE(refused(small_file(4), Code::kUnsupported, "version 4"));
  EXPECT_TRUE(refused(small_file(0x03000000), Code::kUnsupported, "big-endian"));
  EXPECT_TRUE(refused(Writer().head(3, 1, 0).tensor("w", {32}, 77, 0).pad(32, 64).bytes(),
                      Code::kUnsupported, "unknown type 77"));
  EXPECT_TRUE(refused(Writer()
                          .head(3, 0, 1)
                          .key("k", kArray)
                          .number(kArray)
                          .number<std::uint64_t>(1)
                          .pad(32, 64)
                          .bytes(),
                      Code::kUnsupported, "array of arrays"));
}

TEST(Gguf, RefusesCountsThatTheFileCanNotHold) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  for (std::uint64_t count : {kHuge, kHuge / 2 + 1, std::uint64_t{1} << 32, std::uint64_t{1000}}) {
    EXPECT_TRUE(
        refused(Writer().head(3, 0, count).pad(32, 64).bytes(), Code::kIo, "metadata keys"));
    EXPECT_TRUE(refused(Writer().head(3, count, 0).pad(32, 64).bytes(), Code::kIo, "tensors"));
    EXPECT_TRUE(refused(Writer().head(3, 0, 1).key("k", kString).number(count).pad(32, 64).bytes(),
                        Code::kIo, "k"));
    for (std::uint32_t kind : {kU8, kU32, kString, kF32}) {
      EXPECT_TRUE(refused(
          Writer().head(3, 0, 1).key("k", kArray).number(kind).number(count).pad(32, 64).bytes(),
          Code::kIo, "k"));
    }
  }
}

TEST(Gguf, RefusesTensorsWhoseSizeOrPlaceOverflows) {
  const auto one = [](const std::vector<std::uint64_t>& dims, std::uint32_t type,
                      std::uint64_t offset) {
    return Writer().head(3, 1, 0).tensor("w", dims, type, offset).pad(32, 64).bytes();
  };
  EXPECT_NO_THROW(parse(one({16}, 0, 0)));
  EXPECT_TRUE(refused(one({}, 0, 0), Code::kIo, "0 dimensions"));
  EXPECT_TRUE(refused(one({1, 1, 1, 1, 1}, 0, 0), Code::kIo, "5 dimensions"));
  EXPECT_TRUE(refused(one({4, 0}, 0, 0), Code::kIo, "dimension of 0"));
  EXPECT_TRUE(refused(one({1ULL << 32, 1ULL << 32}, 0, 0), Code::kIo, "dimension"));
  EXPECT_TRUE(refused(one({1ULL << 62}, 0, 0), Code::kIo, "larger than any file"));
  EXPECT_TRUE(refused(one({~0ULL}, 0, 0), Code::kIo, "dimension"));
  EXPECT_TRUE(refused(one({33}, 8, 0), Code::kIo, "no multiple of a block"));
  EXPECT_TRUE(refused(one({16}, 0, 8), Code::kIo, "no multiple of 32"));
  EXPECT_TRUE(refused(one({16}, 0, ~0ULL - 31), Code::kIo, "beyond any file"));
}

TEST(Gguf, RefusesRepeatedNamesAndOddAlignments) {
  EXPECT_TRUE(refused(
      Writer().head(3, 2, 0).tensor("w", {8}, 0, 0).tensor("w", {8}, 0, 32).pad(32, 64).bytes(),
      Code::kIo, "twice"));
  Writer keys;
  keys.head(3, 0, 2)
      .key("k", kU8)
      .number<std::uint8_t>(1)
      .key("k", kU8)
      .number<std::uint8_t>(1)
      .pad(32, 64);
  EXPECT_TRUE(refused(keys.bytes(), Code::kIo, "twice"));
  for (std::uint32_t alignment : {0U, 3U, 1U << 31}) {
    Writer out;
    out.head(3, 0, 1).key("general.alignment", kU32).number(alignment).pad(32, 64);
    EXPECT_TRUE(refused(out.bytes(), Code::kIo, "general.alignment")) << alignment;
  }
}

// Under the address sanitizer this is the proof that a damaged file can't be read out of bounds.
TEST(Gguf, SurvivesRandomDamage) {
  constexpr int kRounds = 20000;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string good = small_file();
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes = good;
    const unsigned flips = 1 + random() % 8;
    for (unsigned i = 0; i < flips; ++i) {
      const std::size_t at = random() % bytes.size();
      bytes[at] = random() % 2 == 0 ? static_cast<char>(random())
                                    : static_cast<char>(bytes[at] ^ (1 << random() % 8));
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    try {
      const Gguf gguf = parse(bytes);
      for (const GgufTensor& tensor : gguf.tensors)
        ASSERT_LE(tensor.offset + tensor.bytes, gguf.data_end);
    } catch (const Error& error) {
      ASSERT_STRNE(error.what(), "");
    }
  }
}

TEST(Gguf, SaysWhichFileCanNotBeOpened) {
  try {
    read_gguf(std::filesystem::path("/nonexistent/model.gguf"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kIo);
    EXPECT_THAT(error.what(), HasSubstr("/nonexistent/model.gguf"));
  }
  EXPECT_THROW(read_gguf(std::filesystem::path("/tmp")), Error);
}

}  // namespace
}  // namespace hone
