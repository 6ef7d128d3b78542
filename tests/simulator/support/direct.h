// The simulator without a driver in between, for what only its own face shows: findings, counters,
// seeds.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "runtime/simulator/simulator.h"
#include "tests/simulator/support/machine.h"

namespace hone::test {

class Direct : public Machine {
 public:
  explicit Direct(std::string_view gpu, sim::Options options = {});

  void load(const std::string& ptx) override;
  Pointer allocate(std::size_t bytes) override;
  void write(Pointer to, const void* from, std::size_t bytes) override;
  void read(Pointer from, void* to, std::size_t bytes) override;
  std::pair<Pointer, std::size_t> variable(const std::string& name) override;
  std::string launch(const std::string& kernel, const Geometry& geometry,
                     const std::vector<std::vector<std::byte>>& arguments) override;

  const sim::Result& result() const { return result_; }  // of the latest launch
  sim::Module& module() { return *module_; }

 private:
  const sim::Gpu& gpu_;
  sim::Options options_;
  sim::Memory memory_;
  std::unique_ptr<sim::Module> module_;
  sim::Result result_;
};

}  // namespace hone::test
