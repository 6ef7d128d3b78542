// The Engine: database + templates + device -> resolve(problem) -> Handle. What an inference engine
// holds on to.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "runtime/backend.h"
#include "runtime/handle.h"
#include "tuning_db/layers.h"

namespace hone {

struct EngineOptions {
  std::optional<std::filesystem::path>
      database;  // the user's; default user_database() when that file exists. Given, it must exist
  std::string device = "cpu:0";
  std::vector<std::filesystem::path> templates;  // further template folders
  bool no_compile = false;                       // also $HONE_NO_COMPILE=1
};

// Opens the database read-only and the device; resolves. Not thread safe; the Handles are.
class Engine {
 public:
  explicit Engine(const EngineOptions& options);
  ~Engine();

  Device& device() { return *device_; }
  const Catalog& catalog() const { return catalog_; }

  // Never fails for a legal problem that some template serves; compiles what isn't stored, and says
  // so in the buckets. `layout` binds the packed form
  // ("w:panel(32)", "" for none); without it the layout with the lowest time per row over the tuned
  // buckets is taken. Throws Error(kUsage, kNotFound) for a bad problem, kUnsupported when no
  // variant serves it (or none reads that layout), kNoBinary when compilation is off and no binary
  // is stored, kCompile.
  std::unique_ptr<Handle> resolve(const std::string& problem,
                                  std::optional<std::string> layout = {});

 private:
  struct Choice;  // a config of a variant for a point, not yet loaded
  std::vector<Choice> tuned(const Problem& handle) const;
  std::vector<Choice> borrowed(const Problem& handle) const;
  std::vector<Choice> starts(const Problem& handle, const std::vector<Choice>& chosen,
                             std::optional<std::string> layout) const;
  std::vector<Choice> of_one_layout(std::vector<Choice> choices, const Problem& handle) const;
  std::optional<Choice> adapted(const Best& row, const Problem& handle, Match match) const;
  Handle::Bucket load(const Problem& handle, const Choice& choice);
  std::shared_ptr<Module> module_of(const Source& source, const Problem& handle, bool* compiled);

  Catalog catalog_;
  std::unique_ptr<Device> device_;
  Backend* backend_;
  Layers layers_;
  std::string device_key_;
  bool no_compile_;
  std::map<Hash, std::weak_ptr<Module>> modules_;
};

}  // namespace hone
