// How a finding reads, whichever simulator made it.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/simulator/simulator.h"

namespace hone::sim {

std::string_view kind_name(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kOutOfBounds:
      return "out of bounds";
    case Finding::Kind::kMisaligned:
      return "misaligned";
    case Finding::Kind::kUninitialised:
      return "uninitialised";
    case Finding::Kind::kRace:
      return "race";
    case Finding::Kind::kBarrier:
      return "barrier";
    case Finding::Kind::kMask:
      return "mask";
    case Finding::Kind::kAsyncCopy:
      return "async copy";
    case Finding::Kind::kDeadlock:
      return "deadlock";
    case Finding::Kind::kHang:
      return "hang";
    case Finding::Kind::kTrap:
      return "trap";
    case Finding::Kind::kAssert:
      return "assert";
    default:
      return "other";
  }
}

std::string Finding::report() const {
  std::string result =
      fmt::format("{}: {} in block ({}, {}, {}), thread ({}, {}, {})", kind_name(kind), kernel,
                  block[0], block[1], block[2], thread[0], thread[1], thread[2]);
  if (source_line > 0) result += fmt::format(" at {}:{}", source_file, source_line);
  // An instruction of PTX has a line of its own; elsewhere it is the source's text.
  if (ptx_line == 0) result += fmt::format(": {}", instruction);
  result += fmt::format("\n  {}\n", text);
  if (ptx_line != 0) result += fmt::format("  ptx line {}: {}\n", ptx_line, instruction);
  if (other_ptx_line != 0) {
    result += fmt::format("  the other side: ptx line {}", other_ptx_line);
    if (!other_source_file.empty())
      result += fmt::format(" ({}:{})", other_source_file, other_source_line);
    result += '\n';
  }
  if (!space.empty()) result += fmt::format("  {} address {:#x}\n", space, address);
  if (count > 1) result += fmt::format("  {} times at this place\n", count);
  return result;
}

std::string Finding::json() const {
  nlohmann::ordered_json object;
  object["kind"] = std::string(kind_name(kind));
  object["kernel"] = kernel;
  if (ptx_line != 0) object["ptx_line"] = ptx_line;
  object["file"] = source_file;
  object["line"] = source_line;
  object["block"] = block;
  object["thread"] = thread;
  object["address"] = address;
  object["space"] = space;
  object["instruction"] = instruction;
  object["text"] = text;
  if (other_ptx_line != 0) object["other_ptx_line"] = other_ptx_line;
  if (other_source_line != 0) {
    object["other_file"] = other_source_file;
    object["other_line"] = other_source_line;
  }
  object["count"] = count;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace hone::sim
