#include "runtime/handle.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::int32_t kLogUnit = 256;  // fixed point of log2

// log2 in 1/256, linear within an octave: monotonic, and exact at powers of two.
std::int32_t fixed_log2(std::int64_t value) noexcept {
  auto bits = static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1));
  int exponent = 63 - __builtin_clzll(bits);
  std::uint64_t mantissa = exponent >= 8 ? bits >> (exponent - 8) : bits << (8 - exponent);
  return exponent * kLogUnit + static_cast<std::int32_t>(mantissa - kLogUnit);
}

}  // namespace

std::string to_text(Match match) {
  static constexpr const char* kNames[] = {"exact",   "bucket",   "near",
                                           "sibling", "modelled", "start"};
  return kNames[static_cast<int>(match)];
}

Handle::Handle(const Op& op, Problem problem, std::vector<Bucket> buckets)
    : problem_(std::move(problem)), buckets_(std::move(buckets)) {
  const Values scope = op.scope(problem_);
  const std::vector<std::string> dynamic = op.dynamic_dims();
  if (dynamic.size() > kMaxDims)
    throw Error(Code::kTemplate, op.file + ": more than 16 dynamic dims");
  for (const Dim& dim : op.dims)
    if (dim.dynamic) ranges_.push_back({dim.min, dim.max});
  for (const auto& [rule, message] : op.requires_) {
    BoundExpression bound = rule.with(op.lets).bind(lookup_in(scope), dynamic);
    if (!bound.constant()) rules_.push_back(std::move(bound));
  }
  for (const Bucket& bucket : buckets_)
    for (std::size_t i = 0; i < dynamic.size(); ++i)
      points_.push_back(bucket.dims.empty() ? 0 : fixed_log2(bucket.dims[i]));
}

const Handle::Bucket* Handle::choose(const std::int64_t* dims) const noexcept {
  for (std::size_t i = 0; i < ranges_.size(); ++i)
    if (dims[i] < ranges_[i].min || dims[i] > ranges_[i].max) return nullptr;
  for (const BoundExpression& rule : rules_)
    if (rule(dims).value_or(0) == 0) return nullptr;
  if (buckets_.size() == 1) return buckets_[0].kernel.legal(dims) ? &buckets_[0] : nullptr;
  std::size_t count = ranges_.size();
  std::array<std::int32_t, kMaxDims> at{};
  for (std::size_t i = 0; i < count; ++i) at[i] = fixed_log2(dims[i]);
  const Bucket* best = nullptr;
  std::int32_t nearest = std::numeric_limits<std::int32_t>::max();
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    // Fallbacks stand last and count as farther than any tuned point.
    std::int32_t apart =
        buckets_[b].dims.empty() ? std::numeric_limits<std::int32_t>::max() - 1 : 0;
    for (std::size_t i = 0; i < buckets_[b].dims.size(); ++i)
      apart += std::abs(at[i] - points_[b * count + i]);
    if (apart < nearest && buckets_[b].kernel.legal(dims)) nearest = apart, best = &buckets_[b];
  }
  return best;
}

Match Handle::match(const std::int64_t* dims) const noexcept {
  const Bucket* bucket = choose(dims);
  if (bucket == nullptr) return Match::kStart;
  if (bucket->match != Match::kExact) return bucket->match;
  return std::equal(bucket->dims.begin(), bucket->dims.end(), dims) ? Match::kExact
                                                                    : Match::kBucket;
}

}  // namespace hone
