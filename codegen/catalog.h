// Every operator and variant that Hone knows: those embedded at build time, and those of
// --templates folders.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/op.h"
#include "codegen/template.h"

namespace hone {

// A folder of templates: include/*.h, and one folder per operator with op.json, reference.cpp and
// variants. A folder without op.json adds variants to an operator that is already known. Later
// folders override by name. Immutable once filled; then thread safe.
class Catalog {
 public:
  static Catalog embedded();  // what the library was built with
  void add_directory(
      const std::filesystem::path& directory);  // throws Error(kTemplate), Error(kIo)

  // From now on variants that have this preset are narrowed to it, and stand alone among the
  // variants of their operator and backend; operators without one are as before. Throws
  // Error(kUsage) that lists the known presets.
  void narrow(const std::string& preset);

  const std::map<std::string, Op>& ops() const { return ops_; }
  const Op& op(std::string_view name) const;  // throws Error(kNotFound) that lists the known ones
  const std::vector<Template>& variants(std::string_view op) const;  // by name
  const Template* variant(std::string_view op,
                          std::string_view name) const;     // nullptr when unknown
  const std::string* include(std::string_view name) const;  // text of templates/include/<name>

  // A Problem from text, canonical. Throws Error(kUsage), Error(kNotFound).
  Problem problem(std::string_view text, bool complete) const;

 private:
  void add_file(const std::string& path, std::string text, const std::string& origin);
  void finish();
  std::vector<Template> parse_variants(const Op& op) const;
  // Of the normalised text of a file and, recursively, of what it includes.
  Hash content_hash(const std::string& path, std::map<std::string, Hash>& known) const;
  std::map<std::string, std::string, std::less<>> files_;    // relative path -> text
  std::map<std::string, std::string, std::less<>> origins_;  // relative path -> path for messages
  std::map<std::string, Op> ops_;
  // Variants are parsed when first asked for: a reader of one operator starts without the others.
  struct Parsed {
    std::mutex mutex;
    std::map<std::string, std::vector<Template>, std::less<>> variants;
  };
  std::unique_ptr<Parsed> parsed_;
};

}  // namespace hone
