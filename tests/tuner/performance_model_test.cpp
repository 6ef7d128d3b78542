#include "tuner/performance_model.h"

#include <gtest/gtest.h>

#include "tuner/modelled_order.h"

namespace hone {
namespace {

Point point(int variant, const char* config) { return {variant, Values::parse(config)}; }

TEST(ModelledOrder, TakesTheFastestAndSpreadsNearTies) {
  const std::vector<Point> first = spread_near_ties({{1.30, point(0, "a=4,b=1,c=1")},
                                                     {1.00, point(0, "a=1,b=1,c=1")},
                                                     {1.01, point(0, "a=1,b=1,c=2")},
                                                     {1.05, point(0, "a=2,b=2,c=2")},
                                                     {2.00, point(1, "d=1")}},
                                                    4);
  ASSERT_EQ(first.size(), 4u);
  EXPECT_EQ(first[0], point(0, "a=1,b=1,c=1"));
  EXPECT_EQ(first[1], point(0, "a=2,b=2,c=2"));  // a near tie that differs more
  EXPECT_EQ(first[2], point(0, "a=1,b=1,c=2"));
  EXPECT_EQ(first[3], point(0, "a=4,b=1,c=1"));  // no near tie: by time
}

TEST(GpuTable, HoldsTheGpusThatTimesWereRecordedOn) {
  for (const char* name : {"a100", "a4000", "a6000", "rtx3090", "rtx2080ti"}) {
    const sim::Gpu* gpu = sim::find_gpu(name);
    ASSERT_NE(gpu, nullptr) << name;
    EXPECT_GT(gpu->clock_hz, 1e9) << name;
    EXPECT_GT(gpu->bandwidth, 1e11) << name;
  }
}

}  // namespace
}  // namespace hone
