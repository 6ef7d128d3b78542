#include "tuner/call.h"

#include <fmt/format.h>

#include "codegen/element.h"
#include "codegen/error.h"
#include "tuner/draw.h"

namespace hone {
namespace {

// Arguments of one call get unrelated seeds.
std::uint64_t seed_of(std::uint64_t seed, const std::string& name) {
  return hash_of(fmt::format("{}:{}", seed, name)).low;
}

}  // namespace

Call draw_call(const Op& op, const Problem& problem, std::uint64_t seed) {
  Call call{problem, op.scope(problem), {}, {}};
  for (const Argument* argument : op.present(call.scope)) {
    CallArgument made;
    made.name = argument->name;
    made.kind = argument->kind;
    made.element = op.element_of(*argument, call.scope);
    const bool scalar = argument->kind == Argument::Kind::kScalar;
    made.count = scalar ? 1 : op.count_of(*argument, call.scope);
    const Element& element = *find_element(made.element);
    made.bytes = element_bytes(made.element, made.count);
    made.alignment = element.block > 1 ? 2 : element.bytes;
    made.cold = argument->cold;
    if (made.kind != Argument::Kind::kOut) {
      made.content.resize(static_cast<std::size_t>(made.bytes));
      const bool fixed = scalar && argument->default_value && argument->draw == "normal";
      const std::string how =
          fixed ? fmt::format("constant({})", *argument->default_value) : argument->draw;
      draw(how, Location{op.file, 1}, call.scope, made.element, made.count,
           seed_of(seed, made.name), reinterpret_cast<std::byte*>(made.content.data()));
    }
    call.arguments.push_back(std::move(made));
  }
  for (const std::string& name : op.dynamic_dims()) call.dims.push_back(call.scope.integer(name));
  return call;
}

Candidate candidate_of(const Kernel& kernel, const Call& call) {
  if (!kernel.legal(call.dims.data()))
    throw Error(Code::kUnsupported, fmt::format("{} with {} isn't legal for {}", kernel.variant(),
                                                kernel.config().text(), call.problem.text()));
  Candidate candidate;
  candidate.layout = kernel.layout();
  const std::optional<std::int64_t> workspace = kernel.workspace_bytes(call.dims.data());
  if (!workspace)
    throw Error(Code::kTemplate, fmt::format("the workspace of {} can't be evaluated for {}",
                                             kernel.variant(), call.problem.text()));
  candidate.workspace_bytes = *workspace;
  for (const CallArgument& argument : call.arguments)
    if (const auto bytes = kernel.packed_bytes(argument.name))
      candidate.packed[argument.name] = {
          *bytes, [&kernel, name = argument.name](const void* from, void* to) {
            return kernel.pack(name, from, to, nullptr);
          }};
  candidate.launch = [&kernel](void* const* arguments, const std::int64_t* dims,
                               void* workspace_memory) {
    return kernel.launch(arguments, dims, workspace_memory, nullptr);
  };
  return candidate;
}

}  // namespace hone
