// The entry points about streams, events and captures.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr unsigned kNonBlocking = 1, kDisableTiming = 2;

// The default stream waits for the others, and what is only recorded can't be waited for.
void forbid_implicit_wait(Driver& driver, const Stream& stream) {
  if (&stream != &stream.context->null_stream) return;
  bool any = false;
  for (const auto& [handle, one] : driver.streams) {
    if (one->capture == nullptr || (one->flags & kNonBlocking) != 0) continue;
    one->capture->invalid = true;
    any = true;
  }
  require(!any, kCaptureImplicit);
}

void no_capture(Driver& driver, const Stream& stream) {
  forbid_implicit_wait(driver, stream);
  if (stream.capture == nullptr) return;
  stream.capture->invalid = true;
  fail(kCaptureUnsupported);
}

// Streams wait for the default stream and it for them: their times meet.
void meet(Driver& driver, Stream& stream) {
  Stream& null_stream = stream.context->null_stream;
  if (&stream != &null_stream) {
    if ((stream.flags & kNonBlocking) == 0) stream.time = std::max(stream.time, null_stream.time);
    return;
  }
  for (const auto& [handle, one] : driver.streams)
    if (one->context == stream.context && (one->flags & kNonBlocking) == 0)
      stream.time = std::max(stream.time, one->time);
}

}  // namespace

void enqueue(Driver& driver, Stream& stream, int type, std::function<void(Stream&)> work) {
  if (stream.capture == nullptr) {
    forbid_implicit_wait(driver, stream);
    meet(driver, stream);
    work(stream);
    return;
  }
  require(!stream.capture->invalid, kCaptureInvalidated);
  auto node = std::make_unique<Graph::Node>();
  node->work = std::move(work);
  node->type = type;
  auto& nodes = stream.capture->graph.nodes;
  if (!nodes.empty()) node->after.push_back(nodes.back().get());
  nodes.push_back(std::move(node));
}

// Streams.

HONE_DRIVER Status cuStreamCreateWithPriority(void** handle, unsigned flags, int priority) {
  return call([&](Driver& driver) {
    Context& context = driver.current();
    require(handle != nullptr && flags <= kNonBlocking, kInvalidValue);
    auto stream = std::make_unique<Stream>();
    stream->context = &context;
    stream->flags = flags;
    stream->priority = std::clamp(priority, -5, 0);
    *handle = driver.streams.add(std::move(stream));
  });
}
HONE_DRIVER Status cuStreamCreate(void** handle, unsigned flags) {
  return cuStreamCreateWithPriority(handle, flags, 0);
}
HONE_DRIVER Status cuStreamDestroy_v2(void* handle) {
  return call([&](Driver& driver) {
    driver.current();
    require(driver.streams.erase(handle), kInvalidHandle);
  });
}
HONE_DRIVER Status cuStreamDestroy(void* handle) { return cuStreamDestroy_v2(handle); }
HONE_DRIVER Status cuStreamSynchronize(void* handle) {
  return call([&](Driver& driver) { no_capture(driver, driver.stream(handle)); });
}
HONE_DRIVER Status cuStreamQuery(void* handle) { return cuStreamSynchronize(handle); }
HONE_DRIVER Status cuStreamGetFlags(void* handle, unsigned* flags) {
  return call([&](Driver& driver) {
    require(flags != nullptr, kInvalidValue);
    *flags = driver.stream(handle).flags;
  });
}
HONE_DRIVER Status cuStreamGetPriority(void* handle, int* priority) {
  return call([&](Driver& driver) {
    require(priority != nullptr, kInvalidValue);
    *priority = driver.stream(handle).priority;
  });
}
HONE_DRIVER Status cuStreamGetId(void* handle, unsigned long long* id) {
  return call([&](Driver& driver) {
    require(id != nullptr, kInvalidValue);
    *id = reinterpret_cast<std::uintptr_t>(&driver.stream(handle));
  });
}
HONE_DRIVER Status cuStreamGetCtx(void* handle, void** context) {
  return call([&](Driver& driver) {
    require(context != nullptr, kInvalidValue);
    *context = driver.stream(handle).context;
  });
}
HONE_DRIVER Status cuStreamGetDevice(void* handle, int* device) {
  return call([&](Driver& driver) {
    require(device != nullptr, kInvalidValue);
    *device = driver.stream(handle).context->device;
  });
}
HONE_DRIVER Status cuStreamAttachMemAsync(void* handle, DevicePointer, std::size_t, unsigned) {
  return call([&](Driver& driver) { driver.stream(handle); });
}
HONE_DRIVER Status cuStreamSetAttribute(void* handle, int, const void*) {
  return call([&](Driver& driver) { driver.stream(handle); });
}
HONE_DRIVER Status cuStreamCopyAttributes(void* to, void* from) {
  return call([&](Driver& driver) { driver.stream(to).priority = driver.stream(from).priority; });
}

