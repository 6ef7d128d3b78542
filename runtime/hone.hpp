// A thin C++ wrapper over hone.h: RAII and exceptions, nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "hone.h"

namespace hone::api {

class Failure : public std::runtime_error {
 public:
  Failure(hone_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  hone_status status() const { return status_; }

 private:
  hone_status status_;
};

inline void check(hone_status status) {
  if (status != HONE_OK) throw Failure(status, hone_error());
}

// A resolved problem. Must not outlive its Engine.
class Kernel {
 public:
  explicit Kernel(hone_kernel* kernel) : kernel_(kernel) {}

  hone_kernel_info info(const std::int64_t* dims) const {
    hone_kernel_info info{};
    check(hone_info(kernel_.get(), dims, &info));
    return info;
  }
  std::size_t workspace_bytes(const std::int64_t* dims) const {
    std::size_t bytes = 0;
    check(hone_workspace_bytes(kernel_.get(), dims, &bytes));
    return bytes;
  }
  std::size_t packed_bytes(const char* argument) const {
    std::size_t bytes = 0;
    check(hone_packed_bytes(kernel_.get(), argument, &bytes));
    return bytes;
  }
  void pack(const char* argument, const void* from, void* to) const {
    check(hone_pack(kernel_.get(), argument, from, to));
  }
  void launch(void* const* arguments, const std::int64_t* dims, void* workspace = nullptr,
              void* stream = nullptr) const {
    check(hone_launch(kernel_.get(), arguments, dims, workspace, stream));
  }
  hone_kernel* get() const { return kernel_.get(); }

 private:
  struct Release {
    void operator()(hone_kernel* kernel) const { hone_release(kernel); }
  };
  std::unique_ptr<hone_kernel, Release> kernel_;
};

class Engine {
 public:
  explicit Engine(const hone_options& options = {}) {
    hone_engine* engine = nullptr;
    check(hone_open(&options, &engine));
    engine_.reset(engine);
  }
  Kernel find(const std::string& problem) {
    hone_kernel* kernel = nullptr;
    check(hone_find(engine_.get(), problem.c_str(), &kernel));
    return Kernel(kernel);
  }
  Kernel find(const std::string& problem, const std::string& layout) {
    hone_kernel* kernel = nullptr;
    check(hone_find_layout(engine_.get(), problem.c_str(), layout.c_str(), &kernel));
    return Kernel(kernel);
  }
  hone_engine* get() const { return engine_.get(); }

 private:
  struct Close {
    void operator()(hone_engine* engine) const { hone_close(engine); }
  };
  std::unique_ptr<hone_engine, Close> engine_;
};

}  // namespace hone::api
