// A Kernel: one variant with one Config, loaded on a device, bound to one handle (static dims),
// ready to launch.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/source.h"
#include "runtime/backend.h"

namespace hone {

// "w:panel(32)": how each packed argument of a config lies in memory; "" when nothing is packed,
// several joined by ';'. Kernels with equal layouts read the same packed bytes. `scope`: dims,
// words and lets of at least the handle, merged with the target's limits.
std::string layout_of(const Template& variant, const Config& config, const Values& scope);

// Geometry, workspace and legality are bound expressions over the dynamic dims: nothing on the
// launch path allocates, locks, throws or builds a string. Immutable: launches from several threads
// share nothing that is written but the caller's buffers.
class Kernel {
 public:
  // `problem` is canonical; its dynamic dims don't matter. `entries` are those of the rendered
  // Source. Throws Error(kTemplate) when the contract can't be bound.
  Kernel(const Catalog& catalog, const Template& variant, const Problem& problem,
         const Config& config, const Target& target, std::shared_ptr<Module> module);

  const std::string& variant() const { return variant_; }
  const Config& config() const { return config_; }
  const std::string& layout() const { return layout_; }

  int argument_count() const { return argument_count_; }  // pointers of a call
  int dim_count() const { return dim_count_; }            // dynamic dims of a call

  // The variant's `when` holds for these dynamic dims, in the operator's order. (`require` is a
  // rule of the search: see templates/README.md.)
  bool legal(const std::int64_t* dims) const noexcept;
  bool always_legal() const { return !when_; }
  // nullopt when the expression has no value for these dims.
  std::optional<std::int64_t> workspace_bytes(const std::int64_t* dims) const noexcept;
  // nullopt: the argument is taken as it is.
  std::optional<std::int64_t> packed_bytes(const std::string& argument) const;
  // From the checkpoint's form into the kernel's. False when the device refuses. Throws
  // Error(kUsage) for an argument that isn't packed.
  bool pack(const std::string& argument, const void* from, void* to, Stream stream) const;

  // `arguments`: one pointer per present argument; scalars are host pointers, null for their
  // default. `workspace`: workspace_bytes() on the device, 64-byte aligned. False when the device
  // refuses.
  bool launch(void* const* arguments, const std::int64_t* dims, void* workspace,
              Stream stream) const noexcept;

 private:
  static constexpr std::size_t kMaxSlots = 48;

  struct Step {
    int entry;
    std::array<BoundExpression, 3> grid;
    BoundExpression threads;
    std::optional<BoundExpression> threads_y, threads_z;
    std::optional<BoundExpression> shared;
    std::optional<BoundExpression> when;
  };
  struct Packing {
    std::string argument;
    int entry;
    std::int64_t bytes;
  };
  struct Fill {  // where a slot's value comes from at launch
    std::uint8_t slot;
    std::uint8_t source;  // index into arguments or dims
    std::uint8_t bytes;   // of a scalar; 0 for pointers and dims
  };

  std::string variant_;
  Config config_;
  std::string layout_;
  std::shared_ptr<Module> module_;
  int argument_count_ = 0;
  int dim_count_ = 0;
  int slot_count_ = 0;
  std::array<std::uint64_t, kMaxSlots>
      initial_{};  // scalars' defaults, static dims, launch parameters
  std::vector<Fill> pointers_, scalars_, dims_;
  std::vector<Step> steps_;
  std::vector<Packing> packings_;
  std::optional<BoundExpression> when_;  // only when it depends on dynamic dims
  std::optional<BoundExpression> workspace_;
};

}  // namespace hone
