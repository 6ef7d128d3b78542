#include "runtime/llm/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <span>

#include "codegen/error.h"

namespace hone {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are read as they lie in the file");

// Headers of real models are a few MiB, nearly all of it the vocabulary. A larger one is refused so
// that a sparse file of any size can't make the reader allocate more than a small multiple of this.
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxKeyBytes =
    65535;  // the format's own limit for keys; tensor names are shorter
constexpr std::uint32_t kMaxTensorDims = 4;
constexpr std::int64_t kDefaultAlignment = 32;  // bytes

// The least that one entry takes in a file: what bounds the counts.
constexpr std::uint64_t kMinMetadataBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

enum class Kind : std::uint32_t {
  kU8 = 0,
  kS8 = 1,
  kU16 = 2,
  kS16 = 3,
  kU32 = 4,
  kS32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kS64 = 11,
  kF64 = 12,
};

struct TensorType {
  std::uint32_t id;
  std::string_view name;
  std::uint64_t block;  // elements
  std::uint64_t bytes;  // of a block
};

constexpr TensorType kTensorTypes[] = {
    {0, "f32", 1, 4},         {1, "f16", 1, 2},         {2, "q4_0", 32, 18},
    {3, "q4_1", 32, 20},      {6, "q5_0", 32, 22},      {7, "q5_1", 32, 24},
    {8, "q8_0", 32, 34},      {9, "q8_1", 32, 36},      {10, "q2_k", 256, 84},
    {11, "q3_k", 256, 110},   {12, "q4_k", 256, 144},   {13, "q5_k", 256, 176},
    {14, "q6_k", 256, 210},   {15, "q8_k", 256, 292},   {16, "iq2_xxs", 256, 66},
    {17, "iq2_xs", 256, 74},  {18, "iq3_xxs", 256, 98}, {19, "iq1_s", 256, 50},
    {20, "iq4_nl", 32, 18},   {21, "iq3_s", 256, 110},  {22, "iq2_s", 256, 82},
    {23, "iq4_xs", 256, 136}, {24, "s8", 1, 1},         {25, "s16", 1, 2},
    {26, "s32", 1, 4},        {27, "s64", 1, 8},        {28, "f64", 1, 8},
    {29, "iq1_m", 256, 56},   {30, "bf16", 1, 2},       {34, "tq1_0", 256, 54},
    {35, "tq2_0", 256, 66},   {39, "mxfp4", 32, 17},
};

class Reader {
 public:
  Reader(std::istream& in, std::uint64_t file_bytes, const std::string& file)
      : in_(in),
        limit_(std::min(file_bytes, kMaxHeaderBytes)),
        clipped_(file_bytes > kMaxHeaderBytes),
        file_(file) {}

  [[noreturn]] void fail(const std::string& what, Code code = Code::kIo) const {
    throw Error(code, fmt::format("{}: {} (at byte {}); download or convert the model again", file_,
                                  what, position_));
  }

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return limit_ - position_; }

  // `what` must have `count` entries of at least `bytes` each.
  void require(std::uint64_t count, std::uint64_t bytes, std::string_view what) const {
    if (count <= left() / bytes) return;
    if (clipped_)
      fail(fmt::format("{}: {} don't fit a header of {} MiB at most", what, count,
                       kMaxHeaderBytes >> 20));
    fail(fmt::format("the file is truncated or damaged: {}: {} entries, but {} bytes are left",
                     what, count, left()));
  }

  void bytes(void* to, std::uint64_t count, std::string_view what) {
    require(count, 1, what);
    in_.read(static_cast<char*>(to), static_cast<std::streamsize>(count));
    if (static_cast<std::uint64_t>(in_.gcount()) != count) fail(fmt::format("can't read {}", what));
    position_ += count;
  }

  template <typename T>
  T number(std::string_view what) {
    T value;
    bytes(&value, sizeof value, what);
    return value;
  }

  std::string text(std::string_view what, std::uint64_t most = kMaxHeaderBytes) {
    const auto length = number<std::uint64_t>(what);
    if (length > most)
      fail(fmt::format("the file is damaged: {} of {} bytes, {} at most", what, length, most));
    require(length, 1, what);
    std::string text(length, '\0');
    bytes(text.data(), length, what);
    return text;
  }

 private:
  std::istream& in_;
  std::uint64_t limit_;
  bool clipped_;
  const std::string& file_;
  std::uint64_t position_ = 0;
};

std::uint64_t least_bytes(Kind kind) {
  switch (kind) {
    case Kind::kU8:
    case Kind::kS8:
    case Kind::kBool:
      return 1;
    case Kind::kU16:
    case Kind::kS16:
      return 2;
    case Kind::kU32:
    case Kind::kS32:
    case Kind::kF32:
      return 4;
    case Kind::kString:
    case Kind::kU64:
    case Kind::kS64:
    case Kind::kF64:
      return 8;
    case Kind::kArray:
      break;
  }
  return 0;
}

