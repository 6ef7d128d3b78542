// Check before time: a kernel that is wrong, steps out of line or differs from run to run never
// gets a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/hash.h"
#include "tuner/call.h"
#include "tuner/guarded.h"
#include "tuner/reference.h"
#include "tuning_db/record.h"

namespace hone {

struct Verdict {
  Status status = Status::kOk;
  double error = 0;    // the error norm of templates/README.md, largest over the outputs; infinite
                       // where NaN or infinity disagree
  std::string reason;  // "" when ok
};

// Holds the inputs of one call in guarded, read-only memory and runs candidates on them, each
// twice: outputs and workspace poisoned, differently each time. Not thread safe.
class Checker {
 public:
  // All outlive the checker.
  Checker(Device& device, const Call& call, const Expectation& expectation, double tolerance);

  // Faults of the kernel (signals) are the caller's to survive: this runs in a worker process.
  Verdict check(const Candidate& candidate);

 private:
  struct Finding {
    double error = 0;
    std::string reason;
  };
  std::optional<std::string> pack(const Candidate& candidate);
  std::optional<std::string> damage(const GuardedBuffer* workspace) const;
  std::optional<std::string> unwritten() const;
  Finding compare() const;

  Device& device_;
  const Call& call_;
  const Expectation& expectation_;
  double tolerance_;
  std::vector<std::unique_ptr<GuardedBuffer>> buffers_;  // per argument; null for scalars
  std::map<std::string, std::unique_ptr<GuardedBuffer>> packed_;
  std::map<std::string, Hash>
      layouts_;  // layout and argument -> the packed bytes that passed first
  std::vector<std::vector<std::byte>> first_;  // outputs of the first run
};

}  // namespace hone
