// A Handle: a problem's static dims resolved to the tuned kernels of its dynamic dims.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/expression.h"
#include "codegen/op.h"
#include "runtime/kernel.h"

namespace hone {

// How good the match between the problem and what was tuned is, best first. The values are those of
// hone_match: persistent.
enum class Match {
  kExact = 0,     // tuned on this device for these very dims
  kBucket = 1,    // the same static dims, other dynamic ones
  kNear = 2,      // this device, another shape: its config, re-checked
  kSibling = 3,   // another device of the same architecture, or else backend
  kModelled = 4,  // built and checked, never timed
  kStart = 5,     // nothing known: the template's start config
};
std::string to_text(Match match);  // exact, bucket, ...

// A problem's static dims resolved: the tuned buckets of its dynamic dims, all reading one layout.
// Immutable: any thread may launch.
class Handle {
 public:
  struct Bucket {
    std::vector<std::int64_t> dims;  // the tuned point; empty for a fallback
    Kernel kernel;
    Match match;
    std::int64_t median_ns = 0;  // as measured at `dims`; 0 when never timed for this problem
    bool compiled = false;       // by this resolve, not taken from a database or cache
  };

  // `buckets`: at least one, all of one layout; those without a point last. Throws Error(kTemplate)
  // for an operator with more dynamic dims than a launch can tell apart (16).
  Handle(const Op& op, Problem problem, std::vector<Bucket> buckets);

  const Problem& problem() const { return problem_; }  // canonical handle
  const std::string& layout() const { return buckets_.front().kernel.layout(); }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  int argument_count() const { return buckets_.front().kernel.argument_count(); }
  int dim_count() const { return buckets_.front().kernel.dim_count(); }

  // The bucket that serves these dynamic dims: the nearest by log distance whose rules hold.
  // nullptr: out of range for the operator, or nothing serves them.
  const Bucket* choose(const std::int64_t* dims) const noexcept;
  Match match(const std::int64_t* dims) const noexcept;  // of choose()

 private:
  static constexpr std::size_t kMaxDims = 16;
  struct DimRange {
    std::int64_t min, max;
  };
  Problem problem_;
  std::vector<Bucket> buckets_;
  std::vector<DimRange> ranges_;
  std::vector<BoundExpression> rules_;  // the operator's requirements that depend on dynamic dims
  std::vector<std::int32_t> points_;    // buckets x dims: fixed-point log2
};

}  // namespace hone
