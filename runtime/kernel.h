// A Kernel: one variant with one Config, loaded on a device, bound to one handle (static dims), ready to launch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/source.h"
#include "runtime/backend.h"

namespace hone {

// Launch geometry, workspace and legality as bound expressions over the dynamic dims: nothing on the launch path allocates, locks or throws.
// Thread safe as far as the caller's buffers are: launches share nothing that is written.
class Kernel {
 public:
  // `problem`: canonical; only its static part matters. `config`: a legal one. Throws Error(kDevice).
  Kernel(const Catalog& catalog, const Template& variant, const Problem& problem, const Config& config, const Target& target,
         std::shared_ptr<Module> module);

  const std::string& variant() const { return variant_; }
  const Config& config() const { return config_; }
  const std::string& layout() const { return layout_; }   // Trial::layout

  int argument_count() const;                              // pointers of a call
  int dim_count() const;                                   // dynamic dims of a call
  bool legal(const std::int64_t* dims) const noexcept;     // `when` and `require` hold for these dims
  std::optional<std::int64_t> workspace_bytes(const std::int64_t* dims) const noexcept;
  std::optional<std::int64_t> packed_bytes(const std::string& argument) const;  // nullopt: taken as it is
  bool pack(const std::string& argument, const void* from, void* to, Stream stream) const;

  // `arguments`: one pointer per present argument (scalars: host pointers, null for their default). False when the device refuses.
  bool launch(void* const* arguments, const std::int64_t* dims, void* workspace, Stream stream) const noexcept;

 private:
  struct Step;
  std::string variant_;
  Config config_;
  std::string layout_;
  std::shared_ptr<Module> module_;
  std::vector<Slot> slots_;
  // ...
};

}  // namespace hone
