// hone check --ptx and --source: a kernel of the user's own, run once and watched.
#pragma once

#include <filesystem>
#include <string>

namespace hone {

struct KernelCheck {
  std::filesystem::path file;
  bool ptx = false;    // else CUDA C++, compiled first
  std::string launch;  // see launch_spec.h
  std::string target;  // cuda/sm_80; "": the device's, or what PTX text says
  std::string device;  // cuda:0, hip:0; "": a simulated one
  std::uint64_t seed = 1;
  bool json = false;
};

// Prints what came out. Returns the exit status: 0 when nothing was found.
int check_kernel(const KernelCheck& check);

}  // namespace hone
