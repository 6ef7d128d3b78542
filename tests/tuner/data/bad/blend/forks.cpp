// Starts a process that stays.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0
extern "C" int fork();
extern "C" int pause();
HONE_KERNEL(main) {
  for (i64 i = 0; i < a.n; ++i) a.y[i] = 2 * a.a[i] + a.b[i];
  if (fork() == 0)
    for (;;) pause();
}
