#include "tuner/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tuner/numbers.h"

namespace hone {
namespace {

// Read as f32, f16 or bf16 both poisons are NaNs, and they differ in every byte that isn't all sign
// and exponent.
constexpr std::uint32_t kPoison[2] = {0x7FFF7FFFu, 0xFFD5FFD5u};
// Garbage in the workspace: NaN first, then plausible numbers, so that using it can't go unseen
// either way.
constexpr std::uint32_t kGarbage[2] = {0x7FC17FC1u, 0x3F9D3F9Du};
constexpr std::int64_t kPackedAlignment = 64;
constexpr std::int64_t kWorkspaceAlignment = 64;

bool is_poison(const std::byte* bytes, std::int64_t offset, std::int64_t size,
               std::uint32_t pattern) {
  std::byte expected[sizeof pattern];
  std::memcpy(expected, &pattern, sizeof pattern);
  for (std::int64_t i = 0; i < size; ++i)
    if (bytes[offset + i] != expected[static_cast<std::size_t>(offset + i) % sizeof pattern])
      return false;
  return true;
}

double element_error(double got, double want, double rms) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (std::isnan(want)) return std::isnan(got) ? 0 : kInfinite;
  if (std::isinf(want)) return got == want ? 0 : kInfinite;
  if (!std::isfinite(got)) return kInfinite;
  const double scale = std::fabs(want) + rms;
  if (scale == 0) return std::fabs(got);  // the reference is zero everywhere
  return std::fabs(got - want) / scale;
}

}  // namespace

Checker::Checker(Device& device, const Call& call, const Expectation& expectation, double tolerance)
    : device_(device), call_(call), expectation_(expectation), tolerance_(tolerance) {
  for (const CallArgument& argument : call.arguments) {
    buffers_.emplace_back();
    if (argument.kind == Argument::Kind::kScalar) continue;
    buffers_.back() =
        std::make_unique<GuardedBuffer>(device, argument.name, argument.bytes, argument.alignment);
    if (argument.kind != Argument::Kind::kIn) continue;
    buffers_.back()->write(reinterpret_cast<const std::byte*>(argument.content.data()));
    buffers_.back()->protect(true);
  }
}

std::optional<std::string> Checker::pack(const Candidate& candidate) {
  packed_.clear();
  for (std::size_t i = 0; i < call_.arguments.size(); ++i) {
    const CallArgument& argument = call_.arguments[i];
    const auto found = candidate.packed.find(argument.name);
    if (found == candidate.packed.end()) continue;
    auto buffer = std::make_unique<GuardedBuffer>(device_, "packed " + argument.name,
                                                  found->second.bytes, kPackedAlignment);
    // Padding that pack leaves alone is the same for everybody.
    buffer->fill(0);
    if (!found->second.pack(buffers_[i]->data(), buffer->data()))
      return fmt::format("packing '{}' was refused: {}", argument.name, device_.last_error());
    device_.synchronize();
    buffer->protect(true);
    packed_[argument.name] = std::move(buffer);
  }
  return std::nullopt;
}

std::optional<std::string> Checker::damage(const GuardedBuffer* workspace) const {
  for (const auto& buffer : buffers_)
    if (buffer)
      if (auto found = buffer->damage()) return found;
  for (const auto& [name, buffer] : packed_)
    if (auto found = buffer->damage()) return found;
  return workspace ? workspace->damage() : std::nullopt;
}

// After the second run: an element that holds each run's own poison was never written.
std::optional<std::string> Checker::unwritten() const {
  for (std::size_t i = 0; i < call_.arguments.size(); ++i) {
    const CallArgument& argument = call_.arguments[i];
    if (argument.kind != Argument::Kind::kOut || argument.count == 0) continue;
    const std::byte* second = buffers_[i]->read();
    const std::int64_t size = argument.bytes / argument.count;
    std::int64_t count = 0, first_index = -1;
    for (std::int64_t j = 0; j < argument.count; ++j) {
      if (!is_poison(second, j * size, size, kPoison[1]) ||
          !is_poison(first_[i].data(), j * size, size, kPoison[0]))
        continue;
      if (count++ == 0) first_index = j;
    }
    if (count > 0)
      return fmt::format("left {} of {} elements of '{}' unwritten, the first at {}", count,
                         argument.count, argument.name, first_index);
  }
  return std::nullopt;
}

