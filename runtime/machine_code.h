// NVIDIA's machine code as a cubin holds it: words of 128 bits, sm_75 to sm_121. What a figure or a
// model needs of an instruction is read from its bits; nothing is disassembled to text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone {

// The unit that an instruction occupies.
enum class Pipe : std::uint8_t {
  kOther,
  kFloat,         // FFMA FADD FMUL
  kMultiply,      // IMAD
  kWideMultiply,  // IMAD.WIDE IMAD.HI
  kInteger,       // ALU, comparisons and selections of floats too
  kHalf,
  kDouble,
  kSpecial,  // MUFU and conversions
  kTensor,
  kWarpgroup,  // wgmma: tensor instruction of four warps
  kSharedLoad,
  kSharedStore,
  kMatrixLoad,  // ldmatrix
  kGlobalLoad,
  kGlobalStore,
  kAsyncCopy,  // cp.async
  kBulkCopy,   // TMA
  kLocal,
  kAtomic,
  kConstant,
  kShuffle,
  kBarrier,
  kBranch,
  kUniform,  // the scalar pipe beside the vector ones
  kNone,     // NOP
};

struct MachineInstruction {
  std::uint64_t low = 0, high = 0;

  // `count` bits from bit `first` of the 128; they don't straddle the words.
  std::uint64_t bits(int first, int count) const {
    const std::uint64_t word = first < 64 ? low >> first : high >> (first - 64);
    return word & ((std::uint64_t{1} << count) - 1);
  }
  bool bit(int at) const { return bits(at, 1) != 0; }

  int opcode() const { return static_cast<int>(bits(0, 9)); }
  int form() const { return static_cast<int>(bits(9, 3)); }  // what the operands are
  int guard() const { return static_cast<int>(bits(12, 3)); }
  bool guard_negated() const { return bit(15); }
  bool never() const { return guard() == 7 && guard_negated(); }
  // The control word: cycles until the next instruction of this warp may issue, the scoreboards
  // that a result or the read of the operands clears (7: none), those that are waited for.
  int stall() const { return static_cast<int>(bits(105, 4)); }
  int write_barrier() const { return static_cast<int>(bits(110, 3)); }
  int read_barrier() const { return static_cast<int>(bits(113, 3)); }
  int wait_mask() const { return static_cast<int>(bits(116, 6)); }
};

// "FFMA", without suffixes; empty for an opcode that isn't known.
std::string_view name_of(const MachineInstruction& instruction, int sm);
Pipe pipe_of(const MachineInstruction& instruction, int sm);
// Bytes per lane of a load, a store or a copy; for ldmatrix of each of its 8x8 matrices' rows.
int access_bytes(const MachineInstruction& instruction, int sm);
// 8x8 matrices of an ldmatrix: 1, 2 or 4.
int matrices_of(const MachineInstruction& instruction);
// Multiply-adds of one warp; 0 where that isn't known.
std::int64_t tensor_macs(const MachineInstruction& instruction);
// Cycles of the tensor pipe of a quarter of a multiprocessor at the documented dense peak.
double tensor_cycles(const MachineInstruction& instruction, int sm);
// Bytes from the next instruction to where a branch, a call or a return relative to a register
// goes.
std::int64_t branch_distance(const MachineInstruction& instruction, int sm);
// Where a branch, a call or a point of reconvergence (BSSY) goes, as an index; `at`: its own.
// nullopt: none of these.
std::optional<std::int64_t> branch_target(const MachineInstruction& instruction, std::int64_t at,
                                          int sm);

struct MachineKernel {
  std::string name;
  int registers = 0;
  std::int64_t shared_bytes = 0;  // static
  std::int64_t parameter_at = 0;  // bytes into constant bank 0
  std::int64_t parameter_bytes = 0;
  std::vector<MachineInstruction> code;
  struct Bank {
    int index = 0;
    std::string bytes;
  };
  std::vector<Bank> constants;  // as the file holds them
};

struct MachineCode {
  int sm = 0;  // 80
  std::vector<MachineKernel> kernels;
  const MachineKernel* kernel(std::string_view name) const;  // nullptr: none of that name
};

// nullopt: not a cubin.
std::optional<MachineCode> parse_cubin(std::string_view elf);

// Basic blocks in the order of the code, and the natural loops among them.
struct CodeFlow {
  struct Block {
    int begin = 0, end = 0;  // instructions
    std::vector<int> next;   // blocks
  };
  struct Loop {
    int head = 0;
    std::vector<int> blocks;  // ascending
  };
  std::vector<Block> blocks;
  std::vector<Loop> loops;
};
CodeFlow flow_of(const MachineKernel& kernel, int sm);

// What the machine code of the loop says in which a kernel spends its time: the innermost one with
// the most tensor instructions, or, where there are none, with the most bytes loaded. Static: every
// instruction of the loop once, no waits, no conflicts.
struct LoopFigures {
  int instructions = 0;
  int tensor = 0;     // mma.sync
  int warpgroup = 0;  // wgmma
  int matrix_loads = 0, copies = 0;
  int stall_cycles = 0;           // least issue cycles of one warp
  double tensor_cycles = 0;       // of the tensor pipe, at the documented peak
  double floor_cycles = 0;        // that, or what the instructions' own spacing makes of it
  double shared_cycles = 0;       // of the shared memory's 128 bytes a cycle, without conflicts
  std::int64_t loaded_bytes = 0;  // from global memory, by a warp
};
std::optional<LoopFigures> hottest_loop(const MachineKernel& kernel, int sm);

}  // namespace hone
