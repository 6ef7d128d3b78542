#include "tuner/modelled_order.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "codegen/error.h"
#include "codegen/source.h"
#include "tuner/modelled.h"

namespace hone {
namespace {

constexpr std::chrono::seconds kFirstCompileLimit{60};
// Modelled times that differ by less say nothing about which is faster.
constexpr double kNearTie = 0.10;

// The product's data sheet, or that of its architecture's first with the device's own size.
std::optional<sim::Gpu> gpu_of(const Device& device) {
  const Target& target = device.target();
  if (target.backend != "cuda") return std::nullopt;
  const sim::Gpu* known = sim::find_gpu(target.arch);
  for (const sim::Gpu& one : sim::gpus())
    if (one.label == device.identity().name) known = &one;
  if (known == nullptr) return std::nullopt;
  sim::Gpu gpu = *known;
  gpu.units = static_cast<int>(target.limits.integer("units"));
  return gpu;
}

// Parameters in which two points agree; none where the variants differ.
int shared_values(const Point& a, const Point& b) {
  if (a.variant != b.variant) return 0;
  int count = 1;
  for (const auto& [name, value] : a.config)
    if (const Value* other = b.config.find(name); other != nullptr && *other == value) ++count;
  return count;
}

}  // namespace

std::vector<Point> spread_near_ties(std::vector<std::pair<double, Point>> modelled,
                                    std::size_t most) {
  std::stable_sort(modelled.begin(), modelled.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Point> chosen;
  while (chosen.size() < most && !modelled.empty()) {
    std::size_t best = 0;
    int least = -1;
    for (std::size_t i = 0; i < modelled.size(); ++i) {
      if (modelled[i].first > modelled[0].first * (1 + kNearTie)) break;
      int nearest = 0;
      for (const Point& one : chosen)
        nearest = std::max(nearest, shared_values(one, modelled[i].second));
      if (least < 0 || nearest < least) {
        least = nearest;
        best = i;
      }
    }
    chosen.push_back(std::move(modelled[best].second));
    modelled.erase(modelled.begin() + static_cast<std::ptrdiff_t>(best));
  }
  return chosen;
}

std::vector<Point> modelled_first(const Catalog& catalog, Backend& backend, const Device& device,
                                  const Problem& problem,
                                  const std::vector<const Template*>& variants,
                                  const SearchSpace& space, std::size_t pool, std::size_t most,
                                  std::uint64_t seed, const std::function<bool()>& stop) {
  const std::optional<sim::Gpu> gpu = gpu_of(device);
  if (!gpu || space.count() == 0) return {};
  std::vector<Point> points;
  Random random(seed);
  Visited drawn(space);
  while (points.size() < pool) {
    std::optional<Point> point = drawn.fresh(random);
    if (!point) break;
    drawn.add(*point);
    points.push_back(std::move(*point));
  }
  const Target& target = device.target();
  std::vector<std::pair<double, Point>> modelled;
  std::mutex mutex;
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < points.size() && !stop(); i = next++) {
      const Template& variant = *variants[static_cast<std::size_t>(points[i].variant)];
      try {
        const Source source = render(catalog, variant, problem, points[i].config, target);
        const Modelled one =
            model_call(catalog, backend, variant, problem, points[i].config, target,
                       backend.compile(source, target, kFirstCompileLimit), *gpu);
        if (!one.refused.empty()) continue;
        const std::lock_guard lock(mutex);
        modelled.emplace_back(one.seconds, points[i]);
      } catch (const Error&) {
        continue;  // the search meets it again, and tells
      }
    }
  };
  std::vector<std::thread> threads;
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < std::min(cores, points.size()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  // The order in which threads end says nothing.
  std::sort(modelled.begin(), modelled.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second.config.text()) < std::pair(b.first, b.second.config.text());
  });
  return spread_near_ties(std::move(modelled), most);
}

}  // namespace hone