std::int64_t read_integer(Reader& in, Kind kind, const std::string& key) {
  switch (kind) {
    case Kind::kU8:
    case Kind::kBool:
      return in.number<std::uint8_t>(key);
    case Kind::kS8:
      return in.number<std::int8_t>(key);
    case Kind::kU16:
      return in.number<std::uint16_t>(key);
    case Kind::kS16:
      return in.number<std::int16_t>(key);
    case Kind::kU32:
      return in.number<std::uint32_t>(key);
    case Kind::kS32:
      return in.number<std::int32_t>(key);
    case Kind::kS64:
      return in.number<std::int64_t>(key);
    default:
      break;
  }
  const auto value = in.number<std::uint64_t>(key);
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    in.fail(fmt::format("the file is damaged: key {} is {}, which is too large", key, value));
  }
  return static_cast<std::int64_t>(value);
}

double read_real(Reader& in, Kind kind, const std::string& key) {
  return kind == Kind::kF32 ? static_cast<double>(in.number<float>(key)) : in.number<double>(key);
}

Kind read_kind(Reader& in, const std::string& key) {
  const auto id = in.number<std::uint32_t>(key);
  if (id > static_cast<std::uint32_t>(Kind::kF64))
    in.fail(fmt::format("the file is damaged: key {} has the unknown type {}", key, id));
  return static_cast<Kind>(id);
}

GgufValue read_array(Reader& in, const std::string& key) {
  const Kind kind = read_kind(in, key);
  if (kind == Kind::kArray)
    in.fail(fmt::format("key {} is an array of arrays", key), Code::kUnsupported);
  const auto count = in.number<std::uint64_t>(key);
  in.require(count, least_bytes(kind), key);
  if (kind == Kind::kString) {
    std::vector<std::string> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(in.text(key));
    return values;
  }
  if (kind == Kind::kF32 || kind == Kind::kF64) {
    std::vector<double> values(count);
    for (double& value : values) value = read_real(in, kind, key);
    return values;
  }
  std::vector<std::int64_t> values(count);
  for (std::int64_t& value : values) value = read_integer(in, kind, key);
  return values;
}

GgufValue read_value(Reader& in, const std::string& key) {
  const Kind kind = read_kind(in, key);
  switch (kind) {
    case Kind::kArray:
      return read_array(in, key);
    case Kind::kString:
      return in.text(key);
    case Kind::kF32:
    case Kind::kF64:
      return read_real(in, kind, key);
    case Kind::kBool:
      return in.number<std::uint8_t>(key) != 0;
    default:
      return read_integer(in, kind, key);
  }
}

// a * b, or nullopt beyond 63 bits.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) || result >> 63 != 0) return std::nullopt;
  return result;
}

// The offset is still relative to the data section.
GgufTensor read_tensor(Reader& in) {
  GgufTensor tensor;
  tensor.name = in.text("a tensor's name", kMaxKeyBytes);
  const auto damaged = [&](const std::string& what) {
    in.fail(fmt::format("the file is damaged: tensor {} {}", tensor.name, what));
  };
  const auto dims = in.number<std::uint32_t>(tensor.name);
  if (dims < 1 || dims > kMaxTensorDims) damaged(fmt::format("has {} dimensions", dims));
  std::uint64_t count = 1;
  for (std::uint32_t i = 0; i < dims; ++i) {
    const auto extent = in.number<std::uint64_t>(tensor.name);
    const auto elements = product(count, extent);
    if (extent == 0 || !elements) damaged(fmt::format("has a dimension of {}", extent));
    count = *elements;
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(extent));
  }
  const auto id = in.number<std::uint32_t>(tensor.name);
  const auto* type = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                  [&](const TensorType& t) { return t.id == id; });
  if (type == std::end(kTensorTypes))
    in.fail(fmt::format("tensor {} has the unknown type {}", tensor.name, id), Code::kUnsupported);
  tensor.type = type->name;
  if (static_cast<std::uint64_t>(tensor.shape.back()) % type->block != 0) {
    damaged(fmt::format("has rows of {} elements, no multiple of a block of {}",
                        tensor.shape.back(), type->block));
  }
  const auto size = product(count / type->block, type->bytes);
  if (!size) damaged("is larger than any file");
  tensor.bytes = *size;
  tensor.offset = in.number<std::uint64_t>(tensor.name);
  return tensor;
}

