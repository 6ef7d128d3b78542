#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "runtime/simulator/lexer.h"
#include "runtime/simulator/ptx.h"

namespace hone::sim {
namespace {

// What no real module exceeds; damaged text easily does.
constexpr int kMostRegisters = 1 << 20;
constexpr int kDeepestScope = 64;
constexpr int kDeepestOperand = 4;
constexpr std::size_t kLargestVariable = std::size_t{1} << 36;
constexpr std::size_t kMostInitialised = std::size_t{1} << 28;

struct Frame {
  int id = 0;
  std::unordered_map<std::string_view, int> registers;               // name -> index
  std::unordered_map<std::string_view, std::pair<int, int>> ranges;  // prefix -> first, count
  std::unordered_map<std::string_view, std::string_view> renamed;    // a variable of this scope
};

class Parser {
 public:
  explicit Parser(std::string_view ptx) : tokens_(tokenize(ptx)) {}

  Text run() {
    while (peek().kind != Token::Kind::kEnd) top_level();
    if (text_.version == 0) fail_at(1, "no .version: this isn't PTX");
    return std::move(text_);
  }

 private:
  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const Token& token = peek();
    if (at_ < tokens_.size() - 1) ++at_;
    return token;
  }
  bool is(std::string_view text) const {
    const Token& token = peek();
    return token.kind != Token::Kind::kString && token.kind != Token::Kind::kEnd &&
           token.text == text;
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    take();
    return true;
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    const Token& token = peek();
    fail_at(token.line,
            token.kind == Token::Kind::kEnd
                ? fmt::format("the text ends where {} is needed", wanted)
                : fmt::format("'{}' where {} is needed", token.text.substr(0, 60), wanted));
  }
  void expect(std::string_view text) {
    if (!accept(text)) unexpected(fmt::format("'{}'", text));
  }
  std::string_view word(std::string_view what) {
    if (peek().kind != Token::Kind::kWord) unexpected(what);
    return take().text;
  }
  std::uint64_t integer() {
    const bool minus = accept("-");
    if (peek().kind != Token::Kind::kInteger) unexpected("an integer");
    const std::uint64_t value = take().value;
    return minus ? ~value + 1 : value;
  }
  int small_integer(int most) {
    const int line = peek().line;
    const std::uint64_t value = integer();
    if (value > static_cast<std::uint64_t>(most))
      fail_at(line, fmt::format("{} is more than {}", value, most));
    return static_cast<int>(value);
  }
  void skip_to_semicolon() {
    while (!is(";")) {
      if (peek().kind == Token::Kind::kEnd) unexpected("';'");
      take();
    }
    take();
  }

  void top_level() {
    if (accept(";")) return;
    const Token& token = peek();
    if (token.kind != Token::Kind::kWord) unexpected("a directive");
    const std::string_view name = token.text;
    if (name == ".version") {
      take();
      const Token& number = take();
      const double version =
          number.kind == Token::Kind::kFloat     ? std::bit_cast<double>(number.value)
          : number.kind == Token::Kind::kInteger ? static_cast<double>(number.value)
                                                 : -1;
      if (!(version >= 1 && version < 100))
        fail_at(number.line, ".version needs a number like 8.0");
      text_.version = static_cast<int>(version * 10 + 0.5);
    } else if (name == ".target") {
      take();
      text_.target_name = word("a target");
      text_.target = 0;
      const auto digits = text_.target_name.find_first_of("0123456789");
      for (std::size_t i = digits; i < std::min(text_.target_name.size(), std::size_t{9}) &&
                                   text_.target_name[i] >= '0' && text_.target_name[i] <= '9';
           ++i) {
        text_.target = text_.target * 10 + (text_.target_name[i] - '0');
      }
      while (accept(",")) word("a target");
    } else if (name == ".address_size") {
      take();
      const int line = peek().line;
      if (integer() != 64) fail_at(line, ".address_size must be 64");
    } else if (name == ".file") {
      file_directive();
    } else if (name == ".loc") {
      loc_directive();
    } else if (name == ".section") {
      section();
    } else if (name == ".pragma" || name == ".alias") {
      skip_to_semicolon();
    } else {
      declaration();
    }
  }

  void file_directive() {
    take();
    const int index = small_integer(1 << 30);
    if (peek().kind != Token::Kind::kString) unexpected("a file name");
    text_.files.emplace_back(index, std::string(take().text));
    while (accept(",")) integer();
  }

