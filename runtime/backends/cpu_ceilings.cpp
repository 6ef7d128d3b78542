#include "runtime/backends/cpu_ceilings.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kOneThread = "_1t";
// Short enough to fall between the interruptions of a busy machine, long enough for the clock.
constexpr double kSampleSeconds = 2e-3;
constexpr int kSamplesInARow = 2;  // the second one finds the workers awake
constexpr int kMinRounds = 3;
constexpr std::int64_t kMinPieceBytes = 4 << 20;  // of main memory, per thread and sample
constexpr std::int64_t kMainMemoryBytes =
    256 << 20;  // at least, and at least four times the last-level cache
constexpr std::int64_t kLineBytes = 64;
constexpr std::int64_t kStepBytes = 512;  // of the loops below; every part is a multiple
constexpr std::int64_t kFmaSteps = 1000;  // of the arithmetic loops, per repeat
constexpr int kChains = 12;               // accumulators: latency 4 times two units, and some
constexpr int kEmptyLaunches = 100;

struct Work {
  char* buffer;  // a part per block
  std::int64_t part_bytes;
  std::int64_t repeats;
};

// Each entry keeps its result from being optimised away by handing it to an empty asm statement.
#define HONE_ENTRY(name, features)                                                                \
  [[gnu::target(features)]] void name(const void* slots, const std::int64_t*, std::int64_t begin, \
                                      std::int64_t end, std::int64_t)

HONE_ENTRY(empty, "sse2") { __asm__ volatile("" : : "r"(slots), "r"(begin), "r"(end)); }

HONE_ENTRY(fma_sse, "sse2") {
  const Work& work = *static_cast<const Work*>(slots);
  const __m128 factor = _mm_set1_ps(0.999F);
  __m128 products[kChains / 2];
  __m128 sums[kChains / 2];
  for (int i = 0; i < kChains / 2; ++i) products[i] = sums[i] = _mm_set1_ps(static_cast<float>(i));
  for (std::int64_t step = 0; step < (end - begin) * work.repeats * kFmaSteps; ++step) {
#pragma GCC unroll 6
    for (int i = 0; i < kChains / 2; ++i) {
      products[i] = _mm_mul_ps(products[i], factor);
      sums[i] = _mm_add_ps(sums[i], factor);
    }
  }
  for (int i = 0; i < kChains / 2; ++i) __asm__ volatile("" : : "x"(products[i]), "x"(sums[i]));
}

HONE_ENTRY(fma_avx2, "avx2,fma") {
  const Work& work = *static_cast<const Work*>(slots);
  const __m256 factor = _mm256_set1_ps(0.999F);
  __m256 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  for (std::int64_t step = 0; step < (end - begin) * work.repeats * kFmaSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, factor);
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : : "x"(sums[i]));
}

HONE_ENTRY(fma_avx512, "avx512f") {
  const Work& work = *static_cast<const Work*>(slots);
  const __m512 factor = _mm512_set1_ps(0.999F);
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (std::int64_t step = 0; step < (end - begin) * work.repeats * kFmaSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, factor);
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : : "v"(sums[i]));
}

HONE_ENTRY(dot_bf16, "avx512f,avx512bf16") {
  const Work& work = *static_cast<const Work*>(slots);
  const __m512bh factor = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3c00));
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (std::int64_t step = 0; step < (end - begin) * work.repeats * kFmaSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], factor, factor);
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : : "v"(sums[i]));
}

HONE_ENTRY(dot_s8, "avx512f,avx512vnni") {
  const Work& work = *static_cast<const Work*>(slots);
  const __m512i factor = _mm512_set1_epi8(3);
  __m512i sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_epi32(i);
  for (std::int64_t step = 0; step < (end - begin) * work.repeats * kFmaSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], factor, factor);
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : : "v"(sums[i]));
}

// Integer OR: one cycle, so that only the loads bound the loop.
HONE_ENTRY(read_sse, "sse2") {
  const Work& work = *static_cast<const Work*>(slots);
  __m128i seen[8] = {};
  for (std::int64_t part = begin; part < end; ++part) {
    const char* const from = work.buffer + part * work.part_bytes;
    for (std::int64_t repeat = 0; repeat < work.repeats; ++repeat) {
      for (std::int64_t at = 0; at < work.part_bytes; at += 128) {
#pragma GCC unroll 8
        for (std::int64_t i = 0; i < 8; ++i)
          seen[i] = _mm_or_si128(
              seen[i], _mm_load_si128(reinterpret_cast<const __m128i*>(from + at + 16 * i)));
      }
      __asm__ volatile("" : : : "memory");
    }
  }
  for (int i = 0; i < 8; ++i) __asm__ volatile("" : : "x"(seen[i]));
}

