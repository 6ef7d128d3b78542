// What a Source is rendered and compiled for: a backend, an architecture and its limits. No device
// is needed to have one.
#pragma once

#include <string>

#include "codegen/values.h"

namespace hone {

struct Target {
  std::string backend;  // cpu, cuda, hip
  std::string arch;     // sm_80, gfx90a, x86-64-v4+bf16+vnni: what the compiler needs to know, and
                        // nothing else
  // Names that templates may use in expressions and as constexpr. For the cpu backend:
  //   units         cores that this process may use
  //   vector_bytes  64, 32 or 16          registers   vector registers: 32 or 16
  //   l1_bytes l2_bytes l3_bytes          data caches, l1 and l2 of one core, l3 as one core sees
  //   it has_avx2 has_avx512 has_bf16 has_vnni has_f16c   0 or 1
  // For GPUs:
  //   units        multiprocessors or compute units
  //   wave         threads that run in step: 32 or 64
  //   max_shared   bytes of shared memory that one block may have
  //   max_threads  of one block
  //   registers    of 32 bits, per unit
  //   l2_bytes     of the whole device
  //   has_mma has_bf16 has_cp_async   0 or 1: mma.sync of f16, of bf16, cp.async
  //   has_mfma     0 or 1: matrix cores of AMD's
  //   sm           75, 80 ... 120; 0 on AMD
  Values limits;

  std::string text() const { return backend + "/" + arch; }
  bool operator==(const Target&) const = default;
};

}  // namespace hone
