// The SIMT host: runs a kernel's HIP text, compiled for this machine (prelude.h), with one
// fibre per GPU thread, in waves of 32 or 64, block after block. It checks the text, not what AMD's
// compiler makes of it.
//
// One launch at a time per process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/simt/abi.h"
#include "runtime/simulator/simt/image.h"
#include "runtime/simulator/simt/memory.h"
#include "runtime/simulator/simulator.h"

namespace hone::sim {

// An image, loaded.
class SimtModule {
 public:
  // Throws Error(kDevice): no image, or one that can't be loaded here.
  explicit SimtModule(std::string_view image);
  ~SimtModule();
  SimtModule(const SimtModule&) = delete;
  SimtModule& operator=(const SimtModule&) = delete;

  struct Kernel {
    std::string name;
    void (*call)(const unsigned char* arguments) = nullptr;
    struct Argument {
      std::size_t offset, bytes;
    };
    std::vector<Argument> arguments;
    std::size_t argument_bytes = 0;
  };
  const Kernel* kernel(const std::string& name);  // nullptr: no such entry
  std::size_t static_shared_bytes() const;        // of all its kernels together
  const HoneSimtKernel& memory() const { return *memory_; }

  // Where a site lies.
  std::uint32_t offset_of(const void* site) const;
  const std::vector<std::uint32_t>& lines_of(std::uint32_t offset) const;  // empty: unknown
  std::string text_of(std::uint32_t line) const;                           // "" when there is none
  bool holds(std::uintptr_t address) const;  // its own code and constants

 private:
  int file_ = -1;
  void* library_ = nullptr;
  const HoneSimtKernel* memory_ = nullptr;
  std::uintptr_t base_ = 0, bytes_ = 0;
  SimtImage image_;
  std::vector<std::string_view> text_lines_;
  std::map<std::string, std::unique_ptr<Kernel>> kernels_;
};

struct SimtLaunch {
  const SimtModule::Kernel* kernel = nullptr;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::size_t dynamic_shared_bytes = 0;
  std::vector<unsigned char> arguments;  // Kernel::argument_bytes of them
  unsigned wave = 64;
};

// Runs to the end or to the findings: Options::checks, seed, time_limit and finding_limit count.
// Throws Error(kUsage) for sizes that no GPU takes.
Result run_simt(SimtMemory& memory, const SimtModule& module, const SimtLaunch& launch,
                const Options& options);

}  // namespace hone::sim
