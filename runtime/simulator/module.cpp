// From text to decoded functions: where variables lie, which functions a kernel reaches.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/simulator/warp.h"

namespace hone::sim {
namespace {

constexpr std::uint32_t kFirstLocal = 16;  // no variable lies at 0
constexpr std::size_t kMostLocal = std::size_t{64} << 20;
constexpr std::size_t kMostShared = std::size_t{1} << 28;

std::size_t align_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

bool is_shared(const ::hone::sim::Variable& v) { return v.space == Space::kShared; }

class Loader {
 public:
  Loader(std::string_view ptx, const Gpu& gpu, Memory& memory, Module::Body& body) : body_(body) {
    body.source = std::string(ptx);
    body.gpu = &gpu;
    body.memory = &memory;
    body.text = parse_ptx(body.source);
  }

  void run() {
    number_functions();
    place_globals();
    reachability();
    place_shared();
    place_frames();
    decode();
    make_kernels();
  }

 private:
  void number_functions() {
    for (const ParsedFunction& parsed : body_.text.functions) {
      const auto known = body_.function_index.find(parsed.name);
      if (known != body_.function_index.end()) {
        const ParsedFunction*& other = parsed_[static_cast<std::size_t>(known->second)];
        if (parsed.defined && other->defined)
          fail_at(parsed.line, fmt::format("'{}' is defined twice", parsed.name));
        if (parsed.defined) {
          other = &parsed;
          body_.functions[static_cast<std::size_t>(known->second)]->entry = parsed.entry;
        }
        continue;
      }
      const int index = static_cast<int>(body_.functions.size());
      body_.function_index[parsed.name] = index;
      auto function = std::make_unique<Function>();
      function->name = std::string(parsed.name);
      function->index = index;
      function->entry = parsed.entry;
      body_.functions.push_back(std::move(function));
      parsed_.push_back(&parsed);
    }
  }

  std::uint64_t code_address(int index) const {
    return kCodeWindow | static_cast<std::uint64_t>(index) << 4;
  }

  void place_globals() {
    for (const auto& [name, index] : body_.function_index) {
      SymbolValue value;
      value.space = Space::kGeneric;
      value.address = code_address(index);
      context_.symbols[name] = value;
    }
    for (const auto& variable : body_.text.variables) place_global(variable, true);
    for (const ParsedFunction* parsed : parsed_) {
      for (const auto& variable : parsed->variables) {
        if (variable.space == Space::kGlobal || variable.space == Space::kConst)
          place_global(variable, false);
      }
    }
    for (const auto& [variable, address] : placed_) initialise(*variable, address);
  }

  void place_global(const ::hone::sim::Variable& variable, bool of_module) {
    if (variable.space == Space::kShared) return;
    if (variable.space != Space::kGlobal && variable.space != Space::kConst) {
      fail_at(variable.line, fmt::format("'{}' can't be in .{} memory here", variable.name,
                                         space_name(variable.space)));
    }
    if (of_module && context_.symbols.contains(variable.name)) {
      if (variable.external) return;
      // An .extern declaration may come first; anything else is a mistake.
      if (!externals_.contains(variable.name))
        fail_at(variable.line, fmt::format("'{}' is declared twice", variable.name));
    }
    SymbolValue value;
    value.space = variable.space;
    value.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(variable.bytes, 0xffffffffu));
    if (variable.external) {
      externals_.insert(variable.name);
    }
    const Address address = body_.memory->allocate(std::max<std::size_t>(variable.bytes, 1));
    if (address == 0) {
      throw Error(Code::kDevice, fmt::format("ptx line {}: no memory for '{}' ({} bytes)",
                                             variable.line, variable.name, variable.bytes));
    }
    body_.allocations.push_back(address);
    value.address = address;
    placed_.emplace_back(&variable, address);
    if (of_module) {
      context_.symbols[variable.name] = value;
    } else {
      local_globals_[variable.name.data()] = value;
    }
    auto known = std::make_unique<Module::Variable>();
    known->name = std::string(variable.name);
    known->address = address;
    known->bytes = variable.bytes;
    known->constant = variable.space == Space::kConst;
    body_.variable_index[known->name] = known.get();
    body_.variables.push_back(std::move(known));
  }

  // Variables of a module begin as zeros.
  void initialise(const ::hone::sim::Variable& variable, Address address) {
    const std::size_t bytes = std::max<std::size_t>(variable.bytes, 1);
    std::byte* data = body_.memory->host(address, bytes, true);
    std::memset(data, 0, bytes);
    std::copy_n(reinterpret_cast<const std::byte*>(variable.data.data()),
                std::min(variable.data.size(), bytes), data);
    for (const auto& reference : variable.references) {
      const SymbolValue value = find_symbol(context_, reference.name);
      if (value.space == Space::kNone)
        fail_at(variable.line, fmt::format("'{}' isn't declared", reference.name));
      const std::uint64_t target = value.address + reference.addend;
      std::memcpy(data + reference.offset, &target, sizeof target);
    }
  }

