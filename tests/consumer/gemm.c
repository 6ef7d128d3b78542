// Opens a tuning database, resolves a GEMM by its problem string and runs it.
#include <hone.h>
#include <stdio.h>
#define MUST(call) \
  if ((call) != HONE_OK) return puts(hone_error()), 1

int main(int argc, char **argv) {
  static float x[256], w[512][256], y[512];
  for (int k = 0; k < 256; ++k) x[k] = w[7][k] = 1;
  hone_engine *engine;
  hone_kernel *gemm;
  hone_kernel_info info;
  size_t packed_bytes, workspace_bytes;
  void *packed = w, *workspace = NULL;
  int64_t m = 1;
  MUST(hone_open(&(hone_options){.database = argc > 1 ? argv[1] : NULL}, &engine));
  MUST(hone_find(engine, "gemm:n=512,k=256,x=f32,w=f32,y=f32", &gemm));
  MUST(hone_packed_bytes(gemm, HONE_ARG("w"), &packed_bytes));
  if (packed_bytes > 0) {
    MUST(hone_allocate(engine, packed_bytes, &packed));
    MUST(hone_pack(gemm, HONE_ARG("w"), w, packed));
  }
  MUST(hone_workspace_bytes(gemm, &m, &workspace_bytes));
  if (workspace_bytes > 0) MUST(hone_allocate(engine, workspace_bytes, &workspace));
  MUST(hone_launch(gemm, (void *[]){x, packed, y}, &m, workspace, NULL));
  MUST(hone_info(gemm, &m, &info));
  printf("%s (%s): y[7] = %g\n", info.variant, hone_match_text(info.match), y[7]);
  return y[7] != 256;
}
