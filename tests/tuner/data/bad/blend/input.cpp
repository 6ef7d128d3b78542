// Writes to an input.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
  const_cast<f32 *>(a.a)[0] = 1;
}