  static void symbols_of(const Operand& operand, std::set<std::string_view>& names) {
    if (operand.kind == Operand::Kind::kSymbol) names.insert(operand.name);
    for (const Operand& part : operand.parts) symbols_of(part, names);
  }

  void reachability() {
    const std::size_t count = parsed_.size();
    names_.resize(count);
    std::vector<std::set<int>> calls(count);
    std::set<int> addressed;
    for (std::size_t i = 0; i < count; ++i) {
      for (const Statement& statement : parsed_[i]->statements) {
        for (const Operand& operand : statement.operands) symbols_of(operand, names_[i]);
      }
      for (const std::string_view name : names_[i]) {
        const auto found = body_.function_index.find(name);
        if (found != body_.function_index.end()) calls[i].insert(found->second);
      }
    }
    for (const auto& variable : body_.text.variables) {
      for (const auto& reference : variable.references) {
        const auto found = body_.function_index.find(reference.name);
        if (found != body_.function_index.end()) addressed.insert(found->second);
      }
    }
    reached_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (!parsed_[i]->entry) continue;
      std::vector<int> open = {static_cast<int>(i)};
      std::set<int>& seen = reached_[i];
      seen.insert(static_cast<int>(i));
      bool indirect = false;
      while (!open.empty()) {
        const auto at = static_cast<std::size_t>(open.back());
        open.pop_back();
        const auto add = [&](int to) {
          if (seen.insert(to).second) open.push_back(to);
        };
        for (const int to : calls[at]) add(to);
        if (!indirect) {
          for (const Statement& statement : parsed_[at]->statements) {
            if (!statement.opcode.starts_with("call")) continue;
            for (const Operand& operand : statement.operands) {
              if (operand.kind == Operand::Kind::kRegister) indirect = true;
            }
          }
          if (indirect) {
            for (const int to : addressed) add(to);
          }
        }
      }
    }
  }

  // Shared variables that several functions may use get places that suit every kernel that reaches
  // them; a kernel's own come after those it uses.
  void place_shared() {
    struct Common {
      const ::hone::sim::Variable* variable;
      std::set<int> entries;
      std::size_t offset = 0;
    };
    std::vector<Common> commons;
    const auto users = [&](auto uses) {
      std::set<int> entries;
      for (std::size_t i = 0; i < parsed_.size(); ++i) {
        if (!parsed_[i]->entry) continue;
        for (const int reached : reached_[i]) {
          if (uses(static_cast<std::size_t>(reached))) entries.insert(static_cast<int>(i));
        }
      }
      return entries;
    };
    const auto add = [&](const ::hone::sim::Variable& variable, std::set<int> entries) {
      Common common{&variable, std::move(entries), 0};
      for (const Common& other : commons) {
        const bool together = std::any_of(common.entries.begin(), common.entries.end(),
                                          [&](int e) { return other.entries.contains(e); });
        if (together) common.offset = std::max(common.offset, other.offset + other.variable->bytes);
      }
      common.offset = align_up(common.offset, variable.align);
      if (common.offset + variable.bytes > kMostShared)
        fail_at(variable.line, "more shared memory than any GPU has");
      commons.push_back(common);
      return commons.back().offset;
    };
    for (const auto& variable : body_.text.variables) {
      if (!is_shared(variable)) continue;
      SymbolValue value;
      value.space = Space::kShared;
      if (variable.bytes == 0) {
        value.dynamic = true;
        dynamic_align_ = std::max(dynamic_align_, variable.align);
      } else {
        value.address =
            add(variable, users([&](std::size_t f) { return names_[f].contains(variable.name); }));
        value.bytes = static_cast<std::uint32_t>(variable.bytes);
      }
      context_.symbols[variable.name] = value;
    }
    for (std::size_t f = 0; f < parsed_.size(); ++f) {
      if (parsed_[f]->entry) continue;
      for (const auto& variable : parsed_[f]->variables) {
        if (!is_shared(variable)) continue;
        SymbolValue value;
        value.space = Space::kShared;
        value.bytes = static_cast<std::uint32_t>(variable.bytes);
        value.address = add(variable, users([&](std::size_t g) { return g == f; }));
        shared_locals_[variable.name.data()] = value;
      }
    }
    for (std::size_t i = 0; i < parsed_.size(); ++i) {
      if (!parsed_[i]->entry) continue;
      std::size_t end = 0;
      for (const Common& common : commons) {
        if (common.entries.contains(static_cast<int>(i)))
          end = std::max(end, common.offset + common.variable->bytes);
      }
      for (const auto& variable : parsed_[i]->variables) {
        if (!is_shared(variable)) continue;
        SymbolValue value;
        value.space = Space::kShared;
        if (variable.bytes == 0) {
          value.dynamic = true;
          dynamic_align_ = std::max(dynamic_align_, variable.align);
        } else {
          end = align_up(end, variable.align);
          value.address = end;
          value.bytes = static_cast<std::uint32_t>(variable.bytes);
          if (variable.bytes > kMostShared || end > kMostShared)
            fail_at(variable.line, "more shared memory than any GPU has");
          end += variable.bytes;
        }
        shared_locals_[variable.name.data()] = value;
      }
      body_.functions[i]->static_shared = end;
    }
    body_.dynamic_align = std::max<std::size_t>(dynamic_align_, 16);
  }

