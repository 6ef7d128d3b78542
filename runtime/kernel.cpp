#include "runtime/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "codegen/element.h"
#include "codegen/error.h"

namespace hone {
namespace {

// The bits of a scalar argument's default, as they stand in its slot.
std::uint64_t scalar_bits(const std::string& element, double value) {
  std::uint64_t bits = 0;
  auto put = [&](auto typed) { std::memcpy(&bits, &typed, sizeof typed); };
  if (element == "f32")
    put(static_cast<float>(value));
  else if (element == "f64")
    put(value);
  else
    put(static_cast<std::int64_t>(value));  // little endian: the low bytes are the narrower integer
  return bits;
}

}  // namespace

std::string layout_of(const Template& variant, const Config& config, const Values& scope) {
  Values all = scope;
  all.merge(config);
  std::string text;
  for (const Pack& pack : variant.packs) {
    if (!text.empty()) text += ';';
    text += pack.argument + ":" + pack.layout;
    if (pack.parameters.empty()) continue;
    text += '(';
    for (const Expression& parameter : pack.parameters) {
      if (text.back() != '(') text += ',';
      text += to_text(parameter.with(variant.lets).evaluate(lookup_in(all)));
    }
    text += ')';
  }
  return text;
}

Kernel::Kernel(const Catalog& catalog, const Template& variant, const Problem& problem,
               const Config& config, const Target& target, std::shared_ptr<Module> module)
    : variant_(variant.variant), config_(config), module_(std::move(module)) {
  const Op& op = catalog.op(variant.op);
  Problem handle = op.handle(problem);
  Values scope = op.scope(handle);
  std::vector<Slot> slots = slots_of(op, variant, scope);
  std::vector<std::string> dynamic = op.dynamic_dims();
  Values constants = scope;
  constants.merge(target.limits);
  layout_ = layout_of(variant, config, constants);
  constants.merge(config);
  std::vector<std::pair<std::string, Expression>> lets = op.lets;
  lets.insert(lets.end(), variant.lets.begin(), variant.lets.end());
  auto bound = [&](const Expression& expression) {
    return expression.with(lets).bind(lookup_in(constants), dynamic);
  };

  if (slots.size() > kMaxSlots)
    throw Error(Code::kTemplate, fmt::format("{}: a call would need {} slots; the most is {}",
                                             variant.file, slots.size(), kMaxSlots));
  slot_count_ = static_cast<int>(slots.size());
  dim_count_ = static_cast<int>(dynamic.size());
  std::vector<const Argument*> arguments = op.present(scope);
  argument_count_ = static_cast<int>(arguments.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto& [kind, name] = slots[i];
    auto slot = static_cast<std::uint8_t>(i);
    if (kind == Slot::Kind::kPointer) {
      pointers_.push_back({slot, slot, 0});
    } else if (kind == Slot::Kind::kScalar) {
      std::string element = op.element_of(*arguments[i], scope);
      scalars_.push_back({slot, slot, static_cast<std::uint8_t>(find_element(element)->bytes)});
      initial_[i] = scalar_bits(element, arguments[i]->default_value.value_or(0));
    } else if (kind == Slot::Kind::kDim) {
      auto found = std::find(dynamic.begin(), dynamic.end(), name);
      if (found != dynamic.end())
        dims_.push_back({slot, static_cast<std::uint8_t>(found - dynamic.begin()), 0});
      else
        initial_[i] = static_cast<std::uint64_t>(constants.integer(name));
    } else if (kind == Slot::Kind::kLaunchParameter) {
      initial_[i] = static_cast<std::uint64_t>(slot_value(*config.find(name)));
    }
  }

  std::vector<std::string> entries;
  auto entry_of = [&](const std::string& name) {
    auto found = std::find(entries.begin(), entries.end(), name);
    if (found == entries.end()) found = entries.insert(entries.end(), name);
    return static_cast<int>(found - entries.begin());
  };
  for (const Launch& launch : variant.launches) {
    Step step{entry_of(launch.entry),
              {bound(launch.grid[0]), bound(launch.grid[1]), bound(launch.grid[2])},
              bound(launch.threads),
              {},
              {},
              {},
              {}};
    if (!launch.threads_y.empty()) step.threads_y = bound(launch.threads_y);
    if (!launch.threads_z.empty()) step.threads_z = bound(launch.threads_z);
    if (!launch.shared.empty()) step.shared = bound(launch.shared);
    if (!launch.when.empty()) step.when = bound(launch.when);
    if (!step.when || !step.when->constant() || (*step.when)(nullptr) != 0)
      steps_.push_back(std::move(step));
  }
  for (const Pack& pack : variant.packs)
    packings_.push_back({pack.argument, entry_of("pack_" + pack.argument),
                         pack.bytes.with(lets).integer(lookup_in(constants))});
  if (!variant.when.empty())
    if (BoundExpression holds = bound(variant.when); !holds.constant() || holds(nullptr) == 0)
      when_ = std::move(holds);
  if (!variant.workspace.empty()) workspace_ = bound(variant.workspace);
}

bool Kernel::legal(const std::int64_t* dims) const noexcept {
  return !when_ || (*when_)(dims).value_or(0) != 0;
}

std::optional<std::int64_t> Kernel::workspace_bytes(const std::int64_t* dims) const noexcept {
  return workspace_ ? (*workspace_)(dims) : std::optional<std::int64_t>(0);
}

std::optional<std::int64_t> Kernel::packed_bytes(const std::string& argument) const {
  for (const Packing& packing : packings_)
    if (packing.argument == argument) return packing.bytes;
  return std::nullopt;
}

bool Kernel::pack(const std::string& argument, const void* from, void* to, Stream stream) const {
  for (const Packing& packing : packings_)
    if (packing.argument == argument)
      return module_->pack(packing.entry, initial_.data(), slot_count_, from, to, packing.bytes,
                           stream);
  throw Error(Code::kUsage,
              fmt::format("'{}' is not packed by {}: pass it as it is", argument, variant_));
}

bool Kernel::launch(void* const* arguments, const std::int64_t* dims, void* workspace,
                    Stream stream) const noexcept {
  std::array<std::uint64_t, kMaxSlots> slots;
  std::copy_n(initial_.begin(), slot_count_, slots.begin());
  for (const Fill& fill : pointers_)
    slots[fill.slot] = reinterpret_cast<std::uintptr_t>(arguments[fill.source]);
  for (const Fill& fill : scalars_)
    if (const void* value = arguments[fill.source]; value != nullptr) {
      slots[fill.slot] = 0;
      std::memcpy(&slots[fill.slot], value, fill.bytes);
    }
  for (const Fill& fill : dims_) slots[fill.slot] = static_cast<std::uint64_t>(dims[fill.source]);
  slots[static_cast<std::size_t>(slot_count_ - 1)] = reinterpret_cast<std::uintptr_t>(workspace);
  for (const Step& step : steps_) {
    if (step.when) {
      std::optional<std::int64_t> needed = (*step.when)(dims);
      if (!needed) return false;
      if (*needed == 0) continue;
    }
    Dispatch dispatch;
    dispatch.entry = step.entry;
    dispatch.slots = slots.data();
    dispatch.slot_count = slot_count_;
    bool empty = false;
    for (std::size_t i = 0; i < 3; ++i) {
      dispatch.grid[i] = step.grid[i](dims).value_or(-1);
      if (dispatch.grid[i] < 0) return false;
      empty |= dispatch.grid[i] == 0;
    }
    dispatch.threads = step.threads(dims).value_or(0);
    if (step.threads_y) dispatch.threads_y = (*step.threads_y)(dims).value_or(0);
    if (step.threads_z) dispatch.threads_z = (*step.threads_z)(dims).value_or(0);
    if (dispatch.threads < 1 || dispatch.threads_y < 1 || dispatch.threads_z < 1) return false;
    if (step.shared) dispatch.shared_bytes = (*step.shared)(dims).value_or(-1);
    if (dispatch.shared_bytes < 0) return false;
    if (!empty && !module_->run(dispatch, stream)) return false;
  }
  return true;
}

}  // namespace hone
