using u32 = unsigned int;
using u64 = unsigned long long;
using u128 = unsigned __int128;

// libdevice's division reads what a subtraction borrowed with addc.
extern "C" __global__ void wide_division(const u64 *a, const u64 *b, u64 *out) {
  const int t = threadIdx.x;
  const u128 x = static_cast<u128>(a[t]) << 64 | b[t], y = static_cast<u128>(b[t]) << 32 | a[t] | 1;
  const u128 q = x / y, r = x % y;
  out[4 * t] = static_cast<u64>(q), out[4 * t + 1] = static_cast<u64>(q >> 64);
  out[4 * t + 2] = static_cast<u64>(r), out[4 * t + 3] = static_cast<u64>(r >> 64);
}

struct Node {
  int value;
  Node *next;
};
// Threads build lists of their own; what one frees another may get.
extern "C" __global__ void lists(int *out) {
  const int t = threadIdx.x;
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    Node *head = nullptr;
    for (int i = 0; i <= t % 5; ++i) head = new Node{i * t, head};
    while (head != nullptr) {
      Node *next = head->next;
      sum += head->value;
      delete head;
      head = next;
    }
  }
  out[t] = sum;
}
extern "C" __global__ void heap_is_full(u64 bytes, int *out) { out[threadIdx.x] = malloc(bytes) == nullptr; }
extern "C" __global__ void freed_twice(int *out) {
  int *p = new int(3);
  out[0] = *p;
  delete p;
  delete p;
}

// Two places, many who want one. Those who wait spin as long as they are let.
extern "C" __global__ void semaphore(u64 *places, int *out) {
  __shared__ u64 free_places;
  if (threadIdx.x == 0) free_places = 2;
  __syncthreads();
  volatile u64 *const look = &free_places;
  for (;;) {
    u64 seen = *look;
    while (seen == 0) {
      __nanosleep(100);
      seen = *look;
    }
    if (atomicCAS(&free_places, seen, seen - 1) == seen) break;
  }
  atomicAdd(out, 1);
  __threadfence_block();
  atomicAdd(&free_places, 1ull);
  __syncthreads();
  if (threadIdx.x == 0) *places = free_places;
}

// A store that releases is a fence of its own.
extern "C" __global__ void released(const int *in, int *out) {
  __shared__ int data[32], flag;
  const int t = threadIdx.x;
  if (t == 0) flag = 0;
  __syncthreads();
  if (t < 32) {
    data[t] = in[t];
    __syncwarp();
    if (t == 0) asm volatile("st.release.cta.shared.u32 [%0], 1;" ::"r"(static_cast<u32>(__cvta_generic_to_shared(&flag))) : "memory");
  } else {
    u32 seen = 0;
    while (seen == 0) asm volatile("ld.acquire.cta.shared.u32 %0, [%1];" : "=r"(seen) : "r"(static_cast<u32>(__cvta_generic_to_shared(&flag))) : "memory");
    out[t - 32] = data[63 - t];
  }
}

extern "C" __global__ void rare(const u32 *a, const u32 *b, u32 *out) {
  const int t = threadIdx.x;
  u32 place = 0;
  asm("fns.b32 %0, %1, %2, %3;" : "=r"(place) : "r"(a[t]), "r"(b[t] & 31), "r"(t % 2 == 0 ? 3 : -2));
  out[2 * t] = place;
  out[2 * t + 1] = __vsadu2(a[t], b[t]);
}

#define assert(condition) ((condition) ? (void)0 : __assert_fail(#condition, "device_code.cu", __LINE__, __func__))
extern "C" __device__ void __assert_fail(const char *, const char *, unsigned, const char *) throw();
extern "C" __global__ void asserts(int least) { assert(threadIdx.x >= static_cast<u32>(least)); }
