// The first trials of a search, in the order in which the performance model expects them to do.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "codegen/catalog.h"
#include "runtime/backend.h"
#include "tuner/strategy.h"

namespace hone {

// Draws up to `pool` points of the space, compiles them side by side (the backend's cache keeps
// that for those that are tried), models them for the device at hand, and returns the first `most`:
// the fastest modelled first, but of near ties the one that shares the fewest parameters with those
// before it. Points that don't compile or can't be launched are left out: order, not a verdict.
// Empty where the model doesn't know the device. `stop()` is asked between compilations.
std::vector<Point> modelled_first(const Catalog& catalog, Backend& backend, const Device& device,
                                  const Problem& problem,
                                  const std::vector<const Template*>& variants,
                                  const SearchSpace& space, std::size_t pool, std::size_t most,
                                  std::uint64_t seed, const std::function<bool()>& stop);

// Points with their modelled seconds -> the first `most` of them, as above.
std::vector<Point> spread_near_ties(std::vector<std::pair<double, Point>> modelled,
                                    std::size_t most);

}  // namespace hone
