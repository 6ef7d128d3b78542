// Messages between the tuner and its worker: a JSON object on a line, followed by raw bytes when it
// says so ("blob": size).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "codegen/json.h"

namespace hone {

using Deadline = std::chrono::steady_clock::time_point;

struct Message {
  Json head;
  std::string blob;
};

// One end of a stream socket. Not thread safe.
class Wire {
 public:
  explicit Wire(int socket) : socket_(socket) {}  // owns it
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  int socket() const { return socket_; }
  // Throws Error(kIo) when the other end is gone or the deadline passes.
  void send(Json head, std::string_view blob, Deadline deadline);
  // nullopt when the deadline passes or `interrupted()` answers true. Throws Error(kIo) at the end
  // of the stream, and for what is no message.
  std::optional<Message> receive(Deadline deadline, bool (*interrupted)() = nullptr);

 private:
  int socket_;
  std::string buffer_;
};

}  // namespace hone
