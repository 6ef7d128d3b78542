// The JSON of every room: objects keep the order they were written in.
#pragma once

#include <nlohmann/json.hpp>

namespace hone {

using Json = nlohmann::ordered_json;

}  // namespace hone
