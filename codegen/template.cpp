#include "codegen/template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "codegen/error.h"

namespace hone {
namespace {

struct Line {
  Location where;
  std::string key;
  std::string rest;
};

std::string trimmed(std::string_view text) {
  std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

// "//! key rest // comment" lines, continued ones joined.
std::vector<Line> contract_lines(std::string_view text, const std::string& file) {
  std::vector<Line> lines;
  std::istringstream in{std::string(text)};
  std::string raw;
  bool continued = false;
  for (int number = 1; std::getline(in, raw); ++number) {
    std::string line = trimmed(raw);
    if (line.rfind("//!", 0) != 0) {
      continued = false;
      continue;
    }
    line = trimmed(line.substr(3));
    if (std::size_t comment = line.find("//"); comment != std::string::npos)
      line = trimmed(line.substr(0, comment));
    bool goes_on = !line.empty() && line.back() == '\\';
    if (goes_on) line = trimmed(line.substr(0, line.size() - 1));
    if (continued && !lines.empty()) {
      lines.back().rest += " " + line;
    } else if (!line.empty()) {
      std::size_t space = line.find_first_of(" \t");
      lines.push_back({{file, number},
                       line.substr(0, space),
                       space == std::string::npos ? "" : trimmed(line.substr(space))});
    }
    continued = goes_on;
  }
  return lines;
}

// Cuts at white space (or at `separator`) outside parentheses.
std::vector<std::string> pieces(const std::string& text, char separator = ' ') {
  std::vector<std::string> result;
  std::string current;
  int depth = 0;
  for (char c : text) {
    bool cut = depth == 0 && (c == separator || (separator == ' ' && c == '\t'));
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (!cut) {
      current += c;
    } else if (!trimmed(current).empty()) {
      result.push_back(trimmed(current));
      current.clear();
    }
  }
  if (!trimmed(current).empty()) result.push_back(trimmed(current));
  return result;
}

// Geometry: expressions one after another, separated by white space; an expression may hold spaces
// around its operators. "ceil_div(m, BM) n * 2 1" has three.
std::vector<std::string> expressions_in(const std::string& text) {
  auto is_operator = [](const std::string& token) {
    return token.find_first_not_of("+-*/%<>=!&|?:") == std::string::npos;
  };
  std::vector<std::string> result;
  bool glue = false;  // the last token was an operator: the next one belongs to it
  for (const std::string& token : pieces(text)) {
    bool is_op = is_operator(token);
    if (!result.empty() && (glue || is_op))
      result.back() += " " + token;
    else
      result.push_back(token);
    glue = is_op;
  }
  return result;
}

class VariantReader {
 public:
  VariantReader(const Op& op, std::string_view text, const std::string& file)
      : op_(op), file_(file), lines_(contract_lines(text, file)) {
    result_.op = op.name;
    result_.file = file;
    result_.variant = std::filesystem::path(file).stem().string();
    result_.text = std::string(text);
  }

  Template read() {
    for (const Word& word : op_.words) words_.insert(word.values.begin(), word.values.end());
    collect_words();
    for (const Line& line : lines_) read_line(line);
    if (lines_.empty())
      fail({file_, 1},
           "there is no contract: the file must begin with //! lines (serves, param, launch, start "
           "...)");
    if (result_.serves.empty()) fail(lines_[0].where, "'serves' is missing");
    if (result_.launches.empty()) fail(lines_[0].where, "'launch' is missing");
    if (result_.start.empty() && !result_.parameters.empty())
      fail(lines_[0].where, "'start' is missing");
    for (const Parameter& parameter : result_.parameters)
      if (std::none_of(result_.start.begin(), result_.start.end(),
                       [&](const auto& entry) { return entry.first == parameter.name; }))
        fail(lines_[0].where,
             fmt::format("'start' has no value for the parameter '{}'", parameter.name));
    return std::move(result_);
  }

 private:
  [[noreturn]] static void fail(const Location& where, const std::string& what) {
    throw Error(Code::kTemplate,
                fmt::format("{}: {}; the contract is described in templates/README.md",
                            where.text(), what));
  }

  // Values of parameters that are plain identifiers, and not names of anything, are words.
  void collect_words() {
    static const std::set<std::string> kLimits = {
        "units",      "vector_bytes", "registers", "l1_bytes",     "l2_bytes", "l3_bytes",
        "has_avx2",   "has_avx512",   "has_bf16",  "has_vnni",     "has_f16c", "wave",
        "max_shared", "max_threads",  "has_mma",   "has_cp_async", "has_mfma", "sm"};
    std::set<std::string> names = kLimits;
    for (const Dim& dim : op_.dims) names.insert(dim.name);
    for (const Word& word : op_.words) names.insert(word.name);
    for (const auto& [let, expression] : op_.lets) names.insert(let);
    for (const Line& line : lines_) {
      std::vector<std::string> tokens = pieces(line.rest);
      if (!tokens.empty() &&
          (line.key == "param" || line.key == "launch_param" || line.key == "let"))
        names.insert(tokens[0]);
    }
    for (const std::string& name : names) words_.erase(name);
    for (const Line& line : lines_) {
      if (line.key != "param" && line.key != "launch_param") continue;
      std::vector<std::string> tokens = pieces(line.rest);
      for (std::size_t i = 1; i < tokens.size(); ++i) {
        bool identifier =
            std::all_of(
                tokens[i].begin(), tokens[i].end(),
                [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }) &&
            !std::isdigit(static_cast<unsigned char>(tokens[i][0]));
        if (identifier && names.count(tokens[i]) == 0) words_.insert(tokens[i]);
      }
    }
  }

  Expression parse(const std::string& text, const Location& where) const {
    return Expression::parse(text, where, words_);
  }

  void read_line(const Line& line) {
    const auto& [where, key, rest] = line;
    if (rest.empty()) fail(where, fmt::format("'{}' needs something behind it", key));
    if (key == "serves")
      result_.serves = pieces(rest);
    else if (key == "when")
      result_.when = parse(rest, where);
    else if (key == "fixed")
      read_fixed(line);
    else if (key == "param" || key == "launch_param")
      read_parameter(line);
    else if (key == "let")
      read_let(line);
    else if (key == "require")
      result_.requires_.push_back(parse(rest, where));
    else if (key == "pack")
      read_pack(line);
    else if (key == "workspace")
      result_.workspace = parse(rest, where);
    else if (key == "launch")
      read_launch(line);
    else if (key == "start")
      read_start(line);
    else if (key == "preset")
      read_preset(line);
    else
      fail(where, fmt::format("unknown contract line '{}'", key));
  }

  void read_fixed(const Line& line) {
    for (const std::string& name : pieces(line.rest)) {
      auto dim = std::find_if(op_.dims.begin(), op_.dims.end(),
                              [&](const Dim& candidate) { return candidate.name == name; });
      if (dim == op_.dims.end())
        fail(line.where, fmt::format("{} has no dim '{}'", op_.name, name));
      if (dim->dynamic)
        fail(line.where,
             fmt::format("'{}' is dynamic: it arrives at launch and can't be fixed", name));
      result_.fixed.push_back(name);
    }
  }

  void read_parameter(const Line& line) {
    std::vector<std::string> tokens = pieces(line.rest);
    Parameter parameter;
    parameter.name = tokens[0];
    parameter.at_launch = line.key == "launch_param";
    if (tokens.size() < 2)
      fail(line.where, fmt::format("the parameter '{}' has no values", parameter.name));
    for (const Parameter& other : result_.parameters)
      if (other.name == parameter.name)
        fail(line.where, fmt::format("the parameter '{}' is declared twice", parameter.name));
    for (std::size_t i = 1; i < tokens.size(); ++i)
      parameter.values.push_back(parse(tokens[i], line.where));
    result_.parameters.push_back(std::move(parameter));
  }

  void read_let(const Line& line) {
    std::size_t equals = line.rest.find('=');
    if (equals == std::string::npos) fail(line.where, "write: let name = expression");
    result_.lets.emplace_back(trimmed(line.rest.substr(0, equals)),
                              parse(trimmed(line.rest.substr(equals + 1)), line.where));
  }

  void read_pack(const Line& line) {
    std::vector<std::string> tokens = pieces(line.rest);
    if (tokens.size() < 3) fail(line.where, "write: pack argument layout(parameters) bytes");
    Pack pack;
    pack.argument = tokens[0];
    if (std::none_of(op_.arguments.begin(), op_.arguments.end(), [&](const Argument& argument) {
          return argument.name == pack.argument && argument.kind == Argument::Kind::kIn;
        }))
      fail(line.where, fmt::format("{} has no input '{}' to pack", op_.name, pack.argument));
    std::size_t open = tokens[1].find('(');
    pack.layout = tokens[1].substr(0, open);
    if (open != std::string::npos) {
      if (tokens[1].back() != ')')
        fail(line.where, fmt::format("the layout '{}' lacks its ')'", tokens[1]));
      for (const std::string& part :
           pieces(tokens[1].substr(open + 1, tokens[1].size() - open - 2), ','))
        pack.parameters.push_back(parse(part, line.where));
    }
    std::size_t bytes = line.rest.find(tokens[1], tokens[0].size()) + tokens[1].size();
    pack.bytes = parse(trimmed(line.rest.substr(bytes)), line.where);
    result_.packs.push_back(std::move(pack));
  }

  void read_launch(const Line& line) {
    std::string rest = line.rest;
    Launch launch;
    if (std::size_t at = rest.find(" if "); at != std::string::npos) {
      launch.when = parse(trimmed(rest.substr(at + 4)), line.where);
      rest = rest.substr(0, at);
    }
    if (std::size_t at = rest.find(" shared "); at != std::string::npos) {
      launch.shared = parse(trimmed(rest.substr(at + 8)), line.where);
      rest = rest.substr(0, at);
    }
    std::vector<std::string> parts = expressions_in(rest);
    if (parts.size() != 5)
      fail(line.where, fmt::format("write: launch entry x y z threads [shared bytes] [if "
                                   "condition] (found {} parts: {})",
                                   parts.size(), fmt::join(parts, " | ")));
    launch.entry = parts[0];
    for (std::size_t i = 0; i < 3; ++i) launch.grid[i] = parse(parts[i + 1], line.where);
    const std::vector<std::string> threads = pieces(parts[4], ',');
    if (threads.empty() || threads.size() > 3)
      fail(line.where, fmt::format("'{}': threads are X, or X,Y or X,Y,Z", parts[4]));
    launch.threads = parse(threads[0], line.where);
    if (threads.size() > 1) launch.threads_y = parse(threads[1], line.where);
    if (threads.size() > 2) launch.threads_z = parse(threads[2], line.where);
    result_.launches.push_back(std::move(launch));
  }

  void read_start(const Line& line) {
    for (auto& entry : assignments(line, line.rest)) result_.start.push_back(std::move(entry));
  }

  void read_preset(const Line& line) {
    const std::size_t space = line.rest.find_first_of(" \t");
    Preset preset{line.rest.substr(0, space), {}};
    if (space != std::string::npos)
      preset.values = assignments(line, trimmed(line.rest.substr(space)));
    result_.presets.push_back(std::move(preset));
  }

  // "NR=16,threads=units": values for parameters of this file.
  std::vector<std::pair<std::string, Expression>> assignments(const Line& line,
                                                              const std::string& text) {
    std::vector<std::pair<std::string, Expression>> result;
    for (const std::string& entry : pieces(text, ',')) {
      std::size_t equals = entry.find('=');
      std::string name = trimmed(entry.substr(0, equals));
      bool known = std::any_of(result_.parameters.begin(), result_.parameters.end(),
                               [&](const Parameter& parameter) { return parameter.name == name; });
      if (equals == std::string::npos || !known)
        fail(line.where,
             fmt::format("'{}' in '{}' is no parameter=value of this file", entry, line.key));
      result.emplace_back(name, parse(trimmed(entry.substr(equals + 1)), line.where));
    }
    return result;
  }

  const Op& op_;
  std::string file_;
  std::vector<Line> lines_;
  std::set<std::string> words_;
  Template result_;
};

}  // namespace

Template narrowed(Template variant, std::string_view name) {
  const auto preset = std::find_if(variant.presets.begin(), variant.presets.end(),
                                   [&](const Preset& one) { return one.name == name; });
  for (const auto& [parameter, value] : preset->values)
    for (Parameter& one : variant.parameters)
      if (one.name == parameter) one.searched = {value};
  return variant;
}

Template parse_template(const Op& op, std::string_view text, const std::string& file) {
  Template result = VariantReader(op, text, file).read();
  return result;
}

bool Template::serves_problem(const Values& scope, const std::string& backend) const {
  if (std::find(serves.begin(), serves.end(), backend) == serves.end()) return false;
  if (when.empty()) return true;
  // Dynamic dims may be unknown as yet: a condition that can't be decided without them may hold.
  bool known = std::all_of(when.names().begin(), when.names().end(),
                           [&](const std::string& name) { return scope.has(name); });
  if (known) return when.truth(lookup_in(scope));
  try {
    return when.truth(lookup_in(scope));
  } catch (const Error&) {
    return true;
  }
}

}  // namespace hone
