#include "tuner/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <utility>

#include "codegen/error.h"

namespace hone {

std::span<const std::pair<std::string_view, std::string_view>> embedded_models();

namespace {

constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;  // real ones have a few KiB

std::string read_text(const std::filesystem::path& file) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in)
    throw Error(Code::kIo, fmt::format("{}: {}", file.string(),
                                       error ? error.message() : "can't be opened for reading"));
  if (size > kMaxConfigBytes) {
    throw Error(Code::kUnsupported,
                fmt::format("{}: {} bytes: neither a GGUF file nor a config.json; name one of them",
                            file.string(), size));
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_gguf(const std::filesystem::path& file) {
  std::array<char, 4> magic{};
  std::ifstream in(file, std::ios::binary);
  in.read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

// models/x/config.json is called x.
std::string name_of(const std::filesystem::path& config) {
  const std::filesystem::path path = std::filesystem::absolute(config).lexically_normal();
  const std::string stem = path.stem().string();
  return stem == "config" && path.has_parent_path() ? path.parent_path().filename().string() : stem;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

const std::vector<std::string>& weight_roles() {
  static const std::vector<std::string> roles = {"embedding", "q",    "k",  "v",    "o",
                                                 "router",    "gate", "up", "down", "lm_head"};
  return roles;
}

std::vector<std::string> shipped_models() {
  std::vector<std::string> names;
  for (const auto& [path, text] : embedded_models())
    names.push_back(std::filesystem::path(path).stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Model read_model(const std::string& what) {
  std::error_code error;
  const std::filesystem::path path(what);
  if (std::filesystem::is_directory(path, error)) {
    const std::filesystem::path config = path / "config.json";
    if (std::filesystem::exists(config, error))
      return model_of_config(read_text(config), name_of(config), config.string());
  } else if (std::filesystem::exists(path, error)) {
    return is_gguf(path) ? model_of_gguf(read_gguf(path))
                         : model_of_config(read_text(path), name_of(path), what);
  }
  for (const auto& [file, text] : embedded_models()) {
    const std::string name = std::filesystem::path(file).stem().string();
    if (name == lower(what)) return model_of_config(text, name, "the shipped model " + name);
  }
  throw Error(Code::kNotFound, fmt::format("model {}: no such file, and no shipped model; give a "
                                           "config.json, a GGUF file or one of: {}",
                                           what, fmt::join(shipped_models(), ", ")));
}

}  // namespace hone
