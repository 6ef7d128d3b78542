// What the stand-in driver is made of. One lock around everything: work is done when it is asked
// for, in the order in which it is asked for, which every stream's order allows.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/simulator/simulator.h"
#include "runtime/simulator/standin/abi.h"

namespace hone::standin {

// How a call fails inside; call() turns it into its status.
struct Failure {
  Status status;
};
[[noreturn]] inline void fail(Status status) { throw Failure{status}; }
inline void require(bool holds, Status otherwise) {
  if (!holds) throw Failure{otherwise};
}

struct Module;
struct Context;
struct Stream;

// One of the GPUs that are stood in for. Each has an address space of its own.
struct Device {
  const sim::Gpu* gpu = nullptr;
  std::unique_ptr<sim::Memory> memory;
  Context* primary = nullptr;
};

struct Function {
  Module* module = nullptr;
  const sim::Module::Kernel* kernel = nullptr;
  std::size_t dynamic_shared_limit = 0;  // what the program opted in to
  int carveout = -1;
};

struct Module {
  Context* context = nullptr;
  std::unique_ptr<sim::Module> code;
  std::map<std::string, std::unique_ptr<Function>, std::less<>> functions;
  std::vector<Function*> order;
};

// Recorded work.
struct Graph {
  struct Node {
    std::function<void(Stream&)> work;
    std::vector<Node*> after;
    int type = 0;                  // CUgraphNodeType
    const void* handle = nullptr;  // the node that this is a copy of
  };
  std::vector<std::unique_ptr<Node>> nodes;
};

constexpr int kGlobalCapture = 0, kRelaxedCapture = 2;  // 1: thread local

struct Capture {
  Graph graph;
  Stream* origin = nullptr;
  int mode = kGlobalCapture;
  std::thread::id thread;  // that began it
  bool invalid = false;
};

struct Stream {
  Context* context = nullptr;
  unsigned flags = 0;
  int priority = 0;
  double time = 0;  // modelled seconds at which its work so far ends
  std::shared_ptr<Capture> capture;
};

struct Event {
  Context* context = nullptr;
  unsigned flags = 0;
  bool recorded = false;
  double time = 0;
  std::weak_ptr<Capture> capture;
};

struct Context {
  int device = 0;
  bool primary = false;
  int uses = 1;
  unsigned flags = 0;
  unsigned version = 13000;
  Status sticky = kSuccess;  // what ended it
  std::string report;        // why
  Stream null_stream, thread_stream;
  std::set<DevicePointer> allocations;
  std::map<int, std::size_t> limits;
};

// Objects by handle. A handle that isn't in here is refused, not followed.
template <typename T>
class Handles {
 public:
  T* add(std::unique_ptr<T> object) {
    T* handle = object.get();
    objects_[handle] = std::move(object);
    return handle;
  }
  T* find(const void* handle) const {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second.get();
  }
  bool erase(const void* handle) { return objects_.erase(handle) > 0; }
  template <typename Predicate>
  void erase_if(Predicate&& which) {
    for (auto it = objects_.begin(); it != objects_.end();)
      it = which(*it->second) ? objects_.erase(it) : std::next(it);
  }
  auto begin() const { return objects_.begin(); }
  auto end() const { return objects_.end(); }

 private:
  std::map<const void*, std::unique_ptr<T>> objects_;
};

// Faults to inject: $HONE_SIM_FAULT, as in "oom@3,launch@1,hang@2,arch": the third allocation, the
// first launch ...
struct Faults {
  std::uint64_t out_of_memory = 0, launch = 0, hang = 0, time_out = 0;  // which one; 0: none
  bool architecture = false;
};

struct Driver {
  Driver();

  std::recursive_mutex mutex;
  bool initialized = false;
  std::string problem;  // why there is no device; "" when there is one
  std::vector<Device> devices;
  sim::Options options;
  Faults faults;
  std::uint64_t allocation_count = 0, launch_count = 0;
  std::string report_file;
  Handles<Context> contexts;
  Handles<Module> modules;
  Handles<Stream> streams;
  Handles<Event> events;
  Handles<Graph> graphs;                // CUgraph
  Handles<Graph> executables;           // CUgraphExec
  std::map<void*, std::size_t> pinned;  // by address; those that the driver allocated
  std::set<void*> registered;           // the program's own
  sim::Counters counters;               // since they were last asked for
  double modelled_s = 0;                // of the launches counted there
  std::uint64_t counted_launches = 0;
  std::string last_report;

  Context& current();  // of this thread; fails where there is none, or where it has ended
  Device& device(int ordinal);
  Device& device() { return device(current().device); }  // of this thread's context
  sim::Memory& memory() { return *device().memory; }
  const sim::Gpu& gpu() { return *device().gpu; }
  Stream& stream(void* handle);
  Event& event(void* handle);
  Module& module(void* handle);
  Function& function(void* handle);
  void destroy(Context* context);
  // Fails, and spoils the recording, while a stream records in a mode that forbids this thread what
  // would wait or allocate.
  void forbid_in_capture();
};

Driver& driver();
std::vector<Context*>& context_stack();  // of this thread
int& thread_capture_mode();              // what this thread may do while a stream records

// Does the work of one entry point under the lock.
template <typename Work>
Status call(Work&& work, bool needs_init = true) noexcept {
  try {
    Driver& driver_now = driver();
    const std::lock_guard lock(driver_now.mutex);
    if (needs_init && !driver_now.initialized) return kNotInitialized;
    work(driver_now);
    return kSuccess;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::bad_alloc&) {
    return kOutOfMemory;
  } catch (...) {
    return kUnknown;
  }
}

// memory.cpp
void copy_2d(Driver& driver, const Copy2D& copy);
void copy_3d(Driver& driver, const Copy3D& copy);
void copy_any(Driver& driver, std::uint64_t to, std::uint64_t from, std::size_t bytes);
void set_memory(Driver& driver, DevicePointer to, std::size_t pitch, unsigned value,
                unsigned element_bytes, std::size_t width, std::size_t height);
// Seconds that a copy takes on paper.
double copy_seconds(Driver& driver, std::size_t bytes, bool on_device);

// launch.cpp
struct Launch {
  Function* function = nullptr;
  sim::Launch launch;
};
// Checks sizes and copies the parameters.
Launch prepare(Driver& driver, void* function, const unsigned grid[3], const unsigned block[3],
               unsigned shared_bytes, void** parameters, void** extra, bool cooperative);
void execute(Driver& driver, const Launch& launch, Stream& stream);

// model.cpp: modelled seconds of one launch, from what was counted.
double modelled_seconds(const sim::Gpu& gpu, const sim::Counters& counters,
                        const sim::KernelInfo& kernel, const sim::Launch& launch);

// The ceilings of that model as one JSON object.
std::string ceilings_text(const sim::Gpu& gpu);

// stream.cpp: does the work now, or records it where the stream captures.
void enqueue(Driver& driver, Stream& stream, int type, std::function<void(Stream&)> work);

// fatbin.cpp: the PTX text in an image for this GPU. Fails with kNoBinaryForGpu when there is only
// machine code, kInvalidImage for what is no image.
std::string ptx_of_image(const void* image, const sim::Gpu& gpu, std::string* log);
std::string ptx_of_image(std::string_view bytes, const sim::Gpu& gpu, std::string* log);

// module.cpp
Module* load_module(Driver& driver, const std::string& ptx, std::string* log);
void give_log(unsigned count, const int* options, void** values, const std::string& log,
              bool failed);

}  // namespace hone::standin