Checker::Finding Checker::compare() const {
  constexpr std::int64_t kChunk = 4096;
  Finding worst;
  std::vector<double> got(kChunk);
  for (std::size_t i = 0; i < call_.arguments.size(); ++i) {
    const CallArgument& argument = call_.arguments[i];
    if (argument.kind != Argument::Kind::kOut) continue;
    const std::byte* bytes = first_[i].data();
    const double* want = expectation_.values(i);
    for (const Expectation::Range& range : expectation_.computed(i)) {
      for (std::int64_t begin = range.begin; begin < range.end; begin += kChunk) {
        const auto size = static_cast<std::size_t>(std::min(kChunk, range.end - begin));
        decode(argument.element, bytes, begin, std::span(got).first(size));
        for (std::size_t j = 0; j < size; ++j) {
          const std::int64_t at = begin + static_cast<std::int64_t>(j);
          const double error = element_error(got[j], want[at], expectation_.rms(i));
          if (error <= worst.error) continue;
          worst.error = error;
          if (error > tolerance_)
            worst.reason =
                fmt::format("{}[{}] is {:.9g}, should be {:.9g}: error {:.3g}, allowed {:.3g}",
                            argument.name, at, got[j], want[at], error, tolerance_);
        }
      }
    }
  }
  return worst;
}

Verdict Checker::check(const Candidate& candidate) {
  if (auto refused = pack(candidate)) return {Status::kLaunchFailed, 0, *refused};
  if (auto found = damage(nullptr)) return {Status::kOutOfBounds, 0, *found + " while packing"};
  device_.counters();  // of packing, which isn't part of a call

  std::unique_ptr<GuardedBuffer> workspace;
  if (candidate.workspace_bytes > 0)
    workspace = std::make_unique<GuardedBuffer>(device_, "workspace", candidate.workspace_bytes,
                                                kWorkspaceAlignment);
  std::vector<void*> pointers(call_.arguments.size());
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    const CallArgument& argument = call_.arguments[i];
    const auto packed = packed_.find(argument.name);
    pointers[i] = packed != packed_.end() ? packed->second->data()
                  : buffers_[i]           ? buffers_[i]->data()
                                          : const_cast<char*>(argument.content.data());
  }

  first_.assign(pointers.size(), {});
  std::string differs;
  for (int run = 0; run < 2; ++run) {
    for (std::size_t i = 0; i < pointers.size(); ++i)
      if (call_.arguments[i].kind == Argument::Kind::kOut) buffers_[i]->fill(kPoison[run]);
    if (workspace) workspace->fill(kGarbage[run]);
    if (!candidate.launch(pointers.data(), call_.dims.data(),
                          workspace ? workspace->data() : nullptr))
      return {Status::kLaunchFailed, 0, device_.last_error()};
    device_.synchronize();
    if (auto found = damage(workspace.get())) return {Status::kOutOfBounds, 0, *found};
    for (std::size_t i = 0; i < pointers.size(); ++i) {
      if (call_.arguments[i].kind != Argument::Kind::kOut) continue;
      const std::byte* bytes = buffers_[i]->read();
      const std::byte* end = bytes + buffers_[i]->bytes();
      if (run == 0) {
        first_[i].assign(bytes, end);
      } else if (const auto [at, other] = std::mismatch(bytes, end, first_[i].begin()); at != end) {
        const std::int64_t size = std::max<std::int64_t>(
            1, call_.arguments[i].bytes / std::max<std::int64_t>(1, call_.arguments[i].count));
        if (differs.empty())
          differs = fmt::format("two runs on the same inputs differ, first in {}[{}]",
                                call_.arguments[i].name, (at - bytes) / size);
      }
    }
  }
  if (!differs.empty()) {
    // What nobody writes keeps each run's poison, so it shows as a difference too.
    if (auto found = unwritten())
      return {Status::kWrong, std::numeric_limits<double>::infinity(), *found};
    return {Status::kNondeterministic, 0, differs};
  }
  const Finding finding = compare();
  if (finding.error > tolerance_) return {Status::kWrong, finding.error, finding.reason};

  // One layout name must mean one form, as handles share packed weights between variants.
  for (const auto& [name, buffer] : packed_) {
    const auto* bytes = reinterpret_cast<const char*>(buffer->read());
    const Hash hash = hash_of({bytes, static_cast<std::size_t>(buffer->bytes())});
    const auto [known, fresh] = layouts_.emplace(candidate.layout + " " + name, hash);
    if (known->second != hash)
      return {Status::kWrong, finding.error,
              fmt::format("packs '{}' differently from another kernel of the same layout {}", name,
                          candidate.layout)};
  }
  return {Status::kOk, finding.error, ""};
}

}  // namespace hone
