#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "runtime/simulator/selector.h"

namespace hone::sim {
namespace {

// PTX that exists and that the simulator doesn't run: said when a kernel needs it.
bool is_known_ptx(std::string_view root) {
  static const std::unordered_set<std::string_view> kRoots = {
      "wgmma",        "tcgen05",
      "tex",          "tld4",
      "txq",          "suld",
      "sust",         "sured",
      "suq",          "istypep",
      "prefetch",     "prefetchu",
      "multimem",     "mapa",
      "getctarank",   "clusterlaunchcontrol",
      "createpolicy", "cp",
      "mbarrier",     "griddepcontrol",
      "tensormap",    "stackrestore",
      "stacksave",    "alloca",
      "vadd",         "vsub",
      "vabsdiff",     "vmin",
      "vmax",         "vshl",
      "vshr",         "vmad",
      "vset",         "vadd2",
      "vsub2",        "vavrg2",
      "vabsdiff2",    "vmin2",
      "vmax2",        "vset2",
      "vadd4",        "vsub4",
      "vavrg4",       "vabsdiff4",
      "vmin4",        "vmax4",
      "vset4",        "barrier",
      "red",          "atom",
      "mma",          "wmma",
      "ldmatrix",     "stmatrix",
      "movmatrix",    "ldu",
      "discard",      "applypriority",
      "elect",        "setmaxnreg",
      "fence",        "membar",
      "st",           "ld",
      "cvt",          "add",
      "sub",          "mul",
      "fma",          "min",
      "max",          "setp",
      "shfl",         "vote",
      "match",        "redux",
      "isspacep",     "pmevent",
      "brkpt",        "nanosleep",
      "tanh",         "ex2",
      "neg",          "abs",
      "mov",          "mad",
      "div",          "set",
      "sin",          "cos",
      "lg2",          "rcp",
      "sqrt",         "rsqrt",
      "call",         "bar",
      "cvta",         "shl",
      "shr"};
  return kRoots.contains(root);
}

int find_label(const ParsedFunction& parsed,
               const std::unordered_multimap<std::string_view, const Label*>& labels,
               std::string_view name, int scope) {
  const auto [begin, end] = labels.equal_range(name);
  for (int at = scope; at >= 0; at = parsed.scope_tree[static_cast<std::size_t>(at)].parent) {
    for (auto found = begin; found != end; ++found) {
      if (found->second->scope == at) return found->second->position;
    }
  }
  // A label of an inner scope, when there is only one of that name.
  return std::distance(begin, end) == 1 ? begin->second->position : -1;
}

void find_blocks(Function& function) {
  const std::size_t size = function.code.size();
  std::vector<bool> starts(size + 1, false);
  if (size != 0) starts[0] = true;
  for (std::size_t i = 0; i < size; ++i) {
    const Instruction& in = function.code[i];
    switch (in.flow) {
      case Flow::kBranch:
        starts[in.target] = true;
        starts[i + 1] = true;
        break;
      case Flow::kTable:
        for (const std::uint32_t target : function.tables[in.aux]) starts[target] = true;
        starts[i + 1] = true;
        break;
      case Flow::kReturn:
      case Flow::kExit:
      case Flow::kTrap:
        starts[i + 1] = true;
        break;
      default:
        break;
    }
  }
  function.block_of.resize(size);
  std::vector<std::uint32_t> lasts;
  for (std::size_t i = 0; i < size; ++i) {
    if (starts[i]) lasts.push_back(0);
    lasts.back() = static_cast<std::uint32_t>(i);
    function.block_of[i] = static_cast<std::uint32_t>(lasts.size()) - 1;
  }
  function.successors.resize(lasts.size());
  for (std::size_t b = 0; b < lasts.size(); ++b) {
    const Instruction& in = function.code[lasts[b]];
    auto& next = function.successors[b];
    const bool always = in.guard == 0;
    const auto add = [&](std::uint32_t to) {
      const std::uint32_t block = function.block_of[to];
      if (std::find(next.begin(), next.end(), block) == next.end()) next.push_back(block);
    };
    if (in.flow == Flow::kBranch) add(in.target);
    if (in.flow == Flow::kTable) {
      for (const std::uint32_t target : function.tables[in.aux]) add(target);
    }
    const bool leaves = in.flow == Flow::kBranch || in.flow == Flow::kTable ||
                        in.flow == Flow::kReturn || in.flow == Flow::kExit ||
                        in.flow == Flow::kTrap;
    if ((!leaves || !always) && b + 1 < lasts.size()) add(lasts[b] + 1);
  }
}

}  // namespace

SymbolValue find_symbol(const DecodeContext& context, std::string_view name) {
  if (const auto found = context.locals.find(name.data()); found != context.locals.end())
    return found->second;
  if (const auto found = context.parameters.find(name); found != context.parameters.end())
    return found->second;
  if (const auto found = context.symbols.find(name); found != context.symbols.end())
    return found->second;
  return {};
}

bool Function::reaches(std::uint32_t from, std::uint32_t to) const {
  const std::uint32_t start = block_of[from], goal = block_of[to];
  if (start == goal && from < to) return true;
  auto found = reach_cache.find(start);
  if (found == reach_cache.end()) {
    std::vector<bool> seen(successors.size(), false);
    std::vector<std::uint32_t> open = {start};
    while (!open.empty()) {
      const std::uint32_t block = open.back();
      open.pop_back();
      for (const std::uint32_t next : successors[block]) {
        if (seen[next]) continue;
        seen[next] = true;
        open.push_back(next);
      }
    }
    found = reach_cache.emplace(start, std::move(seen)).first;
  }
  return found->second[goal];
}

void decode_function(DecodeContext& context, const ParsedFunction& parsed, Function& function) {
  std::unordered_multimap<std::string_view, const Label*> labels;
  for (const Label& label : parsed.labels) {
    for (auto [at, end] = labels.equal_range(label.name); at != end; ++at) {
      if (at->second->scope == label.scope)
        fail_at(parsed.line, fmt::format("label '{}' stands twice", label.name));
    }
    labels.emplace(label.name, &label);
  }
  const auto target_of = [&](std::string_view name, int scope, int line) {
    const int position = find_label(parsed, labels, name, scope);
    if (position < 0) fail_at(line, fmt::format("no label '{}'", name));
    return static_cast<std::uint32_t>(position);
  };

  std::vector<std::vector<Place>> places;
  std::vector<Place> guards;
  places.reserve(parsed.statements.size() + 1);
  try {
    for (std::size_t i = 0; i < parsed.statements.size(); ++i) {
      const Statement& statement = parsed.statements[i];
      Selector s(context, parsed, function, statement);
      const bool done = select_control(s) || select_move(s) || select_integer(s) ||
                        select_bits(s) || select_float(s) || select_half(s) || select_compare(s) ||
                        select_convert(s) || select_memory(s) || select_atomic(s) ||
                        select_async(s) || select_mbarriers(s) || select_matrix(s) ||
                        select_warpgroup(s) || select_warp(s);
      if (!done) {
        if (is_known_ptx(s.root())) s.unsupported("the simulator doesn't run this instruction");
        s.fail("no such instruction");
      }
      if (s.modifiers_left()) {
        s.unsupported(fmt::format("the simulator doesn't know '.{}' here", s.first_left()));
      }
      Instruction& in = s.out;
      if (in.flow == Flow::kBranch) {
        s.need(1, 1);
        in.target = target_of(s.operand(0).name, parsed.scopes[i], statement.line);
      } else if (in.flow == Flow::kTable) {
        const BranchTargets* table = nullptr;
        for (const BranchTargets& candidate : parsed.tables) {
          if (candidate.name == s.operand(1).name) table = &candidate;
        }
        if (table == nullptr) s.fail("no such .branchtargets");
        in.aux = static_cast<std::uint32_t>(function.tables.size());
        function.tables.emplace_back();
        for (const std::string_view name : table->labels) {
          function.tables.back().push_back(target_of(name, parsed.scopes[i], statement.line));
        }
      }
      in.line = statement.line;
      in.location = statement.location;
      const auto [id, fresh] = context.opcode_ids.try_emplace(
          statement.opcode,
          static_cast<std::uint16_t>(std::min<std::size_t>(context.body.opcodes.size(), 0xffff)));
      if (fresh && context.body.opcodes.size() <= 0xffff)
        context.body.opcodes.emplace_back(statement.opcode);
      in.opcode = id->second;
      Place guard;
      guard.kind = Place::Kind::kConstant;
      guard.width = 1;
      guard.id = 1;
      if (statement.guard >= 0) {
        guard.kind = Place::Kind::kRegister;
        guard.id = static_cast<std::uint64_t>(statement.guard);
        guard.negated = statement.guard_negated;
        in.guard = 1;  // the register allocator puts the predicate here
      }
      if (in.space == Space::kShared || in.space == Space::kGeneric) {
        function.shared_granule =
            std::min<int>(function.shared_granule, std::max<int>(in.bytes, 1));
      }
      if (in.space == Space::kGlobal || in.space == Space::kGeneric) {
        function.global_granule =
            std::min<int>(function.global_granule, std::max<int>(in.bytes, 1));
      }
      guards.push_back(guard);
      function.code.push_back(in);
      function.texts.push_back(statement.text);
      places.push_back(std::move(s.places));
    }
  } catch (const Unsupported& error) {
    function.unsupported = error.message;
    function.code.clear();
    function.texts.clear();
    return;
  }
  // What falls off the end returns.
  Instruction end;
  end.flow = function.entry ? Flow::kExit : Flow::kReturn;
  end.kind = Kind::kControl;
  end.line = parsed.statements.empty() ? parsed.line : parsed.statements.back().line;
  end.location = parsed.statements.empty() ? -1 : parsed.statements.back().location;
  if (!function.code.empty()) end.opcode = function.code.back().opcode;
  function.code.push_back(end);
  function.texts.emplace_back("");
  places.emplace_back();
  Place always;
  always.kind = Place::Kind::kConstant;
  always.width = 1;
  always.id = 1;
  guards.push_back(always);
  find_blocks(function);
  allocate_registers(parsed, function, places, guards);
}

}  // namespace hone::sim
