// What the matrix variants of attention share: how keys and queries get into shared memory, as rows
// of `line` bytes: runs of 16 bytes, zeros beyond d, and one run more than needed, so that rows lie
// in different banks.
#pragma once
#include "attention_gpu.h"
#include "mma.h"

constexpr int kThreads = static_cast<int>(threads), kRows = static_cast<int>(rows);
constexpr int kTall = static_cast<int>(tall), kParts = static_cast<int>(parts);
constexpr int kWN = static_cast<int>(WN), kKeys = static_cast<int>(BN), kOwnKeys = kKeys / kWN;
constexpr int kRun = 16 / static_cast<int>(sizeof(k_t));  // elements
constexpr int kDepth = static_cast<int>(depth), kRuns = kDepth / kRun;
constexpr int kLine = static_cast<int>(line);
constexpr bool kFinishing = softcap == word::yes || alibi == word::yes;

// Tokens of a cache on their way into slots of the ring, kKeys at a time; those from `end` on come
// as zeros. A thread brings the same run of 16 bytes of every kAtOnce-th row.
struct Feed {
  static constexpr int kAtOnce = kThreads / kRuns, kEach = (kKeys + kAtOnce - 1) / kAtOnce;
  Cache<k_t> cache;
  i32 token, end;

  // Calls f(place in the slot, e) for the runs of this thread.
  template <typename F>
  static HONE_INLINE void places(F f) {
    const int row = thread_index() / kRuns, run = thread_index() % kRuns;
    if (kThreads % kRuns != 0 && row >= kAtOnce) return;
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      if (kKeys % kAtOnce == 0 || row + e * kAtOnce < kKeys)
        f((row + e * kAtOnce) * kLine + run * 16, e);
  }
  // Calls f(place in the slot, source, whether it is there, e), and goes on to the next tokens.
  template <typename F>
  HONE_INLINE void next(F f) {
    const int row = thread_index() / kRuns, run = thread_index() % kRuns;
    const k_t *from = layout == word::paged ? cache.base : cache[token + row] + run * kRun;
    const bool within = kDepth == kD || run * kRun < kD;
    const i32 left = within ? end - token - row : 0;
    places([&](int place, int e) {
      const bool there = e * kAtOnce < left;
      if (layout == word::paged && there) from = cache[token + row + e * kAtOnce] + run * kRun;
      f(place, layout == word::paged ? from : from + e * kAtOnce * kTokenStride, there, e);
    });
    token += kKeys;
  }
};

// Queries times `sign` to shared memory, as parts: [part][row][line].
HONE_INLINE void bring_queries(const Args &a, const Task &task, f32 sign, u8 *to) {
  for (int at = thread_index(); at < kRows * kRuns; at += kThreads) {
    const int r = at / kRuns, run = at % kRuns;
    f32 left[kRun] = {};
    if (task.has(r) && (kDepth == kD || run * kRun < kD))
      load_vector(left, a.query + task.row(r) * d + run * kRun);
#pragma unroll
    for (int i = 0; i < kRun; ++i) left[i] *= sign;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      store_shared(reinterpret_cast<k_t *>(to + (part * kRows + r) * kLine + run * 16), left);
#pragma unroll
      for (int i = 0; i < kRun; ++i) left[i] -= to_f32(from_f32<k_t>(left[i]));
    }
  }
}

#if HONE_CUDA
// Keys and values of a task pass by turns through a ring of slots at `ring`, `stages` of them,
// filled by asynchronous copies ahead of their use; without those, by way of registers while the
// slot before is used. Calls on_keys(where they lie) and on_values(where they lie, first of the
// tile's tokens) for each tile.
template <int stages, typename F, typename G>
HONE_INLINE void stream_tiles(const Args &a, const Task &task, u8 *ring, F on_keys, G on_values) {
  constexpr int kSlot = kKeys * kLine, kRing = stages * kSlot;
  Feed keys{{a, a.k, task.sequence, task.kv_head}, task.begin, task.end};
  Feed values{{a, a.v, task.sequence, task.kv_head}, task.begin, task.end};
  Words<16> held[has_cp_async ? 1 : Feed::kEach];
  const auto fetch = [&](Feed &feed, int slot) {
    if (feed.token < feed.end)
      feed.next([&](int place, const k_t *from, bool there, int e) {
        if constexpr (has_cp_async)
          copy_async(ring + slot + place, reinterpret_cast<const u8 *>(from), there);
        else
          held[e] = there ? *reinterpret_cast<const Words<16> *>(from) : Words<16>{};
      });
    if constexpr (has_cp_async) commit_copies();  // empty groups keep the count
  };
  const auto land = [&](int slot) {  // what waits in registers
    if constexpr (!has_cp_async)
      Feed::places(
          [&](int place, int e) { *reinterpret_cast<Words<16> *>(ring + slot + place) = held[e]; });
  };
  const auto arrive = [] {
    if constexpr (has_cp_async) wait_for_copies<stages - 2>();
    barrier();
  };
  const auto go_on = [](int &slot) { slot = slot + kSlot == kRing ? 0 : slot + kSlot; };
  int filled = 0, used = 0;  // slots that are filled and read next
#pragma unroll
  for (int s = 0; s < stages - 1; ++s) {
    fetch(s % 2 == 0 ? keys : values, filled);
    land(filled);
    go_on(filled);
  }
  for (i32 tile = task.begin; tile < task.end; tile += kKeys) {
    arrive();
    fetch(stages % 2 == 0 ? values : keys, filled);
    on_keys(ring + used);
    land(filled);
    go_on(filled);
    go_on(used);
    arrive();
    fetch(stages % 2 == 0 ? keys : values, filled);
    on_values(ring + used, tile);
    land(filled);
    go_on(filled);
    go_on(used);
  }
}
#endif
