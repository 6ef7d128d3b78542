// What a tuning database holds: devices, trials and binaries, as plain data.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "codegen/hash.h"

namespace hone {

// The vendor of a device that is only simulated: its times are modelled, never measured.
inline constexpr const char* kSimulated = "simulated";

// Who a device is. Structured: the marketing name is only a label and takes no part in the
// identity.
struct DeviceIdentity {
  std::string backend;     // cpu, cuda, hip
  std::string vendor;      // AuthenticAMD, NVIDIA, AMD, or kSimulated
  std::string arch;        // Target::arch
  std::string model;       // cpu: family.model.stepping; GPUs: PCI device id
  std::int64_t units = 0;  // cores or multiprocessors visible now (a partition is another device)
  std::int64_t memory_bytes = 0;
  std::string driver;  // provenance, no part of the identity
  std::string name;    // label

  // backend/vendor/arch/model/units: equal keys may share results.
  std::string key() const;
  bool simulated() const { return vendor == kSimulated; }
  bool operator==(const DeviceIdentity&) const = default;
};

// Measured limits of a device, by name. `*_1t` on one thread, without suffix on all units:
// - read_gbps, copy_gbps: main memory, bytes in plus bytes out
// - l1_gbps, l2_gbps, l3_gbps: reads from a cache level; of all units the sum
// - f32_gflops, bf16_gflops, s8_gflops: a fused multiply-add counts as two operations; absent when
// the
//   chip lacks the type
// - launch_ns: an empty launch
using Ceilings = std::map<std::string, double>;

enum class Status {
  kOk = 0,
  kCompileFailed = 1,     // the compiler refused, crashed or ran out of time
  kCrashed = 2,           // a signal in the kernel
  kTimeout = 3,           // hung
  kOutOfBounds = 4,       // wrote outside its buffers
  kWrong = 5,             // beyond the tolerance
  kNondeterministic = 6,  // two runs differ
  kForked = 7,            // tried to start a process
  kImpossible = 8,        // faster than the roofline allows
  kUnstable = 9,          // no stable time within the limits
  kLaunchFailed = 10,     // the device refused it
  kBuilt = 11,            // compiled, never run (`hone build`)
};
std::string to_text(Status status);            // ok, compile_failed, ... : persistent
Status parse_status(const std::string& text);  // throws Error(kDatabase)

// One attempt at one config of one variant for one problem on one device.
struct Trial {
  std::string device;   // DeviceIdentity::key()
  std::string problem;  // canonical, complete
  std::string handle;   // canonical, without dynamic dims
  std::string variant;
  Hash template_hash;
  std::string config;  // canonical text, launch parameters included
  std::string layout;  // "" when nothing is packed; else "w:panel(32)" (several: joined by ';')
  Hash source;         // identity of the rendered source; zero when it didn't render
  Status status = Status::kOk;
  std::int64_t median_ns = 0;  // of the samples; 0 unless kOk
  double spread = 0;           // interquartile range / median
  std::int64_t samples = 0;
  std::int64_t bound_ns = 0;  // roofline at the time of measuring; 0 when unknown
  double error = 0;           // error norm found by the check
  std::string checked;        // on what: "all rows" or "rows 0,17,... of 512"; "" when not run
  std::string timed;          // policy: "cold 6 copies, 2 threads"; "" when not timed
  std::string toolchain;      // compiler and version
  std::string reason;         // why it failed, one line plus log; "" for kOk
  std::int64_t compile_ms = 0;
  // What else is known, as one JSON object or "": of GPUs registers, spills, shared, occupancy,
  // code_bytes, and what a simulator counted.
  std::string figures;
  std::int64_t when = 0;  // Unix seconds

  // The final round, where finalists and the default are measured interleaved.
  std::int64_t final_ns = 0;    // 0: not in a final round
  std::int64_t preference = 0;  // 1 = winner of the last final round, 2 next ...; 0: not in one
  bool is_default =
      false;  // the variant list's default: config `start` of the first variant that serves

  bool operator==(const Trial&) const = default;
};

// The time that counts for a Trial or a Best: of the final round when it was in one.
template <typename Row>
std::int64_t counted_ns(const Row& row) {
  return row.final_ns > 0 ? row.final_ns : row.median_ns;
}

// What makes a trial impossible to believe (a negative time, a problem that isn't canonical ...),
// or "". Says nothing about templates and spaces: that needs a catalog.
std::string flaw_of(const Trial& trial);

}  // namespace hone