  // A thread's memory: for every function its parameters, results, .param and .local variables.
  void place_frames() {
    std::size_t at = kFirstLocal;
    frames_.resize(parsed_.size());
    for (std::size_t i = 0; i < parsed_.size(); ++i) {
      const ParsedFunction& parsed = *parsed_[i];
      Function& function = *body_.functions[i];
      at = align_up(at, 16);
      const std::size_t start = at;
      const auto place = [&](const ::hone::sim::Variable& variable) {
        at = align_up(at, std::min<std::size_t>(variable.align, 256));
        const std::size_t offset = at;
        if (variable.bytes > kMostLocal || at > kMostLocal)
          fail_at(variable.line,
                  fmt::format("'{}': more local memory than a thread has", variable.name));
        at += std::max<std::size_t>(variable.bytes, 1);
        return Function::Slot{static_cast<std::uint32_t>(offset),
                              static_cast<std::uint32_t>(variable.bytes)};
      };
      auto& frame = frames_[i];
      if (parsed.entry) {
        std::size_t offset = 0;
        for (const auto& variable : parsed.parameters) {
          offset = align_up(offset, variable.align);
          if (variable.bytes > (std::size_t{1} << 20))
            fail_at(variable.line, "a parameter of more than a mebibyte");
          function.parameters.push_back(
              {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(variable.bytes)});
          SymbolValue value;
          value.space = Space::kParam;
          value.address = offset;
          value.bytes = static_cast<std::uint32_t>(variable.bytes);
          frame.parameters[variable.name] = value;
          offset += variable.bytes;
        }
        if (offset > 32764)
          fail_at(parsed.line, fmt::format("{} bytes of parameters; there may be 32764", offset));
        function.parameter_bytes = static_cast<std::uint32_t>(offset);
      } else {
        const auto add = [&](const ::hone::sim::Variable& variable) {
          const Function::Slot slot = place(variable);
          SymbolValue value;
          value.space = Space::kParam;
          value.address = slot.offset;
          value.bytes = slot.bytes;
          value.frame = true;
          frame.parameters[variable.name] = value;
          return slot;
        };
        for (const auto& variable : parsed.parameters) function.parameters.push_back(add(variable));
        for (const auto& variable : parsed.results) function.results.push_back(add(variable));
      }
      for (const auto& variable : parsed.variables) {
        if (variable.space == Space::kShared) {
          frame.locals[variable.name.data()] = shared_locals_.at(variable.name.data());
          continue;
        }
        if (variable.space == Space::kGlobal || variable.space == Space::kConst) {
          frame.locals[variable.name.data()] = local_globals_.at(variable.name.data());
          continue;
        }
        const Function::Slot slot = place(variable);
        SymbolValue value;
        value.space = variable.space == Space::kLocal ? Space::kLocal : Space::kParam;
        value.address = slot.offset;
        value.bytes = slot.bytes;
        value.frame = true;
        frame.locals[variable.name.data()] = value;
      }
      function.frame_offset = static_cast<std::uint32_t>(start);
      function.frame_bytes = static_cast<std::uint32_t>(at - start);
    }
    body_.local_bytes = at == kFirstLocal ? 0 : static_cast<std::uint32_t>(align_up(at, 16));
  }

  void decode() {
    std::uint32_t id = 1;
    for (std::size_t i = 0; i < parsed_.size(); ++i) {
      Function& function = *body_.functions[i];
      if (!parsed_[i]->defined) {
        function.unsupported =
            fmt::format("ptx line {}: '{}' has no body", parsed_[i]->line, function.name);
        continue;
      }
      context_.parameters = std::move(frames_[i].parameters);
      context_.locals = std::move(frames_[i].locals);
      decode_function(context_, *parsed_[i], function);
      function.first_id = id;
      id += static_cast<std::uint32_t>(function.code.size());
    }
  }

