#include "tuner/wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "codegen/error.h"

namespace hone {
namespace {

constexpr std::size_t kMostLine = 1 << 20;  // bytes of a line
constexpr std::size_t kMostBlob = std::size_t{1} << 30;
constexpr int kLookMs = 50;  // between looks at deadline and interruption

// False when nothing happens before the deadline.
bool wait_for(int socket, short events, Deadline deadline, bool (*interrupted)()) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd one{socket, events, 0};
    const int ready =
        poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, kLookMs)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR)
      throw Error(Code::kIo, std::string("poll: ") + std::strerror(errno));
    if (left.count() <= 0 || (interrupted != nullptr && interrupted())) return false;
  }
}

}  // namespace

Wire::~Wire() { close(socket_); }

void Wire::send(Json head, std::string_view blob, Deadline deadline) {
  if (!blob.empty()) head["blob"] = blob.size();
  std::string text = head.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  text += blob;
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t sent =
        ::send(socket_, text.data() + done, text.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno != EAGAIN && errno != EINTR) {
      throw Error(Code::kIo, std::string("worker channel: ") + std::strerror(errno));
    } else if (!wait_for(socket_, POLLOUT, deadline, nullptr)) {
      throw Error(Code::kIo, "worker channel: nobody reads");
    }
  }
}

std::optional<Message> Wire::receive(Deadline deadline, bool (*interrupted)()) {
  Message message;
  std::size_t wanted = 0;  // bytes of the whole message, once its line is there
  std::size_t line = 0;
  for (;;) {
    if (wanted == 0 && (line = buffer_.find('\n')) != std::string::npos) {
      message.head = Json::parse(buffer_.substr(0, line), nullptr, false);
      if (!message.head.is_object()) throw Error(Code::kIo, "worker channel: not a message");
      const Json size = message.head.value("blob", Json(0));
      if (!size.is_number_unsigned() &&
          !(size.is_number_integer() && size.get<std::int64_t>() >= 0))
        throw Error(Code::kIo, "worker channel: not a size");
      if (size.get<std::size_t>() > kMostBlob) throw Error(Code::kIo, "worker channel: too large");
      wanted = line + 1 + size.get<std::size_t>();
    }
    if (wanted > 0 && buffer_.size() >= wanted) {
      message.blob = buffer_.substr(line + 1, wanted - line - 1);
      buffer_.erase(0, wanted);
      return message;
    }
    if (wanted == 0 && buffer_.size() > kMostLine)
      throw Error(Code::kIo, "worker channel: no message");
    if (!wait_for(socket_, POLLIN, deadline, interrupted)) return std::nullopt;
    char chunk[64 << 10];
    const ssize_t got = recv(socket_, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got > 0)
      buffer_.append(chunk, static_cast<std::size_t>(got));
    else if (got == 0)
      throw Error(Code::kIo, "worker channel: closed");
    else if (errno != EAGAIN && errno != EINTR)
      throw Error(Code::kIo, std::string("worker channel: ") + std::strerror(errno));
  }
}

}  // namespace hone
