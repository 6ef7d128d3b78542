// One call of an operator's kernel as the checker and the measurer see it: drawn inputs on the
// host, and what a kernel offers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/op.h"
#include "runtime/backend.h"
#include "runtime/kernel.h"

namespace hone {

// One present argument of a complete problem. Inputs and scalars have their content.
struct CallArgument {
  std::string name;
  Argument::Kind kind = Argument::Kind::kIn;
  std::string element;
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  std::int64_t alignment = 1;  // of its element
  bool cold = false;
  std::string content;  // bytes; empty for outputs
};

struct Call {
  Problem problem;  // canonical, complete
  Values scope;     // Op::scope of it
  std::vector<CallArgument> arguments;
  std::vector<std::int64_t> dims;  // the dynamic ones, as a launch takes them
};

// Draws every input. Same seed, same bytes. Throws Error(kTemplate) when a `draw` isn't understood.
Call draw_call(const Op& op, const Problem& problem, std::uint64_t seed);

// What is checked and timed: a kernel reduced to functions, so that tests can plant bugs.
struct Candidate {
  struct Packed {
    std::int64_t bytes = 0;
    std::function<bool(const void* from, void* to)> pack;
  };
  // Pointers to device memory (scalars: host) in the order of Call::arguments. False: refused.
  std::function<bool(void* const* arguments, const std::int64_t* dims, void* workspace)> launch;
  std::int64_t workspace_bytes = 0;
  std::map<std::string, Packed> packed;  // by argument
  std::string layout;                    // Trial::layout
};

// `kernel` outlives the result. Throws Error(kUnsupported) when the kernel isn't legal for the
// call's dims.
Candidate candidate_of(const Kernel& kernel, const Call& call);

}  // namespace hone