HONE_ENTRY(read_avx2, "avx2") {
  const Work& work = *static_cast<const Work*>(slots);
  __m256i seen[8] = {};
  for (std::int64_t part = begin; part < end; ++part) {
    const char* const from = work.buffer + part * work.part_bytes;
    for (std::int64_t repeat = 0; repeat < work.repeats; ++repeat) {
      for (std::int64_t at = 0; at < work.part_bytes; at += 256) {
#pragma GCC unroll 8
        for (std::int64_t i = 0; i < 8; ++i)
          seen[i] = _mm256_or_si256(
              seen[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(from + at + 32 * i)));
      }
      __asm__ volatile("" : : : "memory");
    }
  }
  for (int i = 0; i < 8; ++i) __asm__ volatile("" : : "x"(seen[i]));
}

HONE_ENTRY(read_avx512, "avx512f") {
  const Work& work = *static_cast<const Work*>(slots);
  __m512i seen[8] = {};
  for (std::int64_t part = begin; part < end; ++part) {
    const char* const from = work.buffer + part * work.part_bytes;
    for (std::int64_t repeat = 0; repeat < work.repeats; ++repeat) {
      for (std::int64_t at = 0; at < work.part_bytes; at += 512) {
#pragma GCC unroll 8
        for (std::int64_t i = 0; i < 8; ++i)
          seen[i] = _mm512_or_si512(seen[i], _mm512_load_si512(from + at + 64 * i));
      }
      __asm__ volatile("" : : : "memory");
    }
  }
  for (int i = 0; i < 8; ++i) __asm__ volatile("" : : "v"(seen[i]));
}

// From the first half of the part to the second, past the caches.
HONE_ENTRY(copy_sse, "sse2") {
  const Work& work = *static_cast<const Work*>(slots);
  const std::int64_t half = work.part_bytes / 2;
  for (std::int64_t part = begin; part < end; ++part) {
    char* const from = work.buffer + part * work.part_bytes;
    for (std::int64_t repeat = 0; repeat < work.repeats; ++repeat) {
      for (std::int64_t at = 0; at < half; at += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(from + half + at),
                         _mm_load_si128(reinterpret_cast<const __m128i*>(from + at)));
      }
    }
  }
  _mm_sfence();
}

HONE_ENTRY(copy_avx512, "avx512f") {
  const Work& work = *static_cast<const Work*>(slots);
  const std::int64_t half = work.part_bytes / 2;
  for (std::int64_t part = begin; part < end; ++part) {
    char* const from = work.buffer + part * work.part_bytes;
    for (std::int64_t repeat = 0; repeat < work.repeats; ++repeat) {
      for (std::int64_t at = 0; at < half; at += 64) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(from + half + at),
                            _mm512_load_si512(from + at));
      }
    }
  }
  _mm_sfence();
}
#undef HONE_ENTRY

std::int64_t whole_steps(std::int64_t bytes) {
  return std::max(kStepBytes, bytes / kStepBytes * kStepBytes);
}

struct Case {
  std::string name;
  CpuEntry entry;
  std::int64_t threads;
  bool streams;  // from main memory: a sample takes the next piece of the buffer, a part per thread
  std::int64_t part_bytes;
  double amount;  // bytes or operations of one part and one repeat
  std::int64_t repeats = 1;
  double best = 0;  // amount per nanosecond: GB/s or Gop/s
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Buffer {
  char* begin;
  std::int64_t bytes;
  std::int64_t at =
      0;  // where the next piece begins: no sample finds what another one has left in a cache
};

// Runs one sample and returns its seconds.
double sample(Case& one, Buffer& buffer, CpuPool& pool) {
  if (buffer.at + one.threads * one.part_bytes > buffer.bytes) buffer.at = 0;
  const Work work = {buffer.begin + buffer.at, one.part_bytes, one.repeats};
  if (one.streams) buffer.at += one.threads * one.part_bytes;
  const std::int64_t grid[3] = {one.threads, 1, 1};
  const Clock::time_point begin = Clock::now();
  pool.run(one.entry, &work, grid, one.threads, one.threads);
  const double seconds = seconds_since(begin);
  const double total = one.amount * static_cast<double>(one.threads * one.repeats);
  one.best = std::max(one.best, total / seconds * 1e-9);
  return seconds;
}

// Finds how much work fills a sample.
void calibrate(Case& one, Buffer& buffer, CpuPool& pool) {
  double seconds = sample(one, buffer, pool);
  if (one.streams) {
    seconds = std::min(seconds, sample(one, buffer, pool));
    const double fits = static_cast<double>(one.part_bytes) * kSampleSeconds / seconds;
    one.part_bytes = std::clamp(whole_steps(std::llround(fits)),
                                std::min(kMinPieceBytes, one.part_bytes), one.part_bytes);
    one.amount = static_cast<double>(one.part_bytes);
  } else {
    while (seconds < kSampleSeconds / 8) {
      one.repeats *= 4;
      seconds = sample(one, buffer, pool);
    }
    const double fits = static_cast<double>(one.repeats) * kSampleSeconds / seconds;
    one.repeats = std::max<std::int64_t>(1, std::llround(fits));
  }
  one.best = 0;
}

double empty_launch_ns(CpuPool& pool, std::int64_t threads) {
  const std::int64_t grid[3] = {threads, 1, 1};
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < kEmptyLaunches; ++i) pool.run(&empty, nullptr, grid, threads, threads);
  return seconds_since(begin) * 1e9 / kEmptyLaunches;
}

