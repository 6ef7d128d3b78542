#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

namespace cg = cooperative_groups;

extern "C" __global__ void tiles(const int *in, int *out) {
  const cg::thread_block block = cg::this_thread_block();
  const auto tile = cg::tiled_partition<16>(block);
  const int v = in[block.thread_rank()];
  const int sum = cg::reduce(tile, v, cg::plus<int>());
  const int most = cg::reduce(tile, v, cg::greater<int>());
  const int scan = cg::inclusive_scan(tile, v);
  const int first = tile.shfl(v, 0);
  __shared__ int values[128];
  values[block.thread_rank()] = sum + scan;
  block.sync();
  out[block.thread_rank()] = values[127 - block.thread_rank()] + most * 3 + first + static_cast<int>(tile.meta_group_rank());
}

extern "C" __global__ void coalesced(const int *in, int *out) {
  const int t = static_cast<int>(threadIdx.x);
  out[t] = -1;
  if (in[t] % 2 == 0) {
    const cg::coalesced_group active = cg::coalesced_threads();
    const int sum = cg::reduce(active, in[t], cg::plus<int>());
    out[t] = sum * 100 + static_cast<int>(active.thread_rank());
  }
}

extern "C" __global__ void whole_grid(const int *in, int *partial, int *out) {
  const cg::grid_group grid = cg::this_grid();
  const int i = static_cast<int>(grid.thread_rank()), n = static_cast<int>(grid.size());
  partial[i] = in[i] * 2;
  grid.sync();
  out[i] = partial[n - 1 - i] + partial[(i + 100) % n];
  grid.sync();
  partial[i] = out[(i + 1) % n];
}