  void make_kernels() {
    std::size_t constants = 0;
    for (const auto& variable : body_.variables) {
      if (variable->constant) constants += variable->bytes;
    }
    for (std::size_t i = 0; i < parsed_.size(); ++i) {
      const ParsedFunction& parsed = *parsed_[i];
      if (!parsed.entry || !parsed.defined) continue;
      const Function& function = *body_.functions[i];
      auto kernel = std::make_unique<Module::Kernel>();
      kernel->code = &function;
      KernelInfo& info = kernel->info;
      info.name = function.name;
      for (std::size_t p = 0; p < parsed.parameters.size(); ++p) {
        info.parameters.push_back({std::string(parsed.parameters[p].name),
                                   function.parameters[p].offset, function.parameters[p].bytes});
      }
      info.parameter_bytes = function.parameter_bytes;
      info.static_shared_bytes = function.static_shared;
      info.constant_bytes = constants;
      int pressure = 0;
      for (const int reached : reached_[i]) {
        const Function& callee = *body_.functions[static_cast<std::size_t>(reached)];
        pressure = std::max(
            pressure, callee.pressure + (reached == static_cast<int>(i) ? 0 : function.pressure));
        if (!callee.unsupported.empty() && !is_builtin(callee.name) && kernel->unsupported.empty())
          kernel->unsupported = callee.unsupported;
        for (const auto& variable : parsed_[static_cast<std::size_t>(reached)]->variables) {
          if (variable.space == Space::kLocal) info.local_bytes += variable.bytes;
        }
      }
      // Addresses and what the hardware keeps for itself take a few more; a register file is dealt
      // out by eights.
      info.registers = static_cast<int>(
          std::min<std::size_t>(align_up(static_cast<std::size_t>(pressure) + 4, 8), 255));
      const auto product = [](const int* v) {
        return v[0] == 0 ? 0 : v[0] * std::max(v[1], 1) * std::max(v[2], 1);
      };
      info.max_threads = 1024;
      if (const int most = product(parsed.max_threads); most != 0)
        info.max_threads = std::min(most, 1024);
      if (const int most = product(parsed.required_threads); most != 0)
        info.max_threads = std::min(most, 1024);
      // ptxas spills rather than break a launch bound.
      if (product(parsed.max_threads) != 0 || product(parsed.required_threads) != 0) {
        const int together = info.max_threads * std::max(parsed.min_blocks, 1);
        const int most = body_.gpu->registers_per_unit / std::max(together, 1) / 8 * 8;
        info.registers = std::max(std::min(info.registers, most), 16);
      }
      std::copy(parsed.required_threads, parsed.required_threads + 3,
                info.required_threads.begin());
      std::copy(parsed.required_cluster, parsed.required_cluster + 3,
                info.required_cluster.begin());
      info.min_blocks = parsed.min_blocks;
      info.ptx_version = body_.text.version;
      info.target_sm = body_.text.target;
      body_.kernels.push_back(std::move(kernel));
    }
  }

  struct Frame {
    std::unordered_map<std::string_view, SymbolValue> parameters;
    std::unordered_map<const char*, SymbolValue> locals;
  };
  Module::Body& body_;
  std::vector<const ParsedFunction*> parsed_;
  DecodeContext context_{body_.text, body_, {}, {}, {}, {}};
  std::vector<std::set<std::string_view>> names_;
  std::vector<std::set<int>> reached_;  // of entries
  std::unordered_map<const char*, SymbolValue> shared_locals_, local_globals_;
  std::set<std::string_view> externals_;
  std::vector<std::pair<const ::hone::sim::Variable*, Address>> placed_;
  std::vector<Frame> frames_;
  std::size_t dynamic_align_ = 16;
};

}  // namespace

Module::Module(std::string_view ptx, const Gpu& gpu, Memory& memory)
    : body_(std::make_unique<Body>()) {
  try {
    Loader(ptx, gpu, memory, *body_).run();
  } catch (...) {
    for (const Address address : body_->allocations) memory.release(address);
    throw;
  }
}

Module::~Module() {
  for (const Address address : body_->allocations) body_->memory->release(address);
}

const Module::Kernel* Module::kernel(std::string_view name) const {
  for (const auto& kernel : body_->kernels) {
    if (kernel->info.name == name) return kernel.get();
  }
  return nullptr;
}

std::vector<const Module::Kernel*> Module::kernels() const {
  std::vector<const Kernel*> result;
  for (const auto& kernel : body_->kernels) result.push_back(kernel.get());
  return result;
}

const Module::Variable* Module::variable(std::string_view name) const {
  const auto found = body_->variable_index.find(name);
  return found == body_->variable_index.end() ? nullptr : found->second;
}

std::vector<const Module::Variable*> Module::variables() const {
  std::vector<const Variable*> result;
  for (const auto& variable : body_->variables) result.push_back(variable.get());
  return result;
}

}  // namespace hone::sim
