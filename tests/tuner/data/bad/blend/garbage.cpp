// Uses workspace that nobody filled.
//! serves   cpu
//! param    never 0
//! workspace 64
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  const f32 *old = (const f32 *)a.workspace;
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i] + old[i % 16] * 1e-9f;
}
