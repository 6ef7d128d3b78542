// What the SIMT host and a kernel that it runs know of each other. Compiled into both: the kernel's
// side has no standard headers.
#pragma once

extern "C" {

// One GPU thread, as its fibre sees itself.
struct HoneSimtThread {
  unsigned thread[3], block[3], block_size[3], grid_size[3];
  unsigned lane, wave;  // wave: of the block
  unsigned wave_size;
  unsigned long stack_low, stack_bytes;
};

enum HoneSimtAccess : unsigned {
  kHoneSimtRead = 0,
  kHoneSimtWrite = 1,
  kHoneSimtAtomic = 2,     // and a write
  kHoneSimtUnaligned = 4,  // no alignment is promised
  kHoneSimtCompare = 8,    // with kHoneSimtAtomic: compare and swap
};

// What the lanes of a wave that take part in one operation have brought.
struct HoneSimtWave {
  unsigned long active;  // bit per lane
  const unsigned char *brought;
  unsigned stride;  // bytes from one lane's to the next
};

struct HoneSimtHost {
  HoneSimtThread *current;
  void (*access)(const void *address, unsigned long bytes, unsigned kind, const void *site);
  // Returns when every thread of the block that still runs has come.
  void (*barrier)(const void *site);
  // Returns when the lanes of this wave that run have come; `bytes` at most kHoneSimtMost.
  const HoneSimtWave *(*exchange)(const void *mine, unsigned bytes, const void *site);
  void (*wave_barrier)(const void *site);
  // What a lane asked of one that isn't there.
  void (*absent)(unsigned lane, const void *site);
  void (*matrix)(unsigned long flops);
  // Ends the launch.
  void (*trap)(const char *why, const void *site);
};

// Where a kernel's shared memory lies, and what a host fills in.
struct HoneSimtKernel {
  unsigned version;
  HoneSimtHost **host;
  unsigned char *static_begin, *static_end;  // static shared memory, dynamic within
  unsigned char *dynamic_begin;
  unsigned long dynamic_most;  // bytes
};

}  // extern "C"

constexpr unsigned kHoneSimtVersion = 1;
constexpr unsigned kHoneSimtMost = 256;  // bytes that a lane brings
constexpr unsigned kHoneSimtSlack =
    1024;  // bytes behind the dynamic shared memory that nobody may touch
