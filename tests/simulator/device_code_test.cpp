// What device code asks of the runtime, and instructions that libraries hide.
#include <gtest/gtest.h>

#include <bit>

#include "tests/simulator/support/driver.h"
#include "tests/simulator/support/everywhere.h"
#include "tests/simulator/support/nvrtc.h"

namespace hone::test {
namespace {

const Source kDeviceCode{.file = "device_code.cu", .options = {"--device-int128"}};
const Source kTransfers{.file = "transfers.cu", .least_sm = 80};
const Source kBulkTransfers{.file = "transfers.cu", .least_sm = 90};

TEST(DeviceCode, DividesNumbersOf128Bits) {
  __extension__ using Wide = unsigned __int128;
  Numbers numbers(1);
  std::vector<std::uint64_t> a(64), b(64), expected;
  for (std::size_t t = 0; t < 64; ++t) {
    a[t] = numbers.next() >> t % 50;
    b[t] = numbers.next() >> t * 7 % 60;
    const Wide x = static_cast<Wide>(a[t]) << 64 | b[t],
               y = static_cast<Wide>(b[t]) << 32 | a[t] | 1;
    for (const Wide v : {x / y, x % y}) {
      expected.push_back(static_cast<std::uint64_t>(v));
      expected.push_back(static_cast<std::uint64_t>(v >> 64));
    }
  }
  everywhere(kDeviceCode, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(64 * 32);
    ASSERT_EQ(machine.run("wide_division", {.block = {64, 1, 1}}, machine.upload(a),
                          machine.upload(b), out),
              "");
    expect_equal(machine.download<std::uint64_t>(out, 256), expected, "word");
  });
}

TEST(DeviceCode, HasAHeapOfItsOwn) {
  everywhere(kDeviceCode, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(64 * 4);
    ASSERT_EQ(machine.run("lists", {.block = {64, 1, 1}}, out), "");
    std::vector<int> expected(64);
    for (int t = 0; t < 64; ++t)
      for (int i = 0; i <= t % 5; ++i) expected[static_cast<std::size_t>(t)] += 2 * i * t;
    expect_equal(machine.download<int>(out, 64), expected, "sum");
    ASSERT_EQ(machine.run("heap_is_full", {}, std::uint64_t{8} << 20, out), "");
    ASSERT_EQ(machine.run("heap_is_full", {}, std::uint64_t{1}, machine.allocate(4)), "");
    EXPECT_EQ(machine.download<int>(out, 1)[0], 0);
    EXPECT_EQ(machine.run("freed_twice", {}, out), "CUDA_ERROR_ILLEGAL_ADDRESS");
  });
}

TEST(DeviceCode, WaitersLetTheOthersOn) {
  const Compiled compiled =
      compile_file(kDeviceCode.file, "sm_90a", kDeviceCode.headers, kDeviceCode.options);
  if (!compiled.missing.empty()) GTEST_SKIP() << compiled.missing;
  for (const char* seed : {"0", "1", "2"}) {
    in_child({{"HONE_SIM_DEVICE", "sm_90"}, {"HONE_SIM_SEED", seed}}, [&] {
      const Driver driver;
      DriverMachine machine(driver);
      machine.load(compiled.ptx);
      const Pointer places = machine.allocate(8), out = machine.upload(std::vector<int>{0});
      ASSERT_EQ(machine.run("semaphore", {.block = {96, 1, 1}}, places, out), "");
      EXPECT_EQ(machine.download<int>(out, 1)[0], 96);
      EXPECT_EQ(machine.download<std::uint64_t>(places, 1)[0], 2u);
    });
  }
}

TEST(DeviceCode, AStoreThatReleasesOrdersWhatWasBefore) {
  const std::vector<int> in = Numbers(2).integers(32, -9, 9);
  everywhere(kDeviceCode, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(128);
    ASSERT_EQ(machine.run("released", {.block = {64, 1, 1}}, machine.upload(in), out), "");
    expect_equal(machine.download<int>(out, 32), std::vector<int>(in.rbegin(), in.rend()), "value");
  });
}

