// What a model's architecture decides without saying so in its config: shared by the readers of
// config.json and GGUF.
#pragma once

#include <string>

#include "tuner/model.h"

namespace hone {

// A Model with the architecture's constants set. Throws Error(kUnsupported) that lists the known
// architectures.
Model family(const std::string& architecture, const std::string& file);

// Throws Error(kUnsupported) that names the value unless the shapes make sense: all positive, below
// 2^24 each, heads a multiple of kv_heads. Fills in what follows from the others.
void complete_model(Model& model, const std::string& file);

}  // namespace hone
