#include "runtime/simulator/standin/driver.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace hone::standin {
namespace {

constexpr const char* kDefaultGpu = "a100";
// A kernel that runs longer counts as hung.
constexpr double kTimeLimitS = 120;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The number in `name`; complains into `problem` when it is none.
std::uint64_t number_in(const char* name, std::uint64_t otherwise, std::string* problem) {
  const std::string text = variable(name);
  if (text.empty()) return otherwise;
  if (const auto number = parse_number(text)) return *number;
  *problem = fmt::format("{}={}: expected a number", name, text);
  return otherwise;
}

Faults parse_faults(std::string_view text, std::string* problem) {
  Faults faults;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t at = one.find('@');
    const std::string_view what = one.substr(0, at);
    const auto number = at == std::string_view::npos ? std::optional<std::uint64_t>(1)
                                                     : parse_number(one.substr(at + 1));
    if (what == "oom" && number) {
      faults.out_of_memory = *number;
    } else if (what == "launch" && number) {
      faults.launch = *number;
    } else if (what == "hang" && number) {
      faults.hang = *number;
    } else if (what == "timeout" && number) {
      faults.time_out = *number;
    } else if (one == "arch") {
      faults.architecture = true;
    } else {
      *problem = fmt::format(
          "HONE_SIM_FAULT: '{}': expected oom@N, launch@N, timeout@N, hang@N or arch", one);
    }
  }
  return faults;
}

}  // namespace

Driver::Driver() {
  std::string names = variable("HONE_SIM_DEVICE");
  if (names.empty()) names = kDefaultGpu;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t end = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, end - at);
    at = end + 1;
    const sim::Gpu* gpu = sim::find_gpu(name);
    if (gpu == nullptr) {
      problem =
          fmt::format("HONE_SIM_DEVICE: '{}' is no GPU that can be simulated; there are:", name);
      for (const sim::Gpu& known : sim::gpus()) problem += fmt::format(" {}", known.name);
      return;
    }
    devices.push_back({gpu, nullptr, nullptr});
  }
  const std::string checks = variable("HONE_SIM_CHECKS");
  if (const auto parsed = sim::parse_checks(checks.empty() ? "all" : checks))
    options.checks = *parsed;
  else
    problem = fmt::format("HONE_SIM_CHECKS={}: expected all, memory or none", checks);
  options.seed = number_in("HONE_SIM_SEED", 0, &problem);
  options.time_limit = static_cast<double>(
      number_in("HONE_SIM_TIMEOUT", static_cast<std::uint64_t>(kTimeLimitS), &problem));
  const std::size_t bytes = number_in("HONE_SIM_MEMORY", 0, &problem);
  faults = parse_faults(variable("HONE_SIM_FAULT"), &problem);
  report_file = variable("HONE_SIM_REPORT");
  for (Device& one : devices)
    one.memory = std::make_unique<sim::Memory>(bytes > 0 ? bytes : one.gpu->memory_bytes,
                                               options.checks != sim::Checks::kNone);
}

// Never destroyed: programs call in from their own static destructors.
Driver& driver() {
  static Driver& only = *new Driver;
  return only;
}

std::vector<Context*>& context_stack() {
  thread_local std::vector<Context*> stack;
  return stack;
}

Context& Driver::current() {
  std::vector<Context*>& stack = context_stack();
  require(!stack.empty() && stack.back() != nullptr, kInvalidContext);
  Context* context = contexts.find(stack.back());
  require(context != nullptr, kContextIsDestroyed);
  require(context->sticky == kSuccess, context->sticky);
  return *context;
}

Device& Driver::device(int ordinal) {
  require(ordinal >= 0 && static_cast<std::size_t>(ordinal) < devices.size(), kInvalidDevice);
  return devices[static_cast<std::size_t>(ordinal)];
}

Stream& Driver::stream(void* handle) {
  Context& context = current();
  // The default streams have numbers for handles.
  if (handle == nullptr || handle == reinterpret_cast<void*>(1)) return context.null_stream;
  if (handle == reinterpret_cast<void*>(2)) return context.thread_stream;
  Stream* found = streams.find(handle);
  require(found != nullptr, kInvalidHandle);
  return *found;
}

Event& Driver::event(void* handle) {
  current();
  Event* found = events.find(handle);
  require(found != nullptr, kInvalidHandle);
  return *found;
}

Module& Driver::module(void* handle) {
  current();
  Module* found = modules.find(handle);
  require(found != nullptr, kInvalidHandle);
  return *found;
}

Function& Driver::function(void* handle) {
  for (const auto& [name, one] : modules)
    for (Function* function : one->order)
      if (function == handle) return *function;
  fail(kInvalidHandle);
}

void Driver::destroy(Context* context) {
  modules.erase_if([&](const Module& one) { return one.context == context; });
  streams.erase_if([&](const Stream& one) { return one.context == context; });
  events.erase_if([&](const Event& one) { return one.context == context; });
  Device& owner = device(context->device);
  for (const DevicePointer address : context->allocations) owner.memory->release(address);
  owner.memory->heap_clear();
  if (owner.primary == context) owner.primary = nullptr;
  contexts.erase(context);
}

int& thread_capture_mode() {
  thread_local int mode = kGlobalCapture;
  return mode;
}

void Driver::forbid_in_capture() {
  Context& context = current();
  const int mine = thread_capture_mode();
  bool any = false;
  const auto look_at = [&](const Stream& stream) {
    if (stream.capture == nullptr) return;
    Capture& capture = *stream.capture;
    if (mine == kRelaxedCapture || capture.mode == kRelaxedCapture) return;
    if (capture.thread != std::this_thread::get_id() &&
        (mine != kGlobalCapture || capture.mode != kGlobalCapture))
      return;
    capture.invalid = true;
    any = true;
  };
  look_at(context.thread_stream);
  for (const auto& [handle, one] : streams) look_at(*one);
  require(!any, kCaptureUnsupported);
}

}  // namespace hone::standin