HONE_DRIVER Status cuStreamWaitEvent(void* handle, void* event_handle, unsigned) {
  return call([&](Driver& driver) {
    Stream& stream = driver.stream(handle);
    const Event& event = driver.event(event_handle);
    if (const auto capture = event.capture.lock()) {
      require(stream.capture == nullptr || stream.capture == capture, kCaptureUnmatched);
      stream.capture = capture;
    }
    stream.time = std::max(stream.time, event.time);
  });
}

// The host's own work in a stream's order; called without the lock, as it may call in.
HONE_DRIVER Status cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
  if (function == nullptr) return kInvalidValue;
  bool now = false;
  const Status status = call([&](Driver& driver) {
    Stream& stream = driver.stream(handle);
    constexpr int kHostNode = 3;
    now = stream.capture == nullptr;
    if (!now) enqueue(driver, stream, kHostNode, [=](Stream&) { function(data); });
  });
  if (status == kSuccess && now) function(data);
  return status;
}
HONE_DRIVER Status cuStreamAddCallback(void* handle, void (*function)(void*, Status, void*),
                                       void* data, unsigned) {
  if (function == nullptr) return kInvalidValue;
  const Status status = call([&](Driver& driver) { no_capture(driver, driver.stream(handle)); });
  if (status == kSuccess) function(handle, kSuccess, data);
  return status;
}

namespace {
template <typename Value>
Status write_value(void* handle, DevicePointer to, Value value) {
  return call([&](Driver& driver) {
    constexpr int kBatchNode = 12;
    enqueue(driver, driver.stream(handle), kBatchNode, [&driver, to, value](Stream&) {
      require(driver.memory().write(to, &value, sizeof value), kInvalidValue);
    });
  });
}
}  // namespace
HONE_DRIVER Status cuStreamWriteValue32_v2(void* handle, DevicePointer to, std::uint32_t value,
                                           unsigned) {
  return write_value(handle, to, value);
}
HONE_DRIVER Status cuStreamWriteValue64_v2(void* handle, DevicePointer to, std::uint64_t value,
                                           unsigned) {
  return write_value(handle, to, value);
}

// Events.

HONE_DRIVER Status cuEventCreate(void** handle, unsigned flags) {
  return call([&](Driver& driver) {
    Context& context = driver.current();
    require(handle != nullptr, kInvalidValue);
    auto event = std::make_unique<Event>();
    event->context = &context;
    event->flags = flags;
    *handle = driver.events.add(std::move(event));
  });
}
HONE_DRIVER Status cuEventDestroy_v2(void* handle) {
  return call([&](Driver& driver) {
    driver.current();
    require(driver.events.erase(handle), kInvalidHandle);
  });
}
HONE_DRIVER Status cuEventDestroy(void* handle) { return cuEventDestroy_v2(handle); }
HONE_DRIVER Status cuEventRecord(void* handle, void* stream_handle) {
  return call([&](Driver& driver) {
    Stream& stream = driver.stream(stream_handle);
    Event& event = driver.event(handle);
    forbid_implicit_wait(driver, stream);
    event.capture = stream.capture;
    if (stream.capture != nullptr) return;
    meet(driver, stream);
    event.recorded = true;
    event.time = stream.time;
  });
}
HONE_DRIVER Status cuEventRecordWithFlags(void* handle, void* stream, unsigned) {
  return cuEventRecord(handle, stream);
}
HONE_DRIVER Status cuEventQuery(void* handle) {
  return call([&](Driver& driver) {
    require(driver.event(handle).capture.expired(), kCaptureUnsupported);
  });
}
HONE_DRIVER Status cuEventSynchronize(void* handle) { return cuEventQuery(handle); }
HONE_DRIVER Status cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  return call([&](Driver& driver) {
    const Event &first = driver.event(begin), &last = driver.event(end);
    require(milliseconds != nullptr, kInvalidValue);
    require(((first.flags | last.flags) & kDisableTiming) == 0, kInvalidHandle);
    require(first.recorded && last.recorded, kInvalidHandle);
    *milliseconds = static_cast<float>((last.time - first.time) * 1e3);
  });
}
HONE_DRIVER Status cuEventElapsedTime_v2(float* milliseconds, void* begin, void* end) {
  return cuEventElapsedTime(milliseconds, begin, end);
}

