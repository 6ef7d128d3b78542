// The contract of a vendor, on one page. One file per backend in runtime/backends/, found by name.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codegen/source.h"
#include "codegen/target.h"
#include "tuning_db/record.h"

namespace hone {

// Compiled code of one Source for one Target.
struct Binary {
  Hash source;
  std::string target;  // Target::text()
  std::string code;    // cpu: a shared object; GPUs: as runtime/backends/gpu_code.h packs it
};

// What one entry of a Binary takes of the machine, as its compiler tells.
struct EntryResources {
  std::string entry;              // as in Source::entries
  std::int64_t registers = 0;     // per thread
  std::int64_t spill_bytes = 0;   // stored and loaded again, per thread
  std::int64_t stack_bytes = 0;   // per thread
  std::int64_t shared_bytes = 0;  // static, per block
};

// One launch of one entry. `slots` are those of slots_of(): pointers, scalars, dims, launch
// parameters, workspace.
struct Dispatch {
  int entry = 0;  // index into Source::entries
  const std::uint64_t* slots = nullptr;
  int slot_count = 0;
  std::int64_t grid[3] = {1, 1, 1};
  std::int64_t threads = 1;                   // cpu: pool threads; GPUs: threads per block, along x
  std::int64_t threads_y = 1, threads_z = 1;  // GPUs
  std::int64_t shared_bytes = 0;              // GPUs: dynamic shared memory per block
};

// A stream of the vendor's, or null for the default one. The cpu backend has only the default:
// launches are complete on return.
using Stream = void*;

// Counts of what a device executed, in the order in which they are told.
using Counters = std::vector<std::pair<std::string, double>>;

// Loaded code.
class Module {
 public:
  virtual ~Module() = default;
  // Required: entry exists, grid and threads are positive, pointers live on the device. No
  // allocation, no lock on the single-thread path, no string. Returns false when the device refuses
  // (Device::last_error() says why).
  virtual bool run(const Dispatch& dispatch, Stream stream) noexcept = 0;
  // Packs a whole argument: `from` as in a checkpoint, `to` of the packed size.
  // `bytes`: of the packed form.
  virtual bool pack(int entry, const std::uint64_t* slots, int slot_count, const void* from,
                    void* to, std::int64_t bytes, Stream stream) noexcept = 0;
};

// A device that is there. One per process and index is enough. Any thread may call it. Launches
// from several threads at once share it: on the cpu one of them gets the threads that it asks for,
// the others run on their callers alone.
class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceIdentity& identity() const = 0;
  virtual const Target& target() const = 0;
  virtual std::unique_ptr<Module> load(
      const Binary& binary, std::span<const std::string> entries) = 0;  // throws Error(kDevice)

  // Memory, aligned to 64 bytes at least; reused, on huge pages where that helps. Throws
  // Error(kDevice) when there isn't enough.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void copy_in(void* device, const void* host, std::size_t bytes) = 0;
  virtual void copy_out(void* host, const void* device, std::size_t bytes) = 0;
  // Waits for all launches. Throws Error(kDevice) when one of them failed.
  virtual void synchronize() = 0;
  virtual std::string last_error() const = 0;
  // A launch failed in a way that this process can't recover from: only a new process can use the
  // device again.
  virtual bool lost() const { return false; }
  // What the device counted since the last call of this, by name; empty on devices that don't
  // count.
  virtual Counters counters() { return {}; }

  // Seconds of all `repeats` calls of `work` together, as this device tells time best. On the cpu
  // the calling thread stays pinned to its core meanwhile; launches outside don't pin it.
  virtual double time(const std::function<void()>& work, int repeats) = 0;

  // Measures the ceilings of record.h; takes about `budget`.
  virtual Ceilings measure_ceilings(std::chrono::duration<double> budget) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  // What is there; and in `missing` one line per thing that isn't, with how to get it.
  virtual std::vector<DeviceIdentity> devices(std::vector<std::string>* missing) = 0;
  virtual std::unique_ptr<Device> open(int index) = 0;  // throws Error(kNotFound)
  // From now on this process and those that it starts see a stand-in device of that architecture
  // instead of the machine's own; the name to open is returned. To be called before anything else
  // of the backend. Throws Error(kUnsupported) when there is nothing to stand in.
  virtual std::string simulate(const std::string& arch);
  virtual std::optional<Target> target(
      const std::string& arch) = 0;  // nullopt: unknown architecture
  // Architectures that can be built for with no device of theirs here, and a product of each.
  struct KnownArch {
    std::string arch, product;
  };
  virtual std::vector<KnownArch> known_archs() const { return {}; }
  // Needs no device. Compilers run as child processes. Throws Error(kCompile) with the compiler's
  // log; the limit covers hangs. The result is kept in a cache on disk (runtime/cache.h), where the
  // next call finds it.
  virtual Binary compile(const Source& source, const Target& target,
                         std::chrono::duration<double> limit) = 0;
  // What an earlier compile() of the same toolchain left in the cache; compiles nothing.
  virtual std::optional<Binary> cached(const Hash& source, const Target& target) = 0;
  virtual std::string toolchain() = 0;  // "g++ 12.2.0"; part of no identity, kept with results
  // Of each entry of a Binary of this backend's; empty where the compiler doesn't tell.
  virtual std::vector<EntryResources> resources(const Binary&) { return {}; }
  // The share of a unit's threads that blocks of this size keep resident; nullopt where that means
  // nothing. 0: a block doesn't fit.
  virtual std::optional<double> occupancy(const Target&, const EntryResources&,
                                          std::int64_t /*shared_bytes*/, std::int64_t /*threads*/) {
    return std::nullopt;
  }
};

// The registry: every backend has a RegisterBackend at file scope.
Backend* find_backend(const std::string& name);  // nullptr when unknown
std::vector<Backend*> backends();
struct RegisterBackend {
  explicit RegisterBackend(std::unique_ptr<Backend> backend);
};

// "cpu:0"; "cpu" means index 0. Throws Error(kUsage), Error(kNotFound).
struct DeviceName {
  Backend* backend;
  int index;
};
DeviceName parse_device(const std::string& name);
std::unique_ptr<Device> open_device(const std::string& name);

}  // namespace hone
