// The program's commands: each is one file that registers itself.
#pragma once

#include <boost/program_options.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/catalog.h"
#include "codegen/json.h"
#include "tuner/model.h"

namespace hone {

using Words = std::vector<std::string>;

struct Command {
  std::string name;
  std::string summary;                   // one line
  std::function<int(const Words&)> run;  // the words behind the name -> exit status; throws Error
  bool hidden = false;                   // not listed: not for people
};

struct RegisterCommand {
  explicit RegisterCommand(Command command);
};
const std::map<std::string, Command>& commands();

// Runs a command line without the program's name; prints errors to stderr. Exit status: 0, 1
// failure, 2 wrong usage (Error(kUsage)).
int run_program(const Words& words);

// A command's options. Every command has --help; add() the others.
class CommandLine {
 public:
  // `usage` as in "hone tune PROBLEM... | --model MODEL [options]"; `about` may have several lines.
  CommandLine(std::string usage, std::string about);
  boost::program_options::options_description_easy_init add() { return options_.add_options(); }
  // What belongs to many commands.
  void add_json();           // --json
  void add_templates();      // --templates DIR, several
  void add_preset();         // --preset NAME
  void add_database();       // --db FILE
  void add_device();         // --device NAME, and add_gpu_libraries()
  void add_gpu_libraries();  // --cuda-driver, --nvrtc, --hip-runtime, --hiprtc
  void add_problems();       // problems as words, --model and how the model is used

  // False: --help was asked for and has been printed. The libraries of GPUs that it names are set
  // in the environment, for children too. Throws Error(kUsage).
  bool parse(const Words& words);

  bool has(const std::string& name) const { return values_.count(name) > 0; }
  bool json() const { return has("json"); }
  template <typename T>
  T get(const std::string& name) const {
    return values_[name].as<T>();
  }
  const Words& positional() const { return positional_; }

  std::vector<std::filesystem::path> templates() const;
  Catalog catalog() const;                 // embedded and --templates, narrowed to --preset
  std::filesystem::path database() const;  // --db, else user_database()

 private:
  std::string usage_, about_;
  boost::program_options::options_description options_;
  boost::program_options::variables_map values_;
  Words positional_;
};

// A problem to work on, and what it means to the model that it comes from.
struct Task {
  Problem problem;   // canonical, complete
  std::string role;  // of a model; "" otherwise
  std::int64_t tokens = 0;
  std::int64_t count = 1;  // calls in one step of the model
};
// The problems that the command line names: words are problem texts, or `op` or `op@set` for a
// named set of its problems;
// --model gives those of a model. Throws Error(kUsage) when there are none.
std::vector<Task> tasks_of(const CommandLine& line, const Catalog& catalog);

// How --tokens, --context, --weight, --activation and --kv say that a model is used.
ModelUse model_use_of(const CommandLine& line);

// One JSON object per line, to stdout, at once.
void print_json(const Json& object);

// "90s", "5m", "1h", "250ms" or plain seconds. Throws Error(kUsage).
double parse_seconds(const std::string& text);

}  // namespace hone
