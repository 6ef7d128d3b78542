//! serves   cpu
//! param    unroll 1 2 4
//! launch_param block 64 256 1024
//! launch   main ceil_div(n, block) 1 1 1
//! start    unroll=1,block=256

HONE_KERNEL(main) {
  const i64 begin = b.x * a.block, end = begin + a.block < a.n ? begin + a.block : a.n;
  i64 i = begin;
  for (; i + unroll <= end; i += unroll)
    for (i64 j = 0; j < unroll; ++j) a.y[i + j] = 2 * a.a[i + j] + a.b[i + j];
  for (; i < end; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
}
