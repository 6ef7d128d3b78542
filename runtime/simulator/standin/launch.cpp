// Launches: what the driver checks, what the simulator runs, what becomes of its findings.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "codegen/error.h"
#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr unsigned kMostBlockThreads = 1024;
constexpr unsigned kMostGridYz = 65535;
constexpr unsigned kSlowestLaunch = 60;  // seconds between looks of a hung launch at its watch

// Ends of the list of extra launch options.
void* const kParameterBuffer = reinterpret_cast<void*>(1);
void* const kParameterBytes = reinterpret_cast<void*>(2);

std::vector<std::byte> parameters_of(const sim::KernelInfo& info, void** parameters, void** extra) {
  std::vector<std::byte> bytes(info.parameter_bytes);
  if (parameters != nullptr) {
    for (std::size_t i = 0; i < info.parameters.size(); ++i) {
      const auto& one = info.parameters[i];
      require(parameters[i] != nullptr, kInvalidValue);
      std::memcpy(bytes.data() + one.offset, parameters[i], one.bytes);
    }
    return bytes;
  }
  const void* buffer = nullptr;
  std::size_t size = 0;
  for (; extra != nullptr && *extra != nullptr; extra += 2) {
    if (extra[0] == kParameterBuffer) buffer = extra[1];
    if (extra[0] == kParameterBytes) std::memcpy(&size, extra[1], sizeof size);
  }
  require(info.parameters.empty() || (buffer != nullptr && size >= info.parameter_bytes),
          kInvalidValue);
  if (buffer != nullptr) std::memcpy(bytes.data(), buffer, std::min(size, bytes.size()));
  return bytes;
}

Status status_of(sim::Finding::Kind kind) {
  switch (kind) {
    case sim::Finding::Kind::kOutOfBounds:
      return kIllegalAddress;
    case sim::Finding::Kind::kMisaligned:
      return kMisalignedAddress;
    case sim::Finding::Kind::kHang:
      return kLaunchTimeout;
    case sim::Finding::Kind::kAssert:
      return kAssert;
    default:
      return kLaunchFailed;
  }
}

void append(const std::string& file, const std::string& line) {
  std::ofstream out(file, std::ios::app);
  out << line << '\n';
  if (!out.flush()) fmt::print(stderr, "hone simulator: can't write {}\n", file);
}

void report(Driver& driver, Context& context, const sim::Result& result) {
  driver.last_report.clear();
  for (const sim::Finding& finding : result.findings) {
    driver.last_report += finding.report();
    if (!driver.last_report.ends_with('\n')) driver.last_report += '\n';
    if (!driver.report_file.empty()) append(driver.report_file, finding.json());
  }
  std::fwrite(driver.last_report.data(), 1, driver.last_report.size(), stderr);
  std::fflush(stderr);
  context.sticky = status_of(result.findings.front().kind);
  context.report = driver.last_report;
}

void inject(Driver& driver, Context& context) {
  const std::uint64_t number = ++driver.launch_count;
  if (number == driver.faults.hang)
    for (;;) sleep(kSlowestLaunch);
  if (number != driver.faults.launch && number != driver.faults.time_out) return;
  context.sticky = number == driver.faults.launch ? kIllegalAddress : kLaunchTimeout;
  driver.last_report = "a fault was injected (HONE_SIM_FAULT)\n";
  fail(context.sticky);
}

}  // namespace

Launch prepare(Driver& driver, void* handle, const unsigned grid[3], const unsigned block[3],
               unsigned shared_bytes, void** parameters, void** extra, bool cooperative) {
  driver.current();
  Launch made;
  made.function = &driver.function(handle);
  const sim::KernelInfo& info = made.function->kernel->info;
  const std::uint64_t threads =
      std::uint64_t{block[0]} * std::uint64_t{block[1]} * std::uint64_t{block[2]};
  for (int i = 0; i < 3; ++i) require(grid[i] > 0 && block[i] > 0, kInvalidValue);
  require(grid[0] <= 2147483647u && grid[1] <= kMostGridYz && grid[2] <= kMostGridYz,
          kInvalidValue);
  require(block[0] <= kMostBlockThreads && block[1] <= kMostBlockThreads && block[2] <= 64 &&
              threads <= kMostBlockThreads,
          kInvalidValue);
  require(threads <= static_cast<std::uint64_t>(info.max_threads), kInvalidValue);
  require(shared_bytes <= made.function->dynamic_shared_limit, kInvalidValue);
  const int resident = sim::occupancy(driver.gpu(), info, static_cast<int>(threads), shared_bytes);
  require(resident > 0, kLaunchOutOfResources);
  if (cooperative)
    require(std::uint64_t{grid[0]} * grid[1] * grid[2] <=
                static_cast<std::uint64_t>(resident) * static_cast<unsigned>(driver.gpu().units),
            kCooperativeLaunchTooLarge);
  made.launch.kernel = made.function->kernel;
  std::copy_n(grid, 3, made.launch.grid.begin());
  std::copy_n(block, 3, made.launch.block.begin());
  made.launch.dynamic_shared_bytes = shared_bytes;
  made.launch.parameters = parameters_of(info, parameters, extra);
  made.launch.cooperative = cooperative;
  return made;
}

