#include "tuner/reference.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <thread>

#include "codegen/error.h"
#include "codegen/source.h"
#include "codegen/space.h"

namespace hone {
namespace {

// A NaN that no computation produces: marks elements that the reference didn't write.
constexpr std::uint64_t kUnwritten = 0x7FF4DEADBEEF1234u;

using Entry = void (*)(const std::uint64_t* slots, std::int64_t begin, std::int64_t end);

std::vector<std::int64_t> sample_rows(std::int64_t rows, std::int64_t most, std::uint64_t seed) {
  std::vector<std::int64_t> all;
  if (rows <= most) return all;
  std::set<std::int64_t> chosen = {0, rows - 1};
  Random random(seed);
  while (static_cast<std::int64_t>(chosen.size()) < most)
    chosen.insert(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(rows)));
  all.assign(chosen.begin(), chosen.end());
  return all;
}

}  // namespace

ReferenceFunction load_reference(const Op& op, const std::string& code) {
  const int descriptor = memfd_create("hone_reference", MFD_CLOEXEC);
  if (descriptor < 0 ||
      write(descriptor, code.data(), code.size()) != static_cast<ssize_t>(code.size()))
    throw Error(Code::kDevice, "no memory to load the reference of " + op.name);
  void* handle = dlopen(fmt::format("/proc/self/fd/{}", descriptor).c_str(), RTLD_NOW | RTLD_LOCAL);
  close(descriptor);
  if (handle == nullptr)
    throw Error(Code::kDevice,
                fmt::format("the reference of {} doesn't load: {}", op.name, dlerror()));
  const std::shared_ptr<void> library(handle, [](void* open) { dlclose(open); });
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, "hone_reference"));
  if (entry == nullptr)
    throw Error(Code::kTemplate,
                fmt::format("{}: reference.cpp defines no extern \"C\" hone_reference", op.file));
  return [library, entry, &op](const Call& call, std::int64_t begin, std::int64_t end,
                               double* const* outputs) {
    std::vector<std::uint64_t> slots;
    std::size_t argument = 0;
    for (const Slot& slot : reference_slots(op, call.scope)) {
      if (slot.kind == Slot::Kind::kDim) {
        slots.push_back(static_cast<std::uint64_t>(call.scope.integer(slot.name)));
        continue;
      }
      const CallArgument& given = call.arguments[argument];
      std::uint64_t bits = 0;
      if (slot.kind == Slot::Kind::kScalar)
        std::memcpy(&bits, given.content.data(), std::min<std::size_t>(8, given.content.size()));
      else if (given.kind == Argument::Kind::kOut)
        bits = std::bit_cast<std::uint64_t>(outputs[argument]);
      else
        bits = std::bit_cast<std::uint64_t>(given.content.data());
      slots.push_back(bits);
      ++argument;
    }
    entry(slots.data(), begin, end);
  };
}

Expectation::Expectation(const Op& op, const Call& call, const ReferenceFunction& reference,
                         const ReferencePolicy& policy, std::uint64_t seed)
    : outputs_(call.arguments.size()) {
  const std::int64_t rows = std::max<std::int64_t>(1, op.rows.integer(lookup_in(call.scope)));
  const auto flops = static_cast<double>(op.flops.integer(lookup_in(call.scope)));
  const double per_row = std::max(1.0, flops / static_cast<double>(rows));
  const std::int64_t most =
      std::max(policy.least_rows, static_cast<std::int64_t>(policy.operations / per_row));
  const std::vector<std::int64_t> chosen = sample_rows(rows, most, seed);

  std::vector<double*> pointers(call.arguments.size());
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    if (call.arguments[i].kind != Argument::Kind::kOut) continue;
    Output& output = outputs_[i];
    output.bytes = static_cast<std::size_t>(std::max<std::int64_t>(1, call.arguments[i].count)) *
                   sizeof(double);
    void* memory = mmap(nullptr, output.bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw Error(Code::kDevice, "no memory for the reference of " + call.problem.text());
    output.values = pointers[i] = static_cast<double*>(memory);
    if (static_cast<std::int64_t>(output.bytes) <= policy.marked_bytes)
      std::fill_n(output.values, call.arguments[i].count, std::bit_cast<double>(kUnwritten));
  }

  const auto work = [&](std::int64_t part, std::int64_t parts) {
    if (chosen.empty()) {
      reference(call, rows * part / parts, rows * (part + 1) / parts, pointers.data());
      return;
    }
    for (std::size_t i = static_cast<std::size_t>(part); i < chosen.size();
         i += static_cast<std::size_t>(parts))
      reference(call, chosen[i], chosen[i] + 1, pointers.data());
  };
  const std::int64_t parts = flops > 1e7 ? std::clamp<std::int64_t>(rows, 1, policy.threads) : 1;
  std::vector<std::thread> threads;
  for (std::int64_t part = 1; part < parts; ++part) threads.emplace_back(work, part, parts);
  work(0, parts);
  for (std::thread& thread : threads) thread.join();

  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (output.values == nullptr) continue;
    const bool marked = static_cast<std::int64_t>(output.bytes) <= policy.marked_bytes;
    double squares = 0;
    std::int64_t finite = 0;
    for (std::int64_t j = 0; j < call.arguments[i].count; ++j) {
      const auto bits = std::bit_cast<std::uint64_t>(output.values[j]);
      if (bits == (marked ? kUnwritten : 0)) continue;
      if (!output.computed.empty() && output.computed.back().end == j)
        ++output.computed.back().end;
      else
        output.computed.push_back({j, j + 1});
      if (!std::isfinite(output.values[j])) continue;
      squares += output.values[j] * output.values[j];
      ++finite;
    }
    output.rms = finite > 0 ? std::sqrt(squares / static_cast<double>(finite)) : 0;
    if (output.computed.empty() && call.arguments[i].count > 0)
      throw Error(Code::kTemplate, fmt::format("{}: reference.cpp writes nothing to '{}'", op.file,
                                               call.arguments[i].name));
  }
  if (chosen.empty()) {
    rows_ = "all rows";
  } else {
    constexpr std::size_t kShown = 6;
    const std::vector<std::int64_t> shown(
        chosen.begin(),
        chosen.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, chosen.size())));
    rows_ = chosen.size() <= kShown
                ? fmt::format("rows {} of {}", fmt::join(shown, ","), rows)
                : fmt::format("{} rows {},... of {}", chosen.size(), fmt::join(shown, ","), rows);
  }
}

Expectation::~Expectation() {
  for (const Output& output : outputs_)
    if (output.values != nullptr) munmap(output.values, output.bytes);
}

}  // namespace hone
