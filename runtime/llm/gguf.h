// A GGUF file's header: metadata and where each tensor lies. The file is not trusted: every count
// and size is checked against what the file can hold before anything is allocated.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hone {

// Integers of every width become 64-bit ones, floats become doubles; arrays hold one of the three
// kinds (booleans as integers).
using GgufValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  std::string type;  // f32 f16 bf16 q8_0 q4_0 q4_1 ..., also types that Hone has no kernels for
                     // (q4_k, iq4_nl ...)
  std::vector<std::int64_t> shape;  // row-major, outermost first (GGUF stores the reverse)
  std::uint64_t offset = 0;         // from the beginning of the file
  std::uint64_t bytes = 0;
  bool operator==(const GgufTensor&) const = default;
};

struct Gguf {
  std::string file;              // for messages
  std::uint32_t version = 0;     // 2 or 3
  std::uint64_t file_bytes = 0;  // what there is
  std::uint64_t data_end = 0;    // what there must be for every tensor to be complete
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;  // in file order, names unique

  const GgufValue* find(std::string_view key) const;      // nullptr when absent
  const GgufTensor* tensor(std::string_view name) const;  // nullptr when absent

  // The value of a key. Throw Error(kUnsupported) that names file and key when it is absent or of
  // another kind.
  std::int64_t integer(std::string_view key) const;
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise) const;
  double number_or(std::string_view key, double otherwise) const;  // integers count as numbers
  const std::string& word(std::string_view key) const;

  // Throws Error(kIo) when the file ends before its last tensor does. Reading the header alone
  // needs no tensor data.
  void require_data() const;
};

// Little-endian versions 2 and 3. Throws Error(kIo) for a file that can't be read, is truncated or
// damaged, and Error(kUnsupported) for another version, a big-endian file, a nested array or an
// unknown tensor type.
Gguf read_gguf(const std::filesystem::path& file);
Gguf read_gguf(std::istream& in, std::uint64_t file_bytes, const std::string& file);

}  // namespace hone
