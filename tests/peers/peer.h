/* The C ABI between `hone bench` and a peer library's plug-in, build/hone_peer_<name>.so. A plug-in
   does the same operator as Hone on the same arguments, in one or several ways (the layout as it
   comes, or packed beforehand). */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Library and version: "onednn 2.6.3". */
const char *hone_peer_name(void);
/* Names of the ways, from 0; null behind the last. */
const char *hone_peer_way(int way);

/* One call on `threads` threads: `problem` is canonical text ("gemm:m=1,n=64,k=64"), `arguments`
   are Hone's, in its order; they stay where they are until release. Whatever can be done beforehand
   (packing) is done here. Null: the library can't do this. */
void *hone_peer_prepare(const char *problem, int way, void *const *arguments, int threads);
void hone_peer_run(void *prepared);
void hone_peer_release(void *prepared);

#ifdef __cplusplus
}
#endif
