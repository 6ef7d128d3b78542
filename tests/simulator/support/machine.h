// What runs a kernel for a test: the simulator called directly, or the stand-in driver as any
// program calls a driver.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hone::test {

// The architectures that everything here is compiled for.
inline constexpr std::array<std::string_view, 7> kArchs = {"sm_75",  "sm_80",   "sm_86",  "sm_89",
                                                           "sm_90a", "sm_100a", "sm_120a"};

using Pointer = std::uint64_t;

struct Geometry {
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::size_t shared = 0;  // dynamic, in bytes
  bool cooperative = false;
};

class Machine {
 public:
  virtual ~Machine() = default;
  virtual void load(const std::string& ptx) = 0;
  virtual Pointer allocate(std::size_t bytes) = 0;
  virtual void write(Pointer to, const void* from, std::size_t bytes) = 0;
  virtual void read(Pointer from, void* to, std::size_t bytes) = 0;
  virtual std::pair<Pointer, std::size_t> variable(const std::string& name) = 0;
  // Empty: the launch went well. Otherwise what was found wrong with it.
  virtual std::string launch(const std::string& kernel, const Geometry& geometry,
                             const std::vector<std::vector<std::byte>>& arguments) = 0;

  template <typename T>
  Pointer upload(const std::vector<T>& values) {
    const Pointer to = allocate(values.size() * sizeof(T));
    write(to, values.data(), values.size() * sizeof(T));
    return to;
  }
  template <typename T>
  std::vector<T> download(Pointer from, std::size_t count) {
    std::vector<T> values(count);
    read(from, values.data(), count * sizeof(T));
    return values;
  }
  template <typename... Arguments>
  std::string run(const std::string& kernel, const Geometry& geometry,
                  const Arguments&... arguments) {
    return launch(kernel, geometry, {bytes_of(arguments)...});
  }

 private:
  template <typename T>
  static std::vector<std::byte> bytes_of(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<std::byte> bytes(sizeof(T));
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
};

}  // namespace hone::test
