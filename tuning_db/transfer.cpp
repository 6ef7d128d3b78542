// A database as lines of JSON, and back.
#include <fmt/format.h>
#include <sodium.h>

#include <cmath>
#include <istream>
#include <map>
#include <ostream>
#include <utility>

#include "codegen/json.h"
#include "tuning_db/compression.h"
#include "tuning_db/database_impl.h"

namespace hone {
namespace {

constexpr int kExportVersion = 1;

// Compilers' messages may be cut in the middle of a character.
void write_line(std::ostream& out, const char* kind, Json value) {
  out << Json({{kind, std::move(value)}}).dump(-1, ' ', false, Json::error_handler_t::replace)
      << '\n';
}

std::string base64(const std::string& bytes) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the terminator
  return text;
}

std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != text.data() + text.size()) {
    throw Error(Code::kDatabase, "the code is not in base64");
  }
  bytes.resize(size);
  return bytes;
}

// JSON has no infinity and no NaN.
Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

const Json& member(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw Error(Code::kDatabase, fmt::format("'{}' is missing", name));
  return *found;
}

[[noreturn]] void wrong_type(const char* name, const char* want) {
  throw Error(Code::kDatabase, fmt::format("'{}' is not {}", name, want));
}

std::string text(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_string()) wrong_type(name, "a text");
  return value.get<std::string>();
}

std::int64_t integer(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number_integer()) wrong_type(name, "an integer");
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) {
    wrong_type(name, "an integer of 64 bits");
  }
  return value.get<std::int64_t>();
}

double real(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::nan("");
  if (value == "inf") return INFINITY;
  wrong_type(name, "a number");
}

bool truth(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_boolean()) wrong_type(name, "true or false");
  return value.get<bool>();
}

Json to_json(const DeviceIdentity& device) {
  return {{"backend", device.backend}, {"vendor", device.vendor},
          {"arch", device.arch},       {"model", device.model},
          {"units", device.units},     {"memory_bytes", device.memory_bytes},
          {"driver", device.driver},   {"name", device.name}};
}

DeviceIdentity device_from(const Json& from) {
  return {.backend = text(from, "backend"),
          .vendor = text(from, "vendor"),
          .arch = text(from, "arch"),
          .model = text(from, "model"),
          .units = integer(from, "units"),
          .memory_bytes = integer(from, "memory_bytes"),
          .driver = text(from, "driver"),
          .name = text(from, "name")};
}

Json to_json(const Trial& trial) {
  return {{"device", trial.device},
          {"problem", trial.problem},
          {"handle", trial.handle},
          {"variant", trial.variant},
          {"template", trial.template_hash.text()},
          {"config", trial.config},
          {"layout", trial.layout},
          {"source", trial.source.text()},
          {"status", to_text(trial.status)},
          {"median_ns", trial.median_ns},
          {"spread", number(trial.spread)},
          {"samples", trial.samples},
          {"bound_ns", trial.bound_ns},
          {"error", number(trial.error)},
          {"checked", trial.checked},
          {"timed", trial.timed},
          {"toolchain", trial.toolchain},
          {"reason", trial.reason},
          {"compile_ms", trial.compile_ms},
          {"when", trial.when},
          {"final_ns", trial.final_ns},
          {"preference", trial.preference},
          {"default", trial.is_default},
          {"figures", trial.figures}};
}

Trial trial_from(const Json& from) {
  Trial trial{.device = text(from, "device"),
              .problem = text(from, "problem"),
              .handle = text(from, "handle"),
              .variant = text(from, "variant"),
              .template_hash = Hash::parse(text(from, "template")),
              .config = text(from, "config"),
              .layout = text(from, "layout"),
              .source = Hash::parse(text(from, "source")),
              .status = parse_status(text(from, "status")),
              .median_ns = integer(from, "median_ns"),
              .spread = real(from, "spread"),
              .samples = integer(from, "samples"),
              .bound_ns = integer(from, "bound_ns"),
              .error = real(from, "error"),
              .checked = text(from, "checked"),
              .timed = text(from, "timed"),
              .toolchain = text(from, "toolchain"),
              .reason = text(from, "reason"),
              .compile_ms = integer(from, "compile_ms"),
              // Exports of version 1 have none.
              .figures = from.contains("figures") ? text(from, "figures") : "",
              .when = integer(from, "when"),
              .final_ns = integer(from, "final_ns"),
              .preference = integer(from, "preference"),
              .is_default = truth(from, "default")};
  if (const std::string flaw = flaw_of(trial); !flaw.empty()) throw Error(Code::kDatabase, flaw);
  return trial;
}

// Everything that an export says, checked, before anything is written.
class Reader {
 public:
  void line(const Json& value) {
    if (!value.is_object() || value.size() != 1) {
      throw Error(Code::kDatabase, "the line is not an object with one member");
    }
    const std::string& kind = value.begin().key();
    const Json& what = value.begin().value();
    if (!begun_) {
      begin(kind, what);
    } else if (kind == "device") {
      devices.push_back(device_from(what));
      known_.insert_or_assign(devices.back().key(), true);
    } else if (kind == "ceilings") {
      add_ceilings(what);
    } else if (kind == "template") {
      templates.push_back({Hash::parse(text(what, "hash")), text(what, "op"), text(what, "variant"),
                           text(what, "text")});
    } else if (kind == "trial") {
      Trial trial = trial_from(what);
      need_device(trial.device);
      trials[{trial.device, trial.problem}].push_back(std::move(trial));
    } else if (kind == "binary") {
      binaries.push_back({Hash::parse(text(what, "source")), text(what, "target"),
                          from_base64(text(what, "code"))});
    } else {
      throw Error(Code::kDatabase, fmt::format("'{}' is nothing that an export holds", kind));
    }
  }
  bool begun() const { return begun_; }

