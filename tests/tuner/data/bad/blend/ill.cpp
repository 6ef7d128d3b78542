// Runs an instruction that isn't one.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
  __builtin_trap();
}
