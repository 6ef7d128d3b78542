// Reads a canonical problem text without Hone: plug-ins stand alone.
#pragma once

#include <cstdlib>
#include <map>
#include <string>

struct ProblemValues {
  std::string op;
  std::map<std::string, std::string> values;

  explicit ProblemValues(const std::string& text) {
    const std::size_t colon = text.find(':');
    op = text.substr(0, colon);
    for (std::size_t at = colon; at != std::string::npos && at < text.size();) {
      const std::size_t equals = text.find('=', at), comma = text.find(',', at + 1);
      if (equals == std::string::npos) break;
      values[text.substr(at + 1, equals - at - 1)] = text.substr(equals + 1, comma - equals - 1);
      at = comma;
    }
  }
  long integer(const std::string& name) const {
    const auto found = values.find(name);
    return found == values.end() ? 0 : std::strtol(found->second.c_str(), nullptr, 10);
  }
  // Values that equal their default are left out of canonical texts.
  std::string word(const std::string& name, const std::string& otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
};
