#include "runtime/backends/cpu_identity.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace hone {
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers result;
  if (__get_cpuid_count(leaf, subleaf, &result.eax, &result.ebx, &result.ecx, &result.edx) == 0)
    return {};
  return result;
}

constexpr bool bit(unsigned word, int index) { return (word >> index & 1) != 0; }

// Which register sets the kernel saves; zero when it says nothing.
unsigned saved_state() {
  if (!bit(cpuid(1).ecx, 27)) return 0;
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

std::string vendor() {
  const Registers r = cpuid(0);
  char text[13] = {};
  std::memcpy(text, &r.ebx, 4);
  std::memcpy(text + 4, &r.edx, 4);
  std::memcpy(text + 8, &r.ecx, 4);
  return text;
}

std::string brand() {
  std::array<char, 49> text = {};
  for (std::size_t i = 0; i < 3; ++i) {
    const Registers r = cpuid(0x80000002 + static_cast<unsigned>(i));
    std::memcpy(text.data() + sizeof r * i, &r, sizeof r);
  }
  std::string result = text.data();
  result.erase(result.find_last_not_of(' ') + 1);
  result.erase(0, result.find_first_not_of(' '));
  return result;
}

std::string family_model_stepping() {
  const unsigned signature = cpuid(1).eax;
  const unsigned base_family = signature >> 8 & 15;
  const unsigned family = base_family == 15 ? base_family + (signature >> 20 & 255) : base_family;
  const unsigned model = (signature >> 4 & 15) |
                         (base_family == 6 || base_family == 15 ? (signature >> 16 & 15) << 4 : 0);
  return fmt::format("{}.{}.{}", family, model, signature & 15);
}

}  // namespace

std::string CpuArch::text() const {
  std::string result = level == 1 ? "x86-64" : fmt::format("x86-64-v{}", level);
  if (bf16) result += "+bf16";
  if (vnni) result += "+vnni";
  return result;
}

std::vector<std::string> CpuArch::compiler_flags() const {
  std::vector<std::string> flags = {"-m64", "-msse2"};
  const auto add = [&flags](std::initializer_list<const char*> more) {
    flags.insert(flags.end(), more.begin(), more.end());
  };
  if (level >= 2) add({"-msse3", "-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt", "-mcx16"});
  if (level >= 3)
    add({"-mavx", "-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe"});
  // Compilers that think of old chips cut AVX-512 loops into halves.
  if (level >= 4)
    add({"-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl",
         "-mprefer-vector-width=512"});
  if (bf16) add({"-mavx512bf16"});
  if (vnni) add({"-mavx512vnni"});
  return flags;
}

bool CpuArch::runs(const CpuArch& other) const {
  return level >= other.level && bf16 >= other.bf16 && vnni >= other.vnni;
}

std::optional<CpuArch> parse_cpu_arch(std::string_view text) {
  // There are so few that trying each is the parser.
  for (int level = 1; level <= 4; ++level) {
    for (int extensions = 0; extensions < (level == 4 ? 4 : 1); ++extensions) {
      const CpuArch arch = {level, (extensions & 1) != 0, (extensions & 2) != 0};
      if (arch.text() == text) return arch;
    }
  }
  return std::nullopt;
}

CpuArch this_cpu_arch() {
  constexpr unsigned kAvxState = 0x6;
  constexpr unsigned kAvx512State = 0xe6;
  const unsigned saved = saved_state();
  const Registers basic = cpuid(1);
  const Registers extended = cpuid(7);
  const unsigned vector_types = cpuid(7, 1).eax;
  const unsigned amd = cpuid(0x80000001).ecx;
  CpuArch arch;
  const bool v2 = bit(basic.ecx, 0) && bit(basic.ecx, 9) && bit(basic.ecx, 13) &&
                  bit(basic.ecx, 19) && bit(basic.ecx, 20) && bit(basic.ecx, 23);
  if (!v2) return arch;
  arch.level = 2;
  const bool v3 = (saved & kAvxState) == kAvxState && bit(basic.ecx, 12) && bit(basic.ecx, 22) &&
                  bit(basic.ecx, 28) && bit(basic.ecx, 29) && bit(extended.ebx, 3) &&
                  bit(extended.ebx, 5) && bit(extended.ebx, 8) && bit(amd, 5);
  if (!v3) return arch;
  arch.level = 3;
  const bool v4 = (saved & kAvx512State) == kAvx512State && bit(extended.ebx, 16) &&
                  bit(extended.ebx, 17) && bit(extended.ebx, 28) && bit(extended.ebx, 30) &&
                  bit(extended.ebx, 31);
  if (!v4) return arch;
  arch.level = 4;
  arch.bf16 = bit(vector_types, 5);
  arch.vnni = bit(extended.ecx, 11);
  return arch;
}

Target cpu_target(const CpuArch& arch, const CpuTopology& topology) {
  Target target;
  target.backend = "cpu";
  target.arch = arch.text();
  target.limits.set("units", static_cast<std::int64_t>(topology.cpus.size()));
  target.limits.set("vector_bytes", std::int64_t{arch.level == 4 ? 64 : arch.level == 3 ? 32 : 16});
  target.limits.set("registers", std::int64_t{arch.level == 4 ? 32 : 16});
  target.limits.set("l1_bytes", topology.l1_bytes);
  target.limits.set("l2_bytes", topology.l2_bytes);
  target.limits.set("l3_bytes", topology.l3_bytes);
  target.limits.set("has_avx2", std::int64_t{arch.level >= 3});
  target.limits.set("has_avx512", std::int64_t{arch.level >= 4});
  target.limits.set("has_bf16", std::int64_t{arch.bf16});
  target.limits.set("has_vnni", std::int64_t{arch.vnni});
  target.limits.set("has_f16c", std::int64_t{arch.level >= 3});
  return target;
}

DeviceIdentity this_cpu_identity(const CpuArch& arch, const CpuTopology& topology) {
  DeviceIdentity identity;
  identity.backend = "cpu";
  identity.vendor = vendor();
  identity.arch = arch.text();
  identity.model = family_model_stepping();
  identity.units = static_cast<std::int64_t>(topology.cpus.size());
  identity.memory_bytes = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  struct utsname kernel = {};
  if (::uname(&kernel) == 0) identity.driver = fmt::format("{} {}", kernel.sysname, kernel.release);
  identity.name = brand();
  return identity;
}

}  // namespace hone