TEST(DeviceCode, RareInstructionsDoAsTheyShould) {
  Numbers numbers(3);
  std::vector<std::uint32_t> a(64), b(64), expected;
  for (std::size_t t = 0; t < 64; ++t) {
    a[t] = static_cast<std::uint32_t>(numbers.next() & numbers.next());
    b[t] = static_cast<std::uint32_t>(numbers.next());
    int left = t % 2 == 0 ? 3 : 2, bit = static_cast<int>(b[t] & 31);
    for (; bit >= 0 && bit < 32; bit += t % 2 == 0 ? 1 : -1)
      if ((a[t] >> bit & 1) != 0 && --left == 0) break;
    expected.push_back(left == 0 ? static_cast<std::uint32_t>(bit) : 0xffffffffu);
    std::uint32_t sum = 0;
    for (const int at : {0, 16}) {
      const int x = static_cast<int>(a[t] >> at & 0xffff),
                y = static_cast<int>(b[t] >> at & 0xffff);
      sum += static_cast<std::uint32_t>(x < y ? y - x : x - y);
    }
    expected.push_back(sum);
  }
  everywhere(kDeviceCode, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(64 * 8);
    ASSERT_EQ(machine.run("rare", {.block = {64, 1, 1}}, machine.upload(a), machine.upload(b), out),
              "");
    expect_equal(machine.download<std::uint32_t>(out, 128), expected, "value");
  });
}

TEST(DeviceCode, AFailedAssertionIsTheDriversOwnError) {
  everywhere(kDeviceCode, [&](Machine& machine, int) {
    ASSERT_EQ(machine.run("asserts", {.block = {32, 1, 1}}, 0), "");
    EXPECT_EQ(machine.run("asserts", {.block = {32, 1, 1}}, 5), "CUDA_ERROR_ASSERT");
  });
}

TEST(Transfers, CopiesOfThreadsArriveAtAnMbarrier) {
  const std::vector<int> in = Numbers(4).integers(128, -99, 99);
  everywhere(kTransfers, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(256), from = machine.upload(in);
    ASSERT_EQ(machine.run("copies_arrive", {.block = {128, 1, 1}}, from, out), "");
    std::vector<int> expected(64);
    for (std::size_t t = 0; t < 64; ++t) expected[t] = in[63 - t] + in[t];
    expect_equal(machine.download<int>(out, 64), expected, "value");
    ASSERT_EQ(machine.run("dropped", {.block = {128, 1, 1}}, from, out), "");
    for (std::size_t t = 0; t < 64; ++t) expected[t] = in[127 - t];
    expect_equal(machine.download<int>(out, 64), expected, "value");
  });
}

TEST(Transfers, BulkCopiesArriveWhenTheyAreWaitedFor) {
  const std::vector<float> in = Numbers(5).reals(768);
  everywhere(kBulkTransfers, [&](Machine& machine, int) {
    const Pointer out = machine.allocate(768 * 4), from = machine.upload(in);
    ASSERT_EQ(machine.run("bulk_rows", {.block = {256, 1, 1}}, from, out), "");
    std::vector<float> expected(768);
    for (std::size_t i = 0; i < 768; ++i) expected[i] = in[i / 256 * 256 + 255 - i % 256] * 2;
    expect_equal(machine.download<float>(out, 768), expected, "value");
    const Pointer leaders = machine.allocate(8);
    ASSERT_EQ(machine.run("elected", {.block = {64, 1, 1}}, leaders), "");
    for (const auto leader : machine.download<std::uint32_t>(leaders, 2)) EXPECT_GT(leader, 0u);
    EXPECT_NE(machine.run("bulk_not_waited", {.block = {256, 1, 1}}, from, out), "");
  });
}

}  // namespace
}  // namespace hone::test
