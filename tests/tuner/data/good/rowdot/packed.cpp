//! serves   cpu
//! fixed    n k
//! param    P 2 4 8
//! param    never 0 1
//! pack     w panel(P) ceil_div(n, P) * P * k * 4
//! launch   main m 1 1 1
//! start    P=4,never=0

// Panels of P columns, k outermost.
HONE_PACK(w) {
  const f32 *w = (const f32 *)from;
  f32 *panels = (f32 *)to;
  for (i64 j = 0; j < (n + P - 1) / P * P; ++j)
    for (i64 i = 0; i < k; ++i) panels[(j / P * k + i) * P + j % P] = j < n ? w[j * k + i] : 0;
}

HONE_KERNEL(main) {
  const f32 *panels = (const f32 *)a.w;
  for (i64 j = 0; j < n; ++j) {
    f32 sum = 0;
    for (i64 i = 0; i < k; ++i) sum += a.x[b.x * k + i] * panels[(j / P * k + i) * P + j % P];
    a.y[b.x * n + j] = sum;
  }
}
