#include "tuner/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "codegen/error.h"
#include "tuning_db/database.h"

namespace hone {
namespace {

namespace po = boost::program_options;

constexpr unsigned kColumns = 100;

// Set for this process and its children, as a user would: every part of Hone asks these variables.
struct GpuLibrary {
  const char *option, *variable, *value, *about;
};
constexpr GpuLibrary kGpuLibraries[] = {
    {"cuda-driver", "HONE_CUDA_DRIVER", "PATH|standin",
     "CUDA's driver, libcuda.so.1, or standin to simulate a GPU; default $HONE_CUDA_DRIVER, else "
     "the system's"},
    {"nvrtc", "HONE_NVRTC", "PATH",
     "libnvrtc.so.N; default $HONE_NVRTC, else the fetched one, else the usual places"},
    {"hip-runtime", "HONE_HIP_RUNTIME", "PATH|standin",
     "libamdhip64.so, or standin; default $HONE_HIP_RUNTIME, else the system's"},
    {"hiprtc", "HONE_HIPRTC", "PATH",
     "libhiprtc.so or libamdhip64.so.5; default $HONE_HIPRTC, else the usual places"},
};

std::map<std::string, Command>& registry() {
  static std::map<std::string, Command> entries;
  return entries;
}

void print_commands(std::FILE* out) {
  fmt::print(out,
             "Hone tunes, checks and ships kernels for language models.\n\n"
             "usage: hone COMMAND [options]; hone COMMAND --help\n\n");
  for (const auto& [name, command] : commands())
    if (!command.hidden) fmt::print(out, "  {:<10}{}\n", name, command.summary);
}

std::vector<std::int64_t> parse_integers(const std::string& text, const char* option) {
  std::vector<std::int64_t> numbers;
  for (const char *at = text.data(), *end = at + text.size(); at < end; ++at) {
    std::int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (next != end && *next != ',') || number < 1)
      throw Error(
          Code::kUsage,
          fmt::format("--{} '{}': expected positive integers with commas between", option, text));
    numbers.push_back(number);
    at = next;
  }
  return numbers;
}

}  // namespace

RegisterCommand::RegisterCommand(Command command) {
  std::string name = command.name;
  registry()[std::move(name)] = std::move(command);
}

const std::map<std::string, Command>& commands() { return registry(); }

int run_program(const Words& words) {
  // A reader of our output that goes away is an error to report, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  if (words.empty()) {
    print_commands(stderr);
    return 2;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_commands(stdout);
    return 0;
  }
  const auto found = commands().find(words[0]);
  if (found == commands().end()) {
    fmt::print(stderr, "hone: unknown command '{}'; hone --help lists them\n", words[0]);
    return 2;
  }
  int status = 0;
  try {
    status = found->second.run({words.begin() + 1, words.end()});
  } catch (const Error& error) {
    fmt::print(stderr, "hone {}: {}\n", words[0], error.what());
    status = error.code() == Code::kUsage ? 2 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "hone {}: {}\n", words[0], error.what());
    status = 1;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    fmt::print(stderr,
               "hone {}: writing the output failed: its reader is gone, or the disk is full\n",
               words[0]);
    return std::max(status, 1);
  }
  return status;
}

CommandLine::CommandLine(std::string usage, std::string about)
    : usage_(std::move(usage)), about_(std::move(about)), options_("options", kColumns) {
  add()("help,h", "show this");
}

void CommandLine::add_json() { add()("json", "one JSON object per line"); }

void CommandLine::add_templates() {
  add()("templates", po::value<Words>()->value_name("DIR")->composing(),
        "a folder of further templates (see templates/README.md); may be repeated");
}

void CommandLine::add_preset() {
  add()("preset", po::value<std::string>()->value_name("NAME"),
        "only that part of the spaces, as in flashdecoding++ (hone ops OPERATOR shows them)");
}

void CommandLine::add_database() {
  add()("db", po::value<std::string>()->value_name("FILE"),
        "tuning database; default $HONE_DB, else ~/.local/share/hone/tuning.db");
}

void CommandLine::add_device() {
  add()("device", po::value<std::string>()->value_name("NAME")->default_value("cpu:0"),
        "as hone devices lists them");
  add_gpu_libraries();
}

void CommandLine::add_gpu_libraries() {
  for (const GpuLibrary& library : kGpuLibraries)
    add()(library.option, po::value<std::string>()->value_name(library.value), library.about);
}

