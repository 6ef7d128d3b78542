// Ordered names with values, and the one canonical text that stands for them everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hone {

// An integer or a word (an identifier such as `f16` or `online`).
using Value = std::variant<std::int64_t, std::string>;

std::string to_text(const Value& value);
// "12" -> integer, "f16" -> word. Throws Error(kUsage) unless it is one of the two.
Value parse_value(std::string_view text);

// Ordered name -> Value. Canonical text `m=16,n=4096,x=f32`, which parses back to an equal object.
// Words and names are [A-Za-z_][A-Za-z0-9_.+-]*; integers are decimal, 64 bits, may be negative.
class Values {
 public:
  Values() = default;
  Values(std::initializer_list<std::pair<std::string, Value>> entries) : entries_(entries) {}

  // Throws Error(kUsage) that quotes the text for an empty name, a repeated name or a bad value.
  static Values parse(std::string_view text);
  std::string text() const;

  const Value* find(std::string_view name) const;  // nullptr when absent
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::int64_t integer(std::string_view name) const;  // throws Error(kUsage) when absent or a word
  const std::string& word(
      std::string_view name) const;  // throws Error(kUsage) when absent or an integer

  void set(std::string_view name, Value value);  // replaces in place, or appends
  void erase(std::string_view name);
  void merge(const Values& others);  // set() for each

  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  bool operator==(const Values&) const = default;

 private:
  std::vector<std::pair<std::string, Value>> entries_;
};

// One choice per parameter of a template, launch parameters included.
using Config = Values;

// What is to be computed: an operator, its dims and its words. Text:
// `gemm:m=16,n=4096,k=4096,x=f32`. Op::canonical() brings it to the one form that is used as a key.
struct Problem {
  std::string op;
  Values values;

  static Problem parse(std::string_view text);  // throws Error(kUsage)
  std::string text() const;
  bool operator==(const Problem&) const = default;
};

}  // namespace hone