  void loc_directive() {
    take();
    Location location;
    location.file = small_integer(1 << 30);
    location.line = small_integer(1 << 30);
    location.column = small_integer(1 << 30);
    while (accept(",")) {
      const std::string_view what = word("inlined_at");
      if (what == "function_name") {
        word("a label");
        if (accept("+")) integer();
      } else if (what == "inlined_at") {
        const int file = small_integer(1 << 30), line = small_integer(1 << 30),
                  column = small_integer(1 << 30);
        for (std::size_t i = text_.locations.size(), seen = 0; i-- > 0 && seen < 256; ++seen) {
          const Location& other = text_.locations[i];
          if (other.file == file && other.line == line && other.column == column) {
            location.parent = static_cast<int>(i);
            break;
          }
        }
        if (location.parent < 0) {
          text_.locations.push_back({file, line, column, -1});
          location.parent = static_cast<int>(text_.locations.size()) - 1;
        }
      } else {
        fail_at(peek().line, fmt::format("'{}' in .loc", what));
      }
    }
    text_.locations.push_back(location);
    location_ = static_cast<int>(text_.locations.size()) - 1;
  }

  void section() {
    take();
    word("a section name");
    expect("{");
    while (!is("}")) {
      if (peek().kind == Token::Kind::kEnd) unexpected("'}'");
      take();
    }
    take();
  }

  void declaration() {
    bool external = false;
    for (;;) {
      if (accept(".visible") || accept(".weak") || accept(".common")) continue;
      if (accept(".extern")) {
        external = true;
        continue;
      }
      break;
    }
    if (is(".entry") || is(".func")) {
      function();
      return;
    }
    if (is(".global") || is(".const") || is(".shared") || is(".local") || is(".tex")) {
      variables(text_.variables, external);
      return;
    }
    unexpected("a directive");
  }

  Space space() {
    const std::string_view name = take().text;
    if (name == ".global") return Space::kGlobal;
    if (name == ".const") return Space::kConst;
    if (name == ".shared") return Space::kShared;
    if (name == ".local") return Space::kLocal;
    if (name == ".param") return Space::kParam;
    fail_at(peek().line, fmt::format("'{}' isn't a state space of variables", name));
  }

  // .space {.align N} {.attribute(..)} .type name{[N]} {= init} {, name}; without the semicolon for
  // parameters.
  void variables(std::vector<Variable>& into, bool external) {
    Variable base;
    base.space = space();
    base.external = external;
    variable_type(base);
    do {
      Variable variable = base;
      variable_name(variable);
      if (accept("=")) initialiser(variable);
      into.push_back(std::move(variable));
    } while (accept(","));
    expect(";");
  }

  void variable_type(Variable& variable) {
    int lanes = 1;
    for (;;) {
      if (accept(".align")) {
        const int line = peek().line;
        variable.align = static_cast<std::size_t>(small_integer(1 << 16));
        if (!std::has_single_bit(variable.align)) fail_at(line, ".align must be a power of two");
      } else if (accept(".attribute")) {
        expect("(");
        while (!accept(")")) {
          if (peek().kind == Token::Kind::kEnd) unexpected("')'");
          take();
        }
      } else if (accept(".v2")) {
        lanes = 2;
      } else if (accept(".v4")) {
        lanes = 4;
      } else if (accept(".ptr")) {
        if (is(".global") || is(".const") || is(".shared") || is(".local") || is(".generic"))
          take();
      } else if (peek().kind == Token::Kind::kWord && peek().text.starts_with(".") &&
                 parse_type(peek().text.substr(1)).bits != 0) {
        variable.type = parse_type(take().text.substr(1));
        if (variable.type.kind == 'p') fail_at(peek().line, "a predicate in memory");
        // A parameter says .ptr and .align after its type; that alignment is of what it points to.
        std::size_t keep = variable.align;
        if (is(".ptr")) {
          Variable pointee;
          take();
          if (is(".global") || is(".const") || is(".shared") || is(".local") || is(".generic"))
            take();
          if (accept(".align")) integer();
        }
        variable.align =
            std::max(keep, static_cast<std::size_t>(std::max(variable.type.bytes(), 1)) *
                               static_cast<std::size_t>(lanes));
        variable.bytes = static_cast<std::size_t>(std::max(variable.type.bytes(), 1)) *
                         static_cast<std::size_t>(lanes);
        return;
      } else {
        unexpected("a type");
      }
    }
  }

