// The activation functions of the literature, in double.
#pragma once

#include <cmath>
#include <numbers>

namespace hone::prove {

inline double silu(double x) { return x / (1 + std::exp(-x)); }
inline double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2)); }
inline double gelu_tanh(double x) {
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}
inline double relu(double x) { return std::isnan(x) || x > 0 ? x : 0; }

}  // namespace hone::prove
