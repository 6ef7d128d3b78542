#include <fmt/format.h>

#include <bit>

#include "runtime/simulator/races.h"
#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

// Code that was inlined from a header is said to be at the line of the kernel's own file that
// called it.
std::pair<std::string, int> source_of(const Module::Body& body, const Function& function,
                                      int location) {
  const auto& locations = body.text.locations;
  if (location < 0) return {"", 0};
  int main_file = locations[static_cast<std::size_t>(location)].file;
  for (const Instruction& in : function.code) {
    int first = in.location;
    if (first < 0) continue;
    for (int depth = 0; depth < 64 && locations[static_cast<std::size_t>(first)].parent >= 0;
         ++depth)
      first = locations[static_cast<std::size_t>(first)].parent;
    main_file = locations[static_cast<std::size_t>(first)].file;
    break;
  }
  int at = location;
  for (int depth = 0; depth < 64; ++depth) {
    const Location& place = locations[static_cast<std::size_t>(at)];
    if (place.file == main_file || place.parent < 0) break;
    at = place.parent;
  }
  const Location& place = locations[static_cast<std::size_t>(at)];
  for (const auto& [number, name] : body.text.files) {
    if (number == place.file) return {name, place.line};
  }
  return {"", place.line};
}

const Function* function_of(const Module::Body& body, const Instruction* in) {
  for (const auto& function : body.functions) {
    if (!function->code.empty() && in >= function->code.data() &&
        in < function->code.data() + function->code.size())
      return function.get();
  }
  return nullptr;
}

std::string one_line(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\t' || c == '\r' || c == ' ';
    if (space && (result.empty() || result.back() == ' ')) continue;
    result += space ? ' ' : c;
  }
  return result;
}

}  // namespace

void report_pair(Warp& w, const Instruction& in, const Instruction* other, Finding::Kind kind,
                 int lane, Space space, std::uint64_t address, const std::string& text) {
  Run& run = *w.run;
  const Function* function = function_of(run.body, &in);
  const Function* other_function = other == nullptr ? nullptr : function_of(run.body, other);
  const std::uint64_t key = static_cast<std::uint64_t>(kind) << 60 ^
                            reinterpret_cast<std::uintptr_t>(&in) * 31 ^
                            reinterpret_cast<std::uintptr_t>(other) * 1021;
  const auto [known, fresh] = run.seen.try_emplace(key, run.result.findings.size());
  if (!fresh) {
    ++run.result.findings[known->second].count;
    return;
  }
  Finding finding;
  finding.kind = kind;
  finding.kernel = run.launch.kernel->info.name;
  finding.ptx_line = in.line;
  if (function != nullptr) {
    std::tie(finding.source_file, finding.source_line) =
        source_of(run.body, *function, in.location);
    const auto index = static_cast<std::size_t>(&in - function->code.data());
    finding.instruction = one_line(function->texts[index]);
  }
  finding.block = w.block->index;
  finding.thread = thread_of(w, lane);
  finding.address = address;
  finding.space = std::string(space_name(space));
  finding.text = text;
  if (other_function != nullptr) {
    finding.other_ptx_line = other->line;
    std::tie(finding.other_source_file, finding.other_source_line) =
        source_of(run.body, *other_function, other->location);
  }
  run.result.findings.push_back(std::move(finding));
  if (run.result.findings.size() >= run.options.finding_limit) run.stop = w.stop = true;
}

void report(Warp& w, const Instruction& in, Finding::Kind kind, int lane, Space space,
            std::uint64_t address, const std::string& text) {
  report_pair(w, in, nullptr, kind, lane, space, address, text);
}

namespace {

// The finding is said at the read of what nobody wrote, when there was one; otherwise where the
// value is used.
void undefined_value(Warp& w, const Instruction& use, std::uint32_t origin, std::uint32_t lanes,
                     const std::string& what) {
  const int lane = std::countr_zero(lanes);
  const Instruction* read =
      origin == 0 ? nullptr : find_instruction(w.run->body, w.function->first_id + origin - 1);
  if (read != nullptr && read != &use) {
    report_pair(
        w, *read, &use, Finding::Kind::kUninitialised, lane, read->space, 0,
        fmt::format("reads what nobody wrote; the value {} at ptx line {}", what, use.line));
    return;
  }
  report_pair(w, use, nullptr, Finding::Kind::kUninitialised, lane, Space::kNone, 0,
              fmt::format("a register that nobody wrote {}", what));
}

}  // namespace

void report_undefined(Warp& w, const Instruction& in, std::size_t operand, std::uint32_t lanes,
                      const std::string& what) {
  const std::uint32_t place = in.t[operand];
  undefined_value(w, in, w.origin[place], lanes, what);
  w.undefined[place] &= ~lanes;
}

void report_undefined_guard(Warp& w, const Instruction& in, std::uint32_t lanes) {
  const std::uint32_t place = w.function->rows + (in.guard >> 1);
  undefined_value(w, in, w.origin[place], lanes,
                  in.flow == Flow::kBranch ? "decides a branch" : "decides whether this is done");
  w.undefined[place] &= ~lanes;
}

void report_hang(Run& run, Block& block, const std::string& text) {
  run.stop = true;
  for (auto& w : block.warps) {
    for (const Fragment& f : w->fragments) {
      if (f.state != Fragment::State::kReady) continue;
      report(*w, f.function->code[f.pc], Finding::Kind::kHang, std::countr_zero(f.mask),
             Space::kNone, 0, text);
      return;
    }
  }
  // Nobody is about to do anything here: it is the launch as a whole that doesn't end.
  report(*block.warps.front(), run.launch.kernel->code->code.front(), Finding::Kind::kHang, 0,
         Space::kNone, 0, text);
}

}  // namespace hone::sim
