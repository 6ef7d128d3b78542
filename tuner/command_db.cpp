// hone db: what the tuning database holds, why a row is chosen, and how databases come together.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "codegen/error.h"
#include "runtime/backend.h"
#include "tuner/command.h"
#include "tuner/explain.h"
#include "tuner/report.h"
#include "tuning_db/layers.h"

namespace hone {
namespace {

namespace po = boost::program_options;
constexpr std::size_t kShownRows = 20;      // of `explain`, without --all
constexpr std::size_t kShownStandIns = 10;  // of `explain`, without --all

// Text from a file must not steer the terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string date_text(std::int64_t when) {
  constexpr std::int64_t kYear10000 = 253'402'300'800;
  if (when == 0 || when >= kYear10000) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::gmtime(static_cast<std::time_t>(when)));
}

std::string time_text_of(const Trial& trial) {
  if (trial.median_ns == 0) return "-";
  const std::string time = time_text(static_cast<double>(counted_ns(trial)) * 1e-9);
  return trial.timed.starts_with("modelled") ? time + " (modelled)" : time;
}

std::string share_text(const Trial& trial) {
  if (trial.bound_ns == 0 || trial.median_ns == 0) return "-";
  return percent_text(static_cast<double>(trial.bound_ns) / static_cast<double>(counted_ns(trial)));
}

Json json_of(const Trial& trial) {
  Json object = {{"device", trial.device},       {"problem", trial.problem},
                 {"variant", trial.variant},     {"config", trial.config},
                 {"layout", trial.layout},       {"status", to_text(trial.status)},
                 {"median_ns", trial.median_ns}, {"spread", trial.spread},
                 {"samples", trial.samples},     {"bound_ns", trial.bound_ns},
                 {"final_ns", trial.final_ns},   {"preference", trial.preference},
                 {"default", trial.is_default},  {"template", trial.template_hash.text()},
                 {"toolchain", trial.toolchain}, {"checked", trial.checked},
                 {"timed", trial.timed},         {"when", trial.when}};
  if (!trial.figures.empty()) object["figures"] = Json::parse(trial.figures, nullptr, false);
  if (trial.bound_ns > 0 && trial.median_ns > 0) {
    object["fraction"] =
        static_cast<double>(trial.bound_ns) / static_cast<double>(counted_ns(trial));
  }
  return object;
}

// --db alone, or the user's database over the system's.
Layers layers_of(const CommandLine& line, bool with_system) {
  if (line.has("db") && !std::filesystem::exists(line.database())) {
    throw Error(Code::kNotFound,
                fmt::format("{}: there is no such database; `hone tune --db {}` makes one",
                            line.database().string(), line.database().string()));
  }
  return Layers::open(line.database(),
                      with_system || !line.has("db") ? system_database() : std::nullopt);
}

// "cpu:0" -> its key; a key stands for itself, here or not.
std::string device_key(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  return open_device(name)->identity().key();
}

bool known_in(const Catalog& catalog, const Trial& trial) {
  const std::string op = trial.problem.substr(0, trial.problem.find(':'));
  if (catalog.ops().find(op) == catalog.ops().end()) return false;
  const Template* variant = catalog.variant(op, trial.variant);
  return variant != nullptr && variant->hash == trial.template_hash;
}

int show(const Words& words) {
  CommandLine line("hone db show [--device NAME] [--op OP] [--db FILE] [--json]",
                   "Lists the best row of every device, problem and layout: what the runtime "
                   "would take.\n"
                   "Without --db: your own database over the system's.");
  line.add_database();
  line.add()("device", po::value<std::string>()->value_name("NAME"),
             "only this device: cpu:0, or a key as the table shows it");
  line.add()("op", po::value<std::string>()->value_name("OP"), "only this operator");
  line.add_templates();
  line.add_json();
  if (!line.parse(words)) return 0;
  if (!line.positional().empty()) {
    throw Error(Code::kUsage, "hone db show takes no words; see --help");
  }
  const Catalog catalog = line.catalog();
  const Layers layers = layers_of(line, false);
  const std::string device =
      line.has("device") ? device_key(line.get<std::string>("device")) : std::string();
  std::size_t unknown = 0;
  const auto valid = [&](const Trial& trial) {
    if (!device.empty() && trial.device != device) return false;
    if (known_in(catalog, trial)) return true;
    ++unknown;
    return false;
  };
  const std::vector<Best> rows =
      line.has("op") ? layers.best_of_op(line.get<std::string>("op"), valid) : layers.best(valid);
  Table table(
      {"device", "problem", "variant", "time", "of limit", "measured (UTC)", "layout", "config"},
      {false, false, false, true, true, false, false, false});
  for (const Best& row : rows) {
    if (line.json()) {
      print_json(json_of(row));
      continue;
    }
    table.add({printable(row.device), printable(row.problem), printable(row.variant),
               time_text_of(row), share_text(row), date_text(row.when), printable(row.layout),
               printable(row.config)});
  }
  if (line.json()) return 0;
  if (rows.empty()) {
    fmt::print("no rows; hone tune makes some\n");
  } else {
    table.print(stdout);
  }
  if (unknown > 0) {
    fmt::print(stderr,
               "{} rows of templates that are not these were passed over; `hone db explain` and "
               "--templates tell more\n",
               unknown);
  }
  return 0;
}

