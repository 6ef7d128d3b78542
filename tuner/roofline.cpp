#include "tuner/roofline.h"

#include <algorithm>
#include <initializer_list>
#include <string>

namespace hone {
namespace {

constexpr double kFloorSlack =
    1.5;  // memory speed of shared machines moves by a third within minutes

double ceiling(const Ceilings& ceilings, const std::string& name) {
  const auto found = ceilings.find(name);
  return found == ceilings.end() ? 0 : found->second;
}

double over(double amount, double giga_per_s) {
  return giga_per_s > 0 ? amount / (giga_per_s * 1e9) : 0;
}

double limit(const Values& limits, const char* name) {
  return limits.has(name) ? static_cast<double>(limits.integer(name)) : 0;
}

}  // namespace

Roofline roofline(const Op& op, const Values& scope, const Values& limits,
                  const Ceilings& ceilings) {
  double cold = 0, total = 0;
  for (const Argument* argument : op.present(scope)) {
    if (argument->kind == Argument::Kind::kScalar) continue;
    const auto bytes = static_cast<double>(op.bytes_of(*argument, scope));
    total += bytes;
    if (argument->cold) cold += bytes;
  }
  const auto cost = static_cast<double>(op.cost_bytes(scope));
  // What is read only in part (a gather) is the same part in every call: it sits in a cache.
  const bool partial = cost < total;
  const double moved_cold = partial ? 0 : cold;
  const double moved_hot = cost - moved_cold;
  const double hot_footprint = partial ? cost : total - cold;

  const double units = std::max(1.0, limit(limits, "units"));
  double hot_gbps = ceiling(ceilings, "read_gbps");
  const struct {
    const char *bytes, *speed;
    double copies;
  } levels[] = {{"l3_bytes", "l3_gbps", 1},
                // A core has its own, a GPU one for all.
                {"l2_bytes", "l2_gbps", limits.has("wave") ? 1 : units},
                {"l1_bytes", "l1_gbps", units}};
  for (const auto& level : levels)
    if (hot_footprint <= limit(limits, level.bytes) * level.copies &&
        ceiling(ceilings, level.speed) > 0)
      hot_gbps = ceiling(ceilings, level.speed);

  const auto flops = static_cast<double>(op.flops.integer(lookup_in(scope)));
  const std::string type = std::get<std::string>(op.compute.evaluate(lookup_in(scope)));
  double peak = ceiling(ceilings, type + "_gflops");
  if (peak == 0) peak = ceiling(ceilings, "f32_gflops");
  double highest_peak = 0, highest_speed = 0;
  for (const auto& [name, value] : ceilings) {
    if (name.ends_with("_gflops")) highest_peak = std::max(highest_peak, value);
    if (name.ends_with("_gbps")) highest_speed = std::max(highest_speed, value);
  }

  Roofline result;
  result.bound_s = std::max({over(flops, peak), over(moved_cold, ceiling(ceilings, "read_gbps")),
                             over(moved_hot, hot_gbps)});
  result.floor_s =
      std::max({over(flops, highest_peak), over(moved_cold, ceiling(ceilings, "read_gbps")),
                over(cost, highest_speed)}) /
      kFloorSlack;
  return result;
}

}  // namespace hone
