#include "runtime/backends/gpu_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "codegen/error.h"
#include "codegen/json.h"
#include "runtime/backends/gpu_code.h"

namespace hone {
namespace {

using Result = GpuDriver::Result;

constexpr int kSharedBytes = 1;  // a function attribute
// Results, the same of both vendors.
constexpr Result kNoBinaryForGpu = 209, kInvalidImage = 200, kInvalidSource = 300;
// The geometry of a pack entry, as templates/README.md says.
constexpr std::int64_t kPackThreads = 256, kPackBytesPerBlock = 4096, kMostPackBlocks = 65536;

// Results after which a context can't be used any more.
bool ends_context(Result result) {
  constexpr std::array<Result, 10> kSticky = {700, 702, 710, 714, 715, 716, 717, 718, 719, 721};
  return std::find(kSticky.begin(), kSticky.end(), result) != kSticky.end();
}

// What launches of one device share: its context, and what went wrong in it.
struct Shared {
  std::shared_ptr<const GpuDriver> driver;
  int device = 0;
  GpuDriver::Context context = nullptr;
  std::atomic<bool> lost{false};

  Shared(std::shared_ptr<const GpuDriver> used, int index)
      : driver(std::move(used)), device(index) {
    if (const Result result = driver->retain_context(&context, device); result != 0)
      throw Error(Code::kDevice, fmt::format("no context on {}:{}: {}", driver->backend, index,
                                             driver->error_text(result)));
  }
  ~Shared() { driver->release_context(device); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
};

// The failure of this thread's last launch. Numbers: setting it allocates nothing.
thread_local Result failure = 0;

// Makes the context current on this thread while it lives.
class Current {
 public:
  explicit Current(const Shared& shared) : driver_(*shared.driver) {
    driver_.current_context(&before_);
    switched_ = before_ != shared.context;
    if (switched_) driver_.set_current_context(shared.context);
  }
  ~Current() {
    if (switched_) driver_.set_current_context(before_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  const GpuDriver& driver_;
  GpuDriver::Context before_ = nullptr;
  bool switched_ = false;
};

// What `get` writes; it returns the bytes that it needs.
std::string text_of(const std::function<std::size_t(char*, std::size_t)>& get) {
  if (!get) return "";
  std::string text(get(nullptr, 0), '\0');
  if (get(text.data(), text.size()) > text.size()) return "";
  text.resize(text.find('\0') == std::string::npos ? text.size() : text.find('\0'));
  return text;
}

std::string describe(const Shared& shared, Result result) {
  std::string text = shared.driver->error_text(result);
  if (ends_context(result) && shared.driver->simulated())
    text += "\n" + text_of(shared.driver->simulator_report);
  return text;
}

void check(Shared& shared, Result result, const char* what) {
  if (result == 0) return;
  failure = result;
  if (ends_context(result)) shared.lost = true;
  throw Error(Code::kDevice, fmt::format("{}: {}", what, describe(shared, result)));
}

class GpuModule final : public Module {
 public:
  GpuModule(std::shared_ptr<Shared> shared, const Binary& binary,
            std::span<const std::string> entries)
      : shared_(std::move(shared)) {
    const Current current(*shared_);
    const GpuCode code = unpack_gpu_code(binary.code);
    const GpuDriver& driver = *shared_->driver;
    std::string log;
    Result result = kNoBinaryForGpu;
    // Machine code of another architecture, or for a driver that runs only text, isn't the end.
    for (const std::string_view image : driver.images(code))
      if (!image.empty() &&
          (result == kNoBinaryForGpu || result == kInvalidImage || result == kInvalidSource))
        result = driver.load_module(&module_, image.data(), &log);
    if (result != 0)
      throw Error(Code::kDevice, fmt::format("can't load code for {}: {}; {}", binary.target,
                                             describe(*shared_, result), log));
    for (const std::string& entry : entries) {
      GpuDriver::Function function = nullptr;
      if (driver.module_function(&function, module_, ("hone_" + entry).c_str()) != 0) {
        driver.unload_module(module_);
        throw Error(Code::kDevice,
                    fmt::format("the code of {} has no entry hone_{}; build it again",
                                binary.source.text(), entry));
      }
      // Once, here: a launch may then ask for all that the device has.
      int fixed = 0;
      driver.function_attribute(&fixed, kSharedBytes, function);
      driver.allow_dynamic_shared(
          function, driver.attribute(driver.max_shared_attribute, shared_->device) - fixed);
      functions_.push_back(function);
    }
  }
  ~GpuModule() override {
    const Current current(*shared_);
    shared_->driver->unload_module(module_);
  }

  bool run(const Dispatch& dispatch, Stream stream) noexcept override {
    if (dispatch.entry < 0 || static_cast<std::size_t>(dispatch.entry) >= functions_.size())
      return refuse(kInvalidSource);
    // The entry's one parameter is a struct whose members are the slots.
    void* parameters[] = {const_cast<std::uint64_t*>(dispatch.slots)};
    const std::int64_t block[3] = {dispatch.threads, dispatch.threads_y, dispatch.threads_z};
    return launch(dispatch.entry, dispatch.grid, block, dispatch.shared_bytes, stream, parameters);
  }

  bool pack(int entry, const std::uint64_t* slots, int, const void* from, void* to,
            std::int64_t bytes, Stream stream) noexcept override {
    if (entry < 0 || static_cast<std::size_t>(entry) >= functions_.size())
      return refuse(kInvalidSource);
    void* parameters[] = {const_cast<std::uint64_t*>(slots), &from, &to};
    const std::int64_t grid[3] = {
        std::clamp<std::int64_t>((bytes + kPackBytesPerBlock - 1) / kPackBytesPerBlock, 1,
                                 kMostPackBlocks),
        1, 1};
    constexpr std::int64_t kPackBlock[3] = {kPackThreads, 1, 1};
    return launch(entry, grid, kPackBlock, 0, stream, parameters);
  }

 private:
  bool refuse(Result result) noexcept {
    failure = result;
    if (ends_context(result)) shared_->lost = true;
    return false;
  }

  bool launch(int entry, const std::int64_t* grid, const std::int64_t* block,
              std::int64_t shared_bytes, Stream stream, void** parameters) noexcept {
    constexpr Result kInvalidValue = 1;
    constexpr std::int64_t kMost = 2147483647;
    for (int i = 0; i < 3; ++i)
      if (grid[i] < 1 || grid[i] > kMost || block[i] < 1 || block[i] > kMost)
        return refuse(kInvalidValue);
    if (shared_bytes > kMost) return refuse(kInvalidValue);
    const Current current(*shared_);
    const Result result =
        shared_->driver->launch(functions_[static_cast<std::size_t>(entry)],
                                static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]),
                                static_cast<unsigned>(grid[2]), static_cast<unsigned>(block[0]),
                                static_cast<unsigned>(block[1]), static_cast<unsigned>(block[2]),
                                static_cast<unsigned>(shared_bytes), stream, parameters, nullptr);
    return result == 0 || refuse(result);
  }

