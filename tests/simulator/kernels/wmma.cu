#include <mma.h>

namespace wmma = nvcuda::wmma;

// 16x16x16 in half by the C++ interface: A by rows, B by columns.
extern "C" __global__ void wmma_f16(const __half *a, const __half *b, float *c, int k) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;
  wmma::fill_fragment(sums, 0.5f);
  for (int step = 0; step < k; step += 16) {
    wmma::load_matrix_sync(fa, a + step, k);
    wmma::load_matrix_sync(fb, b + step, k);
    wmma::mma_sync(sums, fa, fb, sums);
  }
  for (int i = 0; i < sums.num_elements; ++i) sums.x[i] *= 2.0f;
  wmma::store_matrix_sync(c, sums, 16, wmma::mem_row_major);
}
