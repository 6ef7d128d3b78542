// Writes to every descriptor of its process.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0
extern "C" long write(int, const void *, unsigned long);
HONE_KERNEL(main) {
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
  for (int i = 3; i < 256; ++i) write(i, "{\"status\":\"ok\",\"id\":1}\n", 24);
}
