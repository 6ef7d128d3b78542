//! serves   cpu
//! fixed    n k
//! param    never 0 1
//! launch   main m 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  for (i64 j = 0; j < n; ++j) {
    f32 sum = 0;
    for (i64 i = 0; i < k; ++i) sum += a.x[b.x * k + i] * a.w[j * k + i];
    a.y[b.x * n + j] = sum;
  }
}
