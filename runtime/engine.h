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
#include "runtime/kernel.h"
#include "tuning_db/layers.h"

namespace hone {

// How good the match between the problem and what was tuned is, best first. The values are those of
// hone_match: persistent.
enum class Match {
  kExact = 0,     // tuned on this device for these very dims
  kBucket = 1,    // the same static dims, other dynamic ones
  kNear = 2,      // this device, another shape: its config, re-checked
  kSibling = 3,   // another device of the same architecture, or else backend
  kModelled = 4,  // built and checked, never timed
  kStart = 5,     // nothing known: the template's start config
};
std::string to_text(Match match);  // exact, bucket, ...

struct EngineOptions {
  std::optional<std::filesystem::path>
      database;  // the user's; default user_database() when that file exists. Given, it must exist
  std::string device = "cpu:0";
  std::vector<std::filesystem::path> templates;  // further template folders
  bool no_compile = false;                       // also $HONE_NO_COMPILE=1
};

// A problem's static dims resolved: the tuned buckets of its dynamic dims, all reading one layout.
// Immutable: any thread may launch.
class Handle {
 public:
  struct Bucket {
    std::vector<std::int64_t> dims;  // the tuned point; empty for a fallback
    Kernel kernel;
    Match match;
    std::int64_t median_ns = 0;  // as measured at `dims`; 0 when never timed for this problem
    bool compiled = false;       // by this resolve, not taken from a database or cache
  };

  const Problem& problem() const { return problem_; }  // canonical handle
  const std::string& layout() const { return layout_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  int argument_count() const { return buckets_.front().kernel.argument_count(); }
  int dim_count() const { return buckets_.front().kernel.dim_count(); }

  // The bucket that serves these dynamic dims: the nearest by log distance whose rules hold.
  // nullptr: out of range for the operator, or nothing serves them.
  const Bucket* choose(const std::int64_t* dims) const noexcept;
  Match match(const std::int64_t* dims) const noexcept;  // of choose()

 private:
  friend class Engine;
  struct DimRange {
    std::int64_t min, max;
  };
  Problem problem_;
  std::string layout_;
  std::vector<Bucket> buckets_;
  std::vector<DimRange> ranges_;
  std::vector<BoundExpression> rules_;  // the operator's requirements that depend on dynamic dims
  std::vector<std::int32_t> points_;    // buckets x dims: fixed-point log2
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
