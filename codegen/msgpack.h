// Reads MessagePack that may be damaged.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "codegen/json.h"

namespace hone {

// The library's reader of MessagePack calls itself for every level of nesting, so that a few
// damaged bytes would take all of the stack: this stops it at a depth that nothing of ours has.
class ShallowJson : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  explicit ShallowJson(Json& result) : Base(result, false) {}
  bool start_array(std::size_t size) { return ++depth_ <= kMostDepth && Base::start_array(size); }
  bool start_object(std::size_t size) { return ++depth_ <= kMostDepth && Base::start_object(size); }
  bool end_array() { return --depth_ >= 0 && Base::end_array(); }
  bool end_object() { return --depth_ >= 0 && Base::end_object(); }

 private:
  static constexpr int kMostDepth = 64;
  int depth_ = 0;
};

// nullopt: the bytes are no MessagePack, or are nested too deep.
inline std::optional<Json> read_msgpack(std::string_view bytes) {
  Json result;
  ShallowJson sax(result);
  try {
    if (Json::sax_parse(bytes, &sax, Json::input_format_t::msgpack)) return result;
  } catch (const Json::exception&) {
    // A length that no array can have is thrown all the same.
  }
  return std::nullopt;
}

}  // namespace hone
