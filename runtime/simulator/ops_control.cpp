#include "runtime/simulator/selector.h"
#include "runtime/simulator/warp.h"

// Branches, calls, barriers.
namespace hone::sim {
namespace {

void barrier_operands(Selector& s, std::size_t from) {
  const Type word{'u', 32};
  s.source(from, word);
  const std::size_t rest = s.count() - from - 1;
  const bool reduces = (s.out.aux & kBarrierReduces) != 0;
  if (rest > (reduces ? 2u : 1u) || (reduces && rest == 0)) s.fail("operands");
  if (rest - (reduces ? 1 : 0) == 1) {
    s.source(from + 1, word);
    s.out.aux |= kBarrierCounted;
  }
  if (reduces) s.source(s.count() - 1, Type{'p', 1});
}

bool select_barrier(Selector& s) {
  s.take("cta");
  s.out.kind = Kind::kBarrier;
  s.out.taint = Taint::kNever;
  s.out.flow = Flow::kBarrier;
  s.out.aux = s.root() == "bar" || s.take("aligned") ? kBarrierAligned : 0;
  if (s.take("sync")) {
    s.need(1, 2);
    barrier_operands(s, 0);
    return true;
  }
  if (s.take("arrive")) {
    s.need(2, 2);
    s.out.aux |= kBarrierArrive;
    barrier_operands(s, 0);
    return true;
  }
  if (s.take("red")) {
    s.need(3, 4);
    if (s.take("popc")) {
      s.out.aux |= kBarrierPopc;
    } else if (s.take("and")) {
      s.out.aux |= kBarrierAnd;
    } else if (s.take("or")) {
      s.out.aux |= kBarrierOr;
    } else {
      s.fail("a reduction is missing");
    }
    s.destination(0, s.take_type());
    barrier_operands(s, 1);
    return true;
  }
  return false;
}

bool select_call(Selector& s) {
  s.take("uni");
  s.out.kind = Kind::kControl;
  s.out.taint = Taint::kNever;
  Function::CallSite site;
  std::size_t at = 0;
  if (s.count() != 0 && s.operand(0).kind == Operand::Kind::kList) {
    for (const Operand& operand : s.operand(0).parts)
      site.results.push_back(s.parameter_slot(operand));
    at = 1;
  }
  const Operand& callee = s.operand(at);
  if (s.count() > at + 1) {
    const Operand& list = s.operand(at + 1);
    if (list.kind == Operand::Kind::kList) {
      for (const Operand& operand : list.parts) {
        if (operand.kind != Operand::Kind::kSymbol)
          s.unsupported("an argument that isn't a .param variable");
        site.arguments.push_back(s.parameter_slot(operand));
      }
    }
  }
  if (callee.kind == Operand::Kind::kRegister) {
    s.source(callee, Type{'u', 64});
    s.out.flow = Flow::kCallAddress;
    s.function.calls_address = true;
  } else if (callee.kind == Operand::Kind::kSymbol) {
    const auto found = s.context.body.function_index.find(callee.name);
    if (found == s.context.body.function_index.end()) s.fail("no such function");
    site.function = found->second;
    s.out.flow = Flow::kCall;
    s.function.callees.push_back(found->second);
  } else {
    s.fail("a function is needed");
  }
  s.out.aux = static_cast<std::uint32_t>(s.function.calls.size());
  s.function.calls.push_back(std::move(site));
  return true;
}

}  // namespace

bool select_control(Selector& s) {
  const std::string_view root = s.root();
  s.out.kind = Kind::kControl;
  if (root == "bra") {
    s.take("uni");
    s.need(1, 1);
    s.out.flow = Flow::kBranch;
    if (s.operand(0).kind != Operand::Kind::kSymbol) s.fail("a label is needed");
    return true;
  }
  if (root == "brx") {
    if (!s.take("idx")) s.fail(".idx is missing");
    s.take("uni");
    s.need(2, 2);
    s.source(0, Type{'u', 32});
    if (s.operand(1).kind != Operand::Kind::kSymbol) s.fail(".branchtargets are needed");
    s.out.flow = Flow::kTable;
    return true;
  }
  if (root == "call") return select_call(s);
  if (root == "ret" || root == "exit") {
    s.take("uni");
    s.need(0, 0);
    s.out.flow = root == "ret" && !s.function.entry ? Flow::kReturn : Flow::kExit;
    return true;
  }
  if (root == "trap") {
    s.need(0, 0);
    s.out.flow = Flow::kTrap;
    return true;
  }
  if (root == "nanosleep") {
    s.take_type();
    s.need(1, 1);
    s.out.flow = Flow::kYield;
    s.out.taint = Taint::kNever;
    return true;
  }
  if (root == "pmevent" || root == "brkpt" || root == "setmaxnreg" || root == "griddepcontrol") {
    while (s.modifiers_left()) s.take(s.first_left());
    s.out.taint = Taint::kNever;
    return true;
  }
  if (root == "bar" && s.take("warp")) {
    if (!s.take("sync")) s.fail(".sync is missing");
    s.need(1, 1);
    s.source(0, Type{'u', 32});
    s.out.flow = Flow::kMembers;
    s.out.kind = Kind::kWarpSync;
    s.out.taint = Taint::kNever;
    s.out.meets_anywhere = true;
    return true;
  }
  if (root == "bar" || root == "barrier") {
    if (s.has("cluster")) {
      // A cluster of one block: nothing to wait for but the block itself.
      s.unsupported("barriers of a cluster");
    }
    return select_barrier(s);
  }
  return false;
}

}  // namespace hone::sim