  void variable_name(Variable& variable) {
    variable.line = peek().line;
    variable.name = word("a name");
    bool array = false, open_size = false;
    std::size_t count = 1;
    while (accept("[")) {
      if (accept("]")) {
        if (array) fail_at(variable.line, "only the first size of an array may be left out");
        open_size = true;
      } else {
        const std::uint64_t size = integer();
        expect("]");
        if (size > kLargestVariable || (size != 0 && count > kLargestVariable / size)) {
          fail_at(variable.line, fmt::format("'{}' is too large", variable.name));
        }
        count *= size;
      }
      array = true;
    }
    if (open_size) count = 0;
    if (count != 0 && variable.bytes > kLargestVariable / count) {
      fail_at(variable.line, fmt::format("'{}' is too large", variable.name));
    }
    variable.bytes *= count;
    open_ = open_size;
  }

  void put(Variable& variable, std::uint64_t bits, std::size_t bytes) {
    if (variable.data.size() + bytes > kMostInitialised)
      fail_at(peek().line, "the initialiser is too long");
    for (std::size_t i = 0; i < bytes; ++i) {
      variable.data.push_back(static_cast<std::uint8_t>(i < 8 ? bits >> (8 * i) : 0));
    }
  }

  void initialiser(Variable& variable) {
    if (is("{")) {
      initialiser_list(variable, 0);
    } else {
      initialiser_value(variable);
    }
    if (open_) variable.bytes = variable.data.size();
    if (variable.data.size() > variable.bytes) {
      fail_at(variable.line, fmt::format("'{}' has more values than places", variable.name));
    }
  }

  void initialiser_list(Variable& variable, int depth) {
    if (depth > 8) fail_at(peek().line, "the initialiser is nested too deeply");
    expect("{");
    while (!accept("}")) {
      if (is("{")) {
        initialiser_list(variable, depth + 1);
      } else {
        initialiser_value(variable);
      }
      if (!is("}")) expect(",");
    }
  }

  void initialiser_value(Variable& variable) {
    const std::size_t bytes = static_cast<std::size_t>(std::max(variable.type.bytes(), 1));
    const bool minus = accept("-");
    const Token& token = peek();
    switch (token.kind) {
      case Token::Kind::kInteger:
        take();
        if (variable.type.kind == 'f') {
          const double value = static_cast<double>(token.value) * (minus ? -1 : 1);
          put(variable,
              bytes == 4 ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                         : std::bit_cast<std::uint64_t>(value),
              bytes);
        } else {
          put(variable, minus ? ~token.value + 1 : token.value, bytes);
        }
        return;
      case Token::Kind::kFloat32:
        take();
        if (bytes == 8) {
          put(variable,
              std::bit_cast<std::uint64_t>(static_cast<double>(
                  std::bit_cast<float>(static_cast<std::uint32_t>(token.value)))),
              bytes);
        } else {
          put(variable, token.value, bytes);
        }
        return;
      case Token::Kind::kFloat: {
        take();
        const double value = std::bit_cast<double>(token.value) * (minus ? -1 : 1);
        put(variable,
            bytes == 4 ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                       : std::bit_cast<std::uint64_t>(value),
            bytes);
        return;
      }
      case Token::Kind::kWord: {
        // name, name+8, generic(name), generic(name)+8
        Variable::Reference reference;
        reference.offset = variable.data.size();
        reference.name = take().text;
        if (reference.name == "generic" && accept("(")) {
          reference.generic = true;
          reference.name = word("a name");
          expect(")");
        }
        if (accept("+")) reference.addend = integer();
        if (bytes != 8) fail_at(token.line, "an address needs a 64-bit type here");
        put(variable, 0, bytes);
        variable.references.push_back(reference);
        return;
      }
      default:
        unexpected("a value");
    }
  }

  std::vector<Variable> parameter_list() {
    std::vector<Variable> list;
    expect("(");
    while (!accept(")")) {
      Variable variable;
      if (is(".reg")) fail_at(peek().line, "parameters in registers aren't supported");
      variable.space = space();
      variable_type(variable);
      variable_name(variable);
      list.push_back(std::move(variable));
      if (!is(")")) expect(",");
    }
    return list;
  }

