#include "runtime/backends/hip_simt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <span>

#include "codegen/error.h"
#include "codegen/hash.h"
#include "runtime/backends/cpu_compiler.h"
#include "runtime/backends/cpu_identity.h"
#include "runtime/own_files.h"
#include "runtime/process.h"
#include "runtime/simulator/simt/image.h"

namespace hone {

std::span<const std::pair<std::string_view, std::string_view>> embedded_simt();

namespace {

constexpr std::chrono::seconds kToolLimit{20};
constexpr std::size_t kCompilerOutputBytes = 16 << 10, kTableBytes = 64 << 20;
constexpr const char* kKernel = "kernel.hip";
constexpr const char* kPrelude = "runtime/simulator/simt/prelude.h";

std::vector<std::string> flags_for(const CpuCompiler& compiler) {
  // No contraction: hosts without fused multiply-add would give other bits than those with.
  std::vector<std::string> flags = {"-std=c++20",
                                    "-O2",
                                    "-g1",
                                    "-fPIC",
                                    "-shared",
                                    "-fsanitize=thread",
                                    "-fno-exceptions",
                                    "-fno-rtti",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-ffp-contract=off",
                                    "-fno-strict-aliasing",
                                    "-fno-stack-protector",
                                    "-fno-optimize-sibling-calls",
                                    "-fvisibility=hidden",
                                    "-fno-asynchronous-unwind-tables",
                                    "-fdiagnostics-color=never",
                                    "-w"};
  if (compiler.clang) {
    flags.insert(flags.end(), {"-mllvm", "-tsan-instrument-func-entry-exit=0"});
  } else {
    // A call that waits stays one call with a place to return to, and copies of bytes no calls.
    flags.insert(flags.end(), {"--param", "tsan-instrument-func-entry-exit=0", "-fno-thread-jumps",
                               "-fno-crossjumping", "-fno-tree-tail-merge",
                               "-fno-tree-loop-distribute-patterns"});
  }
  for (std::string& flag : this_cpu_arch().compiler_flags()) flags.push_back(std::move(flag));
  return flags;
}

const std::vector<std::string> kHostLinkFlags = {"-nostdlib",
                                                 "-Wl,--build-id=none",
                                                 "-Wl,-z,defs",
                                                 "-Wl,-Bsymbolic",
                                                 "-Wl,--as-needed",
                                                 "-lm",
                                                 "-lc",
                                                 "-lgcc"};

// `extern __shared__ T name[]` is a name for the launch's dynamic shared memory.
std::string host_text(const Source& source) {
  static const std::regex kDynamic(R"(\bextern\s+__shared__\s+([^;\[]*?)\b(\w+)\s*\[\s*\]\s*;)");
  std::set<std::string> names;
  for (auto it = std::sregex_iterator(source.text.begin(), source.text.end(), kDynamic);
       it != std::sregex_iterator(); ++it)
    names.insert((*it)[2].str());
  std::string text = std::regex_replace(source.text, kDynamic, "extern $1 $2[];");
  if (!text.ends_with('\n')) text += '\n';
  for (const std::string& name : names)
    text += fmt::format("asm(\".globl {0}\\n.hidden {0}\\n.set {0}, hone_simt_dynamic\");\n", name);
  for (const std::string& entry : source.entries)
    text += fmt::format("HONE_SIMT_ENTRY(hone_{})\n", entry);
  return text;
}

ProcessResult run_tool(std::vector<std::string> command, const std::filesystem::path& folder,
                       std::chrono::duration<double> limit, std::size_t output_bytes) {
  ProcessLimits limits;
  limits.wall = limit;
  limits.cpu = std::chrono::seconds(static_cast<std::int64_t>(std::ceil(limit.count())) + 1);
  limits.output_bytes = output_bytes;
  return run_process(command, limits, folder, {"TMPDIR=" + folder.string(), "LC_ALL=C"});
}

template <typename Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::uint32_t hexadecimal(std::string_view text) {
  std::uint32_t number = 0;
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return number;
}

// Which lines each stretch of the code comes from, by binutils, which come with every g++. Without
// them findings name no lines.
void add_places(const std::filesystem::path& folder, sim::SimtImage* image) {
  const auto objdump = find_program("objdump"), addr2line = find_program("addr2line");
  if (!objdump || !addr2line) return;
  const ProcessResult table =
      run_tool({*objdump, "--dwarf=decodedline", "kernel.so"}, folder, kToolLimit, kTableBytes);
  if (!table.ok()) return;
  std::set<std::uint32_t> addresses;
  for_each_line(table.output, [&](std::string_view line) {
    if (const std::size_t at = line.find(" 0x"); at != std::string_view::npos)
      addresses.insert(hexadecimal(line.substr(at + 1, line.find(' ', at + 1) - at - 1)));
  });
  std::string list;
  for (const std::uint32_t address : addresses) list += fmt::format("{:#x}\n", address);
  write_file(folder / "addresses", list);
  const ProcessResult lines = run_tool({*addr2line, "-i", "-a", "-e", "kernel.so", "@addresses"},
                                       folder, kToolLimit, kTableBytes);
  if (!lines.ok()) return;
  std::map<std::vector<std::uint32_t>, std::uint32_t> known;
  std::vector<std::uint32_t> chain;
  std::optional<std::uint32_t> address;
  const auto close = [&] {
    if (!address) return;
    const auto [found, fresh] =
        known.try_emplace(chain, static_cast<std::uint32_t>(image->lines.size()));
    if (fresh) image->lines.push_back(chain);
    if (image->places.empty() || image->places.back().second != found->second)
      image->places.emplace_back(*address, found->second);
    chain.clear();
  };
  for_each_line(lines.output, [&](std::string_view line) {
    if (line.starts_with("0x")) {
      close();
      address = hexadecimal(line);
      return;
    }
    const std::size_t colon = line.rfind(':');
    if (colon == std::string_view::npos || !line.substr(0, colon).ends_with(kKernel)) return;
    std::uint32_t number = 0;
    std::from_chars(line.data() + colon + 1, line.data() + line.size(), number);
    if (number != 0) chain.push_back(number);
  });
  close();
}

}  // namespace

std::string simt_toolchain() {
  const CpuCompiler compiler = find_cpu_compiler();
  std::string prelude;
  for (const auto& [name, text] : embedded_simt()) prelude += text;
  return fmt::format("SIMT host by {} ({})", compiler.toolchain(),
                     hash_of(prelude).text().substr(0, 8));
}

std::string compile_simt(const Source& source, const Target& target,
                         std::chrono::duration<double> limit) {
  const CpuCompiler compiler = find_cpu_compiler();
  const WorkFolder work;
  for (const auto& [name, text] : embedded_simt()) {
    std::error_code error;
    std::filesystem::create_directories((work.path() / name).parent_path(), error);
    write_file(work.path() / name, std::string(text));
  }
  write_file(work.path() / kKernel, host_text(source));
  std::vector<std::string> command = {compiler.path};
  for (std::string& flag : flags_for(compiler)) command.push_back(std::move(flag));
  command.insert(command.end(), {fmt::format("-D__{}__=1", target.arch), "-I.", "-include",
                                 kPrelude, "-x", "c++", kKernel, "-x", "none", "-o", "kernel.so"});
  command.insert(command.end(), kHostLinkFlags.begin(), kHostLinkFlags.end());
  const ProcessResult result =
      run_tool(std::move(command), work.path(), limit, kCompilerOutputBytes);
  if (!result.ok())
    throw Error(Code::kCompile, fmt::format("{} failed with {} for the SIMT host; its log:\n{}",
                                            compiler.path, result.summary(), result.output));
  sim::SimtImage image;
  image.code = read_file(work.path() / "kernel.so").value_or("");
  image.text = source.text;
  add_places(work.path(), &image);
  return sim::pack_simt(image);
}

}  // namespace hone
