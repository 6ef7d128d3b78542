// Other libraries, loaded from plug-ins (tests/peers/), to compare with.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace hone {

class Peer {
 public:
  // hone_peer_<name>.so from $HONE_PEERS, else beside the program. Throws Error(kNotFound) that
  // says how to get it.
  explicit Peer(const std::string& name);

  const std::string& name() const { return name_; }
  const std::string& version() const { return version_; }
  const std::vector<std::string>& ways() const { return ways_; }  // plain, packed ...

  class Call {
   public:
    virtual ~Call() = default;
    virtual void run() = 0;
  };
  // nullptr: the library can't do this. `arguments` stay where they are while the call lives.
  std::unique_ptr<Call> prepare(const std::string& problem, int way, void* const* arguments,
                                int threads) const;

 private:
  struct Functions;
  std::string name_, version_;
  std::vector<std::string> ways_;
  std::shared_ptr<const Functions> functions_;
};

}  // namespace hone
