#include "runtime/machine_code.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

namespace hone {
namespace {

struct Opcode {
  int code;
  std::string_view name;
  Pipe pipe;
};

// By the low nine bits; the same number means the same on all architectures but where
// `kNewMeanings` says otherwise.
constexpr std::array kOpcodes = {
    Opcode{0x002, "MOV", Pipe::kInteger},       Opcode{0x003, "P2R", Pipe::kInteger},
    Opcode{0x004, "R2P", Pipe::kInteger},       Opcode{0x005, "CS2R", Pipe::kInteger},
    Opcode{0x007, "SEL", Pipe::kInteger},       Opcode{0x008, "FSEL", Pipe::kInteger},
    Opcode{0x009, "FMNMX", Pipe::kInteger},     Opcode{0x00a, "FSET", Pipe::kInteger},
    Opcode{0x00b, "FSETP", Pipe::kInteger},     Opcode{0x00c, "ISETP", Pipe::kInteger},
    Opcode{0x010, "IADD3", Pipe::kInteger},     Opcode{0x011, "LEA", Pipe::kInteger},
    Opcode{0x012, "LOP3", Pipe::kInteger},      Opcode{0x013, "IABS", Pipe::kInteger},
    Opcode{0x016, "PRMT", Pipe::kInteger},      Opcode{0x017, "IMNMX", Pipe::kInteger},
    Opcode{0x019, "SHF", Pipe::kInteger},       Opcode{0x01a, "SGXT", Pipe::kInteger},
    Opcode{0x01b, "BMSK", Pipe::kInteger},      Opcode{0x01c, "PLOP3", Pipe::kInteger},
    Opcode{0x020, "FMUL", Pipe::kFloat},        Opcode{0x021, "FADD", Pipe::kFloat},
    Opcode{0x022, "FSWZADD", Pipe::kFloat},     Opcode{0x023, "FFMA", Pipe::kFloat},
    Opcode{0x024, "IMAD", Pipe::kMultiply},     Opcode{0x025, "IMAD", Pipe::kWideMultiply},
    Opcode{0x026, "IDP", Pipe::kMultiply},      Opcode{0x027, "IMAD", Pipe::kWideMultiply},
    Opcode{0x028, "DMUL", Pipe::kDouble},       Opcode{0x029, "DADD", Pipe::kDouble},
    Opcode{0x02a, "DSETP", Pipe::kDouble},      Opcode{0x02b, "DFMA", Pipe::kDouble},
    Opcode{0x030, "HADD2", Pipe::kHalf},        Opcode{0x031, "HFMA2", Pipe::kHalf},
    Opcode{0x032, "HMUL2", Pipe::kHalf},        Opcode{0x033, "HSET2", Pipe::kHalf},
    Opcode{0x034, "HSETP2", Pipe::kHalf},       Opcode{0x035, "HFMA2", Pipe::kHalf},
    Opcode{0x036, "VIADD", Pipe::kInteger},     Opcode{0x037, "IMMA", Pipe::kTensor},
    Opcode{0x03a, "MOVM", Pipe::kShuffle},      Opcode{0x03b, "LDSM", Pipe::kMatrixLoad},
    Opcode{0x03c, "HMMA", Pipe::kTensor},       Opcode{0x03d, "BMMA", Pipe::kTensor},
    Opcode{0x03e, "F2FP", Pipe::kInteger},      Opcode{0x03f, "DMMA", Pipe::kTensor},
    Opcode{0x040, "HMNMX2", Pipe::kHalf},       Opcode{0x045, "I2FP", Pipe::kInteger},
    Opcode{0x046, "VIADDMNMX", Pipe::kInteger}, Opcode{0x048, "VIMNMX", Pipe::kInteger},
    Opcode{0x04a, "UVIMNMX", Pipe::kUniform},   Opcode{0x051, "UFSEL", Pipe::kUniform},
    Opcode{0x053, "UFSETP", Pipe::kUniform},    Opcode{0x056, "UFMUL", Pipe::kUniform},
    Opcode{0x05a, "UI2F", Pipe::kUniform},      Opcode{0x05c, "UF2I", Pipe::kUniform},
    Opcode{0x07a, "QMMA", Pipe::kTensor},       Opcode{0x082, "UMOV", Pipe::kUniform},
    Opcode{0x083, "UP2UR", Pipe::kUniform},     Opcode{0x085, "UIMNMX", Pipe::kUniform},
    Opcode{0x086, "VOTEU", Pipe::kUniform},     Opcode{0x087, "USEL", Pipe::kUniform},
    Opcode{0x08c, "UISETP", Pipe::kUniform},    Opcode{0x090, "UIADD3", Pipe::kUniform},
    Opcode{0x091, "ULEA", Pipe::kUniform},      Opcode{0x092, "ULOP3", Pipe::kUniform},
    Opcode{0x096, "UPRMT", Pipe::kUniform},     Opcode{0x097, "UIADD3", Pipe::kUniform},
    Opcode{0x099, "USHF", Pipe::kUniform},      Opcode{0x09a, "USGXT", Pipe::kUniform},
    Opcode{0x09b, "UBMSK", Pipe::kUniform},     Opcode{0x09c, "UPLOP3", Pipe::kUniform},
    Opcode{0x0a4, "UIMAD", Pipe::kUniform},     Opcode{0x0a5, "UIMAD", Pipe::kUniform},
    Opcode{0x0a6, "UIMAD", Pipe::kUniform},     Opcode{0x0b9, "ULDC", Pipe::kUniform},
    Opcode{0x0bd, "UFLO", Pipe::kUniform},      Opcode{0x0bf, "UPOPC", Pipe::kUniform},
    Opcode{0x0ca, "R2UR", Pipe::kInteger},      Opcode{0x100, "FLO", Pipe::kSpecial},
    Opcode{0x101, "BREV", Pipe::kSpecial},      Opcode{0x102, "FCHK", Pipe::kSpecial},
    Opcode{0x104, "F2F", Pipe::kSpecial},       Opcode{0x105, "F2I", Pipe::kSpecial},
    Opcode{0x106, "I2F", Pipe::kSpecial},       Opcode{0x107, "FRND", Pipe::kSpecial},
    Opcode{0x108, "MUFU", Pipe::kSpecial},      Opcode{0x109, "POPC", Pipe::kSpecial},
    Opcode{0x110, "F2F", Pipe::kSpecial},       Opcode{0x111, "F2I", Pipe::kSpecial},
    Opcode{0x112, "I2F", Pipe::kSpecial},       Opcode{0x113, "FRND", Pipe::kSpecial},
    Opcode{0x118, "NOP", Pipe::kNone},          Opcode{0x119, "S2R", Pipe::kSpecial},
    Opcode{0x11a, "DEPBAR", Pipe::kBarrier},    Opcode{0x11d, "BAR", Pipe::kBarrier},
    Opcode{0x141, "BSYNC", Pipe::kBranch},      Opcode{0x142, "BREAK", Pipe::kBranch},
    Opcode{0x143, "CALL", Pipe::kBranch},       Opcode{0x144, "CALL", Pipe::kBranch},
    Opcode{0x145, "BSSY", Pipe::kBranch},       Opcode{0x146, "YIELD", Pipe::kBranch},
    Opcode{0x147, "BRA", Pipe::kBranch},        Opcode{0x148, "WARPSYNC", Pipe::kBranch},
    Opcode{0x149, "BRX", Pipe::kBranch},        Opcode{0x14d, "EXIT", Pipe::kBranch},
    Opcode{0x150, "RET", Pipe::kBranch},        Opcode{0x155, "BMOV", Pipe::kBranch},
    Opcode{0x15c, "BPT", Pipe::kBranch},        Opcode{0x15d, "NANOSLEEP", Pipe::kBranch},
    Opcode{0x181, "LDG", Pipe::kGlobalLoad},    Opcode{0x180, "LD", Pipe::kGlobalLoad},
    Opcode{0x182, "LDC", Pipe::kConstant},      Opcode{0x183, "LDL", Pipe::kLocal},
    Opcode{0x184, "LDS", Pipe::kSharedLoad},    Opcode{0x185, "ST", Pipe::kGlobalStore},
    Opcode{0x186, "STG", Pipe::kGlobalStore},   Opcode{0x187, "STL", Pipe::kLocal},
    Opcode{0x188, "STS", Pipe::kSharedStore},   Opcode{0x189, "SHFL", Pipe::kShuffle},
    Opcode{0x18a, "ATOM", Pipe::kAtomic},       Opcode{0x18b, "ATOM", Pipe::kAtomic},
    Opcode{0x18c, "ATOMS", Pipe::kAtomic},      Opcode{0x18d, "ATOMS", Pipe::kAtomic},
    Opcode{0x18e, "RED", Pipe::kAtomic},        Opcode{0x18f, "CCTL", Pipe::kBarrier},
    Opcode{0x192, "MEMBAR", Pipe::kBarrier},    Opcode{0x1a1, "MATCH", Pipe::kShuffle},
    Opcode{0x1a8, "ATOMG", Pipe::kAtomic},      Opcode{0x1a9, "ATOMG", Pipe::kAtomic},
    Opcode{0x1ab, "ERRBAR", Pipe::kBarrier},    Opcode{0x1ac, "LDCU", Pipe::kUniform},
    Opcode{0x1ae, "LDGSTS", Pipe::kAsyncCopy},  Opcode{0x1af, "LDGDEPBAR", Pipe::kBarrier},
    Opcode{0x1b2, "SYNCS", Pipe::kBarrier},     Opcode{0x1b4, "UTMALDG", Pipe::kBulkCopy},
    Opcode{0x1b5, "UTMASTG", Pipe::kBulkCopy},  Opcode{0x1ba, "UBLKCP", Pipe::kBulkCopy},
    Opcode{0x1c2, "R2UR", Pipe::kInteger},      Opcode{0x1c3, "S2UR", Pipe::kSpecial},
    Opcode{0x1c4, "REDUX", Pipe::kSpecial},     Opcode{0x1c9, "WARPGROUP", Pipe::kBarrier},
    Opcode{0x1f0, "HGMMA", Pipe::kWarpgroup},   Opcode{0x1f1, "IGMMA", Pipe::kWarpgroup},
    Opcode{0x1f3, "QGMMA", Pipe::kWarpgroup},
};

// Numbers that sm_100 gave to something else.
constexpr std::array kNewMeanings = {
    Opcode{0x035, "IADD", Pipe::kInteger},
};

struct Meaning {
  std::string_view name;
  Pipe pipe = Pipe::kOther;
};

constexpr std::array<Meaning, 512> meanings(bool newer) {
  std::array<Meaning, 512> all{};
  for (const Opcode& one : kOpcodes) all[static_cast<std::size_t>(one.code)] = {one.name, one.pipe};
  if (newer)
    for (const Opcode& one : kNewMeanings)
      all[static_cast<std::size_t>(one.code)] = {one.name, one.pipe};
  return all;
}

const Meaning& meaning_of(const MachineInstruction& instruction, int sm) {
  static constexpr auto kOlder = meanings(false);
  static constexpr auto kNewer = meanings(true);
  return (sm >= 100 ? kNewer : kOlder)[static_cast<std::size_t>(instruction.opcode())];
}

constexpr int kBranch = 0x147, kExit = 0x14d, kReturn = 0x150, kSyncPoint = 0x145, kCall = 0x144;
// BRA P0, BRA.U UP0 and BRA.DIV: not only the guard decides.
bool branches_on_predicate(const MachineInstruction& branch, int sm) {
  constexpr int kUnlessConverged = 2;  // form
  return branch.bits(87, 4) != 7 || (sm >= 90 && branch.bit(32)) ||
         branch.form() == kUnlessConverged;
}
constexpr int kMatrixLoad = 0x03b, kAsyncCopy = 0x1ae;

// Reads of a file that may end anywhere.
template <typename T>
std::optional<T> field_at(std::string_view bytes, std::uint64_t at) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Section {
  std::string_view name, bytes;
  Elf64_Shdr header{};
};

std::vector<Section> sections_of(std::string_view elf) {
  const auto header = field_at<Elf64_Ehdr>(elf, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return {};
  std::vector<Section> sections;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const auto one = field_at<Elf64_Shdr>(elf, header->e_shoff + i * sizeof(Elf64_Shdr));
    if (!one) return {};
    Section section;
    section.header = *one;
    if (one->sh_type != SHT_NOBITS && one->sh_offset <= elf.size() &&
        one->sh_size <= elf.size() - one->sh_offset)
      section.bytes = elf.substr(one->sh_offset, one->sh_size);
    sections.push_back(section);
  }
  if (header->e_shstrndx >= sections.size()) return {};
  const std::string_view names = sections[header->e_shstrndx].bytes;
  for (Section& section : sections) {
    if (section.header.sh_name >= names.size()) continue;
    const std::string_view rest = names.substr(section.header.sh_name);
    section.name = rest.substr(0, rest.find('\0'));
  }
  return sections;
}

// Calls visit(attribute, bytes) for every attribute of a .nv.info section that has bytes.
template <typename Visit>
void for_each_attribute(std::string_view info, Visit&& visit) {
  constexpr std::uint8_t kSized = 4;  // format: a size of 16 bits and that many bytes follow
  for (std::size_t at = 0; at + 4 <= info.size();) {
    const auto format = static_cast<std::uint8_t>(info[at]);
    const auto size = field_at<std::uint16_t>(info, at + 2);
    if (format == kSized && at + 4 + *size <= info.size())
      visit(static_cast<std::uint8_t>(info[at + 1]), info.substr(at + 4, *size));
    at += format == kSized ? 4u + *size : 4u;
  }
}

// Dense multiply-adds per cycle of a quarter of a multiprocessor, from the documented peaks.
struct TensorRates {
  int sm;
  double f16, tf32, i8, i4, f64;
};
constexpr std::array kTensorRates = {
    TensorRates{75, 128, 0, 256, 512, 0},     TensorRates{80, 256, 128, 512, 1024, 16},
    TensorRates{86, 128, 64, 256, 512, 0},    TensorRates{87, 256, 128, 512, 1024, 0},
    TensorRates{89, 128, 64, 256, 512, 0},    TensorRates{90, 512, 256, 1024, 0, 32},
    TensorRates{100, 1024, 512, 2048, 0, 32}, TensorRates{120, 128, 64, 256, 0, 0},
};

enum Tensor { kHmma = 0x03c, kImma = 0x037, kQmma = 0x07a, kDmma = 0x03f };
constexpr int kHgmma = 0x1f0, kIgmma = 0x1f1, kQgmma = 0x1f3;

bool is_s4(const MachineInstruction& instruction) { return instruction.bit(83); }
bool is_tf32(const MachineInstruction& instruction) {
  return instruction.opcode() == kHgmma ? instruction.bit(58) : instruction.bit(83);
}

// Cycles of the 128 bytes that shared memory moves at once, without conflicts.
int shared_cycles(const MachineInstruction& instruction, Pipe pipe, int sm) {
  if (instruction.never()) return 0;
  if (pipe == Pipe::kMatrixLoad) return matrices_of(instruction);
  if (pipe == Pipe::kSharedLoad || pipe == Pipe::kSharedStore || pipe == Pipe::kAsyncCopy)
    return std::max(1, access_bytes(instruction, sm) / 4);
  return 0;
}

}  // namespace

std::string_view name_of(const MachineInstruction& instruction, int sm) {
  return meaning_of(instruction, sm).name;
}

Pipe pipe_of(const MachineInstruction& instruction, int sm) {
  return meaning_of(instruction, sm).pipe;
}

int access_bytes(const MachineInstruction& instruction, int sm) {
  constexpr std::array kBytes = {1, 1, 2, 2, 4, 8, 16, 16};
  if (instruction.opcode() == kMatrixLoad) return 16;
  if (instruction.opcode() == kAsyncCopy && sm >= 100) return 4 << instruction.bits(74, 2);
  return kBytes[static_cast<std::size_t>(instruction.bits(73, 3))];
}

int matrices_of(const MachineInstruction& instruction) { return 1 << instruction.bits(72, 2); }

std::int64_t tensor_macs(const MachineInstruction& instruction) {
  const bool wide = instruction.bit(75);
  switch (instruction.opcode()) {
    case kHmma:
      return wide ? 16 * 8 * 16 : instruction.bit(78) ? 16 * 8 * 4 : 16 * 8 * 8;
    case kImma: {
      const bool tall = instruction.bit(86), more = instruction.bit(85);
      if (!tall) return more ? 8 * 8 * 32 : 8 * 8 * 16;
      return more ? 16 * 8 * 64 : wide ? 16 * 8 * 32 : 16 * 8 * 16;
    }
    case kQmma:
      return 16 * 8 * 32;
    case kDmma:
      return 8 * 8 * 4;
    default:
      break;
  }
  const auto columns = static_cast<std::int64_t>(instruction.bits(53, 5));
  switch (instruction.opcode()) {
    case kHgmma:  // 64 rows by four warps
      return 16 * 8 * (columns + 1) * (is_tf32(instruction) ? 8 : 16);
    case kQgmma:
      return 16 * 8 * (columns + 1) * 32;
    case kIgmma: {  // 8, 16, 24, 32, then every 16
      const auto place = static_cast<std::int64_t>(instruction.bits(53, 6)) / 3;
      return 16 * 32 * (place < 4 ? 8 * (place + 1) : 16 * (place - 1));
    }
    default:
      return 0;
  }
}

double tensor_cycles(const MachineInstruction& instruction, int sm) {
  const TensorRates* rates = nullptr;
  for (const TensorRates& one : kTensorRates)
    if (one.sm <= sm) rates = &one;
  if (rates == nullptr) return 0;
  double rate = 0;
  switch (instruction.opcode()) {
    case kHmma:
    case kHgmma:
      rate = is_tf32(instruction) ? rates->tf32 : rates->f16;
      break;
    case kImma:
      rate = is_s4(instruction) ? rates->i4 : rates->i8;
      // Every compiler and every vendor's loop spaces the 8x8x16 shape as if at half rate.
      if (sm >= 80 && tensor_macs(instruction) == 8 * 8 * 16) rate /= 2;
      break;
    case kQmma:
    case kIgmma:
    case kQgmma:
      rate = rates->i8;
      break;
    case kDmma:
      rate = rates->f64;
      break;
    default:
      break;
  }
  return rate > 0 ? static_cast<double>(tensor_macs(instruction)) / rate : 0;
}

std::int64_t branch_distance(const MachineInstruction& instruction, int sm) {
  const auto high =
      static_cast<std::int64_t>((instruction.low >> 34 | instruction.bits(64, 18) << 30) << 16) >>
      16;
  if (instruction.opcode() == kSyncPoint)
    return 4 * static_cast<std::int64_t>(static_cast<std::int32_t>(instruction.low >> 32) >> 2);
  if (sm < 90) return 4 * high;
  // From sm_90 on eight more bits lie below those.
  return 4 * (high * 256 + static_cast<std::int64_t>(instruction.bits(16, 8)));
}

std::optional<std::int64_t> branch_target(const MachineInstruction& instruction, std::int64_t at,
                                          int sm) {
  const int opcode = instruction.opcode();
  if (opcode != kBranch && opcode != kSyncPoint && opcode != kCall) return std::nullopt;
  return at + 1 + branch_distance(instruction, sm) / 16;
}

const MachineKernel* MachineCode::kernel(std::string_view name) const {
  for (const MachineKernel& one : kernels)
    if (one.name == name) return &one;
  return nullptr;
}

std::optional<MachineCode> parse_cubin(std::string_view elf) {
  constexpr std::uint16_t kCudaMachine = 190;
  constexpr int kNewAbi = 8;  // moved the architecture in the header's flags
  const auto header = field_at<Elf64_Ehdr>(elf, 0);
  const std::vector<Section> sections = sections_of(elf);
  if (!header || sections.empty() || header->e_machine != kCudaMachine) return std::nullopt;
  MachineCode code;
  const bool newer = header->e_ident[EI_ABIVERSION] >= kNewAbi;
  code.sm = static_cast<int>(newer ? header->e_flags >> 8 & 0xff : header->e_flags & 0xff);
  for (const Section& section : sections) {
    constexpr std::string_view kText = ".text.";
    if (!section.name.starts_with(kText)) continue;
    MachineKernel kernel;
    kernel.name = section.name.substr(kText.size());
    kernel.registers = static_cast<int>(section.header.sh_info >> 24);
    const std::uint32_t symbol = section.header.sh_info & 0xffffff;
    kernel.code.resize(section.bytes.size() / sizeof(MachineInstruction));
    std::memcpy(kernel.code.data(), section.bytes.data(),
                kernel.code.size() * sizeof(MachineInstruction));
    for (const Section& other : sections) {
      constexpr std::string_view kConstant = ".nv.constant";
      if (other.name == ".nv.shared." + kernel.name)
        kernel.shared_bytes = static_cast<std::int64_t>(other.header.sh_size);
      if (other.name == ".nv.info")
        for_each_attribute(other.bytes, [&](int attribute, std::string_view bytes) {
          constexpr int kRegisterCount = 0x2f;
          if (attribute == kRegisterCount && bytes.size() >= 8 &&
              field_at<std::uint32_t>(bytes, 0) == symbol)
            kernel.registers = static_cast<int>(*field_at<std::uint32_t>(bytes, 4));
        });
      if (other.name == ".nv.info." + kernel.name)
        for_each_attribute(other.bytes, [&](int attribute, std::string_view bytes) {
          constexpr int kParameterBank = 0x0a;
          if (attribute == kParameterBank && bytes.size() >= 8) {
            kernel.parameter_at = *field_at<std::uint16_t>(bytes, 4);
            kernel.parameter_bytes = *field_at<std::uint16_t>(bytes, 6);
          }
        });
      if (!other.name.starts_with(kConstant) || other.name.size() == kConstant.size()) continue;
      const std::string_view rest = other.name.substr(kConstant.size());
      const std::string_view owner = rest.substr(std::min<std::size_t>(rest.size(), 2));
      if (rest[0] >= '0' && rest[0] <= '9' && (rest.size() == 1 || owner == kernel.name))
        kernel.constants.push_back({rest[0] - '0', std::string(other.bytes)});
    }
    code.kernels.push_back(std::move(kernel));
  }
  return code;
}

CodeFlow flow_of(const MachineKernel& kernel, int sm) {
  const int count = static_cast<int>(kernel.code.size());
  std::vector<bool> leads(static_cast<std::size_t>(count) + 1, false);
  const auto target = [&](int at) {
    const auto to = branch_target(kernel.code[static_cast<std::size_t>(at)], at, sm);
    // What branches to itself fills the end up.
    return to && *to >= 0 && *to < count && *to != at ? static_cast<int>(*to) : -1;
  };
  const auto ends = [&](const MachineInstruction& instruction) {
    return pipe_of(instruction, sm) == Pipe::kBranch &&
           (instruction.opcode() == kBranch || instruction.opcode() == kExit ||
            instruction.opcode() == kReturn);
  };
  if (count > 0) leads[0] = true;
  for (int at = 0; at < count; ++at) {
    const MachineInstruction& one = kernel.code[static_cast<std::size_t>(at)];
    if (const int to = target(at); to >= 0) leads[static_cast<std::size_t>(to)] = true;
    if (ends(one) || one.opcode() == kCall) leads[static_cast<std::size_t>(at) + 1] = true;
  }
  CodeFlow flow;
  std::vector<int> block_at(static_cast<std::size_t>(count), -1);
  for (int at = 0; at < count; ++at) {
    if (leads[static_cast<std::size_t>(at)]) {
      block_at[static_cast<std::size_t>(at)] = static_cast<int>(flow.blocks.size());
      flow.blocks.push_back({at, at, {}});
    }
    flow.blocks.back().end = at + 1;
  }
  for (std::size_t i = 0; i < flow.blocks.size(); ++i) {
    CodeFlow::Block& block = flow.blocks[i];
    const int last = block.end - 1;
    const MachineInstruction& one = kernel.code[static_cast<std::size_t>(last)];
    const bool conditional = one.guard() != 7 || one.guard_negated() ||
                             (one.opcode() == kBranch && branches_on_predicate(one, sm));
    if (one.opcode() == kBranch)
      if (const int to = target(last); to >= 0)
        block.next.push_back(block_at[static_cast<std::size_t>(to)]);
    if ((!ends(one) || conditional) && block.end < count &&
        (block.next.empty() || block.next[0] != static_cast<int>(i) + 1))
      block.next.push_back(static_cast<int>(i) + 1);
  }

  // Natural loops. The compiler lays loops out with their heads first, so an edge backwards whose
  // target dominates its source closes one; dominance is found by leaving the head out.
  const std::size_t blocks = flow.blocks.size();
  std::vector<std::vector<int>> from(blocks);
  for (std::size_t i = 0; i < blocks; ++i)
    for (const int to : flow.blocks[i].next)
      from[static_cast<std::size_t>(to)].push_back(static_cast<int>(i));
  for (std::size_t head = 0; head < blocks; ++head) {
    std::vector<bool> inside(blocks, false);
    std::vector<int> work;
    for (const int back : from[head])
      if (back >= static_cast<int>(head)) work.push_back(back);
    if (work.empty()) continue;
    inside[head] = true;
    bool natural = true;
    while (!work.empty() && natural) {
      const int one = work.back();
      work.pop_back();
      if (inside[static_cast<std::size_t>(one)]) continue;
      if (one < static_cast<int>(head) && from[static_cast<std::size_t>(one)].empty()) {
        natural = false;
        break;
      }
      inside[static_cast<std::size_t>(one)] = true;
      if (one == 0) natural = false;
      for (const int before : from[static_cast<std::size_t>(one)]) work.push_back(before);
    }
    if (!natural) continue;
    CodeFlow::Loop loop;
    loop.head = static_cast<int>(head);
    for (std::size_t i = 0; i < blocks; ++i)
      if (inside[i]) loop.blocks.push_back(static_cast<int>(i));
    flow.loops.push_back(std::move(loop));
  }
  return flow;
}

namespace {

LoopFigures figures_of(const MachineKernel& kernel, int sm, const CodeFlow& flow,
                       const CodeFlow::Loop& loop) {
  LoopFigures figures;
  int since = -1, gap = 0;  // issue cycles since the last tensor instruction; the least there are
  for (const int place : loop.blocks) {
    const CodeFlow::Block& block = flow.blocks[static_cast<std::size_t>(place)];
    for (int at = block.begin; at < block.end; ++at) {
      const MachineInstruction& one = kernel.code[static_cast<std::size_t>(at)];
      const Pipe pipe = pipe_of(one, sm);
      const int stall = std::max(1, one.stall());
      ++figures.instructions;
      figures.stall_cycles += stall;
      figures.shared_cycles += shared_cycles(one, pipe, sm);
      if (pipe == Pipe::kMatrixLoad) ++figures.matrix_loads;
      if (pipe == Pipe::kAsyncCopy) ++figures.copies;
      if (!one.never() && (pipe == Pipe::kGlobalLoad || pipe == Pipe::kAsyncCopy))
        figures.loaded_bytes += 32 * access_bytes(one, sm);
      if (pipe == Pipe::kWarpgroup) ++figures.warpgroup;
      if (pipe == Pipe::kTensor || pipe == Pipe::kWarpgroup)
        figures.tensor_cycles += tensor_cycles(one, sm);
      if (pipe == Pipe::kTensor) {
        ++figures.tensor;
        if (since > 0) gap = gap == 0 ? since : std::min(gap, since);
        since = 0;
      }
      if (since >= 0) since += stall;
    }
  }
  figures.floor_cycles = std::max(figures.tensor_cycles, static_cast<double>(gap) * figures.tensor);
  return figures;
}

}  // namespace

std::optional<LoopFigures> hottest_loop(const MachineKernel& kernel, int sm) {
  const CodeFlow flow = flow_of(kernel, sm);
  std::vector<LoopFigures> figures;
  for (const CodeFlow::Loop& loop : flow.loops)
    figures.push_back(figures_of(kernel, sm, flow, loop));
  const auto tensor = [&](std::size_t i) { return figures[i].tensor + figures[i].warpgroup; };
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    // An outer loop holds all that the inner ones have, and more: it counts only where no inner
    // loop has any of it.
    bool inner = true;
    for (std::size_t j = 0; j < figures.size() && inner; ++j) {
      const auto& outer = flow.loops[i].blocks;
      const auto& other = flow.loops[j].blocks;
      if (j == i || other.size() >= outer.size() || (tensor(i) > 0 && tensor(j) == 0)) continue;
      inner = !std::includes(outer.begin(), outer.end(), other.begin(), other.end());
    }
    if (!inner) continue;
    const auto rank = [&](std::size_t k) {
      return std::tuple(tensor(k), figures[k].loaded_bytes,
                        tensor(k) > 0 ? -figures[k].instructions : figures[k].instructions);
    };
    if (!best || rank(i) > rank(*best)) best = i;
  }
  if (!best) return std::nullopt;
  return figures[*best];
}

}  // namespace hone
