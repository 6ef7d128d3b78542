// A variant: a kernel text under a header of `//!` lines. The contract lines are described in
// templates/README.md.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/expression.h"
#include "codegen/hash.h"
#include "codegen/op.h"
#include "codegen/values.h"

namespace hone {

struct Parameter {
  std::string name;
  std::vector<Expression>
      values;  // evaluated over problem, limits and lets; equal results are dropped
  std::vector<Expression> searched;  // the part of them that the space has; empty: all
  bool at_launch = false;            // chosen at launch: changing it needs no recompilation
};

struct Launch {
  std::string entry;
  std::array<Expression, 3> grid;   // blocks
  Expression threads;               // cpu: pool threads to use; GPUs: threads per block, along x
  Expression threads_y, threads_z;  // GPUs; empty: 1
  Expression shared;                // GPUs: bytes of dynamic shared memory; empty: none
  Expression when;                  // empty: always
};

struct Pack {
  std::string argument;
  std::string
      layout;  // name; with the arguments' values the identity of the packed form: `panel(32,4)`
  std::vector<Expression> parameters;
  Expression bytes;
};

// A named part of the space: the parameters that it names have these values only.
struct Preset {
  std::string name;
  std::vector<std::pair<std::string, Expression>> values;
};

struct Template {
  std::string op;
  std::string variant;  // file stem; with the extension where that isn't .cpp: `rows`, `warp.cu`
  std::string file;
  std::vector<std::string> serves;  // backends
  Expression when;                  // over problem and limits; empty: always
  std::vector<std::string> fixed;   // dims compiled in
  std::vector<Parameter> parameters;
  std::vector<std::pair<std::string, Expression>> lets;
  std::vector<Expression> requires_;
  std::vector<Pack> packs;
  Expression workspace;  // bytes; empty: none
  std::vector<Launch> launches;
  std::vector<std::pair<std::string, Expression>> start;
  std::vector<Preset> presets;
  std::string text;  // the whole file
  Hash hash;         // of the normalised file, its includes, its contract and the reference

  // problem scope + limits -> may this variant serve it? Dynamic dims that are absent from the
  // scope make the parts of `when` that need them count as true.
  bool serves_problem(const Values& scope, const std::string& backend) const;
};

// The variant with the part of its space that a preset of its names. Required: it has that preset.
Template narrowed(Template variant, std::string_view preset);

// Throws Error(kTemplate) that begins with file:line.
Template parse_template(const Op& op, std::string_view text, const std::string& file);

}  // namespace hone