  std::shared_ptr<Shared> shared_;  // a module may outlive its device
  GpuDriver::Module module_ = nullptr;
  std::vector<GpuDriver::Function> functions_;
};

class GpuDevice final : public Device {
 public:
  GpuDevice(std::shared_ptr<const GpuDriver> driver, int index, DeviceIdentity identity,
            Target target)
      : shared_(std::make_shared<Shared>(std::move(driver), index)),
        identity_(std::move(identity)),
        target_(std::move(target)) {}

  ~GpuDevice() override {
    const Current current(*shared_);
    for (GpuDriver::Event event : events_)
      if (event != nullptr) shared_->driver->destroy_event(event);
  }

  const DeviceIdentity& identity() const override { return identity_; }
  const Target& target() const override { return target_; }

  std::unique_ptr<Module> load(const Binary& binary,
                               std::span<const std::string> entries) override {
    if (binary.target != target_.text())
      throw Error(Code::kDevice, fmt::format("code for {} does not run on {}; build it for this "
                                             "device",
                                             binary.target, target_.text()));
    return std::make_unique<GpuModule>(shared_, binary, entries);
  }

  void* allocate(std::size_t bytes) override {
    const Current current(*shared_);
    GpuDriver::Pointer address = 0;
    check(*shared_, shared_->driver->allocate(&address, std::max<std::size_t>(bytes, 1)),
          fmt::format("allocating {} bytes on {}", bytes, identity_.name).c_str());
    return reinterpret_cast<void*>(address);
  }
  void release(void* memory) noexcept override {
    const Current current(*shared_);
    shared_->driver->release(reinterpret_cast<std::uintptr_t>(memory));
  }
  void copy_in(void* device, const void* host, std::size_t bytes) override {
    const Current current(*shared_);
    check(*shared_, shared_->driver->copy_in(reinterpret_cast<std::uintptr_t>(device), host, bytes),
          "copying to the device");
  }
  void copy_out(void* host, const void* device, std::size_t bytes) override {
    const Current current(*shared_);
    check(*shared_,
          shared_->driver->copy_out(host, reinterpret_cast<std::uintptr_t>(device), bytes),
          "copying from the device");
  }
  void synchronize() override {
    const Current current(*shared_);
    check(*shared_, shared_->driver->synchronize(), "waiting for the device");
  }
  std::string last_error() const override {
    return failure == 0 ? "" : describe(*shared_, failure);
  }
  bool lost() const override { return shared_->lost; }