// Makes offsets absolute and finds where the data ends.
void place_tensors(const Reader& in, Gguf& gguf) {
  const std::int64_t alignment = gguf.integer_or("general.alignment", kDefaultAlignment);
  if (alignment < 1 || alignment > (1 << 20) ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    in.fail(fmt::format("the file is damaged: general.alignment is {}", alignment));
  }
  const auto align = static_cast<std::uint64_t>(alignment);
  const std::uint64_t data = (in.position() + align - 1) / align * align;
  gguf.data_end = in.position();
  for (GgufTensor& tensor : gguf.tensors) {
    if (tensor.offset % align != 0) {
      in.fail(fmt::format("the file is damaged: tensor {} lies at {}, no multiple of {}",
                          tensor.name, tensor.offset, align));
    }
    std::uint64_t end = 0;
    if (__builtin_add_overflow(tensor.offset, data, &tensor.offset) ||
        __builtin_add_overflow(tensor.offset, tensor.bytes, &end)) {
      in.fail(fmt::format("the file is damaged: tensor {} lies beyond any file", tensor.name));
    }
    gguf.data_end = std::max(gguf.data_end, end);
  }
}

[[noreturn]] void wrong_kind(const Gguf& gguf, std::string_view key, std::string_view wanted) {
  throw Error(Code::kUnsupported, fmt::format("{}: the metadata key {} is missing or not {}; this "
                                              "file doesn't describe a model that Hone "
                                              "can read",
                                              gguf.file, key, wanted));
}

}  // namespace

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

const GgufTensor* Gguf::tensor(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::int64_t Gguf::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* number = std::get_if<std::int64_t>(value)) return *number;
  }
  wrong_kind(*this, key, "an integer");
}

std::int64_t Gguf::integer_or(std::string_view key, std::int64_t otherwise) const {
  return find(key) == nullptr ? otherwise : integer(key);
}

double Gguf::number_or(std::string_view key, double otherwise) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return otherwise;
  if (const auto* real = std::get_if<double>(value)) return *real;
  if (const auto* number = std::get_if<std::int64_t>(value)) return static_cast<double>(*number);
  wrong_kind(*this, key, "a number");
}

const std::string& Gguf::word(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* text = std::get_if<std::string>(value)) return *text;
  }
  wrong_kind(*this, key, "a string");
}

void Gguf::require_data() const {
  if (data_end <= file_bytes) return;
  throw Error(Code::kIo, fmt::format("{}: truncated: {} bytes of {}; download the model again",
                                     file, file_bytes, data_end));
}

Gguf read_gguf(std::istream& stream, std::uint64_t file_bytes, const std::string& file) {
  Gguf gguf;
  gguf.file = file;
  gguf.file_bytes = file_bytes;
  Reader in(stream, file_bytes, gguf.file);
  char magic[4] = {};
  if (file_bytes >= sizeof magic) in.bytes(magic, sizeof magic, "the magic number");
  if (std::memcmp(magic, "GGUF", sizeof magic) != 0)
    throw Error(Code::kIo, file + ": not a GGUF file");
  gguf.version = in.number<std::uint32_t>("the version");
  if (gguf.version != 0 && (gguf.version & 0xffff) == 0) {
    throw Error(Code::kUnsupported,
                file + ": a big-endian GGUF file; convert the model for little-endian machines");
  }
  if (gguf.version != 2 && gguf.version != 3) {
    throw Error(Code::kUnsupported,
                fmt::format("{}: GGUF version {}; Hone reads 2 and 3: convert the model again",
                            file, gguf.version));
  }
  const auto tensor_count = in.number<std::uint64_t>("the number of tensors");
  const auto metadata_count = in.number<std::uint64_t>("the number of metadata keys");
  in.require(metadata_count, kMinMetadataBytes, "metadata keys");
  for (std::uint64_t i = 0; i < metadata_count; ++i) {
    const std::string key = in.text("a metadata key", kMaxKeyBytes);
    if (gguf.metadata.contains(key))
      in.fail(fmt::format("the file is damaged: key {} is there twice", key));
    gguf.metadata.emplace(key, read_value(in, key));
  }
  in.require(tensor_count, kMinTensorBytes, "tensors");
  std::set<std::string, std::less<>> names;
  gguf.tensors.reserve(tensor_count);
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    gguf.tensors.push_back(read_tensor(in));
    const std::string& name = gguf.tensors.back().name;
    if (!names.insert(name).second)
      in.fail(fmt::format("the file is damaged: tensor {} is there twice", name));
  }
  place_tensors(in, gguf);
  return gguf;
}

Gguf read_gguf(const std::filesystem::path& file) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in) {
    throw Error(Code::kIo, fmt::format("{}: {}", file.string(),
                                       error ? error.message() : "can't be opened for reading"));
  }
  return read_gguf(in, size, file.string());
}

}  // namespace hone