  void function() {
    ParsedFunction function;
    function.entry = take().text == ".entry";
    if (is("(")) function.results = parameter_list();
    function.line = peek().line;
    function.name = word("a function's name");
    if (is("(")) function.parameters = parameter_list();
    for (;;) {
      if (is(".maxntid") || is(".reqntid") || is(".reqnctapercluster") || is(".maxnreg") ||
          is(".minnctapersm") || is(".maxnctapersm") || is(".maxclusterrank")) {
        const std::string_view name = take().text;
        int values[3] = {1, 1, 1};
        int count = 0;
        do {
          if (count == 3) unexpected("at most three sizes");
          values[count++] = small_integer(1 << 30);
        } while (accept(","));
        int* to = name == ".maxntid"             ? function.max_threads
                  : name == ".reqntid"           ? function.required_threads
                  : name == ".reqnctapercluster" ? function.required_cluster
                                                 : nullptr;
        if (to != nullptr) std::copy(values, values + 3, to);
        if (name == ".minnctapersm") function.min_blocks = values[0];
      } else if (accept(".explicitcluster") || accept(".noreturn") ||
                 accept(".blocksareclusters")) {
      } else if (accept(".pragma")) {
        skip_to_semicolon();
      } else if (accept(".attribute")) {
        expect("(");
        while (!accept(")")) {
          if (peek().kind == Token::Kind::kEnd) unexpected("')'");
          take();
        }
      } else {
        break;
      }
    }
    if (accept(";")) {
      text_.functions.push_back(std::move(function));
      return;
    }
    function.defined = true;
    function_ = &function;
    frames_.clear();
    location_ = -1;
    body(-1, 0);
    frames_.clear();
    function_ = nullptr;
    text_.functions.push_back(std::move(function));
  }

  void body(int parent, int depth) {
    if (depth > kDeepestScope) fail_at(peek().line, "scopes are nested too deeply");
    expect("{");
    frames_.emplace_back();
    const int scope = static_cast<int>(function_->scope_tree.size());
    frames_.back().id = scope;
    function_->scope_tree.push_back({parent});
    while (!accept("}")) {
      if (is("{")) {
        body(scope, depth + 1);
      } else {
        statement(scope);
      }
    }
    frames_.pop_back();
  }

  void registers() {
    take();
    int lanes = 1;
    if (accept(".v2")) lanes = 2;
    if (accept(".v4")) lanes = 4;
    const std::string_view name = word("a type");
    const Type type = name.starts_with(".") ? parse_type(name.substr(1)) : Type{};
    if (type.bits == 0) fail_at(peek().line, fmt::format("'{}' isn't a type", name));
    if (lanes != 1) fail_at(peek().line, "vector registers aren't supported");
    do {
      const int line = peek().line;
      const std::string_view base = word("a register's name");
      int count = 1;
      const int first = static_cast<int>(function_->registers.size());
      if (accept("<")) {
        count = small_integer(kMostRegisters);
        expect(">");
        frames_.back().ranges[base] = {first, count};
      } else {
        frames_.back().registers[base] = first;
      }
      if (first + count > kMostRegisters) fail_at(line, "too many registers");
      function_->registers.insert(function_->registers.end(), static_cast<std::size_t>(count),
                                  {type, line});
      function_->register_names.insert(function_->register_names.end(),
                                       static_cast<std::size_t>(count), base);
    } while (accept(","));
    expect(";");
  }

  int find_register(std::string_view name) const {
    const auto last = name.find_last_not_of("0123456789");
    std::string_view prefix;
    std::size_t number = 0;
    if (last != std::string_view::npos && last + 1 < name.size() && name.size() - last < 9 &&
        (name[last + 1] != '0' || last + 2 == name.size())) {
      prefix = name.substr(0, last + 1);
      for (const char c : name.substr(last + 1))
        number = number * 10 + static_cast<std::size_t>(c - '0');
    }
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if (const auto found = frame->registers.find(name); found != frame->registers.end())
        return found->second;
      if (prefix.empty()) continue;
      if (const auto found = frame->ranges.find(prefix);
          found != frame->ranges.end() && number < static_cast<std::size_t>(found->second.second)) {
        return found->second.first + static_cast<int>(number);
      }
    }
    return -1;
  }

