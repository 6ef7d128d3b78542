// Gives the simulator a text of any kind and runs what it finds in it.
#pragma once

#include <string>

namespace hone::test {

// Loads the text and runs each kernel for a moment over a small buffer. True: it was accepted.
// Whatever it is, only hone::Error may come out of the simulator; anything else goes on to the
// caller.
bool survive(const std::string& ptx, std::string_view gpu = "sm_90");

}  // namespace hone::test
