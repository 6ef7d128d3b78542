// A small operator with one variant that uses every contract line, for the tests of this room.
#pragma once

#include "codegen/op.h"

namespace hone {

inline Op example_op() {
  return parse_op(
      R"({
    "op": "scale", "summary": "y = a * x",
    "dims": [{"name": "rows", "dynamic": true}, {"name": "cols"}],
    "words": [{"name": "x", "values": ["f32", "bf16"], "default": "f32"}],
    "args": [{"name": "x", "kind": "in", "type": "x", "shape": ["rows", "cols"]},
             {"name": "y", "kind": "out", "type": "x", "shape": ["rows", "cols"]},
             {"name": "a", "kind": "scalar", "type": "f32", "default": 1.0}],
    "flops": "rows * cols", "compute": "f32", "rows": "rows", "tolerance": [["1", 1e-6]]})",
      "#include \"numeric.h\"\nHONE_EXPORT void hone_reference(const Args &, i64, i64) {}\n",
      "scale/op.json");
}

inline constexpr const char* kExampleVariant = R"(// Scales rows.
//! serves   cpu cuda
//! when     x == f32 && rows <= 64
//! fixed    cols              // compiled in
//! param    block 4 8 16
//! param    unroll 1 2 units
//! param    mode once twice
//! let      tile = block * unroll
//! require  block * unroll <= 32 && \
//!          (mode == once || tile % 8 == 0)
//! launch_param threads 1 2 units
//! require  threads <= units
//! launch   main ceil_div(rows, block) 1 1 threads
//! launch   finish rows * 2 1 1 1 if mode == twice && rows > 1
//! start    block=4,unroll=1,mode=once,threads=units
//! pack     x panel(block,tile) round_up(cols, block) * 4
//! workspace threads * cols * 4
#include "numeric.h"
HONE_KERNEL(main) {}
HONE_KERNEL(finish) {}
HONE_PACK(x) {}
)";

}  // namespace hone
