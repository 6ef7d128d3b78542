// What is right: an operator's reference.cpp in double precision, on the host whatever the device
// is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codegen/op.h"
#include "tuner/call.h"

namespace hone {

// Computes rows [begin, end) into outputs[i], one array of doubles per argument of the call (null
// for inputs), indexed as the whole output.
using ReferenceFunction = std::function<void(const Call& call, std::int64_t begin, std::int64_t end,
                                             double* const* outputs)>;

// Loads compiled code of render_reference(). Throws Error(kDevice).
ReferenceFunction load_reference(const Op& op, const std::string& code);

struct ReferencePolicy {
  // Double-precision operations that a reference may take; beyond that a sample of rows is
  // computed.
  double operations = 6e8;
  std::int64_t least_rows = 3;
  int threads = 2;
  // Up to this many bytes of an output are marked beforehand, so that even a computed 0 is told
  // from a row that wasn't asked for.
  std::int64_t marked_bytes = 256 << 20;
};

// The right outputs of a call, for all rows or for a sample of them: the first, the last and seeded
// ones between.
class Expectation {
 public:
  Expectation(const Op& op, const Call& call, const ReferenceFunction& reference,
              const ReferencePolicy& policy, std::uint64_t seed);
  ~Expectation();
  Expectation(const Expectation&) = delete;
  Expectation& operator=(const Expectation&) = delete;

  const std::string& rows() const {
    return rows_;
  }  // Trial::checked: "all rows", "rows 0,17,511 of 512"
  // Indices of computed elements as ranges [begin, end), and the whole array. Empty for arguments
  // that aren't outputs.
  struct Range {
    std::int64_t begin, end;
  };
  const std::vector<Range>& computed(std::size_t argument) const {
    return outputs_[argument].computed;
  }
  const double* values(std::size_t argument) const { return outputs_[argument].values; }
  double rms(std::size_t argument) const {
    return outputs_[argument].rms;
  }  // of the finite computed elements

 private:
  struct Output {
    double* values = nullptr;
    std::size_t bytes = 0;
    std::vector<Range> computed;
    double rms = 0;
  };
  std::vector<Output> outputs_;
  std::string rows_;
};

}  // namespace hone
