// A GPU on paper: runs PTX as NVRTC emits it, warp by warp, on a machine that has no GPU.
//
//   Memory memory(find_gpu("a100")->memory_bytes, /*track=*/true);
//   Module module(ptx_text, *find_gpu("a100"), memory);
//   Address x = memory.allocate(bytes);  memory.write(x, host, bytes);
//   Result result = run(memory, module, {.kernel = module.kernel("saxpy"), .grid = {4, 1, 1},
//   ...});
//
// Nothing here is thread-safe: one Memory, its Modules and its launches belong to one thread at a
// time (the stand-in driver holds a lock). Errors in PTX text are hone::Error(kCompile) whose
// message begins with "ptx line N:"; what a running kernel does wrong is a Finding, never an
// exception.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/gpus.h"
#include "runtime/simulator/memory.h"

namespace hone::sim {

// What a driver knows of a kernel before it runs.
struct KernelInfo {
  std::string name;
  struct Parameter {
    std::string name;
    std::size_t offset = 0;  // bytes into the parameter block
    std::size_t bytes = 0;
  };
  std::vector<Parameter> parameters;
  std::size_t parameter_bytes = 0;
  std::size_t static_shared_bytes = 0;
  std::size_t local_bytes = 0;            // per thread, called functions included
  std::size_t constant_bytes = 0;         // of the module
  int registers = 0;                      // estimated by liveness: 32-bit registers per thread
  int max_threads = 1024;                 // of .maxntid, or the GPU's
  std::array<int, 3> required_threads{};  // of .reqntid; zeros: any
  std::array<int, 3> required_cluster{};  // of .reqnctapercluster; zeros: none
  int min_blocks = 0;                     // of .minnctapersm; 0: not said
  int ptx_version = 0;                    // 90 for .version 9.0
  int target_sm = 0;                      // 80 for .target sm_80
};

struct Function;  // decoded code

// PTX text made ready to run. Its .global and .const variables live in `memory` until it is
// destroyed, which must outlive it. Throws Error(kCompile): malformed text, an instruction that
// isn't PTX. An instruction that is PTX and that this simulator can't run is an error of the
// kernels that reach it: see Kernel::unsupported.
class Module {
 public:
  Module(std::string_view ptx, const Gpu& gpu, Memory& memory);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  struct Kernel {
    KernelInfo info;
    // Not empty: the kernel can't run; "ptx line 12: wgmma.mma_async...: not supported by the
    // simulator".
    std::string unsupported;
    const Function* code = nullptr;
  };
  // nullptr: no such entry.
  const Kernel* kernel(std::string_view name) const;
  std::vector<const Kernel*> kernels() const;

  struct Variable {
    std::string name;
    Address address = 0;
    std::size_t bytes = 0;
    bool constant = false;
  };
  const Variable* variable(std::string_view name) const;  // nullptr: no such .global or .const
  std::vector<const Variable*> variables() const;

  struct Body;
  const Body& body() const { return *body_; }

