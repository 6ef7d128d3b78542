// Differs from run to run.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0

static i64 runs = 0;

HONE_KERNEL(main) {
  const f32 noise = (f32)runs++;
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i] + noise;
}