  void statement(int scope) {
    if (accept(";")) return;
    const Token& token = peek();
    if (token.kind == Token::Kind::kEnd) unexpected("'}'");
    if (token.kind == Token::Kind::kWord) {
      const std::string_view name = token.text;
      if (name == ".reg") return registers();
      if (name == ".loc") return loc_directive();
      if (name == ".pragma") return skip_to_semicolon();
      if (name == ".local" || name == ".shared" || name == ".param" || name == ".global" ||
          name == ".const") {
        const std::size_t before = function_->variables.size();
        variables(function_->variables, false);
        for (std::size_t i = before; i < function_->variables.size(); ++i)
          rename(function_->variables[i]);
        return;
      }
      if (peek(1).text == ":" && peek(1).kind == Token::Kind::kPunctuation) return label(scope);
    }
    instruction(scope);
  }

  // The same name may stand in two scopes (param0 of two calls): the view of its own declaration
  // tells them apart.
  void rename(Variable& variable) { frames_.back().renamed[variable.name] = variable.name; }
  std::string_view resolve(std::string_view name) const {
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if (const auto found = frame->renamed.find(name); found != frame->renamed.end())
        return found->second;
    }
    return name;
  }

  void label(int scope) {
    const std::string_view name = take().text;
    expect(":");
    if (is(".branchtargets") || is(".calltargets")) {
      take();
      BranchTargets table;
      table.name = name;
      do {
        table.labels.push_back(word("a label"));
      } while (accept(","));
      expect(";");
      function_->tables.push_back(std::move(table));
      return;
    }
    if (is(".callprototype")) return skip_to_semicolon();
    function_->labels.push_back({name, scope, static_cast<int>(function_->statements.size())});
  }

  void instruction(int scope) {
    Statement statement;
    statement.line = peek().line;
    statement.location = location_;
    const char* start = peek().text.data();
    if (accept("@")) {
      statement.guard_negated = accept("!");
      const int line = peek().line;
      const std::string_view name = word("a predicate");
      statement.guard = find_register(name);
      if (statement.guard < 0) fail_at(line, fmt::format("'{}' isn't a register", name));
      if (function_->registers[static_cast<std::size_t>(statement.guard)].type.kind != 'p') {
        fail_at(line, fmt::format("'{}' isn't a predicate", name));
      }
    }
    statement.line = peek().line;
    statement.opcode = word("an instruction");
    if (statement.opcode.starts_with('.') || statement.opcode.starts_with('%')) {
      fail_at(statement.line,
              fmt::format("'{}' isn't an instruction", statement.opcode.substr(0, 60)));
    }
    if (!is(";")) {
      do {
        statement.operands.push_back(operand(0));
        if (statement.operands.size() > 64) fail_at(statement.line, "too many operands");
      } while (accept(","));
    }
    const char* end = peek().text.data();
    expect(";");
    statement.text =
        std::string_view(start, end > start ? static_cast<std::size_t>(end - start) : 0);
    function_->statements.push_back(std::move(statement));
    function_->scopes.push_back(scope);
  }

  Operand operand(int depth) {
    if (depth > kDeepestOperand) fail_at(peek().line, "operands are nested too deeply");
    Operand result;
    const Token& token = peek();
    if (accept("{") || accept("(")) {
      result.kind = token.text == "{" ? Operand::Kind::kVector : Operand::Kind::kList;
      const std::string_view close = token.text == "{" ? "}" : ")";
      while (!accept(close)) {
        result.parts.push_back(operand(depth + 1));
        if (result.parts.size() > 256) fail_at(token.line, "too many parts of an operand");
        if (!is(close)) expect(",");
      }
      return result;
    }
    if (accept("[")) {
      result.kind = Operand::Kind::kAddress;
      result.parts.push_back(operand(depth + 1));
      result.value = result.parts[0].value;
      if (result.parts[0].kind == Operand::Kind::kInteger) {
        result.parts[0].value = 0;
      } else if (result.parts[0].kind == Operand::Kind::kSymbol) {
        result.parts[0].value = 0;
      } else if (accept("+")) {
        result.value = integer();
      } else if (is("-")) {
        result.value = integer();
      } else {
        result.value = 0;
      }
      while (accept(",")) result.parts.push_back(operand(depth + 1));
      expect("]");
      return result;
    }
    if (accept("!")) {
      result = operand(depth + 1);
      if (result.kind != Operand::Kind::kRegister) fail_at(token.line, "'!' needs a predicate");
      result.negated = !result.negated;
      return result;
    }
    if (accept("-")) {
      result = operand(depth + 1);
      if (result.kind == Operand::Kind::kInteger) {
        result.value = ~result.value + 1;
      } else if (result.kind == Operand::Kind::kFloat) {
        result.value ^= std::uint64_t{1} << 63;
      } else if (result.kind == Operand::Kind::kFloat32) {
        result.value ^= std::uint64_t{1} << 31;
      } else {
        fail_at(token.line, "'-' needs a number");
      }
      return result;
    }
    if (token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat ||
        token.kind == Token::Kind::kFloat32) {
      take();
      result.kind = token.kind == Token::Kind::kInteger ? Operand::Kind::kInteger
                    : token.kind == Token::Kind::kFloat ? Operand::Kind::kFloat
                                                        : Operand::Kind::kFloat32;
      result.value = token.value;
      return result;
    }
    const std::string_view name = word("an operand");
    result.name = name;
    const bool sink = name == "_";
    if (!sink) result.index = find_register(name);
    if (sink || result.index >= 0) {
      result.kind = sink ? Operand::Kind::kSink : Operand::Kind::kRegister;
      if (accept("|")) {
        Operand pair;
        pair.kind = Operand::Kind::kPair;
        pair.parts.push_back(std::move(result));
        pair.parts.push_back(operand(depth + 1));
        return pair;
      }
      return result;
    }
    if (name.starts_with('%')) {
      result.kind = Operand::Kind::kSpecial;
      return result;
    }
    result.kind = Operand::Kind::kSymbol;
    result.name = resolve(name);
    if (accept("+")) result.value = integer();
    return result;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Text text_;
  ParsedFunction* function_ = nullptr;
  std::vector<Frame> frames_;
  int location_ = -1;
  bool open_ = false;
};

}  // namespace