const char* to_text(Standing standing) {
  switch (standing) {
    case Standing::kChosen:
      return "chosen";
    case Standing::kOfLayout:
      return "best_of_layout";
    case Standing::kSlower:
      return "slower";
    case Standing::kFailed:
      return "failed";
    case Standing::kStale:
      return "stale";
    case Standing::kIllegal:
      return "illegal";
    case Standing::kReplaced:
      return "replaced";
  }
  return "";
}

void print_as_json(const Explanation& explanation) {
  for (const Considered& row : explanation.rows) {
    Json object = json_of(row.trial);
    object["layer"] = row.system ? "system" : "user";
    object["verdict"] = to_text(row.standing);
    object["reason"] = row.reason;
    print_json(object);
  }
  for (const std::string& unread : explanation.unread) {
    print_json({{"verdict", "unreadable"}, {"reason", unread}});
  }
  for (const StandIn& other : explanation.stand_ins) {
    Json object = json_of(other.row);
    object["verdict"] = other.relation;
    object["distance"] = other.distance;
    print_json(object);
  }
}

void print_as_text(const Explanation& explanation, const std::string& problem,
                   const std::string& device, bool all) {
  fmt::print("{} on {}\n", printable(problem), printable(device));
  if (explanation.rows.empty()) {
    fmt::print("\nno row of this problem on this device\n");
  } else {
    fmt::print("\n");
    Table table({"time", "variant", "config", "layout", "from", "why"},
                {true, false, false, false, false, false});
    const std::size_t count = all ? explanation.rows.size() : kShownRows;
    for (std::size_t i = 0; i < std::min(count, explanation.rows.size()); ++i) {
      const Considered& row = explanation.rows[i];
      table.add({time_text_of(row.trial), printable(row.trial.variant), printable(row.trial.config),
                 printable(row.trial.layout), row.system ? "system" : "user",
                 printable(row.reason)});
    }
    table.print(stdout);
    if (count < explanation.rows.size()) {
      fmt::print("... and {} more; --all shows them\n", explanation.rows.size() - count);
    }
  }
  for (const std::string& unread : explanation.unread) {
    fmt::print("left out, it can't be believed: {}\n", printable(unread));
  }
  if (explanation.stand_ins.empty()) return;
  fmt::print("\nother rows that could serve it, nearest first:\n");
  Table table({"match", "problem", "device", "time", "variant", "config"},
              {false, false, false, true, false, false});
  const std::size_t count = all ? explanation.stand_ins.size() : kShownStandIns;
  for (std::size_t i = 0; i < std::min(count, explanation.stand_ins.size()); ++i) {
    const StandIn& other = explanation.stand_ins[i];
    table.add({other.relation, printable(other.row.problem), printable(other.row.device),
               time_text_of(other.row), printable(other.row.variant), printable(other.row.config)});
  }
  table.print(stdout);
  if (count < explanation.stand_ins.size()) {
    fmt::print("... and {} more; --all shows them\n", explanation.stand_ins.size() - count);
  }
}

int explain_rows(const Words& words) {
  CommandLine line("hone db explain PROBLEM... [--device NAME] [--db FILE] [--all] [--json]",
                   "Tells for every row of a problem why it is chosen or not, and what else could "
                   "serve it.");
  line.add_database();
  line.add_device();
  line.add_templates();
  line.add()("all", "all rows, however many");
  line.add_json();
  if (!line.parse(words)) return 0;
  if (line.positional().empty()) {
    throw Error(Code::kUsage,
                "hone db explain needs a problem, as in \"softmax:rows=512,cols=4096\"");
  }
  const Catalog catalog = line.catalog();
  const Layers layers = layers_of(line, true);
  const std::string name = line.get<std::string>("device");
  std::unique_ptr<Device> here;
  DeviceIdentity device;
  if (name.find('/') == std::string::npos) {
    here = open_device(name);
    device = here->identity();
  } else {
    const std::vector<DeviceIdentity> known = layers.devices();
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const DeviceIdentity& one) { return one.key() == name; });
    if (found == known.end()) {
      throw Error(Code::kNotFound,
                  fmt::format("no row is of a device {}; hone db show lists them", name));
    }
    device = *found;
  }
  for (const std::string& word : line.positional()) {
    const Problem problem = catalog.problem(word, true);
    const Explanation explanation =
        explain(layers, catalog, device, here ? &here->target() : nullptr, problem);
    if (line.json()) {
      print_as_json(explanation);
    } else {
      print_as_text(explanation, problem.text(), device.key(), line.has("all"));
    }
  }
  return 0;
}

constexpr const char* kBinariesHelp =
    "binaries too: machine code that will run with your rights, so only of those whom you trust";

