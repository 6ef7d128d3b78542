#include "runtime/backends/gpu_code.h"

#include <elf.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "codegen/error.h"
#include "codegen/msgpack.h"

namespace hone {
namespace {

constexpr std::string_view kGpuMagic = "HONEGPU1";
constexpr std::string_view kPrefix = "hone_";

std::string_view without_prefix(std::string_view name) {
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

// The number right before `unit` in a line of ptxas: "Used 12 registers, 1024 bytes smem".
std::int64_t number_before(std::string_view line, std::string_view unit) {
  const std::size_t at = line.find(unit);
  if (at == std::string_view::npos) return 0;
  std::size_t begin = at;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  std::int64_t number = 0;
  std::from_chars(line.data() + begin, line.data() + at, number);
  return number;
}

template <typename T>
std::optional<T> read_at(std::string_view bytes, std::uint64_t at) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The content of the AMDGPU metadata note.
std::string_view metadata_note(std::string_view elf) {
  constexpr std::uint32_t kMetadataNote = 32;
  const auto header = read_at<Elf64_Ehdr>(elf, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return {};
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    const auto segment = read_at<Elf64_Phdr>(elf, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment || segment->p_type != PT_NOTE) continue;
    if (segment->p_offset > elf.size() || elf.size() - segment->p_offset < segment->p_filesz)
      continue;
    const std::string_view notes = elf.substr(segment->p_offset, segment->p_filesz);
    for (std::uint64_t at = 0; const auto note = read_at<Elf64_Nhdr>(notes, at);) {
      const std::uint64_t name = (note->n_namesz + 3ULL) & ~3ULL;
      const std::uint64_t content = at + sizeof *note + name;
      if (content > notes.size() || notes.size() - content < note->n_descsz) return {};
      if (note->n_type == kMetadataNote) return notes.substr(content, note->n_descsz);
      at = content + ((note->n_descsz + 3ULL) & ~3ULL);
    }
  }
  return {};
}

}  // namespace

std::string pack_gpu_code(const GpuCode& code) {
  Json entries = Json::array();
  for (const EntryResources& entry : code.entries)
    entries.push_back({{"entry", entry.entry},
                       {"registers", entry.registers},
                       {"spills", entry.spill_bytes},
                       {"stack", entry.stack_bytes},
                       {"shared", entry.shared_bytes}});
  const std::string head = Json({{"toolchain", code.toolchain},
                                 {"code", code.code.size()},
                                 {"ptx", code.ptx.size()},
                                 {"simt", code.simt.size()},
                                 {"entries", entries}})
                               .dump();
  std::string bytes(kGpuMagic);
  const std::uint64_t size = head.size();
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  return bytes + head + code.code + code.ptx + code.simt;
}

GpuCode unpack_gpu_code(std::string_view bytes) {
  const auto broken = [] {
    return Error(Code::kDevice,
                 "this is no GPU code of Hone's, or a damaged one; build it again (hone db gc, or "
                 "clear the cache)");
  };
  const auto size = read_at<std::uint64_t>(bytes, kGpuMagic.size());
  if (!bytes.starts_with(kGpuMagic) || !size) throw broken();
  std::string_view rest = bytes.substr(kGpuMagic.size() + sizeof *size);
  if (rest.size() < *size) throw broken();
  GpuCode code;
  try {
    const Json head = Json::parse(rest.substr(0, *size));
    rest.remove_prefix(*size);
    const auto code_bytes = head.at("code").get<std::uint64_t>();
    const auto ptx_bytes = head.at("ptx").get<std::uint64_t>();
    const auto simt_bytes = head.value("simt", std::uint64_t{0});
    if (code_bytes > rest.size() || ptx_bytes > rest.size() - code_bytes ||
        rest.size() - code_bytes - ptx_bytes != simt_bytes)
      throw broken();
    code.toolchain = head.at("toolchain");
    for (const Json& entry : head.at("entries"))
      code.entries.push_back({entry.at("entry"), entry.at("registers"), entry.at("spills"),
                              entry.at("stack"), entry.at("shared")});
    code.code = rest.substr(0, code_bytes);
    code.ptx = rest.substr(code_bytes, ptx_bytes);
    code.simt = rest.substr(code_bytes + ptx_bytes);
  } catch (const Json::exception&) {
    throw broken();
  }
  return code;
}

std::vector<EntryResources> resources_of_ptxas(std::string_view log) {
  std::vector<EntryResources> entries;
  bool known = false;  // functions that aren't entries have properties too
  while (!log.empty()) {
    const std::size_t end = std::min(log.find('\n'), log.size());
    const std::string_view line = log.substr(0, end);
    log.remove_prefix(std::min(end + 1, log.size()));
    constexpr std::string_view kEntry = "Compiling entry function '";
    constexpr std::string_view kProperties = "Function properties for ";
    if (const std::size_t at = line.find(kEntry); at != std::string_view::npos) {
      const std::string_view name = line.substr(at + kEntry.size());
      entries.push_back({std::string(without_prefix(name.substr(0, name.find('\'')))), 0, 0, 0, 0});
      known = true;
    } else if (const std::size_t properties = line.find(kProperties);
               properties != std::string_view::npos) {
      const std::string_view name = line.substr(properties + kProperties.size());
      known = !entries.empty() && without_prefix(name) == entries.back().entry;
    } else if (known && line.find("bytes stack frame") != std::string_view::npos) {
      entries.back().stack_bytes = number_before(line, " bytes stack frame");
      entries.back().spill_bytes =
          number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads");
    } else if (!entries.empty() && line.find("Used ") != std::string_view::npos) {
      entries.back().registers = number_before(line, " registers");
      entries.back().shared_bytes = number_before(line, " bytes smem");
    }
  }
  return entries;
}

std::vector<EntryResources> resources_of_code_object(std::string_view elf) {
  std::vector<EntryResources> entries;
  const std::string_view note = metadata_note(elf);
  if (note.empty()) return entries;
  const auto metadata = read_msgpack(note);
  if (!metadata || !metadata->is_object() || !metadata->contains("amdhsa.kernels")) return entries;
  for (const Json& kernel : metadata->at("amdhsa.kernels")) {
    if (!kernel.is_object()) continue;
    const auto number = [&](const char* name) {
      const auto found = kernel.find(name);
      return found != kernel.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
    };
    const auto name = kernel.find(".name");
    if (name == kernel.end() || !name->is_string()) continue;
    EntryResources entry;
    entry.entry = without_prefix(name->get_ref<const std::string&>());
    entry.registers = number(".vgpr_count") + number(".agpr_count");
    entry.stack_bytes = number(".private_segment_fixed_size");
    // Each spilled register takes four bytes per lane.
    entry.spill_bytes = 4 * (number(".vgpr_spill_count") + number(".sgpr_spill_count"));
    entry.shared_bytes = number(".group_segment_fixed_size");
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace hone
