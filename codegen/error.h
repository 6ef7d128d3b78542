// How Hone says that it can't go on.
#pragma once

#include <stdexcept>
#include <string>

namespace hone {

// What kind of failure it is. The values are those of hone_status in runtime/hone.h: persistent.
enum class Code {
  kUsage = 1,        // the caller's words are off: a flag, a problem string, an argument
  kNotFound = 2,     // an operator, a device, a file that isn't there
  kUnsupported = 3,  // understood, but no template or device can do it
  kCompile =
      4,  // a compiler is missing, refused the source, crashed or hung; the log is in the message
  kNoBinary = 5,   // compilation is switched off (HONE_NO_COMPILE) and no binary is stored
  kIo = 6,         // a file or a pipe: permissions, a full disk
  kDatabase = 7,   // damaged, foreign, newer, locked or read-only database
  kDevice = 8,     // memory, launch or load failure on the device
  kTemplate = 9,   // a malformed op.json or template file; the message begins with file:line
  kInternal = 10,  // a bug in Hone
};

// Thrown when the caller can't go on. `what()` says what happened, where, and what to do about it.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

}  // namespace hone