void fail_at(int line, const std::string& message) {
  throw Error(Code::kCompile, fmt::format("ptx line {}: {}", line, message));
}

std::string_view space_name(Space space) {
  switch (space) {
    case Space::kGlobal:
      return "global";
    case Space::kConst:
      return "const";
    case Space::kShared:
      return "shared";
    case Space::kLocal:
      return "local";
    case Space::kParam:
      return "param";
    case Space::kGeneric:
      return "generic";
    default:
      return "";
  }
}

Type parse_type(std::string_view name) {
  static const std::unordered_map<std::string_view, Type> kTypes = {
      {"u8", {'u', 8}},         {"u16", {'u', 16}},       {"u32", {'u', 32}},
      {"u64", {'u', 64}},       {"s8", {'s', 8}},         {"s16", {'s', 16}},
      {"s32", {'s', 32}},       {"s64", {'s', 64}},       {"b8", {'b', 8}},
      {"b16", {'b', 16}},       {"b32", {'b', 32}},       {"b64", {'b', 64}},
      {"b128", {'b', 128}},     {"f16", {'f', 16}},       {"f16x2", {'f', 16, 2}},
      {"f32", {'f', 32}},       {"f64", {'f', 64}},       {"bf16", {'h', 16}},
      {"bf16x2", {'h', 16, 2}}, {"tf32", {'t', 32}},      {"pred", {'p', 1}},
      {"u16x2", {'u', 16, 2}},  {"s16x2", {'s', 16, 2}},  {"f32x2", {'f', 32, 2}},
      {"e4m3", {'q', 8}},       {"e5m2", {'q', 8}},       {"e4m3x2", {'q', 8, 2}},
      {"e5m2x2", {'q', 8, 2}},  {"e2m3x2", {'q', 8, 2}},  {"e3m2x2", {'q', 8, 2}},
      {"e2m1x2", {'q', 4, 2}},  {"ue8m0x2", {'q', 8, 2}},
  };
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? Type{'b', 0} : found->second;
}

const ParsedFunction* Text::find(std::string_view name) const {
  const ParsedFunction* declared = nullptr;
  for (const ParsedFunction& function : functions) {
    if (function.name != name) continue;
    if (function.defined) return &function;
    declared = &function;
  }
  return declared;
}

Text parse_ptx(std::string_view ptx) { return Parser(ptx).run(); }

}  // namespace hone::sim