std::vector<Case> cases_on(std::int64_t threads, const CpuArch& arch, const CpuTopology& topology,
                           std::int64_t buffer_bytes) {
  const std::string suffix(threads == 1 ? kOneThread : "");
  const CpuEntry read = arch.level >= 4 ? &read_avx512 : arch.level == 3 ? &read_avx2 : &read_sse;
  std::vector<Case> cases;
  const auto memory = [&](const char* name, CpuEntry entry, std::int64_t part, bool streams) {
    cases.push_back({name + suffix, entry, threads, streams, whole_steps(part),
                     static_cast<double>(whole_steps(part))});
  };
  const auto arithmetic = [&](const char* name, CpuEntry entry, int operations_per_lane_set) {
    cases.push_back({name + suffix, entry, threads, false, 0,
                     static_cast<double>(kFmaSteps) * kChains * operations_per_lane_set});
  };
  memory("read_gbps", read, buffer_bytes / 4 / threads, true);
  memory("copy_gbps", arch.level >= 4 ? &copy_avx512 : &copy_sse, buffer_bytes / 4 / threads, true);
  memory("l1_gbps", read, topology.l1_bytes / 2, false);
  memory("l2_gbps", read, topology.l2_bytes / 2, false);
  // The last level is shared, on rented machines with strangers too: a quarter of it is what one
  // may hope for.
  memory("l3_gbps", read, std::max(topology.l3_bytes / 4 / threads, 2 * topology.l2_bytes), false);
  if (arch.level >= 4) {
    arithmetic("f32_gflops", &fma_avx512, 32);
  } else if (arch.level == 3) {
    arithmetic("f32_gflops", &fma_avx2, 16);
  } else {
    arithmetic("f32_gflops", &fma_sse, 4);
  }
  if (arch.bf16) arithmetic("bf16_gflops", &dot_bf16, 64);
  if (arch.vnni) arithmetic("s8_gflops", &dot_s8, 128);
  return cases;
}

}  // namespace

Ceilings measure_cpu_ceilings(const CpuArch& arch, const CpuTopology& topology, CpuPool& pool,
                              CpuMemory& memory, std::chrono::duration<double> budget) {
  const std::int64_t units = pool.size();
  Buffer buffer = {nullptr, std::max(kMainMemoryBytes, 4 * topology.l3_bytes), 0};
  buffer.begin = static_cast<char*>(memory.allocate(static_cast<std::size_t>(buffer.bytes)));
  for (std::int64_t at = 0; at < buffer.bytes; at += kLineBytes) buffer.begin[at] = 1;

  std::vector<Case> cases = cases_on(1, arch, topology, buffer.bytes);
  if (units > 1) {
    for (Case& one : cases_on(units, arch, topology, buffer.bytes)) cases.push_back(std::move(one));
  }
  const CpuPin pin;
  for (Case& one : cases) calibrate(one, buffer, pool);
  Ceilings ceilings;
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < kMinRounds || seconds_since(begin) < budget.count(); ++round) {
    for (Case& one : cases) {
      for (int i = 0; i < kSamplesInARow; ++i) sample(one, buffer, pool);
    }
    for (const std::int64_t threads : {std::int64_t{1}, units}) {
      const double nanoseconds = empty_launch_ns(pool, threads);
      double& best = ceilings[threads == 1 ? "launch_ns_1t" : "launch_ns"];
      best = best == 0 ? nanoseconds : std::min(best, nanoseconds);
    }
  }
  memory.release(buffer.begin);
  for (const Case& one : cases) ceilings[one.name] = one.best;
  // All units do at least what one does: the others may rest. Less is what a busy machine leaves of
  // them.
  for (const Case& one : cases) {
    if (one.threads > 1) continue;
    double& all = ceilings[one.name.substr(0, one.name.size() - kOneThread.size())];
    all = std::max(all, one.best);
  }
  if (units == 1) ceilings["launch_ns"] = ceilings["launch_ns_1t"];
  return ceilings;
}

}  // namespace hone