void CommandLine::add_problems() {
  const ModelUse use;
  add()("model", po::value<std::string>()->value_name("MODEL"),
        "every problem of a model: a shipped name, a config.json or its folder, a GGUF file");
  add()("tokens",
        po::value<std::string>()->value_name("N,...")->default_value(
            fmt::format("{}", fmt::join(use.tokens, ","))),
        "with --model: tokens per step; 1 is decode, more is prefill");
  add()("context", po::value<std::int64_t>()->value_name("N")->default_value(use.context),
        "with --model: tokens in the cache when decoding");
  add()("weight", po::value<std::string>()->value_name("TYPE"),
        "with --model: element type of weights");
  add()("activation", po::value<std::string>()->value_name("TYPE")->default_value(use.activation),
        "with --model: element type of activations");
  add()("kv", po::value<std::string>()->value_name("TYPE")->default_value(use.kv),
        "with --model: element type of the KV cache");
}

bool CommandLine::parse(const Words& words) {
  po::options_description all;
  all.add(options_).add_options()("positional", po::value<Words>());
  po::positional_options_description position;
  position.add("positional", -1);
  try {
    // No guessing: an abbreviated option would change its meaning when another is added.
    using namespace po::command_line_style;
    po::store(po::command_line_parser(words)
                  .options(all)
                  .positional(position)
                  .style(unix_style & ~allow_guessing)
                  .run(),
              values_);
    if (!has("help")) po::notify(values_);
  } catch (const po::error& error) {
    throw Error(Code::kUsage, fmt::format("{}\nusage: {}", error.what(), usage_));
  }
  if (has("help")) {
    std::string text;
    {
      std::ostringstream out;
      out << options_;
      text = out.str();
    }
    fmt::print("usage: {}\n\n{}\n\n{}", usage_, about_, text);
    return false;
  }
  for (const GpuLibrary& library : kGpuLibraries)
    if (has(library.option))
      ::setenv(library.variable, get<std::string>(library.option).c_str(), 1);
  if (has("positional")) positional_ = get<Words>("positional");
  return true;
}

std::vector<std::filesystem::path> CommandLine::templates() const {
  std::vector<std::filesystem::path> directories;
  if (has("templates"))
    for (const std::string& directory : get<Words>("templates"))
      directories.emplace_back(directory);
  return directories;
}

Catalog CommandLine::catalog() const {
  Catalog catalog = Catalog::embedded();
  for (const auto& directory : templates()) catalog.add_directory(directory);
  if (has("preset")) catalog.narrow(get<std::string>("preset"));
  return catalog;
}

std::filesystem::path CommandLine::database() const {
  return has("db") ? std::filesystem::path(get<std::string>("db")) : user_database();
}

ModelUse model_use_of(const CommandLine& line) {
  ModelUse use;
  use.tokens = parse_integers(line.get<std::string>("tokens"), "tokens");
  use.context = line.get<std::int64_t>("context");
  if (line.has("weight")) use.weight = line.get<std::string>("weight");
  use.activation = line.get<std::string>("activation");
  use.kv = line.get<std::string>("kv");
  return use;
}

std::vector<Task> tasks_of(const CommandLine& line, const Catalog& catalog) {
  std::vector<Task> tasks;
  std::set<std::string> known;
  const auto add = [&](const std::string& text) {
    Task task{catalog.problem(text, true), "", 0, 1};
    if (known.insert(task.problem.text()).second) tasks.push_back(std::move(task));
  };
  for (const std::string& word : line.positional()) {
    if (word.find(':') != std::string::npos) {
      add(word);
      continue;
    }
    const std::size_t at = word.find('@');
    const Op& op = catalog.op(word.substr(0, at));
    const std::string set = at == std::string::npos ? "default" : word.substr(at + 1);
    const auto found = op.problems.find(set);
    if (found == op.problems.end()) {
      std::vector<std::string> sets;
      for (const auto& [name, texts] : op.problems) sets.push_back(name);
      throw Error(Code::kUsage, fmt::format("{} has no problem set '{}'; it has: {}", op.name, set,
                                            fmt::join(sets, ", ")));
    }
    for (const std::string& text : found->second) add(text);
  }
  if (line.has("model")) {
    const Model model = read_model(line.get<std::string>("model"));
    for (const ModelProblem& problem : problems_of(catalog, model, model_use_of(line)))
      tasks.push_back(
          {catalog.problem(problem.problem, true), problem.role, problem.tokens, problem.count});
  }
  if (tasks.empty())
    throw Error(
        Code::kUsage,
        "no problem given; name some, as in \"softmax:rows=512,cols=4096\", or use --model");
  return tasks;
}

void print_json(const Json& object) {
  fmt::print("{}\n", object.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

double parse_seconds(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  const std::map<std::string, double> units = {{"", 1},   {"s", 1},    {"ms", 1e-3},
                                               {"m", 60}, {"min", 60}, {"h", 3600}};
  const auto known = units.find(unit);
  if (error != std::errc() || known == units.end() || !(number > 0))
    throw Error(Code::kUsage, fmt::format("'{}' is no duration; write 90s, 5m, 1h or 250ms", text));
  return number * known->second;
}

}  // namespace hone
