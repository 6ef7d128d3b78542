// Writes more workspace than it asked for.
//! serves   cpu
//! param    never 0
//! workspace 4 * n - 4
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  f32 *sums = (f32 *)a.workspace;
  for (i64 i = 0; i < a.n; ++i) sums[i] = 2 * a.a[i] + a.b[i];
  for (i64 i = 0; i < a.n; ++i) a.y[i] = sums[i];
}
