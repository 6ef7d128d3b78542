// Leaves the last element out.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  for (i64 i = 0; i < a.n - 1; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
}
