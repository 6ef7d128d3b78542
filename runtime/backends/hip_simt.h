// HIP text made ready for the SIMT host (runtime/simulator/simt/): compiled by the system's
// compiler, with the hooks of a sanitizer that the host answers.
#pragma once

#include <chrono>
#include <string>

#include "codegen/source.h"
#include "codegen/target.h"

namespace hone {

// What the image depends on besides text and target.
std::string simt_toolchain();

// An image as runtime/simulator/simt/image.h packs it, with `hone_` + each of the entries. Throws
// Error(kCompile) with the compiler's log.
std::string compile_simt(const Source& source, const Target& target,
                         std::chrono::duration<double> limit);

}  // namespace hone
