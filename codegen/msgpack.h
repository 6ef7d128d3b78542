// Reads MessagePack that may be damaged.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "codegen/json.h"

namespace hone {

// Accepts MessagePack of a bounded depth and keeps nothing of it. The library's reader calls itself
// for every level of nesting, so that a few damaged bytes would take all of the stack.
class ShallowJson : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kMostDepth; }
  bool start_array(std::size_t) override { return ++depth_ <= kMostDepth; }
  bool end_object() override { return --depth_ >= 0; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;
  }

 private:
  static constexpr int kMostDepth = 64;  // nothing of ours is nested so deep
  int depth_ = 0;
};

// nullopt: the bytes are no MessagePack, or are nested too deep.
inline std::optional<Json> read_msgpack(std::string_view bytes) {
  try {
    ShallowJson shallow;
    if (Json::sax_parse(bytes, &shallow, Json::input_format_t::msgpack))
      return Json::from_msgpack(bytes);
  } catch (const Json::exception&) {
    // A length that no array can have is thrown all the same.
  }
  return std::nullopt;
}

}  // namespace hone
