// OpenBLAS: sgemm, and sgemv for one row.
#include <cblas-openblas.h>

#include "tests/peers/peer.h"
#include "tests/peers/problem_values.h"

namespace {

struct Call {
  int m, n, k;
  const float *x, *w;
  float* y;
};

}  // namespace

const char* hone_peer_name(void) {
  static const std::string name = std::string("openblas ") + openblas_get_config();
  return name.c_str();
}

const char* hone_peer_way(int way) { return way == 0 ? "plain" : nullptr; }

void* hone_peer_prepare(const char* text, int, void* const* arguments, int threads) {
  const ProblemValues problem(text);
  if (problem.op != "gemm" || problem.word("x", "f32") != "f32" ||
      problem.word("w", "f32") != "f32" || problem.word("y", "f32") != "f32" ||
      problem.word("epilogue", "none") != "none")
    return nullptr;
  openblas_set_num_threads(threads);
  return new Call{static_cast<int>(problem.integer("m")),  static_cast<int>(problem.integer("n")),
                  static_cast<int>(problem.integer("k")),  static_cast<const float*>(arguments[0]),
                  static_cast<const float*>(arguments[1]), static_cast<float*>(arguments[2])};
}

void hone_peer_run(void* prepared) {
  const Call& call = *static_cast<Call*>(prepared);
  if (call.m == 1)
    cblas_sgemv(CblasRowMajor, CblasNoTrans, call.n, call.k, 1, call.w, call.k, call.x, 1, 0,
                call.y, 1);
  else
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, call.m, call.n, call.k, 1, call.x, call.k,
                call.w, call.k, 0, call.y, call.n);
}

void hone_peer_release(void* prepared) { delete static_cast<Call*>(prepared); }