  struct TemplateText {
    Hash hash;
    std::string op, variant, text;
  };
  struct BinaryCode {
    Hash source;
    std::string target, code;
  };
  std::vector<DeviceIdentity> devices;
  std::vector<std::pair<std::string, Ceilings>> ceilings;
  std::vector<TemplateText> templates;
  std::map<std::pair<std::string, std::string>, std::vector<Trial>> trials;
  std::vector<BinaryCode> binaries;

 private:
  void begin(const std::string& kind, const Json& version) {
    if (kind != "hone_export" || !version.is_number_integer()) {
      throw Error(Code::kDatabase, R"(an export begins with {"hone_export":1}, this doesn't)");
    }
    if (version != kExportVersion) {
      throw Error(Code::kDatabase, fmt::format("the export is of version {}; this Hone reads {}",
                                               version.dump(), kExportVersion));
    }
    begun_ = true;
  }

  void add_ceilings(const Json& what) {
    const std::string device = text(what, "device");
    need_device(device);
    Ceilings values;
    const Json& list = member(what, "values");
    for (const auto& [name, value] : list.items()) {
      const double limit = real(list, name.c_str());
      if (!std::isfinite(limit) || limit < 0) wrong_type(name.c_str(), "a number from 0 up");
      values[name] = limit;
    }
    ceilings.emplace_back(device, std::move(values));
  }

  void need_device(const std::string& key) const {
    if (known_.count(key) == 0) {
      throw Error(Code::kDatabase, fmt::format("device {} wasn't described before", key));
    }
  }

  bool begun_ = false;
  std::map<std::string, bool> known_;
};

}  // namespace

void Database::export_to(std::ostream& out, bool with_binaries) const {
  static const std::string all_trials =
      fmt::format("SELECT {} FROM record ORDER BY id", kTrialColumns);
  Connection& connection = impl_->connection;
  const Scope one_state(connection, Scope::Kind::kRead);
  write_line(out, "hone_export", kExportVersion);
  for (const DeviceIdentity& device : devices()) {
    write_line(out, "device", to_json(device));
    if (const Ceilings limits = ceilings(device.key()); !limits.empty()) {
      write_line(out, "ceilings", {{"device", device.key()}, {"values", limits}});
    }
  }
  Query templates = connection.query("SELECT hash, op, variant, text FROM template ORDER BY id");
  while (templates.step()) {
    write_line(out, "template",
               {{"hash", templates.hash(0).text()},
                {"op", templates.text(1)},
                {"variant", templates.text(2)},
                {"text", templates.text(3)}});
  }
  Query trials = connection.query(all_trials);
  std::string flaw;
  while (trials.step()) {
    const Trial trial = read_trial(trials, flaw);
    if (flaw.empty()) write_line(out, "trial", to_json(trial));
  }
  if (with_binaries) {
    Query binaries = connection.query("SELECT source, target, code FROM binary ORDER BY id");
    while (binaries.step()) {
      const std::optional<std::string> code = decompressed(binaries.text(2));
      if (!code) continue;
      write_line(out, "binary",
                 {{"source", binaries.hash(0).text()},
                  {"target", binaries.text(1)},
                  {"code", base64(*code)}});
    }
  }
  out.flush();
  if (!out) {
    throw Error(Code::kIo, "the export can't be written; is the disk full?");
  }
}

std::int64_t Database::import_from(std::istream& in, const std::string& name, bool with_binaries) {
  Reader reader;
  std::string line;
  std::int64_t number = 0;
  const auto refuse = [&](const char* why) {
    return Error(Code::kDatabase,
                 fmt::format("{}:{}: {}; nothing was imported: mend the line or export anew", name,
                             number, why));
  };
  while (std::getline(in, line)) {
    ++number;
    if (line.empty()) continue;
    try {
      reader.line(Json::parse(line));
    } catch (const Error& error) {
      throw refuse(error.what());
    } catch (const Json::exception& error) {
      throw refuse(error.what());
    }
  }
  if (in.bad()) throw Error(Code::kIo, fmt::format("{} can't be read to its end", name));
  if (!reader.begun()) throw refuse("it is empty");

  Scope scope(impl_->connection, Scope::Kind::kWrite);
  for (const DeviceIdentity& device : reader.devices) impl_->absorb_device(device);
  for (const auto& [device, limits] : reader.ceilings) impl_->absorb_ceilings(device, limits);
  for (const auto& text : reader.templates) {
    impl_->absorb_template(text.hash, text.op, text.variant, text.text);
  }
  std::int64_t taken = 0;
  for (const auto& [key, trials] : reader.trials) taken += impl_->absorb_trials(trials);
  if (with_binaries) {
    for (const auto& binary : reader.binaries) {
      impl_->absorb_binary(binary.source, binary.target, binary.code);
    }
  }
  scope.commit();
  return taken;
}

}  // namespace hone