 private:
  std::unique_ptr<Body> body_;
};

struct Launch {
  const Module::Kernel* kernel = nullptr;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::size_t dynamic_shared_bytes = 0;
  std::vector<std::byte> parameters;  // KernelInfo::parameter_bytes of them
  bool cooperative = false;           // all blocks are resident together
};

enum class Checks {
  kNone,    // out-of-bounds and misaligned accesses still end the launch, as on a GPU
  kMemory,  // and uninitialised reads, masks, barriers, pending copies
  kAll,     // and races in shared and global memory
};
// "all", "memory" or "none".
std::optional<Checks> parse_checks(std::string_view text);

struct Options {
  Checks checks = Checks::kAll;
  std::uint64_t seed = 0;  // order of blocks and warps; 0: ascending
  // Warp instructions and seconds after which the launch counts as hung; 0: no limit.
  std::uint64_t instruction_limit = 0;
  double time_limit = 0;
  std::size_t finding_limit = 16;  // the launch ends when there are so many
};

// One thing that a kernel did wrong. The same thing at the same line by other threads is counted,
// not repeated.
struct Finding {
  enum class Kind {
    kOutOfBounds,
    kMisaligned,
    kUninitialised,  // a value that nobody wrote reaches a store, a branch or an address
    kRace,
    kBarrier,    // divergent, or with too few threads
    kMask,       // a member of a mask that never comes, or a caller outside its mask
    kAsyncCopy,  // cp.async read before its wait, or pending at exit
    kDeadlock,
    kHang,  // a limit of Options
    kTrap,  // trap, a wrong instruction
    kAssert,
    kOther,
  };
  Kind kind = Kind::kOther;
  std::string kernel;
  int ptx_line = 0;
  std::string source_file;  // of .loc; empty without -lineinfo
  int source_line = 0;
  std::array<std::uint32_t, 3> block{};
  std::array<std::uint32_t, 3> thread{};
  std::uint64_t address = 0;
  std::string space;        // "global", "shared", "local", "param", "const" or ""
  std::string instruction;  // its text
  std::string text;         // what happened and what was there
  // The other side of a race, the origin of an uninitialised value.
  int other_ptx_line = 0;
  std::string other_source_file;
  int other_source_line = 0;
  std::uint64_t count = 1;

  std::string report() const;  // lines for a person
  std::string json() const;    // one object, one line
};
std::string_view kind_name(Finding::Kind kind);

// Exact counts of what was executed, in warp instructions unless said otherwise.
struct Counters {
  std::uint64_t instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::uint64_t integer = 0, floating = 0, half = 0, fp64 = 0, special = 0, conversion = 0,
                move = 0;
  std::uint64_t matrix = 0;        // mma, wmma
  std::uint64_t matrix_flops = 0;  // 2 per multiply-add
  std::uint64_t flops = 0;         // of active threads outside the matrix unit; fma counts 2
  std::uint64_t global_loads = 0, global_stores = 0, global_atomics = 0, async_copies = 0;
  std::uint64_t global_load_bytes = 0, global_store_bytes = 0;      // asked for by threads
  std::uint64_t global_load_sectors = 0, global_store_sectors = 0;  // of 32 bytes
  std::uint64_t global_load_sectors_ideal = 0, global_store_sectors_ideal = 0;
  std::uint64_t unique_sectors_read = 0,
                unique_sectors_written = 0;  // over the launch: what DRAM must move
  std::uint64_t shared_loads = 0, shared_stores = 0, shared_atomics = 0, matrix_loads = 0;
  std::uint64_t shared_wavefronts = 0, shared_wavefronts_ideal = 0;
  std::uint64_t local_loads = 0, local_stores = 0;
  std::uint64_t barriers = 0, warp_syncs = 0, shuffles = 0, fences = 0;
  std::uint64_t branches = 0, divergent_branches = 0;
  std::uint64_t blocks = 0, warps = 0;
  std::map<std::string, std::uint64_t> by_opcode;  // "fma.rn.f32" -> warp instructions

  Counters& operator+=(const Counters& other);
  std::string json() const;  // one object, one line
};

struct Result {
  std::vector<Finding> findings;  // empty: the launch went well
  Counters counters;
  std::string output;  // of printf in the kernel
  bool ok() const { return findings.empty(); }
};

// Runs the launch to its end or to its findings. Throws Error(kUsage) when the launch itself is
// illegal: sizes beyond the GPU's, parameters that don't fit; Error(kUnsupported):
// Kernel::unsupported.
Result run(Memory& memory, const Module& module, const Launch& launch, const Options& options);

// Blocks of the kernel that a unit holds at once.
int occupancy(const Gpu& gpu, const KernelInfo& kernel, int threads,
              std::size_t dynamic_shared_bytes);

}  // namespace hone::sim
