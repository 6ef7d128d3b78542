// What a GPU backend's Binary::code holds: machine code, its assembly text where there is one, and
// what each entry takes of the machine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/backend.h"

namespace hone {

// Persistent, version 1: "HONEGPU1", the size of a JSON head (8 bytes, little endian), the head
// {"toolchain","code":bytes,"ptx":bytes,"simt":bytes,"entries":[...]}, the code, the text, what the
// SIMT host runs.
struct GpuCode {
  std::string code;  // cubin or code object; may be empty when there is a text
  std::string ptx;   // cuda only
  std::string toolchain;
  std::vector<EntryResources> entries;
  std::string simt;  // hip only, and where a simulated device is at hand: see hip_simt.h
};

std::string pack_gpu_code(const GpuCode& code);
// Throws Error(kDevice) for anything else than what pack_gpu_code() writes.
GpuCode unpack_gpu_code(std::string_view bytes);

// From the log of `ptxas -v`: one per `.entry`, names without "hone_".
std::vector<EntryResources> resources_of_ptxas(std::string_view log);
// From the metadata note of an AMD code object (msgpack in ELF). Empty when there is none.
std::vector<EntryResources> resources_of_code_object(std::string_view elf);

}  // namespace hone
