#include "codegen/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ranges>
#include <set>
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

// The contract lines: comments to the compiler, but part of what the variant is.
std::string contract_of(std::string_view text) {
  std::string contract;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.starts_with("//!")) contract.append(line) += '\n';
    begin = end + 1;
  }
  return contract;
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
  for (const auto& [name, op] : ops_) variants(name);  // what is wrong with the folder shows now
}

void Catalog::add_file(const std::string& path, std::string text, const std::string& origin) {
  files_[path] = std::move(text);
  origins_[path] = origin;
}

Hash Catalog::content_hash(const std::string& path, std::map<std::string, Hash>& known) const {
  if (auto found = known.find(path); found != known.end()) return found->second;
  const std::string& text = files_.find(path)->second;
  known[path] = Hash{};  // a file that includes itself adds nothing
  std::string parts = normalised(text);
  for (const auto& [line, name] : includes_of(text)) {
    if (files_.count("include/" + name) == 0)
      throw Error(Code::kTemplate, fmt::format("{}:{}: there is no templates/include/{}",
                                               origins_.find(path)->second, line, name));
    parts += content_hash("include/" + name, known).text();
  }
  return known[path] = hash_of(parts);
}

void Catalog::finish() {
  ops_.clear();
  parsed_ = std::make_unique<Parsed>();
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
    if (is_variant(file) && ops_.count(file.parent_path().filename().string()) == 0)
      throw Error(Code::kTemplate,
                  fmt::format("{}: its folder has no op.json and is no known operator ({})",
                              origins_[path], fmt::join(ops_ | std::views::keys, " ")));
  }
}

std::vector<Template> Catalog::parse_variants(const Op& op) const {
  std::map<std::string, Hash> hashes;  // of files with what they include, each computed once
  std::vector<Template> variants;
  for (const auto& [path, text] : files_) {
    std::filesystem::path file(path);
    if (!is_variant(file) || file.parent_path().filename() != op.name) continue;
    Template variant = parse_template(op, text, origins_.find(path)->second);
    // Variants of one idea for several backends may share a stem; the extension keeps them apart.
    if (file.extension() != ".cpp") variant.variant += file.extension().string();
    // The reference belongs to it: a verdict of another reference is worth nothing.
    variant.hash = hash_of(contract_of(text) + content_hash("include/types.h", hashes).text() +
                           content_hash(path, hashes).text() +
                           content_hash(op.name + "/reference.cpp", hashes).text());
    variants.push_back(std::move(variant));
  }
  return variants;
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
  auto known = ops_.find(std::string(op));
  if (known == ops_.end()) return kNone;
  const std::lock_guard lock(parsed_->mutex);
  auto found = parsed_->variants.find(op);
  if (found == parsed_->variants.end())
    found = parsed_->variants.emplace(known->first, parse_variants(known->second)).first;
  return found->second;
}

void Catalog::narrow(const std::string& preset) {
  const auto has = [&](const Template& variant) {
    return std::any_of(variant.presets.begin(), variant.presets.end(),
                       [&](const Preset& one) { return one.name == preset; });
  };
  std::set<std::string> known;
  for (const auto& [name, op] : ops_)
    for (const Template& variant : variants(name))
      for (const Preset& one : variant.presets) known.insert(one.name);
  if (!known.contains(preset))
    throw Error(Code::kUsage, fmt::format("no template has the preset '{}'; there are: {}", preset,
                                          fmt::join(known, " ")));
  for (auto& [op, all] : parsed_->variants) {
    std::set<std::string> narrowed_for;  // backends
    for (const Template& variant : all)
      if (has(variant)) narrowed_for.insert(variant.serves.begin(), variant.serves.end());
    std::erase_if(all, [&](const Template& variant) {
      return !has(variant) && std::any_of(variant.serves.begin(), variant.serves.end(),
                                          [&](const std::string& backend) {
                                            return narrowed_for.contains(backend);
                                          });
    });
    for (Template& variant : all)
      if (has(variant)) variant = narrowed(std::move(variant), preset);
  }
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
