// hone devices: what is there, and what it can do at most.
#include <fmt/format.h>

#include <set>

#include "codegen/error.h"
#include "tuner/command.h"
#include "tuner/report.h"
#include "tuning_db/layers.h"

namespace hone {
namespace {

namespace po = boost::program_options;

void print_ceilings(const Ceilings& ceilings) {
  Table table({"  ceiling", "all units", "one"}, {false, true, true});
  const auto value = [&](const std::string& name) {
    const auto found = ceilings.find(name);
    return found == ceilings.end() ? std::string("-") : fmt::format("{:.1f}", found->second);
  };
  for (const auto& [name, number] : ceilings) {
    if (name.ends_with("_1t")) {
      const std::string whole = name.substr(0, name.size() - 3);
      if (!ceilings.contains(whole)) table.add({"  " + whole, "-", fmt::format("{:.1f}", number)});
      continue;
    }
    table.add({"  " + name, fmt::format("{:.1f}", number), value(name + "_1t")});
  }
  table.print(stdout);
}

// What hone build and hone check --target take though no device of it is here.
void print_targets(Backend& backend, const std::set<std::string>& present, bool json) {
  std::string names;
  for (const Backend::KnownArch& known : backend.known_archs()) {
    if (present.contains(known.arch)) continue;
    if (json)
      print_json({{"target", backend.name() + "/" + known.arch},
                  {"device", nullptr},
                  {"backend", backend.name()},
                  {"arch", known.arch},
                  {"name", known.product}});
    names += fmt::format("  {:<16}{}\n", backend.name() + "/" + known.arch, known.product);
  }
  if (!json && !names.empty())
    fmt::print("{} targets without a device here (hone build, hone check --target):\n{}",
               backend.name(), names);
}

int run_devices(const Words& words) {
  CommandLine line(
      "hone devices [--measure] [--db FILE] [--json]",
      "Lists the devices of this machine, with their ceilings when the database knows "
      "them, and the\n"
      "targets that kernels can be built and checked for without a device. --measure "
      "measures the devices now\nand stores what it finds: memory and cache speeds (GB/s), fused "
      "multiply-add peaks (GFLOP/s),\n"
      "and the time of an empty launch (ns).");
  line.add_database();
  line.add()("measure", "measure the ceilings and store them");
  line.add()("budget", po::value<std::string>()->value_name("TIME")->default_value("10s"),
             "for --measure");
  line.add_gpu_libraries();
  line.add_json();
  if (!line.parse(words)) return 0;
  if (!line.positional().empty())
    throw Error(Code::kUsage, "hone devices takes no words; see --help");
  const double budget = parse_seconds(line.get<std::string>("budget"));
  const bool measure = line.has("measure");

  std::optional<Database> writable;
  if (measure) writable.emplace(line.database(), Database::Mode::kWrite);
  std::optional<Layers> layers;
  if (!measure) {
    if (line.has("db") && !std::filesystem::exists(line.database()))
      throw Error(Code::kNotFound, fmt::format("{}: no such database; --measure makes one",
                                               line.database().string()));
    layers = line.has("db") ? Layers::open(line.database(), std::nullopt) : Layers::open_default();
  }
  std::vector<std::string> missing;
  int found = 0;
  for (Backend* backend : backends()) {
    const std::vector<DeviceIdentity> devices = backend->devices(&missing);
    std::set<std::string> present;
    for (std::size_t i = 0; i < devices.size(); ++i, ++found) {
      const DeviceIdentity& device = devices[i];
      present.insert(device.arch);
      Ceilings ceilings;
      if (measure) {
        ceilings = backend->open(static_cast<int>(i))
                       ->measure_ceilings(std::chrono::duration<double>(budget));
        writable->put_device(device);
        writable->put_ceilings(device.key(), ceilings);
      } else {
        ceilings = layers->ceilings(device.key());
      }
      const std::string name = fmt::format("{}:{}", device.backend, i);
      if (line.json()) {
        Json object = {{"device", name},
                       {"backend", device.backend},
                       {"vendor", device.vendor},
                       {"arch", device.arch},
                       {"model", device.model},
                       {"units", device.units},
                       {"memory_bytes", device.memory_bytes},
                       {"driver", device.driver},
                       {"name", device.name},
                       {"key", device.key()}};
        for (const auto& [ceiling, value] : ceilings) object[ceiling] = value;
        print_json(object);
        continue;
      }
      fmt::print("{}: {}, {} ({}, {}), {} units, {:.1f} GiB, {}\n", name, device.name, device.arch,
                 device.vendor, device.model, device.units,
                 static_cast<double>(device.memory_bytes) / (1 << 30), device.driver);
      if (ceilings.empty())
        fmt::print("  ceilings not measured; hone devices --measure does it\n");
      else
        print_ceilings(ceilings);
    }
    if (!measure) print_targets(*backend, present, line.json());
  }
  for (const std::string& what : missing) fmt::print(stderr, "{}\n", what);
  return found > 0 ? 0 : 1;
}

const RegisterCommand kDevices({"devices", "lists devices and measures their ceilings",
                                run_devices});

}  // namespace
}  // namespace hone
