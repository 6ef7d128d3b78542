#include "codegen/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ranges>
#include <span>

#include "codegen/error.h"
#include "codegen/source.h"

namespace hone {

// Generated from templates/ at build time.
std::span<const std::pair<std::string_view, std::string_view>> embedded_templates();

namespace {

bool is_variant(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  return (extension == ".cpp" || extension == ".cu" || extension == ".hip") &&
         path.filename() != "reference.cpp";
}

}  // namespace

Catalog Catalog::embedded() {
  Catalog catalog;
  for (const auto& [path, text] : embedded_templates())
    catalog.add_file(std::string(path), std::string(text), "templates/" + std::string(path));
  catalog.finish();
  return catalog;
}

void Catalog::add_directory(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error))
    throw Error(Code::kIo,
                fmt::format("--templates {}: there is no such folder", directory.string()));
  try {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      std::string extension = entry.path().extension().string();
      if (extension != ".json" && extension != ".h" && extension != ".cpp" && extension != ".cu" &&
          extension != ".hip")
        continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::string text{std::istreambuf_iterator<char>(in), {}};
      if (!in) throw Error(Code::kIo, fmt::format("{}: can't be read", entry.path().string()));
      add_file(entry.path().lexically_relative(directory).generic_string(), std::move(text),
               entry.path().string());
    }
  } catch (const std::filesystem::filesystem_error& failure) {
    throw Error(Code::kIo, fmt::format("--templates {}: {}", directory.string(), failure.what()));
  }
  finish();
}

void Catalog::add_file(const std::string& path, std::string text, const std::string& origin) {
  files_[path] = std::move(text);
  origins_[path] = origin;
}

void Catalog::finish() {
  ops_.clear();
  variants_.clear();
  for (const auto& [path, text] : files_) {
    std::filesystem::path file(path);
    if (file.filename() != "op.json") continue;
    std::string folder = file.parent_path().generic_string();
    auto reference = files_.find(folder + "/reference.cpp");
    if (reference == files_.end())
      throw Error(Code::kTemplate,
                  fmt::format("{}: there is no reference.cpp beside it", origins_[path]));
    Op op = parse_op(text, reference->second, origins_[path]);
    if (op.name != file.parent_path().filename())
      throw Error(Code::kTemplate,
                  fmt::format("{}: the operator '{}' must lie in a folder of that name",
                              origins_[path], op.name));
    ops_.insert_or_assign(op.name, std::move(op));
  }
  for (const auto& [path, text] : files_) {
    std::filesystem::path file(path);
    if (!is_variant(file)) continue;
    auto op = ops_.find(file.parent_path().filename().string());
    if (op == ops_.end())
      throw Error(Code::kTemplate,
                  fmt::format("{}: its folder has no op.json and is no known operator ({})",
                              origins_[path], fmt::join(ops_ | std::views::keys, " ")));
    Template variant = parse_template(op->second, text, origins_[path]);
    // Variants of one idea for several backends may share a stem; the extension keeps them apart.
    if (file.extension() != ".cpp") variant.variant += file.extension().string();
    variant.hash =
        hash_of(normalised(with_includes(*this, "#include \"types.h\"\n" + text, origins_[path])));
    // The contract lines are comments to the compiler but part of what the variant is.
    std::string contract;
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t end = std::min(text.find('\n', begin), text.size());
      if (std::string_view line(text.data() + begin, end - begin); line.starts_with("//!"))
        contract += std::string(line) + '\n';
      begin = end + 1;
    }
    Hash header = hash_of(contract);
    variant.hash = hash_of(variant.hash.text() + header.text());
    variants_[op->first].push_back(std::move(variant));
  }
}

const Op& Catalog::op(std::string_view name) const {
  auto found = ops_.find(std::string(name));
  if (found == ops_.end())
    throw Error(Code::kNotFound, fmt::format("there is no operator '{}'; known are {}", name,
                                             fmt::join(ops_ | std::views::keys, " ")));
  return found->second;
}

const std::vector<Template>& Catalog::variants(std::string_view op) const {
  static const std::vector<Template> kNone;
  auto found = variants_.find(op);
  return found == variants_.end() ? kNone : found->second;
}

const Template* Catalog::variant(std::string_view op, std::string_view name) const {
  const std::vector<Template>& all = variants(op);
  auto found = std::find_if(all.begin(), all.end(),
                            [&](const Template& candidate) { return candidate.variant == name; });
  return found == all.end() ? nullptr : &*found;
}

const std::string* Catalog::include(std::string_view name) const {
  auto found = files_.find("include/" + std::string(name));
  return found == files_.end() ? nullptr : &found->second;
}

Problem Catalog::problem(std::string_view text, bool complete) const {
  Problem problem = Problem::parse(text);
  return op(problem.op).canonical(problem, complete);
}

}  // namespace hone