// Captures.

HONE_DRIVER Status cuStreamBeginCapture_v2(void* handle, int mode) {
  return call([&](Driver& driver) {
    Stream& stream = driver.stream(handle);
    require(mode >= 0 && mode <= kRelaxedCapture, kInvalidValue);
    require(&stream != &stream.context->null_stream, kCaptureUnsupported);
    require(stream.capture == nullptr, kInvalidValue);
    stream.capture = std::make_shared<Capture>();
    stream.capture->origin = &stream;
    stream.capture->mode = mode;
    stream.capture->thread = std::this_thread::get_id();
  });
}
HONE_DRIVER Status cuStreamBeginCapture(void* handle, int mode) {
  return cuStreamBeginCapture_v2(handle, mode);
}
HONE_DRIVER Status cuStreamEndCapture(void* handle, void** graph) {
  return call([&](Driver& driver) {
    Stream& stream = driver.stream(handle);
    require(graph != nullptr, kInvalidValue);
    *graph = nullptr;
    const std::shared_ptr<Capture> capture = stream.capture;
    require(capture != nullptr && capture->origin == &stream, kCaptureUnmatched);
    require(capture->mode == kRelaxedCapture || capture->thread == std::this_thread::get_id(),
            kCaptureWrongThread);
    stream.capture = nullptr;
    stream.context->thread_stream.capture = stream.context->thread_stream.capture == capture
                                                ? nullptr
                                                : stream.context->thread_stream.capture;
    for (const auto& [key, one] : driver.streams)
      if (one->capture == capture) one->capture = nullptr;
    require(!capture->invalid, kCaptureInvalidated);
    *graph = driver.graphs.add(std::make_unique<Graph>(std::move(capture->graph)));
  });
}
HONE_DRIVER Status cuStreamIsCapturing(void* handle, int* status) {
  return call([&](Driver& driver) {
    require(status != nullptr, kInvalidValue);
    const Stream& stream = driver.stream(handle);
    *status = stream.capture == nullptr ? 0 : stream.capture->invalid ? 2 : 1;
  });
}
HONE_DRIVER Status cuStreamGetCaptureInfo(void* handle, int* status, std::uint64_t* id) {
  if (id != nullptr) *id = reinterpret_cast<std::uintptr_t>(handle);
  return cuStreamIsCapturing(handle, status);
}
HONE_DRIVER Status cuStreamGetCaptureInfo_v2(void* handle, int* status, std::uint64_t* id,
                                             void** graph, const void* const** dependencies,
                                             std::size_t* count) {
  if (graph != nullptr) *graph = nullptr;
  if (dependencies != nullptr) *dependencies = nullptr;
  if (count != nullptr) *count = 0;
  return cuStreamGetCaptureInfo(handle, status, id);
}
HONE_DRIVER Status cuStreamGetCaptureInfo_v3(void* handle, int* status, std::uint64_t* id,
                                             void** graph, const void* const** dependencies,
                                             const void** edges, std::size_t* count) {
  if (edges != nullptr) *edges = nullptr;
  return cuStreamGetCaptureInfo_v2(handle, status, id, graph, dependencies, count);
}
HONE_DRIVER Status cuThreadExchangeStreamCaptureMode(int* mode) {
  if (mode == nullptr || *mode < 0 || *mode > kRelaxedCapture) return kInvalidValue;
  std::swap(thread_capture_mode(), *mode);
  return kSuccess;
}

}  // namespace hone::standin
