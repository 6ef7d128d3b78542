/* Hone's C API: load a tuning database, resolve problems, launch tuned kernels.
 *
 * Objects are opaque; status and match values are frozen. A function that returns hone_status gives
 * HONE_OK or says why not in hone_error(), which belongs to the calling thread and lasts until its
 * next failing call. Nothing here prints, exits or aborts.
 *
 * Threads: an engine serves one thread at a time (hone_open, hone_find, hone_close); a kernel may
 * be launched, asked and packed with from any number of threads as long as their buffers differ.
 * Kernels must be released before their engine is closed. */
#ifndef HONE_H
#define HONE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_API __attribute__((visibility("default")))

typedef struct hone_engine hone_engine;
/* A problem's static dims, resolved: the tuned kernels of all its dynamic dims. */
typedef struct hone_kernel hone_kernel;

typedef enum hone_status {
  HONE_OK = 0,
  HONE_USAGE = 1,       /* a problem string, a name, a shape or a null pointer that can't be */
  HONE_NOT_FOUND = 2,   /* no such operator, device or file */
  HONE_UNSUPPORTED = 3, /* understood, but no kernel serves it */
  HONE_COMPILE = 4,     /* the compiler is missing, refused the kernel, or hung */
  HONE_NO_BINARY = 5,   /* compilation is switched off and no binary is stored */
  HONE_IO = 6,          /* files, pipes, a full disk */
  HONE_DATABASE = 7,    /* damaged, foreign, newer or locked database */
  HONE_DEVICE = 8,      /* memory, load or launch failure */
  HONE_TEMPLATE = 9,    /* a malformed template */
  HONE_INTERNAL = 10    /* a bug in Hone */
} hone_status;

/* How good the match between a problem and what was tuned is, best first. */
typedef enum hone_match {
  HONE_MATCH_EXACT = 0,    /* tuned on this device for these very dims */
  HONE_MATCH_BUCKET = 1,   /* the same static dims, other dynamic ones */
  HONE_MATCH_NEAR = 2,     /* this device, another shape */
  HONE_MATCH_SIBLING = 3,  /* another device of the same kind */
  HONE_MATCH_MODELLED = 4, /* built and checked, never timed */
  HONE_MATCH_START = 5     /* nothing known: the template's default */
} hone_match;

/* All fields may be null or zero. */
typedef struct hone_options {
  const char *database;  /* a tuning database; null: the user's ($HONE_DB,
                            ~/.local/share/hone/tuning.db) if there is one */
  const char *device;    /* null: "cpu:0" */
  const char *templates; /* one more folder of templates */
  int no_compile;        /* 1: never run a compiler (as HONE_NO_COMPILE=1 does) */
} hone_options;

/* The texts live as long as the kernel. */
typedef struct hone_kernel_info {
  const char *problem; /* canonical, without dynamic dims */
  const char *variant; /* the template that serves the given dims */
  const char *config;  /* "MR=6,NR=64,..." */
  const char *layout;  /* how packed arguments lie, "w:panel(32)"; "" when nothing is packed */
  hone_match match;
  int64_t median_ns; /* as measured when tuned; 0 when never timed */
  int arguments;     /* pointers that hone_launch takes */
  int dims;          /* dynamic dims that hone_launch takes */
  int compiled;      /* 1: hone_find had to compile it */
} hone_kernel_info;

/* Marks an argument's name in a call. */
#define HONE_ARG(name) (name)

HONE_API hone_status hone_open(const hone_options *options, hone_engine **engine);
HONE_API void hone_close(hone_engine *engine); /* null is fine */

/* "gemm:n=8192,k=2048,w=q8_0": dynamic dims may be left out and don't matter. Never compiles
 * silently: see `compiled`. Never fails for a problem that some template serves, unless compilation
 * is off or fails. */
HONE_API hone_status hone_find(hone_engine *engine, const char *problem, hone_kernel **kernel);
/* The same among kernels that read this layout: for a weight that is packed already. */
HONE_API hone_status hone_find_layout(hone_engine *engine, const char *problem, const char *layout,
                                      hone_kernel **kernel);
HONE_API void hone_release(hone_kernel *kernel); /* null is fine */

/* `dims`: the dynamic dims in the operator's order (`hone ops OP`). Fails when nothing serves them.
 */
HONE_API hone_status hone_info(const hone_kernel *kernel, const int64_t *dims,
                               hone_kernel_info *info);
HONE_API hone_status hone_workspace_bytes(const hone_kernel *kernel, const int64_t *dims,
                                          size_t *bytes);

/* Bytes of an argument's packed form; 0 when the kernel takes it as it is. */
HONE_API hone_status hone_packed_bytes(const hone_kernel *kernel, const char *argument,
                                       size_t *bytes);
/* From the checkpoint's form to the kernel's; copies nothing else. An argument that is taken as it
 * is can't be packed (HONE_USAGE). */
HONE_API hone_status hone_pack(const hone_kernel *kernel, const char *argument, const void *from,
                               void *packed);

/* `arguments`: one pointer per argument in the operator's order, absent ones left out; scalars are
 * host pointers, null for their default. Packed arguments are aligned to 64 bytes, the others to
 * their element. `workspace`: hone_workspace_bytes() bytes, aligned to 64; may be null when that is
 * 0. `stream`: the vendor's; null for the default. On the CPU the call returns when the result is
 * there. Allocates nothing and takes no lock on one thread. */
HONE_API hone_status hone_launch(const hone_kernel *kernel, void *const *arguments,
                                 const int64_t *dims, void *workspace, void *stream);

/* Device memory, aligned to 64 bytes, on huge pages where that helps. Ordinary memory is as good on
 * the CPU. */
HONE_API hone_status hone_allocate(hone_engine *engine, size_t bytes, void **memory);
HONE_API void hone_free(hone_engine *engine, void *memory);

HONE_API const char *hone_error(void); /* the calling thread's last failure, never null */
HONE_API const char *hone_status_text(hone_status status); /* "ok", "usage", ... */
HONE_API const char *hone_match_text(hone_match match);    /* "exact", "bucket", ... */
HONE_API const char *hone_version(void);                   /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
