// The part of the CUDA driver's binary interface that the stand-in speaks: numbers and layouts, as
// its documentation gives them.
#pragma once

#include <cstddef>
#include <cstdint>

#define HONE_DRIVER extern "C" __attribute__((visibility("default")))

namespace hone::standin {

using Status = int;  // CUresult
using DevicePointer = std::uint64_t;

enum : Status {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kUnsupportedLimit = 215,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
  kFileNotFound = 301,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kPrimaryContextActive = 708,
  kContextIsDestroyed = 709,
  kAssert = 710,
  kHostMemoryAlreadyRegistered = 712,
  kHostMemoryNotRegistered = 713,
  kIllegalInstruction = 715,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
  kCooperativeLaunchTooLarge = 720,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureUnmatched = 903,
  kCaptureImplicit = 906,
  kCaptureWrongThread = 908,
  kUnknown = 999,
};

enum MemoryType : unsigned {
  kHostMemory = 1,
  kDeviceMemory = 2,
  kArrayMemory = 3,
  kUnifiedMemory = 4
};

struct Copy2D {
  std::size_t from_x, from_y;
  MemoryType from_type;
  const void* from_host;
  DevicePointer from_device;
  void* from_array;
  std::size_t from_pitch;
  std::size_t to_x, to_y;
  MemoryType to_type;
  void* to_host;
  DevicePointer to_device;
  void* to_array;
  std::size_t to_pitch;
  std::size_t width, height;
};

struct Copy3D {
  std::size_t from_x, from_y, from_z, from_lod;
  MemoryType from_type;
  const void* from_host;
  DevicePointer from_device;
  void* from_array;
  void* reserved_0;
  std::size_t from_pitch, from_height;
  std::size_t to_x, to_y, to_z, to_lod;
  MemoryType to_type;
  void* to_host;
  DevicePointer to_device;
  void* to_array;
  void* reserved_1;
  std::size_t to_pitch, to_height;
  std::size_t width, height, depth;
};

struct LaunchAttribute {
  int id;
  char padding[4];
  union {
    char bytes[64];
    int integer;
    struct {
      unsigned x, y, z;
    } cluster;
  } value;
};
inline constexpr int kAttributeCooperative = 2, kAttributeCluster = 4;

struct LaunchConfig {
  unsigned grid[3], block[3];
  unsigned shared_bytes;
  void* stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};

struct KernelNode {
  void* function;
  unsigned grid[3], block[3];
  unsigned shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  void* context;
};

struct MemsetNode {
  DevicePointer to;
  std::size_t pitch;
  unsigned value;
  unsigned element_bytes;
  std::size_t width, height;
};

struct HostNode {
  void (*function)(void*);
  void* data;
};

static_assert(sizeof(Copy2D) == 128 && sizeof(Copy3D) == 200 && sizeof(LaunchConfig) == 56 &&
              sizeof(LaunchAttribute) == 72 && sizeof(KernelNode) == 72 &&
              sizeof(MemsetNode) == 40);

// Options of just-in-time compilation that say where a log goes.
enum JitOption : int {
  kInfoLog = 3,
  kInfoLogBytes = 4,
  kErrorLog = 5,
  kErrorLogBytes = 6,
};

enum FunctionAttribute : int {
  kMaxThreadsPerBlock = 0,
  kSharedBytes = 1,
  kConstantBytes = 2,
  kLocalBytes = 3,
  kRegisters = 4,
  kPtxVersion = 5,
  kBinaryVersion = 6,
  kCacheModeCa = 7,
  kMaxDynamicShared = 8,
  kPreferredCarveout = 9,
  kLastFunctionAttribute = 15,
};

}  // namespace hone::standin
