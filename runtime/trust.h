// Whose code may run here. A database can carry machine code; a config is only data.
#pragma once

#include <filesystem>

namespace hone {

// The file belongs to the user who runs this process, or to root, and nobody else may write it: its
// binaries may be loaded. Configs of any other file are still used: they are checked and rendered
// from local templates.
bool may_run_code_from(const std::filesystem::path& file);

}  // namespace hone
