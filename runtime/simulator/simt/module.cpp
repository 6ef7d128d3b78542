#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "codegen/error.h"
#include "runtime/simulator/simt/host.h"

namespace hone::sim {
namespace {

constexpr const char* kAgain = "build it again";

// The extent of a loaded library.
struct Extent {
  const void* within;
  std::uintptr_t base = 0, end = 0;
};
int find_extent(dl_phdr_info* info, std::size_t, void* data) {
  auto& extent = *static_cast<Extent*>(data);
  const auto address = reinterpret_cast<std::uintptr_t>(extent.within);
  std::uintptr_t end = 0;
  bool holds = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    end = std::max(end, begin + header.p_memsz);
    holds |= address >= begin && address < begin + header.p_memsz;
  }
  if (!holds) return 0;
  extent.base = info->dlpi_addr;
  extent.end = end;
  return 1;
}

}  // namespace

SimtModule::SimtModule(std::string_view image) {
  if (!unpack_simt(image, &image_))
    throw Error(Code::kDevice, fmt::format("no code for the SIMT host; {}", kAgain));
  file_ = ::memfd_create("hone-simt", MFD_CLOEXEC);
  for (std::size_t at = 0; file_ >= 0 && at < image_.code.size();) {
    const ssize_t count = ::write(file_, image_.code.data() + at, image_.code.size() - at);
    if (count <= 0 && errno != EINTR) break;
    at += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }
  library_ = ::dlopen(fmt::format("/proc/self/fd/{}", file_).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ != nullptr)
    memory_ = static_cast<const HoneSimtKernel*>(::dlsym(library_, "hone_simt_kernel"));
  if (memory_ == nullptr || memory_->version != kHoneSimtVersion) {
    const char* why = library_ == nullptr ? ::dlerror() : "made for another version of Hone";
    const std::string text =
        fmt::format("can't load a kernel for the SIMT host: {}; {}", why, kAgain);
    if (library_ != nullptr) ::dlclose(library_);
    if (file_ >= 0) ::close(file_);
    throw Error(Code::kDevice, text);
  }
  Extent extent{memory_};
  ::dl_iterate_phdr(find_extent, &extent);
  base_ = extent.base;
  bytes_ = extent.end - extent.base;
  for (std::string_view rest = image_.text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    text_lines_.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

SimtModule::~SimtModule() {
  ::dlclose(library_);
  ::close(file_);
}

const SimtModule::Kernel* SimtModule::kernel(const std::string& name) {
  auto& kernel = kernels_[name];
  if (kernel) return kernel.get();
  void* call = ::dlsym(library_, ("hone_simt_entry_" + name).c_str());
  const auto* sizes =
      static_cast<const unsigned long*>(::dlsym(library_, ("hone_simt_arguments_" + name).c_str()));
  if (call == nullptr || sizes == nullptr) return nullptr;
  kernel = std::make_unique<Kernel>();
  kernel->name = name;
  kernel->call = reinterpret_cast<void (*)(const unsigned char*)>(call);
  for (; sizes[0] != 0; sizes += 2) {
    const std::size_t offset = (kernel->argument_bytes + sizes[1] - 1) / sizes[1] * sizes[1];
    kernel->arguments.push_back({offset, sizes[0]});
    kernel->argument_bytes = offset + sizes[0];
  }
  return kernel.get();
}

std::size_t SimtModule::static_shared_bytes() const {
  // What lies around the dynamic part, up to alignment: a byte of the C runtime's and what brings
  // the dynamic part to its 128 are nobody's.
  constexpr std::ptrdiff_t kAlignment = 128;
  const std::ptrdiff_t before = memory_->dynamic_begin - memory_->static_begin;
  const std::ptrdiff_t after = memory_->static_end - memory_->dynamic_begin -
                               static_cast<std::ptrdiff_t>(memory_->dynamic_most + kHoneSimtSlack);
  return static_cast<std::size_t>((before > kAlignment ? before : 0) + (after > 0 ? after : 0));
}

std::uint32_t SimtModule::offset_of(const void* site) const {
  const auto address = reinterpret_cast<std::uintptr_t>(site);
  return holds(address) ? static_cast<std::uint32_t>(address - base_) : 0;
}

bool SimtModule::holds(std::uintptr_t address) const { return address - base_ < bytes_; }

const std::vector<std::uint32_t>& SimtModule::lines_of(std::uint32_t offset) const {
  static const std::vector<std::uint32_t> kNone;
  // A site is where a call returns to.
  const std::uint32_t call = offset == 0 ? 0 : offset - 1;
  const auto after =
      std::upper_bound(image_.places.begin(), image_.places.end(), call,
                       [](std::uint32_t at, const auto& place) { return at < place.first; });
  if (offset == 0 || after == image_.places.begin()) return kNone;
  const std::uint32_t chain = std::prev(after)->second;
  return chain < image_.lines.size() ? image_.lines[chain] : kNone;
}

std::string SimtModule::text_of(std::uint32_t line) const {
  if (line == 0 || line > text_lines_.size()) return "";
  std::string_view text = text_lines_[line - 1];
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return std::string(text);
}

}  // namespace hone::sim
