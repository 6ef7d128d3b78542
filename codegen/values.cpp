#include "codegen/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "codegen/error.h"

namespace hone {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_name(std::string_view text) {
  if (text.empty() || !is_name_start(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-';
  });
}

}  // namespace

std::string to_text(const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  return std::get<std::string>(value);
}

Value parse_value(std::string_view text) {
  std::int64_t integer = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, integer);
  if (error == std::errc() && stop == end && !text.empty()) return integer;
  if (is_name(text)) return std::string(text);
  throw Error(Code::kUsage,
              fmt::format("'{}' is neither a 64-bit integer nor a word (a letter, then letters, "
                          "digits and _ . + -)",
                          text));
}

Values Values::parse(std::string_view text) {
  Values values;
  if (text.empty()) return values;
  std::size_t begin = 0;
  while (true) {
    std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view entry = text.substr(begin, end - begin);
    std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos || !is_name(entry.substr(0, equals)))
      throw Error(
          Code::kUsage,
          fmt::format("'{}' in '{}' is not name=value; write for example m=16,x=f32", entry, text));
    std::string_view name = entry.substr(0, equals);
    if (values.has(name))
      throw Error(Code::kUsage, fmt::format("'{}' is given twice in '{}'", name, text));
    values.set(name, parse_value(entry.substr(equals + 1)));
    if (end == text.size()) return values;
    begin = end + 1;
  }
}

std::string Values::text() const {
  std::string text;
  for (const auto& [name, value] : entries_) {
    if (!text.empty()) text += ',';
    text += name;
    text += '=';
    text += to_text(value);
  }
  return text;
}

const Value* Values::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return &value;
  return nullptr;
}

std::int64_t Values::integer(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr)
    throw Error(Code::kUsage, fmt::format("'{}' is missing in '{}'", name, text()));
  if (const auto* integer = std::get_if<std::int64_t>(value)) return *integer;
  throw Error(Code::kUsage, fmt::format("'{}' in '{}' must be an integer", name, text()));
}

const std::string& Values::word(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr)
    throw Error(Code::kUsage, fmt::format("'{}' is missing in '{}'", name, text()));
  if (const auto* word = std::get_if<std::string>(value)) return *word;
  throw Error(Code::kUsage, fmt::format("'{}' in '{}' must be a word", name, text()));
}

void Values::set(std::string_view name, Value value) {
  for (auto& [key, old] : entries_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  entries_.emplace_back(std::string(name), std::move(value));
}

void Values::erase(std::string_view name) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == name; });
}

void Values::merge(const Values& others) {
  for (const auto& [name, value] : others) set(name, value);
}

Problem Problem::parse(std::string_view text) {
  std::size_t colon = text.find(':');
  Problem problem;
  problem.op = std::string(text.substr(0, colon));
  if (!is_name(problem.op))
    throw Error(Code::kUsage,
                fmt::format("'{}' is not a problem; write op:name=value,... for example "
                            "gemm:m=16,n=4096,k=4096,x=f32,w=q4_0",
                            text));
  if (colon != std::string_view::npos) problem.values = Values::parse(text.substr(colon + 1));
  return problem;
}

std::string Problem::text() const { return op + ":" + values.text(); }

}  // namespace hone