int merge(const Words& words) {
  CommandLine line("hone db merge DEST SOURCE... [--binaries] [--json]",
                   "Takes into DEST what the other databases have and it hasn't. Of a config that "
                   "both measured the later\nmeasurement stays, of two final rounds the one with "
                   "the faster winner.");
  line.add()("binaries", kBinariesHelp);
  line.add_json();
  if (!line.parse(words)) return 0;
  if (line.positional().size() < 2) {
    throw Error(Code::kUsage, "hone db merge needs a database to merge into and others to merge");
  }
  std::vector<Database> sources;  // all of them open before the first change
  for (std::size_t i = 1; i < line.positional().size(); ++i) {
    sources.emplace_back(line.positional()[i], Database::Mode::kRead);
  }
  Database target(line.positional()[0], Database::Mode::kWrite);
  for (const Database& source : sources) {
    std::vector<std::string> skipped;
    const std::int64_t taken = target.merge(source, line.has("binaries"), &skipped);
    if (line.json()) {
      print_json({{"source", source.file().string()}, {"trials", taken}, {"skipped", skipped}});
      continue;
    }
    fmt::print("{}: {} trials new or newer\n", source.file().string(), taken);
    for (const std::string& row : skipped) {
      fmt::print(stderr, "left out: {}\n", printable(row));
    }
  }
  return 0;
}

// Appears under its name only when it is whole.
void export_to_file(const Database& database, const std::filesystem::path& file, bool binaries) {
  std::filesystem::path partial = file;
  partial += fmt::format(".{}.part", getpid());
  const auto refuse = [&](const std::string& what) {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    return Error(Code::kIo, fmt::format("{} can't be written ({}); choose another file, or - for "
                                        "the standard output",
                                        file.string(), what));
  };
  std::ofstream out(partial, std::ios::binary);
  if (!out) throw refuse(std::strerror(errno));
  try {
    database.export_to(out, binaries);
  } catch (const Error& error) {
    if (error.code() == Code::kIo) throw refuse(error.what());
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw;
  }
  out.close();
  std::error_code error;
  std::filesystem::rename(partial, file, error);
  if (!out || error) throw refuse(error ? error.message() : std::strerror(errno));
}

int export_rows(const Words& words) {
  CommandLine line("hone db export FILE|- [--db FILE] [--binaries]",
                   "Writes a database as lines of JSON, for people, version control and other "
                   "programs.");
  line.add_database();
  line.add()("binaries", "binaries too, in base64");
  if (!line.parse(words)) return 0;
  if (line.positional().size() != 1) {
    throw Error(Code::kUsage,
                "hone db export needs one file to write, or - for the standard output");
  }
  const Database database(line.database(), Database::Mode::kRead);
  const std::string& file = line.positional()[0];
  if (file == "-") {
    database.export_to(std::cout, line.has("binaries"));
  } else {
    export_to_file(database, file, line.has("binaries"));
  }
  return 0;
}

int import_rows(const Words& words) {
  CommandLine line("hone db import FILE|- [--db FILE] [--binaries] [--json]",
                   "Takes what hone db export wrote into a database, as hone db merge does. One "
                   "bad line, and nothing is taken.");
  line.add_database();
  line.add()("binaries", kBinariesHelp);
  line.add_json();
  if (!line.parse(words)) return 0;
  if (line.positional().size() != 1) {
    throw Error(Code::kUsage, "hone db import needs one file to read, or - for the standard input");
  }
  const std::string& file = line.positional()[0];
  std::ifstream in;
  if (file != "-") {
    in.open(file, std::ios::binary);
    if (!in || std::filesystem::is_directory(file)) {
      throw Error(Code::kIo, fmt::format("{} can't be read ({})", file,
                                         in ? "it is a folder" : std::strerror(errno)));
    }
  }
  Database database(line.database(), Database::Mode::kWrite);
  const std::int64_t taken =
      database.import_from(file == "-" ? std::cin : in, file, line.has("binaries"));
  if (line.json()) {
    print_json({{"source", file}, {"trials", taken}});
  } else {
    fmt::print("{}: {} trials new or newer\n", file, taken);
  }
  return 0;
}

struct Part {
  const char* name;
  const char* summary;
  int (*run)(const Words&);
};
constexpr Part kParts[] = {
    {"show", "lists the best rows", show},
    {"explain", "tells why a row is chosen for a problem", explain_rows},
    {"merge", "takes other databases into one", merge},
    {"export", "writes a database as lines of JSON", export_rows},
    {"import", "takes such lines into a database", import_rows},
};

std::string usage() {
  std::string text = "usage: hone db PART [options]; hone db PART --help\n\n";
  for (const Part& part : kParts) text += fmt::format("  {:<10}{}\n", part.name, part.summary);
  return text;
}

int run_db(const Words& words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    fmt::print("{}", usage());
    return 0;
  }
  for (const Part& part : kParts) {
    if (!words.empty() && words[0] == part.name) return part.run({words.begin() + 1, words.end()});
  }
  throw Error(Code::kUsage, words.empty() ? "what to do?\n" + usage()
                                          : fmt::format("'{}'?\n{}", words[0], usage()));
}

const RegisterCommand kDb({"db", "shows, explains and moves results", run_db});

}  // namespace
}  // namespace hone