  Counters counters() override {
    Counters counters;
    const std::string text = text_of(shared_->driver->simulator_counters);
    if (text.empty()) return counters;
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return counters;
    counters.emplace_back("launches", json.value("launches", 0.0));
    counters.emplace_back("modelled_ns", json.value("modelled_ns", 0.0));
    const auto counts = json.find("counters");
    if (counts == json.end() || !counts->is_object()) return counters;
    for (const auto& [name, value] : counts->items())
      if (value.is_number()) counters.emplace_back(name, value.get<double>());
    return counters;
  }

  // Between two events in the default stream: what the host does meanwhile doesn't count.
  double time(const std::function<void()>& work, int repeats) override {
    const Current current(*shared_);
    const GpuDriver& driver = *shared_->driver;
    for (GpuDriver::Event& event : events_)
      if (event == nullptr) check(*shared_, driver.create_event(&event, 0), "making an event");
    check(*shared_, driver.record_event(events_[0], nullptr), "recording an event");
    for (int i = 0; i < repeats; ++i) work();
    check(*shared_, driver.record_event(events_[1], nullptr), "recording an event");
    check(*shared_, driver.synchronize_event(events_[1]), "waiting for a launch");
    float milliseconds = 0;
    check(*shared_, driver.elapsed(&milliseconds, events_[0], events_[1]), "reading an event");
    return static_cast<double>(milliseconds) * 1e-3;
  }

  Ceilings measure_ceilings(std::chrono::duration<double> budget) override {
    const Current current(*shared_);
    if (!shared_->driver->simulated())
      return shared_->driver->measure_ceilings(*this, *shared_->driver, budget);
    // The simulator's times come from figures on paper, so its ceilings do as well.
    const std::string text = text_of([this](char* to, std::size_t bytes) {
      return shared_->driver->simulator_ceilings(to, bytes, shared_->device);
    });
    const auto json = Json::parse(text, nullptr, false);
    Ceilings ceilings;
    if (!json.is_object()) return ceilings;
    for (const auto& [name, value] : json.items())
      if (value.is_number()) ceilings[name] = value.get<double>();
    return ceilings;
  }

 private:
  std::shared_ptr<Shared> shared_;
  DeviceIdentity identity_;
  Target target_;
  std::array<GpuDriver::Event, 2> events_{};
};

}  // namespace

std::unique_ptr<Device> open_gpu_device(std::shared_ptr<const GpuDriver> driver, int index,
                                        DeviceIdentity identity, Target target) {
  return std::make_unique<GpuDevice>(std::move(driver), index, std::move(identity),
                                     std::move(target));
}

}  // namespace hone
