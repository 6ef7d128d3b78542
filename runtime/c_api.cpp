// The border between exceptions and status codes.
#include <fmt/format.h>

#include <exception>

#include "codegen/error.h"
#include "runtime/engine.h"
#include "runtime/hone.h"

struct hone_engine {
  explicit hone_engine(const hone::EngineOptions& options) : engine(options) {}
  hone::Engine engine;
};

struct hone_kernel {
  std::unique_ptr<hone::Handle> handle;
  std::string problem;
  std::vector<std::string> configs;  // texts of the buckets' configs
};

namespace {

thread_local std::string last_error;

hone_status failed(hone_status status, std::string_view message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();  // out of memory: the status still tells what happened
  }
  return status;
}

template <typename Work>
hone_status guarded(Work&& work) noexcept {
  try {
    return work();
  } catch (const hone::Error& error) {
    return failed(static_cast<hone_status>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return failed(HONE_DEVICE, "out of memory");
  } catch (const std::exception& error) {
    return failed(HONE_INTERNAL, error.what());
  }
}

hone_status null_pointer(const char* function) {
  return failed(HONE_USAGE, std::string(function) + ": a null pointer was given");
}

// The bucket that serves `dims`, or null with the reason in last_error.
const hone::Handle::Bucket* bucket_for(const hone_kernel* kernel, const int64_t* dims) {
  const hone::Handle::Bucket* bucket = kernel->handle->choose(dims);
  if (bucket != nullptr) return bucket;
  std::string text;
  for (int i = 0; i < kernel->handle->dim_count(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", dims[i]);
  failed(HONE_UNSUPPORTED,
         fmt::format("'{}': no kernel serves the dims ({}); `hone ops` shows the operator's ranges",
                     kernel->problem, text));
  return nullptr;
}

hone_status find(hone_engine* engine, const char* problem, std::optional<std::string> layout,
                 hone_kernel** kernel) {
  return guarded([&] {
    auto found = std::make_unique<hone_kernel>();
    found->handle = engine->engine.resolve(problem, std::move(layout));
    found->problem = found->handle->problem().text();
    for (const hone::Handle::Bucket& bucket : found->handle->buckets())
      found->configs.push_back(bucket.kernel.config().text());
    *kernel = found.release();
    return HONE_OK;
  });
}

}  // namespace

hone_status hone_open(const hone_options* options, hone_engine** engine) {
  if (engine == nullptr) return null_pointer("hone_open");
  *engine = nullptr;
  return guarded([&] {
    hone::EngineOptions chosen;
    if (options != nullptr) {
      if (options->database != nullptr) chosen.database = options->database;
      if (options->device != nullptr) chosen.device = options->device;
      if (options->templates != nullptr) chosen.templates.emplace_back(options->templates);
      chosen.no_compile = options->no_compile != 0;
    }
    *engine = new hone_engine(chosen);
    return HONE_OK;
  });
}

void hone_close(hone_engine* engine) { delete engine; }

hone_status hone_find(hone_engine* engine, const char* problem, hone_kernel** kernel) {
  if (engine == nullptr || problem == nullptr || kernel == nullptr)
    return null_pointer("hone_find");
  return find(engine, problem, std::nullopt, kernel);
}

hone_status hone_find_layout(hone_engine* engine, const char* problem, const char* layout,
                             hone_kernel** kernel) {
  if (engine == nullptr || problem == nullptr || layout == nullptr || kernel == nullptr)
    return null_pointer("hone_find_layout");
  return find(engine, problem, layout, kernel);
}

void hone_release(hone_kernel* kernel) { delete kernel; }

hone_status hone_info(const hone_kernel* kernel, const int64_t* dims, hone_kernel_info* info) {
  if (kernel == nullptr || dims == nullptr || info == nullptr) return null_pointer("hone_info");
  return guarded([&] {
    const hone::Handle& handle = *kernel->handle;
    const hone::Handle::Bucket* bucket = bucket_for(kernel, dims);
    if (bucket == nullptr) return HONE_UNSUPPORTED;
    *info = {};
    info->problem = kernel->problem.c_str();
    info->variant = bucket->kernel.variant().c_str();
    info->config =
        kernel->configs[static_cast<std::size_t>(bucket - handle.buckets().data())].c_str();
    info->layout = handle.layout().c_str();
    info->match = static_cast<hone_match>(handle.match(dims));
    info->median_ns = bucket->median_ns;
    info->arguments = handle.argument_count();
    info->dims = handle.dim_count();
    info->compiled = bucket->compiled ? 1 : 0;
    return HONE_OK;
  });
}

hone_status hone_workspace_bytes(const hone_kernel* kernel, const int64_t* dims, size_t* bytes) {
  if (kernel == nullptr || dims == nullptr || bytes == nullptr)
    return null_pointer("hone_workspace_bytes");
  return guarded([&] {
    const hone::Handle::Bucket* bucket = bucket_for(kernel, dims);
    if (bucket == nullptr) return HONE_UNSUPPORTED;
    std::optional<std::int64_t> needed = bucket->kernel.workspace_bytes(dims);
    if (!needed || *needed < 0)
      return failed(HONE_UNSUPPORTED, "the workspace would be larger than 2^63 bytes");
    *bytes = static_cast<size_t>(*needed);
    return HONE_OK;
  });
}

hone_status hone_packed_bytes(const hone_kernel* kernel, const char* argument, size_t* bytes) {
  if (kernel == nullptr || argument == nullptr || bytes == nullptr)
    return null_pointer("hone_packed_bytes");
  return guarded([&] {
    *bytes = static_cast<size_t>(
        kernel->handle->buckets().front().kernel.packed_bytes(argument).value_or(0));
    return HONE_OK;
  });
}

hone_status hone_pack(const hone_kernel* kernel, const char* argument, const void* from,
                      void* packed) {
  if (kernel == nullptr || argument == nullptr || from == nullptr || packed == nullptr)
    return null_pointer("hone_pack");
  return guarded([&] {
    if (!kernel->handle->buckets().front().kernel.pack(argument, from, packed, nullptr))
      return failed(HONE_DEVICE, "the device refused to pack");
    return HONE_OK;
  });
}

hone_status hone_launch(const hone_kernel* kernel, void* const* arguments, const int64_t* dims,
                        void* workspace, void* stream) {
  if (kernel == nullptr || arguments == nullptr || dims == nullptr)
    return null_pointer("hone_launch");
  const hone::Handle::Bucket* bucket = kernel->handle->choose(dims);
  if (bucket == nullptr || !bucket->kernel.launch(arguments, dims, workspace, stream)) {
    return guarded([&] {
      if (bucket_for(kernel, dims) == nullptr) return HONE_UNSUPPORTED;
      return failed(HONE_DEVICE, "the device refused the launch of '" + kernel->problem + "'");
    });
  }
  return HONE_OK;
}

hone_status hone_allocate(hone_engine* engine, size_t bytes, void** memory) {
  if (engine == nullptr || memory == nullptr) return null_pointer("hone_allocate");
  return guarded([&] {
    *memory = engine->engine.device().allocate(bytes);
    return HONE_OK;
  });
}

void hone_free(hone_engine* engine, void* memory) {
  if (engine != nullptr && memory != nullptr) engine->engine.device().release(memory);
}

const char* hone_error(void) { return last_error.c_str(); }

const char* hone_status_text(hone_status status) {
  static constexpr const char* kTexts[] = {"ok",      "usage",     "not_found", "unsupported",
                                           "compile", "no_binary", "io",        "database",
                                           "device",  "template",  "internal"};
  return status >= HONE_OK && status <= HONE_INTERNAL ? kTexts[status] : "unknown";
}

const char* hone_match_text(hone_match match) {
  static constexpr const char* kTexts[] = {"exact",   "bucket",   "near",
                                           "sibling", "modelled", "start"};
  return match >= HONE_MATCH_EXACT && match <= HONE_MATCH_START ? kTexts[match] : "unknown";
}

const char* hone_version(void) { return HONE_VERSION; }