void execute(Driver& driver, const Launch& launch, Stream& stream) {
  Context& context = *stream.context;
  require(context.sticky == kSuccess, context.sticky);
  driver.function(launch.function);  // a graph may outlive its modules
  inject(driver, context);
  sim::Result result;
  try {
    result =
        sim::run(driver.memory(), *launch.function->module->code, launch.launch, driver.options);
  } catch (const Error& error) {
    driver.last_report = std::string(error.what()) + '\n';
    fmt::print(stderr, "hone simulator: {}: {}\n", launch.launch.kernel->info.name, error.what());
    fail(error.code() == Code::kUnsupported ? kNotSupported : kInvalidValue);
  }
  std::fwrite(result.output.data(), 1, result.output.size(), stdout);
  const double seconds =
      modelled_seconds(driver.gpu(), result.counters, launch.launch.kernel->info, launch.launch);
  stream.time += seconds;
  driver.counters += result.counters;
  driver.modelled_s += seconds;
  ++driver.counted_launches;
  if (result.ok()) return;
  report(driver, context, result);
  fail(context.sticky);
}

HONE_DRIVER Status cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                  unsigned block_x, unsigned block_y, unsigned block_z,
                                  unsigned shared_bytes, void* stream, void** parameters,
                                  void** extra) {
  return call([&](Driver& driver) {
    const unsigned grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
    Stream& target = driver.stream(stream);
    const Launch launch =
        prepare(driver, function, grid, block, shared_bytes, parameters, extra, false);
    constexpr int kKernelNode = 0;
    enqueue(driver, target, kKernelNode,
            [&driver, launch](Stream& at) { execute(driver, launch, at); });
  });
}

HONE_DRIVER Status cuLaunchCooperativeKernel(void* function, unsigned grid_x, unsigned grid_y,
                                             unsigned grid_z, unsigned block_x, unsigned block_y,
                                             unsigned block_z, unsigned shared_bytes, void* stream,
                                             void** parameters) {
  return call([&](Driver& driver) {
    const unsigned grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
    Stream& target = driver.stream(stream);
    const Launch launch =
        prepare(driver, function, grid, block, shared_bytes, parameters, nullptr, true);
    enqueue(driver, target, 0, [&driver, launch](Stream& at) { execute(driver, launch, at); });
  });
}

HONE_DRIVER Status cuLaunchKernelEx(const LaunchConfig* config, void* function, void** parameters,
                                    void** extra) {
  return call([&](Driver& driver) {
    require(config != nullptr, kInvalidValue);
    Stream& target = driver.stream(config->stream);
    bool cooperative = false;
    for (unsigned i = 0; i < config->attribute_count; ++i) {
      const LaunchAttribute& attribute = config->attributes[i];
      if (attribute.id == kAttributeCooperative) cooperative = attribute.value.integer != 0;
      if (attribute.id == kAttributeCluster) {
        const auto& cluster = attribute.value.cluster;
        // Blocks of a cluster share memory, which the simulator doesn't do.
        require(cluster.x * cluster.y * cluster.z <= 1, kNotSupported);
      }
    }
    const Launch launch = prepare(driver, function, config->grid, config->block,
                                  config->shared_bytes, parameters, extra, cooperative);
    enqueue(driver, target, 0, [&driver, launch](Stream& at) { execute(driver, launch, at); });
  });
}

// Hone's own: what an ordinary driver doesn't have. Its presence tells that this is no GPU.

HONE_DRIVER int hone_standin_version() { return 1; }

// JSON of what was counted since the last call; launches counted there and their modelled seconds.
// Returns the bytes that it needs; writes when they fit.
HONE_DRIVER std::size_t hone_standin_counters(char* text, std::size_t bytes) {
  std::string json;
  call([&](Driver& driver) {
    json = fmt::format("{{\"launches\":{},\"modelled_ns\":{:.0f},\"counters\":{}}}",
                       driver.counted_launches, driver.modelled_s * 1e9, driver.counters.json());
    if (text == nullptr || bytes <= json.size()) return;
    driver.counters = {};
    driver.modelled_s = 0;
    driver.counted_launches = 0;
  });
  if (text != nullptr && bytes > json.size()) std::memcpy(text, json.c_str(), json.size() + 1);
  return json.size() + 1;
}

// What the modelled machine can do at most, named as tuning databases name ceilings.
HONE_DRIVER std::size_t hone_standin_ceilings(char* text, std::size_t bytes, int device) {
  std::string json;
  call([&](Driver& driver) { json = ceilings_text(*driver.device(device).gpu); });
  if (text != nullptr && bytes > json.size()) std::memcpy(text, json.c_str(), json.size() + 1);
  return json.size() + 1;
}

// The report of what last failed.
HONE_DRIVER std::size_t hone_standin_report(char* text, std::size_t bytes) {
  std::string report;
  call([&](Driver& driver) { report = driver.last_report; });
  if (text != nullptr && bytes > report.size())
    std::memcpy(text, report.c_str(), report.size() + 1);
  return report.size() + 1;
}

}  // namespace hone::standin
