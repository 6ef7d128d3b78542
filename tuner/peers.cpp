#include "tuner/peers.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "codegen/error.h"

namespace hone {

struct Peer::Functions {
  const char* (*name)();
  const char* (*way)(int);
  void* (*prepare)(const char*, int, void* const*, int);
  void (*run)(void*);
  void (*release)(void*);
};

namespace {

std::filesystem::path folder() {
  if (const char* given = std::getenv("HONE_PEERS")) return given;
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

class PeerCall : public Peer::Call {
 public:
  PeerCall(void* prepared, void (*runner)(void*), void (*releaser)(void*))
      : prepared_(prepared), run_(runner), release_(releaser) {}
  ~PeerCall() override { release_(prepared_); }
  void run() override { run_(prepared_); }

 private:
  void* prepared_;
  void (*run_)(void*);
  void (*release_)(void*);
};

}  // namespace

Peer::Peer(const std::string& name) : name_(name) {
  const std::filesystem::path file = folder() / fmt::format("hone_peer_{}.so", name);
  // Never unloaded: such libraries keep threads.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    throw Error(
        Code::kNotFound,
        fmt::format("no peer '{}': {}; install its library and build again, or set HONE_PEERS",
                    name, dlerror()));
  auto functions = std::make_shared<Functions>();
  const auto load = [&](const char* symbol, auto& function) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, symbol));
    if (function == nullptr)
      throw Error(Code::kNotFound,
                  fmt::format("{} has no {}; build it again", file.string(), symbol));
  };
  load("hone_peer_name", functions->name);
  load("hone_peer_way", functions->way);
  load("hone_peer_prepare", functions->prepare);
  load("hone_peer_run", functions->run);
  load("hone_peer_release", functions->release);
  version_ = functions->name();
  for (int way = 0; functions->way(way) != nullptr; ++way) ways_.emplace_back(functions->way(way));
  functions_ = std::move(functions);
}

std::unique_ptr<Peer::Call> Peer::prepare(const std::string& problem, int way,
                                          void* const* arguments, int threads) const {
  void* prepared = functions_->prepare(problem.c_str(), way, arguments, threads);
  if (prepared == nullptr) return nullptr;
  return std::make_unique<PeerCall>(prepared, functions_->run, functions_->release);
}

}  // namespace hone
