#include "runtime/simulator/simt/fibre.h"

#include <sys/mman.h>

#include <cstring>

#include "codegen/error.h"
#ifdef HONE_SANITIZED
#include <sanitizer/asan_interface.h>
#endif

#if !defined(__x86_64__)
#error "the SIMT host switches fibres on x86-64 only"
#endif

// What a call must preserve goes on the old stack and comes from the new one.
extern "C" void hone_simt_switch(void** from, void* to);
asm(R"(
.pushsection .text
.globl hone_simt_switch
.hidden hone_simt_switch
.type hone_simt_switch, @function
hone_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size hone_simt_switch, . - hone_simt_switch
.popsection
)");

namespace hone::sim {
namespace {

constexpr std::size_t kStackGuard = 4096;
constexpr std::size_t kSaved = 6;  // registers

}  // namespace

void switch_fibre(void** from, void* to) { hone_simt_switch(from, to); }

FibreStacks::~FibreStacks() {
  if (base_ != nullptr) ::munmap(base_, count_ * (kBytes + kStackGuard));
}

void FibreStacks::ensure(std::size_t count) {
  if (count <= count_) return;
  if (base_ != nullptr) ::munmap(base_, count_ * (kBytes + kStackGuard));
  count_ = 0;
  void* made = ::mmap(nullptr, count * (kBytes + kStackGuard), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  base_ = made == MAP_FAILED ? nullptr : static_cast<char*>(made);
  if (base_ == nullptr) throw Error(Code::kIo, "no room for the stacks of the simulated threads");
  count_ = count;
  for (std::size_t i = 0; i < count; ++i)
    ::mprotect(base_ + i * (kBytes + kStackGuard), kStackGuard, PROT_NONE);
}

std::uintptr_t FibreStacks::low(std::size_t index) const {
  return reinterpret_cast<std::uintptr_t>(base_) + index * (kBytes + kStackGuard) + kStackGuard;
}

void* FibreStacks::prepare(std::size_t index, void (*start)()) const {
#ifdef HONE_SANITIZED
  // A thread that was given up left its frames marked.
  __asan_unpoison_memory_region(reinterpret_cast<void*>(low(index)), kBytes);
#endif
  // start() finds the stack as after a call: eight bytes off a multiple of 16.
  auto* top = reinterpret_cast<void**>(low(index) + kBytes) - 1;
  top[0] = nullptr;
  *--top = reinterpret_cast<void*>(start);
  for (std::size_t i = 0; i < kSaved; ++i) *--top = nullptr;
  return top;
}

}  // namespace hone::sim
